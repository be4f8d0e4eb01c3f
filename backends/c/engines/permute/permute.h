/* Convolutions of 8-bit inputs by weights of {-1, 0, 1} with tables in registers. What a tile computes: permute_tile.h.
 *
 * Every pixel of the input has its tables once, and all filter taps that see it share them: rows of tables are kept in a
 * ring while bands of output pixels move down the map. In the padding lie the tables of zeros. */
#ifndef TERCET_PERMUTE_H
#define TERCET_PERMUTE_H

#include "permute_tile.h"
#include "transpose.h"

/* Defined where this is included: PERMUTE_ROWS, channels and pixels that are transposed together; PERMUTE_SPARE, sums
 * after a run that an epilogue may read. */

enum permute_share { PERMUTE_SHARE_ROWS, PERMUTE_SHARE_COLUMNS, PERMUTE_SHARE_BLOCKS };

struct permute_layer {
    int images, height, width, out_height, out_width;
    int stride_y, dilation_y, top, left, kernel_height, kernel_width;
    int stride_x, column_step, column_stride, column_dilation; /* the last two in columns with tables */
    int groups, channels, tables, outputs, blocks;             /* but for the first, of a group */
    int lowest;                                                /* what the inputs of tables are less by */
    int turned;                                                /* whether some sums are negated */
    enum permute_share share;
    int band_rows, band_columns; /* output pixels that all blocks of outputs are computed for before the next ones */
    int ring_rows;
    int64_t row_bytes, block_bytes;          /* of a row of tables; of the indices of a block */
    int64_t indices, digits, signs;          /* byte offsets of constants */
    int64_t ring, padding, pairs, held, taps, staged, sums; /* byte offsets in scratch */
};

typedef void permute_tile_function(const struct permute_tile *t);

/* What a part works with. held: which row of the input each row of the ring holds, -1 for none. */
struct permute_job {
    const struct tercet_task *task;
    const unsigned char *map; /* the image's input */
    int64_t image;
    int y, y_end, x, x_end;   /* the band */
    unsigned char *ring, *padding;
    uint16_t *pairs;
    int *held;
    const unsigned char **taps; /* [row of the band][row of taps] */
    int32_t *staged, *sums;
};

/* -- rows of tables ------------------------------------------------------------------------------------------------ */

/* Columns of the band's rows of tables. */
TERCET_INLINE int permute_columns(const struct permute_layer *l, const struct permute_job *job) {
    return (job->x_end - job->x - 1) * l->column_stride + (l->kernel_width - 1) * l->column_dilation + 1;
}

/* The tables of `count` pixels from `from` on. plane: bytes from channel to channel; 0: of one pixel of all channels, the
 * same input everywhere. */
TERCET_INLINE void permute_pixels(const struct permute_layer *l, const struct permute_job *job, unsigned char *to,
                                  const unsigned char *from, int64_t plane, int count, const int group,
                                  const int words) {
    const int64_t pitch = (int64_t)l->groups * l->tables * TERCET_VECTOR_BYTES;
    const int64_t apart = (count + PERMUTE_CELLS - 1) / PERMUTE_CELLS * PERMUTE_CELLS;
    const unsigned char lowest = (unsigned char)l->lowest;
    for (int c = 0; c < l->groups; c++)
        for (int i = 0; i < l->tables; i++, to += TERCET_VECTOR_BYTES) {
            const int rest = l->channels - i * group, channels = rest < group ? rest : group;
            const unsigned char *first = from + (c * l->channels + i * group) * plane;
            if (l->column_step == 1)
                permute_pack(job->pairs, apart, first, plane, channels, count, 1, lowest, words);
            else
                permute_pack(job->pairs, apart, first, plane, channels, count, l->column_step, lowest, words);
            permute_build(to, pitch, job->pairs, apart, count, job->task->weights + l->digits, words);
        }
}

/* Tables of a pixel of zeros, `count` times. */
TERCET_INLINE void permute_pad(const struct permute_layer *l, const struct permute_job *job, unsigned char *to,
                               int count) {
    const int64_t pitch = (int64_t)l->groups * l->tables * TERCET_VECTOR_BYTES;
    for (int i = 0; i < count; i++)
        memcpy(to + i * pitch, job->padding, (size_t)pitch);
}

/* The tables of row y of the input, for the columns of the band. */
TERCET_INLINE const unsigned char *permute_row(const struct permute_layer *l, struct permute_job *job, int y,
                                               const int group, const int words) {
    if (y < 0 || y >= l->height)
        return job->padding;
    const int slot = y % l->ring_rows, count = permute_columns(l, job);
    unsigned char *row = job->ring + slot * l->row_bytes;
    if (job->held[slot] == y)
        return row;
    job->held[slot] = y;
    const int64_t pitch = (int64_t)l->groups * l->tables * TERCET_VECTOR_BYTES;
    const int step = l->column_step, first = job->x * l->stride_x - l->left;
    int begin = first < 0 ? (-first + step - 1) / step : 0;
    int end = first < l->width ? (l->width - 1 - first) / step + 1 : 0;
    begin = begin < count ? begin : count;
    end = end < begin ? begin : end < count ? end : count;
    permute_pad(l, job, row, begin);
    permute_pad(l, job, row + end * pitch, count - end);
    if (begin < end)
        permute_pixels(l, job, row + begin * pitch, job->map + (int64_t)y * l->width + first + begin * step,
                       (int64_t)l->height * l->width, end - begin, group, words);
    return row;
}

/* -- results ------------------------------------------------------------------------------------------------------- */

/* Hands the sums of a block to the epilogue, channel by channel. output: of all groups, the block's first. */
TERCET_INLINE void permute_finish(const struct permute_layer *l, const struct permute_job *job, int64_t output,
                                  int outputs, epilogue_finish *const finish, const int lanes) {
    const int count = (job->y_end - job->y) * (job->x_end - job->x);
    const int64_t pitch = (count + PERMUTE_ROWS - 1) / PERMUTE_ROWS * PERMUTE_ROWS + PERMUTE_SPARE;
    const int64_t pixel = (int64_t)job->y * l->out_width + job->x, all = (int64_t)l->groups * l->outputs;
    const int32_t *signs = (const int32_t *)(job->task->weights + l->signs) + output;
    for (int k = 0; k < outputs; k += PERMUTE_ROWS) {
        tercet_turn(job->sums, pitch, job->staged + k, lanes, count);
        const int rest = outputs - k < PERMUTE_ROWS ? outputs - k : PERMUTE_ROWS;
        for (int j = 0; j < rest; j++) {
            int32_t *sums = job->sums + j * pitch;
            if (l->turned)
                for (int i = 0; i < count; i++)
                    sums[i] *= signs[k + j];
            finish(job->task, job->image * all + output + k + j, pixel, count, sums);
        }
    }
}

/* -- the layer ----------------------------------------------------------------------------------------------------- */

/* The sums of a band and a block. The last tile may go over pixels after the band: copies of the last one. */
TERCET_INLINE void permute_block(const struct permute_layer *l, const struct permute_job *job, int64_t group,
                                 int64_t block, permute_tile_function *const tile, const int pixels,
                                 const int lanes) {
    const int width = job->x_end - job->x, count = width * (job->y_end - job->y);
    const int64_t table_bytes = (int64_t)l->tables * TERCET_VECTOR_BYTES, pixel_bytes = l->groups * table_bytes;
    struct permute_tile t;
    t.indices = job->task->weights + l->indices + (group * l->blocks + block) * l->block_bytes;
    int x = 0;
    const unsigned char *const *taps = job->taps;
    for (int i = 0; i < count; i += pixels) {
        for (int p = 0; p < pixels; p++) {
            t.taps[p] = taps;
            t.column[p] = x * l->column_stride * pixel_bytes + group * table_bytes;
            if (i + p + 1 >= count)
                continue;
            if (++x == width) {
                x = 0;
                taps += l->kernel_height;
            }
        }
        t.sums = job->staged + (int64_t)i * lanes;
        tile(&t);
    }
}

TERCET_INLINE void permute_conv(const struct tercet_task *task, const struct permute_layer *l,
                                permute_tile_function *const tile, epilogue_finish *const finish, const int pixels,
                                const int lanes, const int group, const int words) {
    int64_t shares[3][2] = {{0, l->out_height}, {0, l->out_width}, {0, (int64_t)l->groups * l->blocks}};
    tercet_share(task, shares[l->share][1], 1, &shares[l->share][0], &shares[l->share][1]);
    unsigned char *scratch = task->scratch;
    struct permute_job job = {
        .task = task, .ring = scratch + l->ring, .padding = scratch + l->padding, .pairs = (uint16_t *)(scratch + l->pairs),
        .held = (int *)(scratch + l->held), .taps = (const unsigned char **)(scratch + l->taps),
        .staged = (int32_t *)(scratch + l->staged), .sums = (int32_t *)(scratch + l->sums),
    };
    for (int i = 0; i < 3; i++)
        if (shares[i][0] >= shares[i][1])
            return;
    const unsigned char zeros[PERMUTE_CELLS] = {0};
    permute_pixels(l, &job, job.padding, zeros, 0, 1, group, words);
    const int64_t pixel_bytes = (int64_t)l->groups * l->tables * TERCET_VECTOR_BYTES;
    permute_pad(l, &job, job.padding + pixel_bytes, (int)(l->row_bytes / pixel_bytes) - 1);
    for (job.image = 0; job.image < l->images; job.image++) {
        job.map = (const unsigned char *)task->in[0] +
                  job.image * l->groups * l->channels * l->height * l->width;
        for (int64_t x = shares[1][0]; x < shares[1][1]; x += l->band_columns) {
            job.x = (int)x;
            job.x_end = (int)(x + l->band_columns < shares[1][1] ? x + l->band_columns : shares[1][1]);
            for (int i = 0; i < l->ring_rows; i++)
                job.held[i] = -1;
            for (int64_t y = shares[0][0]; y < shares[0][1]; y += l->band_rows) {
                job.y = (int)y;
                job.y_end = (int)(y + l->band_rows < shares[0][1] ? y + l->band_rows : shares[0][1]);
                const unsigned char **taps = job.taps;
                for (int row = job.y; row < job.y_end; row++)
                    for (int ky = 0; ky < l->kernel_height; ky++)
                        *taps++ = permute_row(l, &job, row * l->stride_y - l->top + ky * l->dilation_y, group, words);
                for (int64_t i = shares[2][0]; i < shares[2][1]; i++) {
                    const int64_t block = i % l->blocks, first = block * lanes;
                    const int outputs = l->outputs - first < lanes ? (int)(l->outputs - first) : lanes;
                    permute_block(l, &job, i / l->blocks, block, tile, pixels, lanes);
                    permute_finish(l, &job, i / l->blocks * l->outputs + first, outputs, finish, lanes);
                }
            }
        }
    }
}

#endif
