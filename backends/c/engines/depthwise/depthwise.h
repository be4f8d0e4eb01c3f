/* Depthwise convolution with channels in the lanes of vectors.
 *
 * A block is some rows of outputs of as many channels as a vector has lanes. Its inputs are transposed into a padded
 * plane with a vector for each pixel, a filter tap is then the same vector for all pixels, and the sums are transposed
 * back, so that the epilogue gets the pixels of one channel after the other. */
#ifndef TERCET_DEPTHWISE_H
#define TERCET_DEPTHWISE_H

#include "epilogue.h"
#include "tercet_target.h"
#include "transpose.h"

/* DEPTHWISE_COLUMNS, the pixels of the largest tile, is defined where this is included. */
#define DEPTHWISE_UNROLL _Pragma("GCC unroll 16")

enum depthwise_element { DEPTHWISE_F32, DEPTHWISE_I8, DEPTHWISE_U8 }; /* of the inputs; bytes have int32 sums */
/* How weights lie: floats; int8; or 0 and 1 in bytes, for -1 and +1. */
enum depthwise_form { DEPTHWISE_FLOATS, DEPTHWISE_BYTES, DEPTHWISE_BITS };

typedef int32_t depthwise_loose __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias, aligned(1)));
typedef int8_t depthwise_i8 __attribute__((vector_size(TERCET_VECTOR_BYTES / 4), may_alias, aligned(1)));
typedef uint8_t depthwise_u8 __attribute__((vector_size(TERCET_VECTOR_BYTES / 4), may_alias, aligned(1)));
typedef uint32_t depthwise_unsigned __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));

struct depthwise_layer {
    int images, groups, outputs; /* outputs of one group, which has one channel */
    int height, width, out_height, out_width;
    int kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, top, left;
    int rows;                               /* of outputs in a block */
    int pitch, plane_rows;                  /* of the padded inputs */
    int run;                                /* sums of one channel in a block, whole vectors */
    int64_t weights, planes, sums, turned;  /* byte offsets in scratch */
};

/* -- vectors -------------------------------------------------------------------------------------------------------- */

/* A vector of inputs, bytes as int32. index: of the first one in the map. */
TERCET_INLINE tercet_i32v depthwise_load(const void *map, int64_t index, const enum depthwise_element element) {
    if (element == DEPTHWISE_I8)
        return __builtin_convertvector(*(const depthwise_i8 *)((const int8_t *)map + index), tercet_i32v);
    if (element == DEPTHWISE_U8)
        return __builtin_convertvector(*(const depthwise_u8 *)((const uint8_t *)map + index), tercet_i32v);
    return (tercet_i32v) * (const depthwise_loose *)((const float *)map + index);
}

/* A vector of weights, like the inputs floats or int32. index: of the first one. */
TERCET_INLINE tercet_i32v depthwise_weights(const unsigned char *weights, int64_t index,
                                            const enum depthwise_element element, const enum depthwise_form form) {
    if (form == DEPTHWISE_FLOATS)
        return *(const tercet_i32v *)((const float *)weights + index);
    tercet_i32v w = __builtin_convertvector(*(const depthwise_i8 *)(weights + index), tercet_i32v);
    if (form == DEPTHWISE_BITS)
        w = w + w - 1;
    return element == DEPTHWISE_F32 ? (tercet_i32v)__builtin_convertvector(w, tercet_f32v) : w;
}

/* sum + x * w */
TERCET_INLINE tercet_i32v depthwise_mac(tercet_i32v sum, tercet_i32v x, tercet_i32v w,
                                        const enum depthwise_element element) {
    if (element != DEPTHWISE_F32)
        return (tercet_i32v)((depthwise_unsigned)sum + (depthwise_unsigned)x * (depthwise_unsigned)w);
#ifdef TERCET_FMA_F32
    return (tercet_i32v)TERCET_FMA_F32((tercet_f32v)x, (tercet_f32v)w, (tercet_f32v)sum);
#else
    return (tercet_i32v)((tercet_f32v)sum + (tercet_f32v)x * (tercet_f32v)w);
#endif
}

/* -- a block -------------------------------------------------------------------------------------------------------- */

/* Fills the padded inputs of `channels` channels for `rows` rows of outputs from row `first` on. channel: the first one,
 * counted over all images. */
TERCET_INLINE void depthwise_fill(const struct depthwise_layer *l, tercet_i32v *planes, const void *map,
                                  int64_t channel, int channels, int first, int rows,
                                  const enum depthwise_element element) {
    const int top = first * l->stride_y - l->top;
    const int last = top + (rows - 1) * l->stride_y + (l->kernel_height - 1) * l->dilation_y + 1;
    const int begin = top > 0 ? top : 0, end = last < l->height ? last : l->height;
    const int columns = l->width < l->pitch - l->left ? l->width : l->pitch - l->left; /* others meet no tap */
    const tercet_i32v zero = {0};
    for (int y = top; y < last; y++) {
        const int inside = y >= 0 && y < l->height;
        tercet_i32v *const row = planes + (int64_t)(y - top) * l->pitch;
        for (int x = 0; x < (inside ? l->left : l->pitch) && x < l->pitch; x++)
            row[x] = zero;
        for (int x = l->left + columns; x < l->pitch; x++)
            row[x] = zero;
    }
    int y = begin, x = 0;
    for (int64_t pixel = (int64_t)begin * l->width; pixel < (int64_t)end * l->width; pixel += TERCET_LANES_32) {
        tercet_i32v pixels[TERCET_LANES_32];
        DEPTHWISE_UNROLL for (int i = 0; i < TERCET_LANES_32; i++) {
            const int64_t plane = (channel + (i < channels ? i : channels - 1)) * l->height * l->width;
            pixels[i] = depthwise_load(map, plane + pixel, element);
        }
        tercet_transpose(pixels);
        if (x + TERCET_LANES_32 <= columns) { /* inside a row */
            tercet_i32v *const to = planes + (int64_t)(y - top) * l->pitch + l->left + x;
            DEPTHWISE_UNROLL for (int i = 0; i < TERCET_LANES_32; i++)
                to[i] = pixels[i];
            x += TERCET_LANES_32;
            if (x == l->width)
                y++, x = 0;
            continue;
        }
        for (int i = 0; i < TERCET_LANES_32 && y < end; i++) {
            if (x < columns)
                planes[(int64_t)(y - top) * l->pitch + l->left + x] = pixels[i];
            if (++x == l->width)
                y++, x = 0;
        }
    }
}

/* Sums of `rows` rows, the pixels one after the other, a vector each. */
TERCET_INLINE void depthwise_rows(const struct depthwise_layer *l, tercet_i32v *sums, const tercet_i32v *planes,
                                  const tercet_i32v *weights, int rows, const int columns,
                                  const enum depthwise_element element) {
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < l->out_width; x += columns) {
            const tercet_i32v *const from = planes + (int64_t)y * l->stride_y * l->pitch + x * l->stride_x;
            tercet_i32v sum[DEPTHWISE_COLUMNS];
            DEPTHWISE_UNROLL for (int i = 0; i < columns; i++)
                sum[i] = (tercet_i32v){0};
            for (int ky = 0; ky < l->kernel_height; ky++)
                for (int kx = 0; kx < l->kernel_width; kx++) {
                    const tercet_i32v w = weights[ky * l->kernel_width + kx];
                    const tercet_i32v *const tap = from + ky * l->dilation_y * l->pitch + kx * l->dilation_x;
                    DEPTHWISE_UNROLL for (int i = 0; i < columns; i++)
                        sum[i] = depthwise_mac(sum[i], tap[i * l->stride_x], w, element);
                }
            DEPTHWISE_UNROLL for (int i = 0; i < columns; i++)
                sums[y * l->out_width + x + i] = sum[i]; /* what is right of a row, the next row replaces */
        }
}

/* The layer. Parts share the blocks. */
TERCET_INLINE void depthwise_conv(const struct depthwise_layer *l, const struct tercet_task *task,
                                  epilogue_finish *const finish, const int columns,
                                  const enum depthwise_element element, const enum depthwise_form form) {
    tercet_i32v *const weights = (tercet_i32v *)(task->scratch + l->weights);
    tercet_i32v *const planes = (tercet_i32v *)(task->scratch + l->planes);
    tercet_i32v *const sums = (tercet_i32v *)(task->scratch + l->sums);
    int32_t *const turned = (int32_t *)(task->scratch + l->turned);
    const int taps = l->kernel_height * l->kernel_width, bands = (l->out_height + l->rows - 1) / l->rows;
    const int blocks = (l->groups + TERCET_LANES_32 - 1) / TERCET_LANES_32;
    int64_t job, end;
    tercet_share(task, (int64_t)l->images * blocks * bands, 1, &job, &end);
    for (; job < end; job++) {
        const int64_t image = job / bands / blocks;
        const int block = (int)(job / bands % blocks), first = (int)(job % bands) * l->rows;
        const int group = block * TERCET_LANES_32;
        const int channels = l->groups - group < TERCET_LANES_32 ? l->groups - group : TERCET_LANES_32;
        const int rows = l->out_height - first < l->rows ? l->out_height - first : l->rows;
        depthwise_fill(l, planes, task->in[0], image * l->groups + group, channels, first, rows, element);
        for (int output = 0; output < l->outputs; output++) {
            for (int tap = 0; tap < taps; tap++) {
                const int64_t index = ((int64_t)block * l->outputs + output) * taps + tap;
                weights[tap] = depthwise_weights(task->weights, index * TERCET_LANES_32, element, form);
            }
            depthwise_rows(l, sums, planes, weights, rows, columns, element);
            tercet_turn(turned, l->run, (const int32_t *)sums, TERCET_LANES_32, rows * l->out_width);
            for (int i = 0; i < channels; i++)
                finish(task, (image * l->groups + group + i) * l->outputs + output, (int64_t)first * l->out_width,
                       rows * l->out_width, turned + (int64_t)i * l->run);
        }
    }
}

#endif
