/* The inner part of the popcount engine: sums of a tile of pixels by vectors of outputs, and what becomes of them.
 *
 * A 64-bit lane of a vector belongs to one output and holds weights of 64 channels, one bit each. The same 64 channels of
 * a pixel are one word, broadcast to all lanes: an exclusive or (or what the product is) and a count of ones are 64
 * multiply-accumulates a lane. */
#ifndef TERCET_POPCOUNT_TILE_H
#define TERCET_POPCOUNT_TILE_H

#include "bit_map.h"
#include "tercet_target.h"

#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512BW__)
#include <immintrin.h>
#endif

#define POPCOUNT_UNROLL _Pragma("GCC unroll 16")
#define POPCOUNT_LANES (TERCET_VECTOR_BYTES / 8)
/* Defined where this is included: POPCOUNT_PIXELS and POPCOUNT_VECTORS, the largest tile; POPCOUNT_SPARE, sums after
 * a run that an epilogue may read. */

typedef tercet_u64v popcount_vector;
typedef int64_t popcount_signed __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int32_t popcount_i32 __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int16_t popcount_i16 __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int32_t popcount_narrow __attribute__((vector_size(TERCET_VECTOR_BYTES / 2), may_alias));

/* What is counted, of bits a, b of activations and v, w of weights. Activations of two values have one bit a.
 *   XOR      weights -1, 1 (w):             a ^ w
 *   MASKED   weights -1, 0, 1 (v: not 0):   v & (a ^ w)
 *   SIGNS    activations -1, 0, 1 (a: not 0, b: -1), weights of two values (w):   a & (b ^ w)
 *   TERNARY  both: products a & v, and those of them that are -1: a & v & (b ^ w) */
enum popcount_product { POPCOUNT_XOR, POPCOUNT_MASKED, POPCOUNT_SIGNS, POPCOUNT_TERNARY };

/* What SIGNS also need of a pixel. NONZERO: weights are -1, 1; PLUS: 0, 1 or, where `negative` is set, 0, -1. */
enum popcount_inputs { POPCOUNT_NONZERO, POPCOUNT_PLUS };

/* Taps of a tile: `rows` rows of `runs` runs of `steps` words (of all planes together), and how far apart they lie. */
struct popcount_taps {
    int rows, runs, steps;
    int64_t row, run, weight_row; /* words */
};

/* One tile and one block of outputs. */
struct popcount_tile {
    struct popcount_taps taps;
    const uint64_t *weights;
    const uint64_t *pixels[POPCOUNT_PIXELS]; /* the first tap's words */
    uint64_t inputs[POPCOUNT_PIXELS];        /* SIGNS: ones in the lower half, minus ones in the upper half */
    const uint64_t *negative;
    /* levels */
    const unsigned char *limits;             /* [choice][threshold][output], integers of 64 / fold bits */
    const uint64_t *codes;                   /* [plane][threshold + 1] */
    unsigned char *out[POPCOUNT_PIXELS];     /* the byte of the block's first output, plane 0 */
    const unsigned char *selector[POPCOUNT_PIXELS];
    /* sums */
    const int64_t *base;                     /* [vector][lane] */
    int32_t *sums;
};

/* -- counting ------------------------------------------------------------------------------------------------------ */

#ifdef TERCET_POPCOUNT_U64
#define POPCOUNT_ROOM (1 << 30)
typedef tercet_u64v popcount_sum;
TERCET_INLINE popcount_sum popcount_ones(popcount_vector x) { return (popcount_sum)TERCET_POPCOUNT_U64(x); }
TERCET_INLINE popcount_vector popcount_widen(popcount_sum x) { return x; }
#else
/* Counts of bytes, which are added up for as many words as bytes can hold. */
#define POPCOUNT_ROOM 31
typedef tercet_u8v popcount_sum;
TERCET_INLINE popcount_sum popcount_ones(popcount_vector x) {
#ifdef TERCET_POPCOUNT_U8
    return (popcount_sum)TERCET_POPCOUNT_U8(x);
#else
    x = x - (x >> 1 & 0x5555555555555555u);
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    return (popcount_sum)((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu);
#endif
}
TERCET_INLINE popcount_vector popcount_widen(popcount_sum sum) {
    popcount_vector x = (popcount_vector)sum;
    x = (x & 0x00ff00ff00ff00ffu) + (x >> 8 & 0x00ff00ff00ff00ffu);
    x += x >> 16;
    x += x >> 32;
    return x & 0xffff;
}
#endif

/* u[pixel][vector]: what a sum is less than its base; see `base` and `limits` in plan.py. */
TERCET_INLINE void popcount_count(const struct popcount_tile *t, popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS],
                                  const int pixels, const int vectors, const int joined,
                                  const enum popcount_product product, const enum popcount_inputs inputs) {
    const int two = product == POPCOUNT_TERNARY, planes = product == POPCOUNT_XOR || product == POPCOUNT_MASKED ? 1 : 2;
    const int weight_planes = product == POPCOUNT_MASKED || product == POPCOUNT_TERNARY ? 2 : 1;
    popcount_sum sum[2][POPCOUNT_PIXELS][POPCOUNT_VECTORS];
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
        POPCOUNT_UNROLL for (int q = 0; q < vectors; q++) {
            sum[0][p][q] = sum[1][p][q] = (popcount_sum){0};
            u[p][q] = (popcount_vector){0};
        }
#ifndef TERCET_POPCOUNT_U64
    int room = POPCOUNT_ROOM;
#define POPCOUNT_FLUSH()                                                                                             \
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)                                                                 \
        POPCOUNT_UNROLL for (int q = 0; q < vectors; q++) {                                                          \
            const popcount_vector first = popcount_widen(sum[0][p][q]);                                              \
            u[p][q] += first;                                                                                        \
            if (two)                                                                                                 \
                u[p][q] += 2 * (popcount_widen(sum[1][p][q]) - first);                                               \
            sum[0][p][q] = sum[1][p][q] = (popcount_sum){0};                                                         \
        }
#endif
    const int runs = joined ? 1 : t->taps.runs, steps = t->taps.steps;
    const uint64_t *first[POPCOUNT_PIXELS];
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
        first[p] = t->pixels[p];
    const uint64_t *weights = t->weights;
    for (int row = t->taps.rows; row > 0; row--) {
        for (int run = 0; run < runs; run++) {
            const popcount_vector *w = (const popcount_vector *)weights + (int64_t)run * steps * weight_planes * vectors;
            const uint64_t *x[POPCOUNT_PIXELS];
            POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
                x[p] = first[p] + run * t->taps.run;
            int64_t at = 0;
            for (int left = steps; left > 0;) {
#ifdef TERCET_POPCOUNT_U64
                const int64_t end = at + left;
                left = 0;
#else
                const int64_t end = at + (left < room ? left : room);
                room -= (int)(end - at);
                left -= (int)(end - at);
#endif
                for (; at < end; at++, w += weight_planes * vectors) {
                    POPCOUNT_UNROLL for (int q = 0; q < vectors; q++) {
                        const popcount_vector w0 = w[q], w1 = w[(weight_planes - 1) * vectors + q];
                        POPCOUNT_UNROLL for (int p = 0; p < pixels; p++) {
                            const popcount_vector a = (popcount_vector){0} + x[p][at * planes];
                            const popcount_vector b = (popcount_vector){0} + x[p][at * planes + planes - 1];
                            if (product == POPCOUNT_XOR)
                                sum[0][p][q] += popcount_ones(a ^ w0);
                            else if (product == POPCOUNT_MASKED)
                                sum[0][p][q] += popcount_ones((a ^ w1) & w0);
                            else if (product == POPCOUNT_SIGNS)
                                sum[0][p][q] += popcount_ones((b ^ w0) & a);
                            else {
                                const popcount_vector nonzero = a & w0;
                                sum[0][p][q] += popcount_ones(nonzero);
                                sum[1][p][q] += popcount_ones((b ^ w1) & nonzero);
                            }
                        }
                    }
                }
#ifndef TERCET_POPCOUNT_U64
                if (room == 0) {
                    POPCOUNT_FLUSH()
                    room = POPCOUNT_ROOM;
                }
#endif
            }
        }
        weights += t->taps.weight_row;
        POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
            first[p] += t->taps.row;
    }
#ifdef TERCET_POPCOUNT_U64
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
        POPCOUNT_UNROLL for (int q = 0; q < vectors; q++)
            if (two)
                u[p][q] = 2 * sum[1][p][q] - sum[0][p][q];
            else
                u[p][q] = sum[0][p][q];
#else
    POPCOUNT_FLUSH()
#endif
    if (product == POPCOUNT_SIGNS)
        POPCOUNT_UNROLL for (int p = 0; p < pixels; p++) {
            const uint64_t plus = t->inputs[p] & 0xffffffffu, minus = t->inputs[p] >> 32;
            POPCOUNT_UNROLL for (int q = 0; q < vectors; q++) {
                if (inputs == POPCOUNT_NONZERO)
                    u[p][q] = 2 * u[p][q] - (plus + minus);
                else
                    u[p][q] -= ((minus - plus) & ((const popcount_vector *)t->negative)[q]) + plus;
            }
        }
}

/* -- levels, as bits ----------------------------------------------------------------------------------------------- */

/* Which outputs of a block have the selector's value `value`. */
TERCET_INLINE uint64_t popcount_chosen(const struct bit_map *b, const uint64_t bits[2], int value) {
    if (b->planes == 2)
        return value == 0 ? ~bits[0] : value == 1 ? bits[0] & ~bits[1] : value == -1 ? bits[1] : 0;
    return value == b->low ? ~bits[0] : value == b->high ? bits[0] : 0; /* the bit of one value alone is 0 */
}

/* Counts of `fold` vectors in one, in lanes of 64 / fold bits that they fit: lane i * fold + j is u[j][i]. */
TERCET_INLINE popcount_vector popcount_folded(const popcount_vector *u, const int fold) {
    if (fold == 4)
        return (u[0] & 0xffff) | (u[1] & 0xffff) << 16 | (u[2] & 0xffff) << 32 | u[3] << 48;
    if (fold == 2)
        return (u[0] & 0xffffffff) | u[1] << 32;
    return u[0];
}

/* A bit for every lane of 64 / fold bits, all of whose bits are set or none. */
#if TERCET_VECTOR_BYTES == 32 && defined(__AVX2__)
TERCET_INLINE uint64_t popcount_bits(popcount_vector holds, const int fold) {
    /* builtins of GCC and clang: immintrin.h takes longer to read than a kernel */
    typedef short shorts __attribute__((vector_size(16), may_alias));
    typedef char chars __attribute__((vector_size(16), may_alias));
    typedef float floats __attribute__((vector_size(32), may_alias));
    typedef double doubles __attribute__((vector_size(32), may_alias));
    if (fold == 4) {
        shorts half[2];
        memcpy(half, &holds, sizeof half);
        return (uint64_t)__builtin_ia32_pmovmskb128((chars)__builtin_ia32_packsswb128(half[0], half[1]));
    }
    if (fold == 2)
        return (uint64_t)__builtin_ia32_movmskps256((floats)holds);
    return (uint64_t)__builtin_ia32_movmskpd256((doubles)holds);
}
#else
TERCET_INLINE uint64_t popcount_bits(popcount_vector holds, const int fold) {
    const uint64_t picked = fold == 4 ? 0x0008000400020001u : fold == 2 ? 0x0000000200000001u : 1u;
    const uint64_t sum = fold == 4 ? 0x0001000100010001u : fold == 2 ? 0x0000000100000001u : 1u;
    uint64_t bits = 0;
    POPCOUNT_UNROLL for (int i = 0; i < POPCOUNT_LANES; i++)
        bits |= ((holds[i] & picked) * sum >> (fold - 1) * (64 / fold)) << i * fold;
    return bits;
}
#endif

/* Which lanes of 64 / fold bits are at most the limit. */
TERCET_INLINE uint64_t popcount_at_most(popcount_vector x, popcount_vector limit, const int fold) {
#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512BW__)
    const __m512i a = (__m512i)x, b = (__m512i)limit;
    return fold == 4 ? _mm512_cmple_epi16_mask(a, b)
                     : fold == 2 ? _mm512_cmple_epi32_mask(a, b) : _mm512_cmple_epi64_mask(a, b);
#else
    if (fold == 4)
        return popcount_bits((popcount_vector)((popcount_i16)x <= (popcount_i16)limit), fold);
    if (fold == 2)
        return popcount_bits((popcount_vector)((popcount_i32)x <= (popcount_i32)limit), fold);
    return popcount_bits((popcount_vector)((popcount_signed)x <= (popcount_signed)limit), fold);
#endif
}

#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512BW__)
/* b in the lanes of 64 / fold bits whose bit is set, else a. */
TERCET_INLINE popcount_vector popcount_blend(uint64_t bits, popcount_vector a, popcount_vector b, const int fold) {
    const __m512i x = (__m512i)a, y = (__m512i)b;
    return (popcount_vector)(fold == 4 ? _mm512_mask_blend_epi16((__mmask32)bits, x, y)
                             : fold == 2 ? _mm512_mask_blend_epi32((__mmask16)bits, x, y)
                                         : _mm512_mask_blend_epi64((__mmask8)bits, x, y));
}
#define POPCOUNT_BLENDS /* limits are chosen, then compared once: elsewhere choosing costs more than comparing */
#endif

/* Levels of a tile's outputs as the bits of `planes` planes: bit p of a level that passes j thresholds is the exclusive
 * or of codes[p][0] .. codes[p][j]. selector: the map whose values, from `first` on, choose among rows of thresholds. */
TERCET_INLINE void popcount_levels(const struct popcount_tile *t,
                                   popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS], const int pixels,
                                   const int vectors, const int fold, const int thresholds, const int planes,
                                   const int choices, const struct bit_map *selector, const int first) {
    const int bytes = vectors * POPCOUNT_LANES / 8, folded = vectors / fold;
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++) {
        uint64_t chosen[2] = {0, 0}, found[2] = {t->codes[0], planes == 2 ? t->codes[thresholds + 1] : 0};
        if (choices > 1)
            for (int plane = 0; plane < selector->planes; plane++)
                memcpy(&chosen[plane], t->selector[p] + 8 * plane, (size_t)bytes);
        popcount_vector x[POPCOUNT_VECTORS];
        POPCOUNT_UNROLL for (int q = 0; q < folded; q++)
            x[q] = popcount_folded(u[p] + q * fold, fold);
        POPCOUNT_UNROLL for (int j = 0; j < thresholds; j++) {
            uint64_t passed = 0;
#ifdef POPCOUNT_BLENDS
            POPCOUNT_UNROLL for (int q = 0; q < folded; q++) {
                const popcount_vector *limits = (const popcount_vector *)t->limits + j * folded + q;
                popcount_vector limit = limits[0];
                POPCOUNT_UNROLL for (int choice = 1; choice < choices; choice++)
                    limit = popcount_blend(popcount_chosen(selector, chosen, first + choice) >> q * fold * POPCOUNT_LANES,
                                           limit, limits[choice * thresholds * folded], fold);
                passed |= popcount_at_most(x[q], limit, fold) << (q * fold * POPCOUNT_LANES);
            }
#else
            for (int choice = 0; choice < choices; choice++) {
                const popcount_vector *limits = (const popcount_vector *)t->limits + (choice * thresholds + j) * folded;
                uint64_t own = 0;
                POPCOUNT_UNROLL for (int q = 0; q < folded; q++)
                    own |= popcount_at_most(x[q], limits[q], fold) << (q * fold * POPCOUNT_LANES);
                passed |= choices > 1 ? own & popcount_chosen(selector, chosen, first + choice) : own;
            }
#endif
            for (int plane = 0; plane < planes; plane++)
                found[plane] ^= passed & t->codes[plane * (thresholds + 1) + j + 1];
        }
        for (int plane = 0; plane < planes; plane++)
            memcpy(t->out[p] + 8 * plane, &found[plane], (size_t)bytes);
    }
}

/* -- sums ---------------------------------------------------------------------------------------------------------- */

/* sums[pixel][output of the block] = base - scale * u. */
TERCET_INLINE void popcount_sums(const struct popcount_tile *t, popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS],
                                 const int pixels, const int vectors, const int scale) {
    POPCOUNT_UNROLL for (int p = 0; p < pixels; p++)
        POPCOUNT_UNROLL for (int q = 0; q < vectors; q++) {
            const popcount_signed base = ((const popcount_signed *)t->base)[q];
            const popcount_signed sum = base - (popcount_signed)u[p][q] * scale;
            const popcount_narrow narrow = __builtin_convertvector(sum, popcount_narrow);
            memcpy(t->sums + (p * vectors + q) * POPCOUNT_LANES, &narrow, sizeof narrow);
        }
}

#endif
