/* Max-pooling of int8 planes, row by row: neighbouring outputs of a row in the lanes of a vector.
 *
 * The input has as many phases as the horizontal stride, so that a tap is a plain shifted load. Rows in the padding are
 * skipped; columns in it are replaced by the smallest value, so that padding never wins. */
#ifndef TERCET_PLANES_POOL_H
#define TERCET_PLANES_POOL_H

#include "planes.h"

struct pool_layer {
    struct planes in, out;
    int kernel_height, kernel_width, stride_y, stride_x; /* in.stride is stride_x */
    int dilation_y, dilation_x, pad_top, pad_left;
    int padded; /* some taps are in columns of padding */
};

/* Lanes of an output row, rounded up to vectors. */
TERCET_INLINE int pool_lanes(const struct pool_layer *l) {
    return (l->out.width + TERCET_VECTOR_BYTES - 1) / TERCET_VECTOR_BYTES * TERCET_VECTOR_BYTES;
}

/* masks[kx * lanes + x]: 255 where tap column kx of output column x is a pixel, 0 where it is padding. */
TERCET_INLINE void pool_masks(const struct pool_layer *l, unsigned char *masks) {
    const int lanes = pool_lanes(l);
    for (int kx = 0; kx < l->kernel_width; kx++)
        for (int x = 0; x < lanes; x++) {
            const int column = x * l->stride_x + kx * l->dilation_x - l->pad_left;
            masks[kx * lanes + x] = column >= 0 && column < l->in.width ? 255 : 0;
        }
}

/* best = max(best, from), lane by lane; lanes whose mask is 0 count as the smallest value. */
TERCET_INLINE void pool_row(const struct pool_layer *l, unsigned char *best, const unsigned char *from,
                            const unsigned char *mask) {
    for (int i = 0; i < pool_lanes(l); i += TERCET_VECTOR_BYTES) {
        const tercet_i8v smallest = (tercet_i8v){0} + (int8_t)-128;
        tercet_i8v x, old = *(const tercet_i8v *)(best + i);
        memcpy(&x, from + i, sizeof x);
        if (l->padded) {
            const tercet_i8v pixel = *(const tercet_i8v *)(mask + i);
            x = (x & pixel) | (smallest & ~pixel);
        }
        const tercet_i8v larger = x > old;
        *(tercet_i8v *)(best + i) = (x & larger) | (old & ~larger);
    }
}

/* The layer. Parts share the channels. Scratch: the masks, then one channel's rows of whole vectors. */
TERCET_INLINE void pool_max(const struct pool_layer *l, const struct tercet_task *task) {
    const int lanes = pool_lanes(l), s = l->in.stride, phase_size = l->in.size / (s * s);
    unsigned char *masks = task->scratch, *rows = masks + l->kernel_width * lanes;
    int64_t channel, end;
    tercet_share(task, l->out.channels, 1, &channel, &end);
    planes_clear_borders(&l->out, task->out[0], 0, channel, end);
    if (l->padded)
        pool_masks(l, masks);
    for (; channel < end; channel++) {
        const unsigned char *plane = (const unsigned char *)task->in[0] + channel * l->in.size;
        unsigned char *out = (unsigned char *)task->out[0] + channel * l->out.size;
        memset(rows, -128, (size_t)(l->out.height * lanes));
        for (int y = 0; y < l->out.height; y++)
            for (int ky = 0; ky < l->kernel_height; ky++) {
                const int row = y * l->stride_y + ky * l->dilation_y - l->pad_top, in_row = row + l->in.top;
                if (row < 0 || row >= l->in.height)
                    continue;
                for (int kx = 0; kx < l->kernel_width; kx++) {
                    const int x = kx * l->dilation_x - l->pad_left + l->in.left;
                    const int64_t phase = (int64_t)(in_row % s * s + x % s) * phase_size;
                    pool_row(l, rows + y * lanes, plane + phase + in_row / s * l->in.pitch + x / s,
                             masks + kx * lanes);
                }
            }
        for (int y = 0; y < l->out.height; y++)
            planes_store_row(&l->out, out, rows + y * lanes, y, 0, l->out.width);
    }
}

#endif
