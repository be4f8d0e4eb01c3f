/* Float inputs as cells. */
#ifndef TERCET_DENSE_F32_H
#define TERCET_DENSE_F32_H

#include "dense_tile.h"

/* Copies every `stride`-th of `count` pixels. May write and read up to a vector more: rows are filled in order. */
TERCET_INLINE void dense_pack_f32(dense_cell *restrict to, const float *restrict from, int count, const int stride) {
    if (stride == 1)
        for (int i = 0; i < count; i += DENSE_LANES)
            dense_store(to + i, dense_load((const dense_cell *)(from + i)));
    else
        for (int i = 0; i < count; i++)
            ((float *)to)[i] = from[i * stride];
}

#endif
