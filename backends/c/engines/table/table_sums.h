/* Convolution with weights of {-1, 0, 1} by tables of partial sums, neighbouring pixels in the lanes of a vector.
 *
 * For a group of a few inputs, the sums of all their possible weight patterns are built once for a tile of pixels.
 * Every output channel then adds one table row per group instead of multiplying each input. A chunk of groups has its
 * tables in the first-level cache; its sum provably fits a narrow lane (chosen by plan.py) and is widened once. */
#ifndef TERCET_TABLE_SUMS_H
#define TERCET_TABLE_SUMS_H

#include "epilogue.h"

/* TABLE_MAX_GROUP and TABLE_MAX_VECTORS are defined where this is included. */
#define TABLE_SHARE 8 /* pairs of a tile and an output channel that stay on one thread */

typedef uint16_t table_u16v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint32_t table_u32v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int8_t table_i8half __attribute__((vector_size(TERCET_VECTOR_BYTES / 2), may_alias));
typedef uint8_t table_u8half __attribute__((vector_size(TERCET_VECTOR_BYTES / 2), may_alias));

typedef int8_t table_i8 __attribute__((may_alias));
typedef int16_t table_i16 __attribute__((may_alias));
typedef int32_t table_i32 __attribute__((may_alias));

/* What digit d of an index stands for: TERNARY 0, 1, 2 are the weights 0, +1, -1; BINARY 0, 1 are -1, +1; BOOL 0, 1. */
enum table_weights { TABLE_TERNARY, TABLE_BINARY, TABLE_BOOL };

struct table_layer {
    struct planes in, out; /* .item of out: bytes of a result, or 4 where `finish` takes the sums */
    const int *taps;  /* element offset of each filter tap from a lane, `tap_count` of them */
    int tap_count;
    int inputs, outputs; /* channels of one group of the convolution */
    enum table_weights weights;
    int in_unsigned;  /* activations are uint8 */
    int lane, wide;   /* bytes of a table's lane and of an accumulator's */
    int vectors;      /* vectors of a tile */
    int group, chunk; /* inputs of a group, groups of a chunk */
    int steps;        /* thresholds per channel; 0: the sums are stored */
    struct epilogue_selector selector;
    int64_t records;  /* offset of the channels' records in the weights; the index stream is at 0 */
};

/* The activations of inputs that pad the last group. */
static const unsigned char table_zeros[TABLE_MAX_VECTORS * TERCET_VECTOR_BYTES];

TERCET_INLINE int table_entries(const struct table_layer *l) {
    int entries = 1;
    for (int i = 0; i < l->group; i++)
        entries *= l->weights == TABLE_TERNARY ? 3 : 2;
    return entries;
}

TERCET_INLINE tercet_u64v table_add(const struct table_layer *l, tercet_u64v a, tercet_u64v b) {
    return l->lane == 1 ? (tercet_u64v)((tercet_u8v)a + (tercet_u8v)b) : (tercet_u64v)((table_u16v)a + (table_u16v)b);
}

TERCET_INLINE tercet_u64v table_subtract(const struct table_layer *l, tercet_u64v a, tercet_u64v b) {
    return l->lane == 1 ? (tercet_u64v)((tercet_u8v)a - (tercet_u8v)b) : (tercet_u64v)((table_u16v)a - (table_u16v)b);
}

/* The activations of one vector of pixels, widened to the table's lanes. */
TERCET_INLINE tercet_u64v table_load(const struct table_layer *l, const unsigned char *from) {
    if (l->lane == 1) {
        tercet_u64v x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    if (l->in_unsigned) {
        table_u8half x;
        memcpy(&x, from, sizeof x);
        return (tercet_u64v)__builtin_convertvector(x, table_u16v);
    }
    table_i8half x;
    memcpy(&x, from, sizeof x);
    return (tercet_u64v)__builtin_convertvector(x, tercet_i16v);
}

/* The sums of `count` inputs for all digits, first input first: sums[e] for the digits of e. Returns how many. */
TERCET_INLINE int table_patterns(const struct table_layer *l, const tercet_u64v *inputs, int count, tercet_u64v *sums) {
    int known = 1;
    sums[0] = (tercet_u64v){0};
    if (l->weights == TABLE_BINARY)
#pragma GCC unroll 8
        for (int j = 0; j < count; j++)
            sums[0] = table_subtract(l, sums[0], inputs[j]);
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) {
        const tercet_u64v step = l->weights == TABLE_BINARY ? table_add(l, inputs[j], inputs[j]) : inputs[j];
#pragma GCC unroll 32
        for (int i = 0; i < known; i++) {
            sums[known + i] = table_add(l, sums[i], step);
            if (l->weights == TABLE_TERNARY)
                sums[2 * known + i] = table_subtract(l, sums[i], step);
        }
        known *= l->weights == TABLE_TERNARY ? 3 : 2;
    }
    return known;
}

/* All weighted sums of one group: row e of `table` is for the digits of e. The low digits' sums stay in registers. */
TERCET_INLINE void table_build(const struct table_layer *l, tercet_u64v *table, const unsigned char *const *inputs) {
    const int most = l->weights == TABLE_TERNARY ? 2 : 3, low_digits = l->group < most ? l->group : most;
    for (int v = 0; v < l->vectors; v++) {
        tercet_u64v x[TABLE_MAX_GROUP], low[9], high[32];
#pragma GCC unroll 8
        for (int j = 0; j < l->group; j++)
            x[j] = table_load(l, inputs[j] + v * (TERCET_VECTOR_BYTES / l->lane));
        const int low_count = table_patterns(l, x, low_digits, low);
        const int high_count = table_patterns(l, x + low_digits, l->group - low_digits, high);
#pragma GCC unroll 4
        for (int h = 0; h < high_count; h++)
#pragma GCC unroll 9
            for (int i = 0; i < low_count; i++)
                table[(h * low_count + i) * l->vectors + v] = table_add(l, high[h], low[i]);
    }
}

/* The tables of groups [begin, begin + groups) of one convolution, for the pixels from `tile` on. */
TERCET_INLINE void table_build_chunk(const struct table_layer *l, tercet_u64v *tables, const unsigned char *tile,
                                     int begin, int groups) {
    const int rows = table_entries(l) * l->vectors, count = l->inputs * l->tap_count;
    int input = begin * l->group;
    int tap = input % l->tap_count;
    const unsigned char *plane = tile + (int64_t)(input / l->tap_count) * l->in.size;
    for (int q = 0; q < groups; q++) {
        const unsigned char *inputs[TABLE_MAX_GROUP];
        for (int j = 0; j < l->group; j++, input++) {
            inputs[j] = input < count ? plane + l->taps[tap] : table_zeros;
            if (++tap == l->tap_count) {
                tap = 0;
                plane += l->in.size;
            }
        }
        table_build(l, tables + q * rows, inputs);
    }
}

/* Keeps the compiler from reordering a chain of additions, so that rows are added straight from memory and not loaded
 * first. Measured on Zen 3, two vectors a row: 0.67 cycles a look-up, 0.9 without it. Emits no instruction. */
TERCET_INLINE void table_pin(tercet_u64v *x) {
#if (TERCET_VECTOR_BYTES == 64 && defined(__AVX512BW__)) || (TERCET_VECTOR_BYTES == 32 && defined(__AVX2__)) || \
    (TERCET_VECTOR_BYTES == 16 && defined(__SSE2__))
    __asm__("" : "+v"(*x));
#elif TERCET_VECTOR_BYTES == 16 && defined(__aarch64__)
    __asm__("" : "+w"(*x));
#else
    (void)x;
#endif
}

/* sum += the rows that up to 8 indices, the bytes of `word`, name in as many tables. */
TERCET_INLINE void table_add_rows(const struct table_layer *l, const tercet_u64v *tables, uint64_t word, int groups,
                                  int fresh, tercet_u64v (*sum)[TABLE_MAX_VECTORS]) {
    const unsigned char *first = (const unsigned char *)tables;
    const int row = l->vectors * TERCET_VECTOR_BYTES, table = table_entries(l) * row;
#pragma GCC unroll 8
    for (int i = 0; i < groups; i++) {
        const uint64_t offset = ((word >> (8 * i)) & 255) * (uint64_t)row;
#pragma GCC unroll 4
        for (int v = 0; v < l->vectors; v++) {
            const tercet_u64v x = *(const tercet_u64v *)(first + i * table + v * TERCET_VECTOR_BYTES + offset);
            sum[i % 2][v] = fresh && i < 2 ? x : table_add(l, sum[i % 2][v], x);
            table_pin(&sum[i % 2][v]);
        }
    }
}

/* Adds one row of each table: the chunk's sum for one output channel. Reads indices in words of 8. */
TERCET_INLINE void table_look_up(const struct table_layer *l, const tercet_u64v *tables, const unsigned char *index,
                                 int groups, tercet_u64v *result) {
    const int rows = table_entries(l) * l->vectors;
    tercet_u64v sum[2][TABLE_MAX_VECTORS]; /* two chains of additions, so that latency does not bind */
#pragma GCC unroll 16
    for (int q = 0; q < groups; q += 8) {
        uint64_t word;
        memcpy(&word, index + q, sizeof word);
        table_add_rows(l, tables + q * rows, word, groups - q < 8 ? groups - q : 8, q == 0, sum);
    }
#pragma GCC unroll 4
    for (int v = 0; v < l->vectors; v++)
        result[v] = groups > 1 ? table_add(l, sum[0][v], sum[1][v]) : sum[0][v];
}

/* Lanes part, part + wide / lane, .. of a vector, sign-extended to wide lanes: shifts instead of shuffles. */
TERCET_INLINE tercet_u64v table_widen(const struct table_layer *l, tercet_u64v x, int part) {
    const int left = 8 * (l->wide - l->lane * (part + 1)), right = 8 * (l->wide - l->lane);
    if (l->wide == l->lane)
        return x;
    return l->wide == 2 ? (tercet_u64v)((tercet_i16v)((table_u16v)x << left) >> right)
                        : (tercet_u64v)((tercet_i32v)((table_u32v)x << left) >> right);
}

TERCET_INLINE tercet_u64v table_add_wide(const struct table_layer *l, tercet_u64v a, tercet_u64v b) {
    if (l->wide == 1)
        return (tercet_u64v)((tercet_u8v)a + (tercet_u8v)b);
    return l->wide == 2 ? (tercet_u64v)((table_u16v)a + (table_u16v)b) : (tercet_u64v)((table_u32v)a + (table_u32v)b);
}

/* One chunk: tables, then a look-up for `channels` output channels whose accumulators are in `sums`. */
TERCET_INLINE void table_chunk(const struct table_layer *l, tercet_u64v *tables, const unsigned char *tile,
                               const unsigned char *index, tercet_u64v *sums, int begin, int groups, int channels) {
    const int parts = l->wide / l->lane;
    table_build_chunk(l, tables, tile, begin, groups);
    for (int k = 0; k < channels; k++, index += groups, sums += l->vectors * parts) {
        tercet_u64v sum[TABLE_MAX_VECTORS];
        table_look_up(l, tables, index, groups, sum);
#pragma GCC unroll 4
        for (int v = 0; v < l->vectors; v++)
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++) {
                const tercet_u64v x = table_widen(l, sum[v], part);
                tercet_u64v *to = sums + v * parts + part;
                *to = begin ? table_add_wide(l, *to, x) : x;
            }
    }
}

#endif
