/* Square blocks of 32-bit elements transposed in registers. */
#ifndef TERCET_TRANSPOSE_H
#define TERCET_TRANSPOSE_H

#include "tercet_kernel.h"

#define TERCET_LANES_32 (TERCET_VECTOR_BYTES / 4)
#define TRANSPOSE_UNROLL _Pragma("GCC unroll 16")

/* Lanes of two vectors interleaved, the first or the last half of each, as indices of __builtin_shufflevector; and how
 * often it takes to transpose a block. */
#if TERCET_VECTOR_BYTES == 16
#define TRANSPOSE_STEPS 2
#define TRANSPOSE_FIRST 0, 4, 1, 5
#define TRANSPOSE_LAST 2, 6, 3, 7
#elif TERCET_VECTOR_BYTES == 32
#define TRANSPOSE_STEPS 3
#define TRANSPOSE_FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define TRANSPOSE_LAST 4, 12, 5, 13, 6, 14, 7, 15
#else
#define TRANSPOSE_STEPS 4
#define TRANSPOSE_FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define TRANSPOSE_LAST 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* Lane j of row i becomes lane i of row j: every step interleaves each row of the first half with one of the second. */
TERCET_INLINE void tercet_transpose(tercet_i32v rows[TERCET_LANES_32]) {
    TRANSPOSE_UNROLL for (int step = 0; step < TRANSPOSE_STEPS; step++) {
        tercet_i32v next[TERCET_LANES_32];
        TRANSPOSE_UNROLL for (int i = 0; i < TERCET_LANES_32 / 2; i++) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + TERCET_LANES_32 / 2], TRANSPOSE_FIRST);
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + TERCET_LANES_32 / 2], TRANSPOSE_LAST);
        }
        TRANSPOSE_UNROLL for (int i = 0; i < TERCET_LANES_32; i++)
            rows[i] = next[i];
    }
}

/* to[lane * to_pitch + i] = from[i * from_pitch + lane], for whole blocks of `count` vectors. */
TERCET_INLINE void tercet_turn(int32_t *to, int64_t to_pitch, const int32_t *from, int64_t from_pitch, int count) {
    for (int first = 0; first < count; first += TERCET_LANES_32) {
        tercet_i32v rows[TERCET_LANES_32];
        TRANSPOSE_UNROLL for (int i = 0; i < TERCET_LANES_32; i++)
            rows[i] = *(const tercet_i32v *)(from + (first + i) * from_pitch);
        tercet_transpose(rows);
        TRANSPOSE_UNROLL for (int i = 0; i < TERCET_LANES_32; i++)
            *(tercet_i32v *)(to + i * to_pitch + first) = rows[i];
    }
}

#endif
