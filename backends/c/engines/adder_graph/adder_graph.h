/* What kernels of straight-line additions call: loads, sums and stores of one vector of pixels, and the loop over tiles.
 *
 * A sum has one lane for each pixel of a vector of bytes. Where its range fits 8 bits it is one vector (sums_8), else
 * two (sums_16) or four (sums_32), of which the i-th holds the pixels i, i + 2, .. or i, i + 4, ..: to widen takes
 * shifts instead of shuffles. No sum leaves its lanes, they were chosen from the exact range of each. */
#ifndef TERCET_ADDER_GRAPH_H
#define TERCET_ADDER_GRAPH_H

#include "epilogue.h"

/* Functions of straight-line additions. These and their order keep few sums alive: GCC would choose others, and spill
 * more. Of what else it does only scheduling pays here; the rest takes a third of its time and finds nothing. */
#if defined(__GNUC__) && !defined(__clang__)
#define SUMS_STRAIGHT                                                                                                  \
    __attribute__((optimize("O1", "schedule-insns2", "no-tree-reassoc", "no-tree-forwprop", "no-tree-ter",             \
                            "no-tree-sink", "no-tree-dse", "no-dse", "no-tree-fre", "no-tree-pta", "no-tree-ccp")))
#else
#define SUMS_STRAIGHT
#endif

#define SUMS_INLINE static inline __attribute__((always_inline))

typedef uint16_t sums_u16v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint32_t sums_u32v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));

/* Lanes without a pixel may leave their range, so lanes are unsigned, which wrap, and signed only where that matters. */
typedef tercet_u8v sums_8;
typedef struct { sums_u16v v[2]; } sums_16;
typedef struct { sums_u32v v[4]; } sums_32;

/* Wider lanes. */
SUMS_INLINE sums_16 sums_8to16(sums_8 x) {
    const sums_u16v pairs = (sums_u16v)x;
    return (sums_16){{(sums_u16v)((tercet_i16v)(pairs << 8) >> 8), (sums_u16v)((tercet_i16v)pairs >> 8)}};
}

SUMS_INLINE sums_32 sums_16to32(sums_16 x) {
    const sums_u32v even = (sums_u32v)x.v[0], odd = (sums_u32v)x.v[1];
    return (sums_32){{(sums_u32v)((tercet_i32v)(even << 16) >> 16), (sums_u32v)((tercet_i32v)(odd << 16) >> 16),
                      (sums_u32v)((tercet_i32v)even >> 16), (sums_u32v)((tercet_i32v)odd >> 16)}};
}

SUMS_INLINE sums_32 sums_8to32(sums_8 x) {
    return sums_16to32(sums_8to16(x));
}

/* Narrower lanes, modulo 256 or 65536: the inverse. */
SUMS_INLINE sums_8 sums_16to8(sums_16 x) {
    return (sums_8)((x.v[0] & 255) | x.v[1] << 8);
}

SUMS_INLINE sums_16 sums_32to16(sums_32 x) {
    return (sums_16){{(sums_u16v)((x.v[0] & 65535) | x.v[2] << 16), (sums_u16v)((x.v[1] & 65535) | x.v[3] << 16)}};
}

SUMS_INLINE sums_8 sums_32to8(sums_32 x) {
    return sums_16to8(sums_32to16(x));
}

/* A vector of the pixels from x + offset on, int8 (X..) or uint8 (U..; U8 for 0..127), as lanes of 8, 16 or 32 bits.
 * Macros: what a kernel says most often doubles the time that the compiler takes where it is a call. */
typedef uint8_t sums_8_at __attribute__((vector_size(TERCET_VECTOR_BYTES), aligned(1), may_alias));
#define X8(offset) ((sums_8)*(const sums_8_at *)(x + offset))
#define U8(offset) X8(offset)
#define X16(offset) sums_8to16(X8(offset))
#define X32(offset) sums_8to32(X8(offset))
#define U16(offset) sums_u8to16(X8(offset))
#define U32(offset) sums_16to32(U16(offset))

SUMS_INLINE sums_16 sums_u8to16(sums_8 x) {
    const sums_u16v pairs = (sums_u16v)x;
    return (sums_16){{pairs & 255, pairs >> 8}};
}

/* Makes the compiler forget what it has loaded from x. It would keep inputs that are used again, and spill them to the
 * stack: a store and a load for one load. No instruction. */
#define SUMS_FORGET(x) __asm__("" : "+r"(x))

/* The same number in every lane. */
SUMS_INLINE sums_8 sums_all8(int number) {
    return (sums_8){0} + (uint8_t)number;
}

SUMS_INLINE sums_16 sums_all16(int number) {
    const sums_u16v all = (sums_u16v){0} + (uint16_t)number;
    return (sums_16){{all, all}};
}

SUMS_INLINE sums_32 sums_all32(int number) {
    const sums_u32v all = (sums_u32v){0} + (uint32_t)number;
    return (sums_32){{all, all, all, all}};
}

SUMS_INLINE sums_16 sums_add16(sums_16 a, sums_16 b) {
    return (sums_16){{a.v[0] + b.v[0], a.v[1] + b.v[1]}};
}

SUMS_INLINE sums_16 sums_sub16(sums_16 a, sums_16 b) {
    return (sums_16){{a.v[0] - b.v[0], a.v[1] - b.v[1]}};
}

SUMS_INLINE sums_32 sums_add32(sums_32 a, sums_32 b) {
    return (sums_32){{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
}

SUMS_INLINE sums_32 sums_sub32(sums_32 a, sums_32 b) {
    return (sums_32){{a.v[0] - b.v[0], a.v[1] - b.v[1], a.v[2] - b.v[2], a.v[3] - b.v[3]}};
}

/* level + step in the lanes where `passed` is all ones. A step of 1 or -1, the usual ones, saves an operation. */
#define SUMS_STEP(level, passed, step, lane)                                                                           \
    ((step) == 1    ? (level) - (passed)                                                                               \
     : (step) == -1 ? (level) + (passed)                                                                               \
                    : (level) + ((passed) & (lane)(step)))

/* start + step * #{bound : sum > bound}, modulo 256. */
SUMS_INLINE sums_8 sums_levels8(sums_8 sum, int start, int step, int count, const int *bounds) {
    sums_8 level = sums_all8(start);
#pragma GCC unroll 32
    for (int j = 0; j < count; j++)
        level = SUMS_STEP(level, (sums_8)((tercet_i8v)sum > (int8_t)bounds[j]), step, uint8_t);
    return level;
}

SUMS_INLINE sums_u16v sums_level16(sums_u16v sum, int start, int step, int count, const int *bounds) {
    sums_u16v level = (sums_u16v){0} + (uint16_t)start;
#pragma GCC unroll 32
    for (int j = 0; j < count; j++)
        level = SUMS_STEP(level, (sums_u16v)((tercet_i16v)sum > (int16_t)bounds[j]), step, uint16_t);
    return level;
}

SUMS_INLINE sums_8 sums_levels16(sums_16 sum, int start, int step, int count, const int *bounds) {
    return sums_16to8((sums_16){{sums_level16(sum.v[0], start, step, count, bounds),
                                 sums_level16(sum.v[1], start, step, count, bounds)}});
}

SUMS_INLINE sums_u32v sums_level32(sums_u32v sum, int start, int step, int count, const int *bounds) {
    sums_u32v level = (sums_u32v){0} + (uint32_t)start;
#pragma GCC unroll 32
    for (int j = 0; j < count; j++)
        level = SUMS_STEP(level, (sums_u32v)((tercet_i32v)sum > bounds[j]), step, uint32_t);
    return level;
}

SUMS_INLINE sums_8 sums_levels32(sums_32 sum, int start, int step, int count, const int *bounds) {
    return sums_32to8((sums_32){{sums_level32(sum.v[0], start, step, count, bounds),
                                 sums_level32(sum.v[1], start, step, count, bounds),
                                 sums_level32(sum.v[2], start, step, count, bounds),
                                 sums_level32(sum.v[3], start, step, count, bounds)}});
}

/* Levels where the selector of a pixel, an int8, has a value; 0 elsewhere. */
SUMS_INLINE sums_8 sums_chosen(const unsigned char *selector, int value, sums_8 level) {
    tercet_i8v x;
    memcpy(&x, selector, sizeof x);
    return level & (sums_8)(x == (int8_t)value);
}

/* Results where they belong; zeros where there is a mask and its bytes are 0. */
SUMS_INLINE void sums_put(unsigned char *to, tercet_u8v x, const unsigned char *mask) {
    if (mask) {
        tercet_u8v keep;
        memcpy(&keep, mask, sizeof keep);
        x &= keep;
    }
    memcpy(to, &x, sizeof x);
}

SUMS_INLINE void sums_store8(unsigned char *to, sums_8 x, const unsigned char *mask) {
    sums_put(to, x, mask);
}

/* Elements of two vectors interleaved, the first or the last half of each, as indices of __builtin_shufflevector. */
#if TERCET_VECTOR_BYTES == 16
#define SUMS_FIRST_64 0, 2
#define SUMS_LAST_64 1, 3
#define SUMS_FIRST_32 0, 4, 1, 5
#define SUMS_LAST_32 2, 6, 3, 7
#define SUMS_FIRST_16 0, 8, 1, 9, 2, 10, 3, 11
#define SUMS_LAST_16 4, 12, 5, 13, 6, 14, 7, 15
#elif TERCET_VECTOR_BYTES == 32
#define SUMS_FIRST_64 0, 4, 1, 5
#define SUMS_LAST_64 2, 6, 3, 7
#define SUMS_FIRST_32 0, 8, 1, 9, 2, 10, 3, 11
#define SUMS_LAST_32 4, 12, 5, 13, 6, 14, 7, 15
#define SUMS_FIRST_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SUMS_LAST_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#else
#define SUMS_FIRST_64 0, 8, 1, 9, 2, 10, 3, 11
#define SUMS_LAST_64 4, 12, 5, 13, 6, 14, 7, 15
#define SUMS_FIRST_32 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SUMS_LAST_32 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define SUMS_FIRST_16                                                                                                  \
    0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47
#define SUMS_LAST_16                                                                                                   \
    16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61,    \
        30, 62, 31, 63
#endif

SUMS_INLINE void sums_store16(unsigned char *to, sums_16 x, const unsigned char *mask) {
    const sums_u16v first = __builtin_shufflevector(x.v[0], x.v[1], SUMS_FIRST_16);
    const sums_u16v last = __builtin_shufflevector(x.v[0], x.v[1], SUMS_LAST_16);
    sums_put(to, (tercet_u8v)first, mask);
    sums_put(to + TERCET_VECTOR_BYTES, (tercet_u8v)last, mask ? mask + TERCET_VECTOR_BYTES : mask);
}

SUMS_INLINE void sums_store32(unsigned char *to, sums_32 x, const unsigned char *mask) {
    const tercet_u64v a = (tercet_u64v)__builtin_shufflevector(x.v[0], x.v[1], SUMS_FIRST_32);
    const tercet_u64v b = (tercet_u64v)__builtin_shufflevector(x.v[2], x.v[3], SUMS_FIRST_32);
    const tercet_u64v c = (tercet_u64v)__builtin_shufflevector(x.v[0], x.v[1], SUMS_LAST_32);
    const tercet_u64v d = (tercet_u64v)__builtin_shufflevector(x.v[2], x.v[3], SUMS_LAST_32);
    const int64_t size = TERCET_VECTOR_BYTES, masked = mask ? size : 0;
    sums_put(to, (tercet_u8v)__builtin_shufflevector(a, b, SUMS_FIRST_64), mask);
    sums_put(to + size, (tercet_u8v)__builtin_shufflevector(a, b, SUMS_LAST_64), mask + masked);
    sums_put(to + 2 * size, (tercet_u8v)__builtin_shufflevector(c, d, SUMS_FIRST_64), mask + 2 * masked);
    sums_put(to + 3 * size, (tercet_u8v)__builtin_shufflevector(c, d, SUMS_LAST_64), mask + 3 * masked);
}

/* The sums of some channels for one vector of pixels. x: the pixels in the first plane; to: where results go, `step`
 * bytes from channel to channel; mask: 255 where they are pixels, 0 for zeros; select: the pixels' selectors, if there is
 * a choice of thresholds, `select_step` bytes from channel to channel. */
#define SUMS_TILE                                                                                                      \
    const unsigned char *restrict x, unsigned char *restrict to, int64_t step, const unsigned char *restrict mask,     \
        const unsigned char *select, int64_t select_step

struct sums_layer {
    struct planes in, out;  /* .item of out: bytes of a result, or 4 where `finish` takes the sums */
    struct epilogue_selector selector;
    int part_count;
    void (*parts[])(SUMS_TILE); /* each computes some of the channels */
};

/* The layer; finish: what takes the sums, or NULL where they are results or became levels. Whole tiles are written where
 * they belong if lanes lie there as they are, all others through scratch.
 * Scratch: results of a tile, its mask, then the mask of a row and a tile, in which every tile finds its own, and the
 * selectors of a tile that lie in another layout. */
SUMS_INLINE void sums_conv(const struct sums_layer *l, const struct tercet_task *task, epilogue_finish *const finish) {
    const int lanes = TERCET_VECTOR_BYTES, item = l->out.item, channels = l->out.channels, pitch = l->in.pitch;
    const int64_t count = planes_lanes(&l->out, pitch), plane = (int64_t)l->out.size * item;
    const int flat = !finish && planes_flat(&l->out, pitch);
    unsigned char *staged = task->scratch, *last = staged + channels * lanes * item, *mask = last + lanes * item;
    unsigned char *out = task->out[0], *pixels = out + planes_position(&l->out, 0, 0) * item;
    unsigned char *copies = mask + (pitch + lanes) * item;
    const unsigned char *in = task->in[0];
    const int copied = l->selector.choices > 1 && !planes_flat(&l->selector.map, pitch);
    int64_t begin, end;
    tercet_share(task, channels, 1, &begin, &end);
    if (!finish)
        planes_clear_borders(&l->out, out, pitch, begin, end);
    planes_mask(&l->out, mask, pitch, 0, pitch + lanes);
    tercet_share(task, (count + lanes - 1) / lanes, 1, &begin, &end);
    for (int64_t first = begin * lanes; first < end * lanes; first += lanes) {
        const int size = count - first < lanes ? (int)(count - first) : lanes, direct = flat && size == lanes;
        unsigned char *to = direct ? pixels + first * item : staged, *keep = mask + first % pitch * item;
        const int64_t step = direct ? plane : lanes * item;
        const unsigned char *select = epilogue_select(&l->selector, task, 0, copies, pitch, first, size);
        for (int k = 1; copied && k < channels; k++)
            epilogue_select(&l->selector, task, k, copies + k * lanes, pitch, first, size);
        for (int i = 0; i < l->part_count; i++)
            l->parts[i](in + first, to, step, keep, select, copied ? lanes : l->selector.map.size);
        if (!direct) {
            memcpy(last, keep, (size_t)(lanes * item)); /* aligned */
            epilogue_tile(task, &l->out, finish, 0, channels, staged, step, last, pitch, first, size);
        }
    }
}

#endif
