/* Integer inputs as cells: two int16 or four uint8 channels (or neighbouring inputs of a matrix row) in 4 bytes. */
#ifndef TERCET_DENSE_INT8_H
#define TERCET_DENSE_INT8_H

#include "dense_tile.h"

#define DENSE_UNSIGNED_2 uint16_t
#define DENSE_UNSIGNED_4 uint8_t

/* Copies every `stride`-th of `count` pixels of up to `per` channels that lie `plane` elements apart, each shifted by
 * `shift`. Missing channels are 0: a single one (depthwise) is widened to the whole cell. */
#define DENSE_PACK_PLANES(NAME, FROM, TO, PER)                                                                       \
    TERCET_INLINE void NAME(dense_cell *restrict cells, const FROM *from, int64_t plane, int channels, int count,    \
                            const int stride, const int shift) {                                                     \
        TO *restrict to = (TO *)cells;                                                                               \
        if (channels == PER)                                                                                         \
            for (int i = 0; i < count; i++)                                                                          \
                for (int j = 0; j < PER; j++)                                                                        \
                    to[i * PER + j] = (TO)(from[j * plane + i * stride] + shift);                                    \
        else if (channels == 1)                                                                                      \
            for (int i = 0; i < count; i++)                                                                          \
                cells[i] = (DENSE_UNSIGNED_##PER)(from[i * stride] + shift);                                       \
        else                                                                                                         \
            for (int i = 0; i < count; i++)                                                                          \
                for (int j = 0; j < PER; j++)                                                                        \
                    to[i * PER + j] = j < channels ? (TO)(from[j * plane + i * stride] + shift) : (TO)0;             \
    }

DENSE_PACK_PLANES(dense_planes_i8_quads, int8_t, uint8_t, 4)
DENSE_PACK_PLANES(dense_planes_u8_quads, uint8_t, uint8_t, 4)
DENSE_PACK_PLANES(dense_planes_i16_quads, int16_t, uint8_t, 4)
DENSE_PACK_PLANES(dense_planes_i8_pairs, int8_t, int16_t, 2)
DENSE_PACK_PLANES(dense_planes_u8_pairs, uint8_t, int16_t, 2)
DENSE_PACK_PLANES(dense_planes_i16_pairs, int16_t, int16_t, 2)

/* Copies a matrix row of `inputs` elements to `cells` cells of `per` elements; what lies after the row is 0. */
#define DENSE_PACK_ROW(NAME, FROM, TO, PER)                                                                          \
    TERCET_INLINE void NAME(dense_cell *cells, const FROM *from, int inputs, int count, const int shift) {           \
        TO *restrict to = (TO *)cells;                                                                               \
        for (int i = 0; i < inputs; i++)                                                                             \
            to[i] = (TO)(from[i] + shift);                                                                           \
        for (int i = inputs; i < count * PER; i++)                                                                   \
            to[i] = 0;                                                                                               \
    }

DENSE_PACK_ROW(dense_row_i8_quads, int8_t, uint8_t, 4)
DENSE_PACK_ROW(dense_row_u8_quads, uint8_t, uint8_t, 4)
DENSE_PACK_ROW(dense_row_i16_quads, int16_t, uint8_t, 4)
DENSE_PACK_ROW(dense_row_i8_pairs, int8_t, int16_t, 2)
DENSE_PACK_ROW(dense_row_u8_pairs, uint8_t, int16_t, 2)
DENSE_PACK_ROW(dense_row_i16_pairs, int16_t, int16_t, 2)

#endif
