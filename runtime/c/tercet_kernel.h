/* What a generated kernel sees of the runtime. */
#ifndef TERCET_KERNEL_H
#define TERCET_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One call of a kernel. All `parts` calls of a step run side by side; each does its share and writes nothing that
 * another part writes. The result never depends on `parts`. Every buffer has 256 readable bytes after its end. */
struct tercet_task {
    const void *const *in;        /* one pointer per operand of the kernel */
    void *const *out;             /* one pointer per result */
    const unsigned char *weights; /* this kernel's constants, expanded, 64-byte aligned */
    unsigned char *scratch;       /* this part's working memory, 64-byte aligned */
    int part, parts;
};

/* The half-open range [*begin, *end) of `count` items that a part works on, in multiples of `grain`. */
static inline void tercet_share(const struct tercet_task *task, int64_t count, int64_t grain, int64_t *begin,
                                int64_t *end) {
    int64_t grains = (count + grain - 1) / grain;
    int64_t first = grains * task->part / task->parts, last = grains * (task->part + 1) / task->parts;
    *begin = first * grain < count ? first * grain : count;
    *end = last * grain < count ? last * grain : count;
}

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
