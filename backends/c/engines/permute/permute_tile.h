/* The inner part of the permute engine: sums of a tile of pixels by vectors of outputs, by look-ups in registers.
 *
 * A table fills one vector of int16: entry e is the sum of a few inputs of a pixel, each times the weight that index e
 * means for it. A vector of indices, one for each output, permutes the table: one instruction looks up 32 sums. */
#ifndef TERCET_PERMUTE_TILE_H
#define TERCET_PERMUTE_TILE_H

#include "epilogue.h"
#include "tercet_target.h"

#define PERMUTE_UNROLL _Pragma("GCC unroll 16")
#define PERMUTE_LANES (TERCET_VECTOR_BYTES / 2)
/* PERMUTE_PIXELS and PERMUTE_VECTORS, the largest tile, PERMUTE_CELLS, pixels that are packed together, and
 * PERMUTE_WORDS, pairs of inputs of a table at most, are defined where this is included. */

/* Keeps a vector in a register, and compilers from adding up in another order: they would hold more than there are. */
#ifdef __AVX512BW__
#define PERMUTE_KEEP(x) __asm__("" : "+v"(x))
#else
#define PERMUTE_KEEP(x) (void)(x)
#endif

typedef uint16_t permute_vector __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));

/* One tile. taps: for every pixel a row of tables for each row of filter taps, and `column` bytes in it. */
struct permute_tile {
    const unsigned char *const *taps[PERMUTE_PIXELS];
    int64_t column[PERMUTE_PIXELS];
    const unsigned char *indices;
    int32_t *sums; /* [pixel][output] */
};

/* Adds sums of 16 bits to those in memory, or begins them. Lanes take turns: see plan.py for the order of outputs. */
TERCET_INLINE void permute_widen(int32_t *to, permute_vector sum[PERMUTE_PIXELS][PERMUTE_VECTORS], const int pixels,
                                 const int vectors, const int begin) {
    PERMUTE_UNROLL for (int p = 0; p < pixels; p++)
        PERMUTE_UNROLL for (int q = 0; q < vectors; q++) {
            tercet_i32v *wide = (tercet_i32v *)to + 2 * (p * vectors + q);
            const tercet_i32v both = (tercet_i32v)sum[p][q], even = (both << 16) >> 16, odd = both >> 16;
            if (begin) {
                wide[0] = even;
                wide[1] = odd;
            } else {
                wide[0] += even;
                wide[1] += odd;
            }
            sum[p][q] = (permute_vector){0};
        }
}

/* One step: a table of each pixel, at `at` bytes. indices: bits [shift, shift + 5) of 16. */
TERCET_INLINE void permute_step(const unsigned char *const from[PERMUTE_PIXELS], int64_t at,
                                const unsigned char *indices, const int shift,
                                permute_vector sum[PERMUTE_PIXELS][PERMUTE_VECTORS], const int pixels,
                                const int vectors) {
    permute_vector index[PERMUTE_VECTORS];
    PERMUTE_UNROLL for (int q = 0; q < vectors; q++) {
        index[q] = ((const permute_vector *)indices)[q] >> shift;
        PERMUTE_KEEP(index[q]);
    }
    PERMUTE_UNROLL for (int p = 0; p < pixels; p++) {
        permute_vector table = *(const permute_vector *)(from[p] + at);
        PERMUTE_KEEP(table);
        PERMUTE_UNROLL for (int q = 0; q < vectors; q++) {
            sum[p][q] += (permute_vector)TERCET_PERMUTE_I16(index[q], table);
            PERMUTE_KEEP(sum[p][q]);
        }
    }
}

/* The sums of a tile: `rows` rows of `runs` runs (`run` bytes apart) of `steps` tables that lie one after the other.
 * A vector of indices holds those of two steps. Sums leave 16 bits after `room` such pairs. */
TERCET_INLINE void permute_sum(const struct permute_tile *t, const int pixels, const int vectors, const int rows,
                               const int runs, const int64_t run, const int steps, const int room) {
    permute_vector sum[PERMUTE_PIXELS][PERMUTE_VECTORS];
    PERMUTE_UNROLL for (int p = 0; p < pixels; p++)
        PERMUTE_UNROLL for (int q = 0; q < vectors; q++)
            sum[p][q] = (permute_vector){0};
    const unsigned char *indices = t->indices;
    int left = room, begin = 1;
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < runs; i++) {
            const unsigned char *from[PERMUTE_PIXELS];
            PERMUTE_UNROLL for (int p = 0; p < pixels; p++)
                from[p] = t->taps[p][row] + t->column[p] + i * run;
            int64_t at = 0;
            for (int pairs = (steps + 1) / 2; pairs;) {
                const int count = pairs < left ? pairs : left, odd = steps % 2 && count == pairs;
                for (int pair = 0; pair < count - odd; pair++) {
                    permute_step(from, at, indices, 0, sum, pixels, vectors);
                    permute_step(from, at + TERCET_VECTOR_BYTES, indices, 8, sum, pixels, vectors);
                    at += 2 * TERCET_VECTOR_BYTES;
                    indices += vectors * TERCET_VECTOR_BYTES;
                }
                if (odd) {
                    permute_step(from, at, indices, 0, sum, pixels, vectors);
                    indices += vectors * TERCET_VECTOR_BYTES;
                }
                pairs -= count;
                left -= count;
                if (!left) {
                    permute_widen(t->sums, sum, pixels, vectors, begin);
                    begin = 0;
                    left = room;
                }
            }
        }
    if (left < room)
        permute_widen(t->sums, sum, pixels, vectors, begin);
}

/* -- tables -------------------------------------------------------------------------------------------------------- */

/* Pairs of inputs, to[pair][pixel], `pitch` pixels apart: of `count` pixels up to 2 * `words` channels, `plane` bytes
 * apart, of each, `step` bytes from pixel to pixel, less the lowest value. Channels that are not there are 0: they add
 * nothing, whatever the index. Runs of neighbours are taken in whole blocks, as compilers vectorise them best; every
 * buffer can be read that far. */
TERCET_INLINE void permute_pack(uint16_t *restrict to, int64_t pitch, const unsigned char *from, int64_t plane,
                                int channels, int count, const int64_t step, const unsigned char lowest, const int words) {
    const int block = step == 1 ? PERMUTE_CELLS : 1;
    for (int w = 0; w < words; w++, to += pitch, from += 2 * plane, channels -= 2)
        for (int first = 0; first < count; first += block)
            if (channels >= 2)
                for (int i = first; i < first + block; i++)
                    to[i] = (uint16_t)((unsigned char)(from[i * step] - lowest) |
                                       (unsigned char)(from[plane + i * step] - lowest) << 8);
            else
                for (int i = first; i < first + block; i++)
                    to[i] = channels == 1 ? (unsigned char)(from[i * step] - lowest) : 0;
}

/* The tables of `count` pixels, `pitch` bytes apart. pairs: [word][pixel], `apart` pixels apart. digits: [word][entry][2],
 * the weights of two inputs of an entry. */
TERCET_INLINE void permute_build(unsigned char *to, int64_t pitch, const uint16_t *pairs, int64_t apart, int count,
                                 const unsigned char *digits, const int words) {
    permute_vector digit[PERMUTE_WORDS]; /* in registers: to the compiler a table may be where they lie */
    PERMUTE_UNROLL for (int w = 0; w < words; w++)
        digit[w] = ((const permute_vector *)digits)[w];
    for (int i = 0; i < count; i++) {
        permute_vector table = {0};
        PERMUTE_UNROLL for (int w = 0; w < words; w++) {
            const permute_vector inputs = (permute_vector){0} + pairs[w * apart + i];
            table += (permute_vector)TERCET_MADD_U8(inputs, digit[w]);
        }
        *(permute_vector *)(to + i * pitch) = table;
    }
}

#endif
