/* Products of activations and weights of few values by counting ones. What a tile computes: popcount_tile.h.
 *
 * Output pixels that see the same filter taps form rectangles: the inside of the map, its edges, its corners. Tiles hold
 * pixels of one rectangle, and taps in the padding are left out, so that zeros there are exact and cost nothing. */
#ifndef TERCET_POPCOUNT_H
#define TERCET_POPCOUNT_H

#include "popcount_tile.h"

/* Outputs [begin, end) of an axis see filter taps [first, first + count). */
struct popcount_span {
    int begin, end, first, count;
};

enum popcount_share { POPCOUNT_SHARE_ROWS, POPCOUNT_SHARE_COLUMNS, POPCOUNT_SHARE_BLOCKS };

/* Where results go. LEVELS: bits of task->out[0]; UNPACKED: levels as bytes, by way of scratch; CHANNELS: sums to `finish`,
 * pixels of one channel together; ROWS: sums to `finish`, channels of one pixel together. */
enum popcount_results { POPCOUNT_LEVELS, POPCOUNT_UNPACKED, POPCOUNT_CHANNELS, POPCOUNT_ROWS };

struct popcount_layer {
    int images, height, width, out_height, out_width;
    int stride_y, stride_x, dilation_y, dilation_x, top, left;
    int kernel_height, kernel_width;
    int groups, words, planes;   /* of the input; words: of one plane of a group */
    int joined;                  /* whether neighbouring taps of a row are one run of words */
    int outputs, blocks;         /* of a group */
    int row_spans, column_spans;
    const struct popcount_span *rows, *columns;
    enum popcount_share share;
    int band_rows, band_columns; /* pixels that all blocks of outputs are computed for before the next ones */
    int thresholds, limit_bytes, scale;
    int choices, first_choice, selector_operand;
    struct bit_map selector, out; /* of levels */
    struct planes bytes;          /* UNPACKED: the map */
    /* Byte offsets of constants, and how far apart in them what belongs to two blocks or classes lies. A class is a
     * rectangle of pixels; where bases and limits are the same in all of them, class_items is 0. */
    int64_t weights, negative, limits, codes, base;
    int64_t class_items;
    /* byte offsets in scratch */
    int64_t sums, staged, counted, column_counts, bits;
};

typedef void popcount_tile_function(const struct popcount_tile *t);

/* A rectangle of output pixels: rows [y, y_end), columns [x, x_end) of an image. */
struct popcount_area {
    int y, y_end, x, x_end;
};

/* Outputs o of [begin, end) whose input o * stride + offset lies in [0, size). */
TERCET_INLINE void popcount_inside(int *begin, int *end, int stride, int offset, int size) {
    const int first = offset < 0 ? (-offset + stride - 1) / stride : 0, last = (size - 1 - offset) / stride + 1;
    *begin = first > *begin ? first : *begin;
    *end = size - 1 < offset ? *begin : last < *end ? last : *end;
}

/* For every pixel of an area its inputs that are 1 (lower half) and -1 (upper half): counted[row][column]. column_counts
 * holds the counts of single pixels of the input. */
static inline void popcount_count_inputs(const struct popcount_layer *l, const uint64_t *map, int64_t group,
                                         const struct popcount_area *a, uint64_t *restrict counted,
                                         uint64_t *restrict single) {
    const int width = a->x_end - a->x, height = a->y_end - a->y;
    int y = a->y * l->stride_y - l->top, x = a->x * l->stride_x - l->left;
    int y_end = y + (height - 1) * l->stride_y + (l->kernel_height - 1) * l->dilation_y + 1;
    int x_end = x + (width - 1) * l->stride_x + (l->kernel_width - 1) * l->dilation_x + 1;
    y = y < 0 ? 0 : y, x = x < 0 ? 0 : x;
    y_end = y_end < l->height ? y_end : l->height, x_end = x_end < l->width ? x_end : l->width;
    const int64_t pixel_words = (int64_t)l->groups * l->words * 2;
    for (int row = y; row < y_end; row++)
        for (int column = x; column < x_end; column++) {
            const uint64_t *words = map + ((int64_t)row * l->width + column) * pixel_words + group * l->words * 2;
            uint64_t nonzero = 0, minus = 0;
            for (int i = 0; i < l->words; i++) {
                nonzero += (uint64_t)__builtin_popcountll(words[2 * i]);
                minus += (uint64_t)__builtin_popcountll(words[2 * i + 1]);
            }
            single[(int64_t)(row - y) * l->width + column] = nonzero - minus + (minus << 32);
        }
    memset(counted, 0, (size_t)width * (size_t)height * sizeof *counted);
    for (int out = 0; out < height; out++)
        for (int ky = 0; ky < l->kernel_height; ky++) {
            const int row = (a->y + out) * l->stride_y - l->top + ky * l->dilation_y;
            if (row < 0 || row >= l->height)
                continue;
            for (int kx = 0; kx < l->kernel_width; kx++) {
                const int offset = kx * l->dilation_x - l->left;
                int begin = a->x, end = a->x_end;
                popcount_inside(&begin, &end, l->stride_x, offset, l->width);
                const uint64_t *from = single + (int64_t)(row - y) * l->width + offset;
                uint64_t *to = counted + (int64_t)out * width - a->x;
                if (l->stride_x == 1)
                    for (int i = begin; i < end; i++)
                        to[i] += from[i];
                else
                    for (int i = begin; i < end; i++)
                        to[i] += from[(int64_t)i * l->stride_x];
            }
        }
}

/* What the tiles of an area and a block have in common. */
struct popcount_job {
    const struct tercet_task *task;
    const uint64_t *map;       /* the image's input */
    struct popcount_area area; /* of the band */
    int64_t image, group, block;
    unsigned char *to;         /* levels: the block's first byte of the band's first pixel */
    const unsigned char *from; /* the same of the selector */
    const uint64_t *counted;
    int32_t *sums, *staged;
};

/* All tiles of the pixels that see the taps of two spans. */
TERCET_INLINE void popcount_rectangle(const struct popcount_layer *l, const struct popcount_job *job,
                                      const struct popcount_area *a, const struct popcount_span *row_span,
                                      const struct popcount_span *column_span,
                                      popcount_tile_function *const *tiles, epilogue_finish *const finish,
                                      const int pixels, const int vectors, const int weight_planes,
                                      const int counts_inputs, const enum popcount_results results) {
    const int lanes = vectors * POPCOUNT_LANES, width = a->x_end - a->x;
    const int64_t count = (int64_t)width * (a->y_end - a->y), band_width = job->area.x_end - job->area.x;
    const int64_t group_words = (int64_t)l->words * l->planes, pixel_words = l->groups * group_words;
    const int64_t tap_words = (int64_t)l->words * weight_planes * lanes;
    const int64_t block = job->group * l->blocks + job->block;
    const int64_t class = (row_span - l->rows) * l->column_spans + (column_span - l->columns);
    const int joined = l->joined;
    const int first_tap = row_span->first * l->kernel_width + column_span->first;
    const unsigned char *weights = job->task->weights;
    struct popcount_tile t;
    t.taps.rows = row_span->count;
    t.taps.runs = joined ? 1 : column_span->count;
    t.taps.steps = joined ? l->words * column_span->count : l->words;
    t.taps.row = (int64_t)l->dilation_y * l->width * pixel_words;
    t.taps.run = l->dilation_x * pixel_words;
    t.taps.weight_row = l->kernel_width * tap_words;
    t.weights = (const uint64_t *)(weights + l->weights) +
                (block * l->kernel_height * l->kernel_width + first_tap) * tap_words;
    t.negative = (const uint64_t *)(weights + l->negative) + block * lanes;
    const int64_t rows_of_limits = (int64_t)l->choices * l->thresholds;
    t.limits = weights + l->limits +
               (class * l->class_items + block * lanes) * rows_of_limits * l->limit_bytes;
    t.codes = (const uint64_t *)(weights + l->codes) + block * (l->thresholds + 1) * l->out.planes;
    t.base = (const int64_t *)(weights + l->base) + class * l->class_items + block * lanes;
    t.sums = job->sums;
    const int64_t out_bytes = bit_map_pixel(&l->out) * 8, selector_bytes = bit_map_pixel(&l->selector) * 8;
    const int outputs = l->outputs - (int)job->block * lanes < lanes ? l->outputs - (int)job->block * lanes : lanes;

    const int levels = results == POPCOUNT_LEVELS || results == POPCOUNT_UNPACKED;
    const int64_t in_y = (int64_t)a->y * l->stride_y - l->top + row_span->first * l->dilation_y;
    const int64_t in_x = (int64_t)a->x * l->stride_x - l->left + column_span->first * l->dilation_x;
    const uint64_t *in = job->map + (in_y * l->width + in_x) * pixel_words + job->group * group_words;
    const int64_t in_step = l->stride_x * pixel_words;
    const int64_t in_wrap = (int64_t)l->stride_y * l->width * pixel_words - (width - 1) * in_step;
    int64_t place = (a->y - job->area.y) * band_width + a->x - job->area.x; /* in the band */
    int left = width;
    for (int64_t done = 0; done < count; done += pixels) {
        const int size = count - done < pixels ? (int)(count - done) : pixels;
        int64_t places[POPCOUNT_PIXELS];
        for (int p = 0; p < size; p++) {
            t.pixels[p] = in;
            places[p] = place;
            if (counts_inputs)
                t.inputs[p] = job->counted[place];
            if (levels) {
                t.out[p] = job->to + place * out_bytes;
                if (l->choices > 1)
                    t.selector[p] = job->from + place * selector_bytes;
            }
            if (--left == 0) {
                left = width;
                in += in_wrap;
                place += band_width - width + 1;
            } else {
                in += in_step;
                place++;
            }
        }
        tiles[size - 1](&t);
        if (results == POPCOUNT_ROWS)
            for (int p = 0; p < size; p++)
                finish(job->task, job->area.x + places[p], job->block * lanes, outputs, job->sums + p * lanes);
        else if (results == POPCOUNT_CHANNELS) {
            const int64_t pitch = (int64_t)l->band_rows * l->band_columns + POPCOUNT_SPARE;
            for (int k = 0; k < outputs; k++)
                for (int p = 0; p < size; p++)
                    job->staged[k * pitch + places[p]] = job->sums[p * lanes + k];
        }
    }
}

/* Bytes of the last word that no block of outputs writes, from octet `octet` on. bits: the band's first pixel. */
TERCET_INLINE void popcount_fill(const struct bit_map *out, uint64_t *bits, int64_t count, int octet) {
    for (; octet < 8 * out->words; octet++)
        for (int plane = 0; plane < out->planes; plane++) {
            unsigned char *to = (unsigned char *)bits + bit_map_byte(out, 0, octet, plane);
            for (int64_t i = 0; i < count; i++)
                to[i * bit_map_pixel(out) * 8] = 0;
        }
}

/* Levels of octets from `octet` on, from bits in scratch to bytes. pixel: the band's first. */
TERCET_INLINE void popcount_unpack(const struct popcount_layer *l, const struct popcount_job *job,
                                   const uint64_t *bits, int octet, int octets, int64_t pixel, int64_t count) {
    const int64_t channels = l->out.channels;
    const int all = (l->out.channels + 7) / 8, end = octet + octets < all ? octet + octets : all;
    unsigned char *out = job->task->out[0];
    if (l->bytes.size > 1) {
        bit_map_unpack(&l->out, &l->bytes, out, job->image * channels, bits, 0, octet, end, pixel, count);
        return;
    }
    for (int64_t i = 0; i < count; i++) /* the channels of a pixel are neighbours */
        bit_map_unpack_pixel(&l->out, out + (job->image + pixel + i) * channels, bits + i * bit_map_pixel(&l->out), 0,
                             octet, end);
}

/* A block of outputs for the pixels of a band. bits: of the band's first pixel. */
TERCET_INLINE void popcount_block(const struct popcount_layer *l, struct popcount_job *job, uint64_t *bits,
                                  popcount_tile_function *const *tiles, epilogue_finish *const finish,
                                  const int pixels, const int vectors, const int weight_planes,
                                  const int counts_inputs, const enum popcount_results results) {
    const struct popcount_area *band = &job->area;
    const int lanes = vectors * POPCOUNT_LANES, first = (int)job->block * lanes;
    const int64_t pixel = (int64_t)band->y * l->out_width + band->x;
    const int64_t count = (int64_t)(band->y_end - band->y) * (band->x_end - band->x);
    const int octet = (int)(job->group * l->outputs + first) / 8; /* levels of groups are whole blocks */
    job->to = (unsigned char *)bits + bit_map_byte(&l->out, 0, octet, 0);
    job->from = NULL;
    if (l->choices > 1) {
        const int64_t at = job->image * l->out_height * l->out_width + pixel;
        job->from = (const unsigned char *)job->task->in[l->selector_operand] +
                    at * bit_map_pixel(&l->selector) * 8 + bit_map_byte(&l->selector, 0, octet, 0);
    }
    for (const struct popcount_span *row = l->rows; row < l->rows + l->row_spans; row++)
        for (const struct popcount_span *column = l->columns; column < l->columns + l->column_spans; column++) {
            const struct popcount_area a = {
                row->begin > band->y ? row->begin : band->y, row->end < band->y_end ? row->end : band->y_end,
                column->begin > band->x ? column->begin : band->x,
                column->end < band->x_end ? column->end : band->x_end,
            };
            if (a.y < a.y_end && a.x < a.x_end)
                popcount_rectangle(l, job, &a, row, column, tiles, finish, pixels, vectors, weight_planes,
                                   counts_inputs, results);
        }
    if (results == POPCOUNT_CHANNELS) {
        const int64_t pitch = (int64_t)l->band_rows * l->band_columns + POPCOUNT_SPARE;
        for (int k = 0; k < lanes && first + k < l->outputs; k++)
            finish(job->task, (job->image * l->groups + job->group) * l->outputs + first + k, pixel, (int)count,
                   job->staged + k * pitch);
    } else if (results == POPCOUNT_UNPACKED)
        popcount_unpack(l, job, bits, octet, lanes / 8, pixel, count);
    else if (results == POPCOUNT_LEVELS && job->block == l->blocks - 1 && job->group == l->groups - 1)
        popcount_fill(&l->out, bits, count, octet + lanes / 8);
}

TERCET_INLINE void popcount_product(const struct tercet_task *task, const struct popcount_layer *l,
                                    popcount_tile_function *const *tiles, epilogue_finish *const finish,
                                    const int pixels, const int vectors, const int weight_planes,
                                    const int counts_inputs, const enum popcount_results results) {
    int64_t shares[3][2] = {{0, l->out_height}, {0, l->out_width}, {0, (int64_t)l->groups * l->blocks}};
    tercet_share(task, shares[l->share][1], 1, &shares[l->share][0], &shares[l->share][1]);
    unsigned char *scratch = task->scratch;
    struct popcount_job job = {.task = task};
    job.sums = (int32_t *)(scratch + l->sums);
    job.staged = (int32_t *)(scratch + l->staged);
    uint64_t *counted = (uint64_t *)(scratch + l->counted);
    job.counted = counted;
    for (job.image = 0; job.image < l->images; job.image++) {
        job.map = (const uint64_t *)task->in[0] +
                  job.image * l->height * l->width * l->groups * l->words * l->planes;
        for (int64_t y = shares[0][0]; y < shares[0][1]; y += l->band_rows)
            for (int64_t x = shares[1][0]; x < shares[1][1]; x += l->band_columns) {
                const int64_t y_end = y + l->band_rows, x_end = x + l->band_columns;
                job.area = (struct popcount_area){
                    (int)y, (int)(y_end < shares[0][1] ? y_end : shares[0][1]),
                    (int)x, (int)(x_end < shares[1][1] ? x_end : shares[1][1]),
                };
                uint64_t *bits = (uint64_t *)(scratch + l->bits);
                if (results == POPCOUNT_LEVELS)
                    bits = (uint64_t *)task->out[0] +
                           ((job.image * l->out_height + y) * l->out_width + x) * bit_map_pixel(&l->out);
                int64_t known = -1; /* the group whose inputs are counted */
                for (int64_t block = shares[2][0]; block < shares[2][1]; block++) {
                    job.group = block / l->blocks;
                    job.block = block % l->blocks;
                    if (counts_inputs && job.group != known) {
                        popcount_count_inputs(l, job.map, job.group, &job.area, counted,
                                              (uint64_t *)(scratch + l->column_counts));
                        known = job.group;
                    }
                    popcount_block(l, &job, bits, tiles, finish, pixels, vectors, weight_planes, counts_inputs, results);
                }
            }
    }
}

#endif
