/* Register tiles over couples: two steps of quads whose sums fit int16 together, so that they are widened once.
 *
 * The weights of a couple are a cell that tells how many cells after the first of the planes the inputs of its two
 * steps lie (the first one's in the low half), then two cells for each output of the panel. Whoever arranges them proves
 * that no sum leaves int16 (couples.py). */
#ifndef TERCET_DENSE_COUPLES_H
#define TERCET_DENSE_COUPLES_H

#include "dense_tile.h"

/* Adds `couples` to the tile sums[row * pitch + lane]; `first` starts from zero instead. */
TERCET_INLINE void dense_couple_tile(const unsigned char *vectors, const dense_cell *cells, int couples, dense_cell *sums,
                                     int64_t pitch, int first, const int rows, const int width) {
    const dense_cell *const inputs = (const dense_cell *)vectors;
    const dense_vector ones = dense_splat(0x00010001);
    dense_vector sum[DENSE_ROWS][DENSE_WIDTH], held[2][DENSE_WIDTH];
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++)
            sum[i][j] = first ? (dense_vector){0} : dense_load(sums + i * pitch + j * DENSE_LANES);
    for (int n = 0; n < couples; n++, cells += 1 + 2 * rows) {
        const uint32_t offsets = (uint32_t)cells[0];
        DENSE_UNROLL for (int j = 0; j < width; j++) {
            held[0][j] = dense_load(inputs + (offsets & 0xffff) + j * DENSE_LANES);
            held[1][j] = dense_load(inputs + (offsets >> 16) + j * DENSE_LANES);
        }
        DENSE_UNROLL for (int i = 0; i < rows; i++) {
            const dense_vector one = dense_splat(cells[1 + 2 * i]), two = dense_splat(cells[2 + 2 * i]);
            DENSE_UNROLL for (int j = 0; j < width; j++) {
                const dense_unsigned_half both = (dense_unsigned_half)dense_madd_u8(held[0][j], one) +
                                                 (dense_unsigned_half)dense_madd_u8(held[1][j], two);
                sum[i][j] = dense_add(sum[i][j], dense_madd_i16((dense_vector)both, ones));
            }
        }
    }
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++)
            dense_store(sums + i * pitch + j * DENSE_LANES, sum[i][j]);
}

#endif
