/* Convolution as register tiles over padded planes.
 *
 * A block of output pixels first copies the input rows it needs into planes with zero borders, one plane per channel
 * cell and per phase of the stride, so that every filter tap is a shifted, contiguous load: no im2col. Lanes run over a
 * whole block, rows one after the other at the pitch of the planes; lanes between rows are garbage and dropped when a
 * panel of output channels is finished. */
#ifndef TERCET_DENSE_CONV_H
#define TERCET_DENSE_CONV_H

#include "dense_tile.h"
#include "epilogue.h"

struct dense_conv {
    int images, groups, channels, outputs; /* channels and outputs of one group */
    int height, width, out_height, out_width;
    int kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, top, left;
    int phases_y, phases_x;         /* residues of the stride that filter taps meet */
    int block_rows, block_columns;  /* output pixels of a block */
    int pitch, plane_rows, plane;   /* of the planes, in cells; plane: from one plane to the next */
    int shared;                     /* border cells at the end of a row that are the next row's first ones */
    int cells, per_cell;            /* channel cells of a group, channels in each */
    int block_depth, group_lanes;   /* steps between two visits of the sums; lanes whose sums are kept together */
    struct dense_panels panels;     /* of the outputs */
    int border;                     /* what a padded channel holds (int8 quads are shifted to start at 0) */
    int join_rows;                  /* 1: whole rows are finished together (epilogues are slow at the end of a run) */
    int direct;                     /* 1: the input's own planes serve (1x1, stride 1, no padding) */
    int share_panels;               /* parts share 1: output channels, 0: blocks */
    int prepare_all;                /* 1: all weights are expanded to cells first, 0: panel by panel */
    int64_t runs;                   /* byte offset in the constants of where each run begins (dense_conv_run), or 0 */
    int64_t offsets, prepared, planes, sums; /* byte offsets in scratch */
};

/* Copies `count` pixels of `channels` channels to cells. first: element index of the first pixel, first channel. */
typedef void dense_pack(dense_cell *to, const void *map, int64_t first, int channels, int count);

/* The cells that each step of depth adds to a lane's position: channel cell by channel cell, tap by tap. */
TERCET_INLINE void dense_conv_offsets(const struct dense_conv *c, int32_t *offsets) {
    for (int cell = 0; cell < c->cells; cell++)
        for (int y = 0; y < c->kernel_height; y++)
            for (int x = 0; x < c->kernel_width; x++) {
                const int phase = y % c->phases_y * c->phases_x + x % c->phases_x;
                *offsets++ = (cell * c->phases_y * c->phases_x + phase) * c->plane +
                             y * c->dilation_y / c->stride_y * c->pitch + x * c->dilation_x / c->stride_x;
            }
}

TERCET_INLINE int dense_ceil(int value, int divisor) { /* of value / divisor, not below 0 */
    return value <= 0 ? 0 : (value + divisor - 1) / divisor;
}

/* Fills the planes of a block that starts at output pixel (y0, x0) and has `rows` rows. map_channel: first channel of
 * the group in the map, counted over all images. */
TERCET_INLINE void dense_conv_planes(const struct dense_conv *c, dense_cell *planes, const void *map,
                                     int64_t map_channel, int y0, int x0, int rows, dense_pack *const pack) {
    const int plane_rows = rows + c->plane_rows - c->block_rows;
    for (int cell = 0; cell < c->cells; cell++) {
        const int channels = DENSE_MIN(c->per_cell, c->channels - cell * c->per_cell);
        const int64_t base = (map_channel + cell * c->per_cell) * c->height * c->width;
        uint32_t border = 0;
        for (int i = 0; i < channels; i++)
            border |= (uint32_t)c->border << (i * 8);
        for (int phase = 0; phase < c->phases_y * c->phases_x; phase++, planes += c->plane) {
            const int shift_y = phase / c->phases_x * c->dilation_y % c->stride_y - c->top;
            const int shift_x = phase % c->phases_x * c->dilation_x % c->stride_x - c->left + x0 * c->stride_x;
            const int begin = DENSE_MIN(c->pitch, dense_ceil(-shift_x, c->stride_x));
            const int end = DENSE_MAX(begin, DENSE_MIN(c->pitch, dense_ceil(c->width - shift_x, c->stride_x)));
            for (int row = 0; row < plane_rows; row++) {
                dense_cell *to = planes + row * c->pitch;
                const int y = (y0 + row) * c->stride_y + shift_y;
                int x = 0;
                if (y >= 0 && y < c->height) {
                    for (; x < begin; x++)
                        to[x] = (int32_t)border;
                    pack(to + begin, map, base + (int64_t)y * c->width + begin * c->stride_x + shift_x, channels,
                         end - begin);
                    x = end;
                }
                for (; x < c->pitch; x++)
                    to[x] = (int32_t)border;
            }
            for (int x = 0; x < c->shared; x++)
                planes[plane_rows * c->pitch + x] = (int32_t)border;
        }
    }
}

/* Weights of one panel and one block of depth as cells: in place, or expanded into `prepared`. */
TERCET_INLINE const dense_cell *dense_conv_weights(const unsigned char *weights, int64_t first, int count,
                                                   dense_cell *prepared, const enum dense_weights form,
                                                   const int binary) {
    const int bytes = dense_weight_bytes(form);
    if (form == DENSE_CELLS && !binary)
        return (const dense_cell *)weights + first;
    for (int i = 0; i < count; i += DENSE_LANES)
        dense_store(prepared + i, dense_load_weights(weights + (first + i) * bytes, form, binary));
    return prepared;
}

/* Some steps of one panel: those of one block of depth. */
struct dense_run {
    int64_t first; /* cell of the weights */
    int steps;
    int64_t planes; /* cell of the planes from which inputs are found */
};

/* Every step has a cell for each of the `height` outputs of a panel, or a table tells where each run begins: int32, by
 * group, block and panel, for couples of steps (dense_couples.h). These find inputs from the block's first plane on. */
TERCET_INLINE struct dense_run dense_conv_run(const struct tercet_task *task, const struct dense_conv *c, int64_t group,
                                              int panel, int output, int height, int k) {
    const int depth = c->cells * c->kernel_height * c->kernel_width;
    if (!c->runs)
        return (struct dense_run){(group * c->outputs + output) * depth + (int64_t)k * height,
                                  DENSE_MIN(c->block_depth, depth - k), 0};
    const int blocks = (depth + c->block_depth - 1) / c->block_depth;
    const int32_t *begin = (const int32_t *)(task->weights + c->runs) +
                           (group * blocks + k / c->block_depth) * c->panels.panels + panel;
    const int64_t cell = k / (c->kernel_height * c->kernel_width);
    return (struct dense_run){begin[0], (begin[1] - begin[0]) / (1 + 2 * height),
                              cell * c->phases_y * c->phases_x * c->plane};
}

/* Hands the pixels among lanes [lane, lane + count) of one channel to `finish`, row by row, or all rows joined. */
TERCET_INLINE void dense_conv_finish(const struct tercet_task *task, const struct dense_conv *c, int64_t channel, int y0,
                                     int x0, int columns, int lane, int count, dense_cell *sums,
                                     epilogue_finish *const finish) {
    const int pitch = c->pitch;
    if (c->join_rows && columns == c->out_width) {
        epilogue_lanes(task, channel, columns, pitch, (int64_t)y0 * pitch + lane, count, (int32_t *)sums, finish);
        return;
    }
    int y = lane / pitch, x = lane % pitch;
    for (int i = 0; i < count; y++, x = 0) {
        const int pixels = DENSE_MIN(columns - x, count - i);
        if (pixels > 0)
            finish(task, channel, (int64_t)(y0 + y) * c->out_width + x0 + x, pixels, sums + i);
        i += pitch - x;
    }
}

/* The kernel. Jobs are blocks of output pixels of each image and group; tile lanes wide are the two tiles. */
TERCET_INLINE void dense_conv(const struct tercet_task *task, const struct dense_conv *c, const unsigned char *weights,
                              dense_pack *const pack, epilogue_finish *const finish, dense_tile_function *const tall_tile,
                              dense_tile_function *const short_tile, const int tile, const enum dense_weights form,
                              const int binary) {
    int32_t *offsets = (int32_t *)(task->scratch + c->offsets);
    dense_cell *prepared = (dense_cell *)(task->scratch + c->prepared);
    dense_cell *sums = (dense_cell *)(task->scratch + c->sums);
    const int blocks_y = (c->out_height + c->block_rows - 1) / c->block_rows;
    const int blocks_x = (c->out_width + c->block_columns - 1) / c->block_columns;
    const int depth = c->cells * c->kernel_height * c->kernel_width;
    const int tall = c->panels.tall;
    const int panel_sums = depth > c->block_depth ? tall * c->group_lanes : 0; /* one panel at a time needs no more */
    int64_t job = 0, jobs = (int64_t)c->images * c->groups * blocks_y * blocks_x, panel_begin = 0;
    int64_t panel_end = c->panels.panels;
    if (c->share_panels)
        tercet_share(task, c->panels.panels, 1, &panel_begin, &panel_end);
    else
        tercet_share(task, jobs, 1, &job, &jobs);
    if (job == jobs || panel_begin == panel_end)
        return;
    if (!c->runs)
        dense_conv_offsets(c, offsets);
    if (c->prepare_all)
        weights = (const unsigned char *)dense_conv_weights(weights, 0, c->groups * c->outputs * depth, prepared, form,
                                                            binary);

    for (; job < jobs; job++) {
        const int64_t group = job / (blocks_y * blocks_x); /* over all images */
        const int y0 = (int)(job / blocks_x % blocks_y) * c->block_rows, x0 = (int)(job % blocks_x) * c->block_columns;
        const int rows = DENSE_MIN(c->block_rows, c->out_height - y0);
        const int columns = DENSE_MIN(c->block_columns, c->out_width - x0);
        const int lanes = (rows - 1) * c->pitch + columns;
        const dense_cell *planes = (const dense_cell *)(task->scratch + c->planes);
        if (c->direct)
            planes = (const dense_cell *)task->in[0] + group * c->channels * c->plane + x0;
        else
            dense_conv_planes(c, (dense_cell *)(task->scratch + c->planes), task->in[0], group * c->channels, y0, x0,
                              rows, pack);
        for (int lane = 0; lane < lanes; lane += c->group_lanes) {
            const int count = DENSE_MIN(c->group_lanes, lanes - lane);
            for (int k = 0; k < depth; k += c->block_depth) {
                for (int panel = (int)panel_begin; panel < panel_end; panel++) {
                    const int output = dense_panel_begin(&c->panels, panel);
                    const int height = dense_panel_begin(&c->panels, panel + 1) - output;
                    dense_cell *const to = sums + panel * panel_sums;
                    const struct dense_run run =
                        dense_conv_run(task, c, group % c->groups, panel, output, height, k);
                    const dense_cell *cells = dense_conv_weights(
                        weights, run.first, run.steps * height, prepared, c->prepare_all ? DENSE_CELLS : form,
                        c->prepare_all ? 0 : binary);
                    dense_tile_function *const add = height == tall ? tall_tile : short_tile;
                    for (int t = 0; t < count; t += tile)
                        add((const unsigned char *)(planes + run.planes + lane + t), offsets + k, cells, run.steps,
                            to + t, k == 0);
                    if (k + c->block_depth >= depth)
                        for (int i = 0; i < height; i++)
                            dense_conv_finish(task, c, group * c->outputs + output + i, y0, x0, columns, lane, count,
                                              to + i * c->group_lanes, finish);
                }
            }
        }
    }
}

#endif
