/* Float convolution with weights of two or three values by tables of partial sums, neighbouring pixels in the lanes.
 *
 * For a group of input channels, the sums of all their possible weight patterns are built once for a window of pixels.
 * Filter taps of the window read the same table at another place, so that a 3x3 filter uses a table nine times per
 * output channel. A table's row is one cache line: no shifted load crosses into another. */
#ifndef TERCET_TABLE_F32_H
#define TERCET_TABLE_F32_H

#include "epilogue.h"

#define TABLE_F32_BYTES (TERCET_VECTOR_BYTES < 32 ? TERCET_VECTOR_BYTES : 32)
#define TABLE_F32_LANES (TABLE_F32_BYTES / 4)
/* TABLE_F32_MAX_GROUP and TABLE_F32_MAX_SUMS, of a tile, are defined where this is included. */
#define TABLE_F32_SHARE 8 /* pairs of a block of tiles and an output channel that stay on one thread */

typedef float table_f32_v __attribute__((vector_size(TABLE_F32_BYTES), may_alias));
typedef float table_f32_loose __attribute__((vector_size(TABLE_F32_BYTES), may_alias, aligned(4)));

/* Adds the look-ups of one chunk to the sums of `channels` output channels; `fresh`: to zero. */
typedef void table_f32_add(const float *tables, const unsigned char *index, table_f32_v *sums, int channels, int fresh);

/* The window of one table. place: its first pixel, in elements from the lane of the first output pixel. */
struct table_f32_window {
    int place, rows;
};

/* Tables that are in the cache at the same time: `count` windows from `first` on, for `chunk` groups of channels. */
struct table_f32_part {
    int first, count, taps, chunk;
    table_f32_add *add, *add_rest; /* for a whole chunk and for the last, shorter one */
};

struct table_f32_layer {
    int in_pitch, in_size;             /* elements from one row, and from one channel of the input to the next */
    int height, width;                 /* of the output */
    int convolutions, inputs, outputs; /* channels of one group of the convolution */
    int radix, group;                  /* values of a digit, channels of a table */
    float values[3];
    int rows, vectors, columns; /* a tile: rows of so many vectors, which overlap to fill `columns` pixels */
    int window_rows, pitch;     /* a table's entry: rows of so many vectors */
    int block, run;             /* tiles side by side whose sums are finished together, in runs of pixels */
    const struct table_f32_window *windows;
    int64_t scales; /* offset of the channels' scales in the weights, -1 for none; the index stream is at 0 */
    int64_t sums, finished; /* offsets in scratch: sums of a tile and of a block; tables are at 0 */
};

/* The pixels of channels that pad the last group. */
static const float table_f32_zeros[64 / sizeof(float)];

TERCET_INLINE int table_f32_power(int radix, int digits) {
    int count = 1;
    for (int i = 0; i < digits; i++)
        count *= radix;
    return count;
}

/* The sums of `count` inputs for all digits, first input first: sums[e] for the digits of e. Zeros are factors like others:
 * what is not finite becomes NaN. */
TERCET_INLINE void table_f32_patterns(const struct table_f32_layer *l, const table_f32_v *inputs, int count,
                                      table_f32_v *sums) {
    int known = 1;
#pragma GCC unroll 5
    for (int j = 0; j < count; j++) {
#pragma GCC unroll 3
        for (int d = l->radix - 1; d >= 0; d--) { /* digit 0 last: it replaces the sums so far */
            const table_f32_v term = inputs[j] * l->values[d];
            if (j == 0)
                sums[d] = term;
            else
#pragma GCC unroll 9
                for (int i = 0; i < known; i++)
                    sums[d * known + i] = sums[i] + term;
        }
        known *= l->radix;
    }
}

/* All weighted sums of one group for `rows` rows of a window; inputs[j] advances by steps[j] from row to row. Entry e of
 * `table` is for the digits of e. The low digits' sums stay in registers. */
TERCET_INLINE void table_f32_build(const struct table_f32_layer *l, float *table, const float *const *inputs,
                                   const int *steps, int rows) {
    const int most = l->radix == 3 ? 2 : 3, low_digits = l->group < most ? l->group : most;
    const int low_count = table_f32_power(l->radix, low_digits);
    const int high_count = table_f32_power(l->radix, l->group - low_digits);
    const int entry = l->window_rows * l->pitch;
    for (int row = 0; row < rows; row++)
        for (int v = 0; v < l->pitch; v++) {
            table_f32_v x[TABLE_F32_MAX_GROUP], low[9], high[9];
            table_f32_v *to = (table_f32_v *)table + row * l->pitch + v;
#pragma GCC unroll 5
            for (int j = 0; j < l->group; j++) {
                const float *from = inputs[j] + (int64_t)row * steps[j] + v * TABLE_F32_LANES;
                x[j] = *(const table_f32_loose *)from;
                if (v == l->pitch - 1) /* the next tile's: too short a run in each plane for the machine to foresee */
                    __builtin_prefetch(from + l->columns);
            }
            table_f32_patterns(l, x, low_digits, low);
            table_f32_patterns(l, x + low_digits, l->group - low_digits, high);
#pragma GCC unroll 9
            for (int h = 0; h < high_count; h++)
#pragma GCC unroll 9
                for (int i = 0; i < low_count; i++) {
                    const int alone = l->group == low_digits;
                    to[(h * low_count + i) * entry] = alone ? low[i] : (table_f32_v)(high[h] + low[i]);
                }
        }
}

/* The tables of channel groups [begin, begin + groups) for the windows of one part. in: the first output pixel's lane in
 * the first channel. */
TERCET_INLINE void table_f32_build_chunk(const struct table_f32_layer *l, const struct table_f32_part *part,
                                         float *tables, const float *in, int begin, int groups) {
    const int size = table_f32_power(l->radix, l->group) * l->window_rows * l->pitch * TABLE_F32_LANES;
    for (int q = begin; q < begin + groups; q++)
        for (int w = part->first; w < part->first + part->count; w++, tables += size) {
            const float *inputs[TABLE_F32_MAX_GROUP];
            int steps[TABLE_F32_MAX_GROUP];
            for (int j = 0; j < l->group; j++) {
                const int channel = q * l->group + j, exists = channel < l->inputs;
                inputs[j] = exists ? in + (int64_t)channel * l->in_size + l->windows[w].place : table_f32_zeros;
                steps[j] = exists ? l->in_pitch : 0;
            }
            table_f32_build(l, tables, inputs, steps, l->windows[w].rows);
        }
}

/* Keeps the compiler from reordering a chain of additions, so that rows are added straight from memory and not loaded
 * first. Emits no instruction. */
TERCET_INLINE void table_f32_pin(table_f32_v *x) {
#if (TABLE_F32_BYTES == 32 && defined(__AVX__)) || (TABLE_F32_BYTES == 16 && defined(__SSE2__))
    __asm__("" : "+x"(*x));
#elif TABLE_F32_BYTES == 16 && defined(__aarch64__)
    __asm__("" : "+w"(*x));
#else
    (void)x;
#endif
}

/* sum += the entries that up to 8 indices, the bytes of `word`, name; the table of index u, shifted to its tap, begins at
 * tables + offsets[u]. */
TERCET_INLINE void table_f32_add_rows(const struct table_f32_layer *l, const float *tables, const int *offsets,
                                      uint64_t word, int units, table_f32_v *sum) {
    const int pitch = l->pitch * TABLE_F32_LANES, entry = l->window_rows * pitch, count = l->rows * l->vectors;
    const int last = l->columns - TABLE_F32_LANES;
#pragma GCC unroll 8
    for (int u = 0; u < units; u++) {
        const float *first = tables + offsets[u] + ((word >> (8 * u)) & 255) * (uint64_t)entry;
#pragma GCC unroll 12
        for (int i = 0; i < count; i++) {
            const int lane = i % l->vectors * TABLE_F32_LANES;
            const float *x = first + i / l->vectors * pitch + (lane < last ? lane : last);
            sum[i] += *(const table_f32_loose *)x;
            table_f32_pin(&sum[i]);
        }
    }
}

/* table_f32_add for `units` look-ups per channel. Indices are read in words of 8. */
TERCET_INLINE void table_f32_look_up(const struct table_f32_layer *l, const int *offsets, int units,
                                     const float *tables, const unsigned char *index, table_f32_v *sums,
                                     int channels, int fresh) {
    const int count = l->rows * l->vectors;
    for (int k = 0; k < channels; k++, index += units, sums += count) {
        table_f32_v sum[TABLE_F32_MAX_SUMS];
#pragma GCC unroll 12
        for (int i = 0; i < count; i++)
            sum[i] = fresh ? (table_f32_v){0} : sums[i];
#pragma GCC unroll 16
        for (int first = 0; first < units; first += 8) {
            uint64_t word;
            memcpy(&word, index + first, sizeof word);
            table_f32_add_rows(l, tables, offsets + first, word, units - first < 8 ? units - first : 8, sum);
        }
#pragma GCC unroll 12
        for (int i = 0; i < count; i++)
            sums[i] = sum[i];
    }
}

/* Output channels [begin, end) of one convolution for the tile whose first pixel is lane `in`: rows of `to`, `width`
 * pixels apart; a channel has `rows` of them. */
TERCET_INLINE void table_f32_tile(const struct table_f32_layer *l, const struct table_f32_part *parts,
                                  int part_count, const struct tercet_task *task, const float *in,
                                  int convolution, int begin, int end, float *to, int width) {
    float *tables = (float *)task->scratch;
    table_f32_v *sums = (table_f32_v *)(task->scratch + l->sums);
    const int groups = (l->inputs + l->group - 1) / l->group, count = l->rows * l->vectors;
    const unsigned char *index = task->weights;
    int fresh = 1;
    for (int p = 0; p < part_count; p++)
        index += (int64_t)convolution * l->outputs * groups * parts[p].taps;
    for (int p = 0; p < part_count; p++)
        for (int group = 0; group < groups; group += parts[p].chunk, fresh = 0) {
            const int some = groups - group < parts[p].chunk ? groups - group : parts[p].chunk;
            table_f32_add *const add = some == parts[p].chunk ? parts[p].add : parts[p].add_rest;
            table_f32_build_chunk(l, &parts[p], tables, in, group, some);
            add(tables, index + (int64_t)begin * some * parts[p].taps, sums, end - begin, fresh);
            index += (int64_t)l->outputs * some * parts[p].taps;
        }
    const float *scales = (const float *)(task->weights + l->scales) + (int64_t)convolution * l->outputs;
    const int last = l->columns - TABLE_F32_LANES;
    for (int k = begin; k < end; k++, sums += count, to += l->rows * width)
        for (int i = 0; i < count; i++) { /* in order: lanes beyond the map's right end are written over */
            const int lane = i % l->vectors * TABLE_F32_LANES;
            const table_f32_v x = l->scales < 0 ? sums[i] : (table_f32_v)(sums[i] * scales[k]);
            *(table_f32_loose *)(to + i / l->vectors * width + (lane < last ? lane : last)) = x;
        }
}

/* Output channels [begin, end) of one convolution for a band of `rows` rows and a block of tiles in it. The last band
 * and tile are moved back into the map where it is large enough; what they compute again is not stored again. */
TERCET_INLINE void table_f32_block(const struct table_f32_layer *l, const struct table_f32_part *parts,
                                   int part_count, const struct tercet_task *task, epilogue_finish *const finish,
                                   int band, int block, int convolution, int begin, int end) {
    const int last_x = l->width > l->columns ? l->width - l->columns : 0, last_y = l->height - l->rows;
    const int from_y = band * l->rows, y = from_y < last_y ? from_y : last_y;
    const int from_x = block * l->block * l->columns, left = from_x < last_x ? from_x : last_x;
    const int wanted = from_x + l->block * l->columns, right = wanted < l->width ? wanted : l->width;
    const int width = right - left;
    const float *in = (const float *)task->in[0] + (int64_t)convolution * l->inputs * l->in_size;
    float *finished = (float *)(task->scratch + l->finished);
    for (int x = from_x; x < right; x += l->columns) {
        const int at = x < last_x ? x : last_x;
        table_f32_tile(l, parts, part_count, task, in + (int64_t)y * l->in_pitch + at, convolution, begin, end,
                       finished + at - left, width);
    }
    for (int k = begin; k < end; k++, finished += l->rows * width) {
        const int whole = width == l->width, rows = y + l->rows - from_y;
        for (int row = 0; row < (whole ? 1 : rows); row++) {
            const float *sums = finished + (from_y - y + row) * width + from_x - left;
            const int64_t pixel = (int64_t)(from_y + row) * l->width + from_x;
            const int count = whole ? rows * width : right - from_x;
            for (int i = 0; i < count; i += l->run)
                finish(task, (int64_t)convolution * l->outputs + k, pixel + i,
                       count - i < l->run ? count - i : l->run, sums + i);
        }
    }
}

/* The layer. Parts of a task share pairs of a block and a channel, block by block, so that large maps build each table
 * once and small ones still keep all threads busy. */
TERCET_INLINE void table_f32_conv(const struct table_f32_layer *l, const struct table_f32_part *parts,
                                  int part_count, const struct tercet_task *task, epilogue_finish *const finish) {
    const int channels = l->convolutions * l->outputs, bands = (l->height + l->rows - 1) / l->rows;
    const int tiles = (l->width + l->columns - 1) / l->columns, blocks = (tiles + l->block - 1) / l->block;
    int64_t item, end;
    tercet_share_tiles(task, (int64_t)bands * blocks * channels, TABLE_F32_SHARE, channels, &item, &end);
    while (item < end) {
        const int place = (int)(item / channels), channel = (int)(item % channels);
        const int convolution = channel / l->outputs, begin = channel % l->outputs;
        const int stop = begin + (end - item) < l->outputs ? begin + (int)(end - item) : l->outputs;
        table_f32_block(l, parts, part_count, task, finish, place / blocks, place % blocks, convolution, begin, stop);
        item += stop - begin;
    }
}

#endif
