/* What a generated kernel sees of the runtime. */
#ifndef TERCET_KERNEL_H
#define TERCET_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One call of a kernel. A step is `parts` calls, in any order and side by side; each does its share and writes nothing
 * that another part writes. The result never depends on `parts`. Every buffer has 256 readable bytes after its end. */
struct tercet_task {
    const void *const *in;        /* one pointer per operand of the kernel */
    void *const *out;             /* one pointer per result */
    const unsigned char *weights; /* this kernel's constants, expanded, 64-byte aligned */
    unsigned char *scratch;       /* this thread's working memory, 64-byte aligned; nothing stays in it between calls */
    int part, parts;
    int splits; /* so many parts in a row are what one thread does unless another one is done earlier */
};

/* Where part `split` of `splits` parts of [first, last) begins: at a multiple of `tile`, or at either end. */
static inline int64_t tercet_cut(int64_t first, int64_t last, int split, int splits, int64_t tile) {
    const int64_t even = first + (last - first) * split / splits, cut = (even + tile - 1) / tile * tile;
    return split == 0 ? first : split == splits || cut > last ? last : cut;
}

/* The half-open range [*begin, *end) of `count` items that a part works on. Threads share multiples of `grain` items, as
 * evenly as can be; inside a thread's share, parts begin and end at multiples of `tile`. So a kernel that prepares
 * something for each tile it meets prepares it twice only where two threads meet. Parts may be empty. */
static inline void tercet_share_tiles(const struct tercet_task *task, int64_t count, int64_t grain, int64_t tile,
                                      int64_t *begin, int64_t *end) {
    const int threads = task->parts / task->splits, thread = task->part / task->splits;
    const int split = task->part % task->splits;
    const int64_t grains = (count + grain - 1) / grain;
    int64_t first = grains * thread / threads * grain, last = grains * (thread + 1) / threads * grain;
    first = first < count ? first : count;
    last = last < count ? last : count;
    *begin = tercet_cut(first, last, split, task->splits, tile);
    *end = tercet_cut(first, last, split + 1, task->splits, tile);
}

/* The same for items that need no preparation together. */
static inline void tercet_share(const struct tercet_task *task, int64_t count, int64_t grain, int64_t *begin,
                                int64_t *end) {
    tercet_share_tiles(task, count, grain, grain, begin, end);
}

/* A kernel is one function made of many that know its layer by the time they are part of it. gcc optimises each of those
 * once and copies all into the kernel together; where they are always inlined, it optimises each one again with all that
 * it calls, which takes longer. clang flattens one level of calls only. */
#if defined(__GNUC__) && !defined(__clang__)
#define TERCET_INLINE static inline
#define TERCET_FLATTEN __attribute__((flatten))
#else
#define TERCET_INLINE static inline __attribute__((always_inline))
#define TERCET_FLATTEN
#endif

#ifndef TERCET_VECTOR_BYTES
#define TERCET_VECTOR_BYTES 16 /* the target's vector width; -DTERCET_VECTOR_BYTES=.. sets it */
#endif

typedef int8_t tercet_i8v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint8_t tercet_u8v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int16_t tercet_i16v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int32_t tercet_i32v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint64_t tercet_u64v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef float tercet_f32v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));

#endif
