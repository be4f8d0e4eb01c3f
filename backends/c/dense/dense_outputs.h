/* Convolution as register tiles with outputs in the lanes: for maps so small, or so narrow, that pixels leave much of a
 * vector empty.
 *
 * The inputs lie in the same padded planes as for pixels in the lanes (dense_conv.h), where the single cells of
 * neighbouring pixels are neighbours for every filter tap. A panel of outputs computes a strip of rows at a time; its
 * sums are transposed, so that the epilogue gets the pixels of one channel after the other. */
#ifndef TERCET_DENSE_OUTPUTS_H
#define TERCET_DENSE_OUTPUTS_H

#include "dense_conv.h"
#include "transpose.h"

struct dense_outputs {
    struct dense_conv conv;       /* its panels are those of the pixels of a row */
    int panels, strip_rows, run;  /* panels of outputs; rows of a strip; sums of one output in a strip, whole vectors */
    int64_t turned;               /* byte offset in scratch */
};

/* Hands the sums [pixel][output] of a strip to `finish`, output by output. */
TERCET_INLINE void dense_outputs_finish(const struct tercet_task *task, const struct dense_outputs *o, int64_t channel,
                                        int outputs, int64_t pixel, int pixels, const dense_cell *sums, const int tile,
                                        epilogue_finish *const finish) {
    int32_t *turned = (int32_t *)(task->scratch + o->turned);
    for (int first = 0; first < outputs; first += DENSE_LANES) {
        tercet_turn(turned, o->run, (const int32_t *)sums + first, tile, pixels);
        for (int i = 0; i < DENSE_LANES && first + i < outputs; i++)
            finish(task, channel + first + i, pixel, pixels, turned + (int64_t)i * o->run);
    }
}

/* The sums of `columns` pixels of `rows` rows and one panel of outputs, whose weights are cells. Rows are whole ones unless
 * there is one only, so that what tiles compute beyond its end is dropped. */
TERCET_INLINE void dense_outputs_strip(const struct dense_outputs *o, const dense_cell *planes, const int32_t *offsets,
                                       const dense_cell *weights, dense_cell *sums, int rows, int columns,
                                       dense_tile_function *const tall_tile, dense_tile_function *const short_tile,
                                       const int tile) {
    const struct dense_conv *c = &o->conv;
    const int depth = c->cells * c->kernel_height * c->kernel_width;
    for (int k = 0; k < depth; k += c->block_depth) {
        const int steps = DENSE_MIN(c->block_depth, depth - k);
        const unsigned char *vectors = (const unsigned char *)(weights + (int64_t)k * tile);
        for (int y = 0; y < rows; y++)
            for (int panel = 0, x = 0; x < columns; panel++) {
                const int next = dense_panel_begin(&c->panels, panel + 1);
                dense_tile_function *const add = next - x == c->panels.tall ? tall_tile : short_tile;
                add(vectors, offsets + k, planes + y * c->pitch + x, steps,
                    sums + ((int64_t)y * c->block_columns + x) * tile, k == 0);
                x = next;
            }
    }
}

/* The kernel. Jobs are blocks of output pixels of each image and group. */
TERCET_INLINE void dense_outputs(const struct tercet_task *task, const struct dense_outputs *o,
                                 const unsigned char *weights, dense_pack *const pack, epilogue_finish *const finish,
                                 dense_tile_function *const tall_tile, dense_tile_function *const short_tile,
                                 const int tile, const enum dense_weights form, const int binary) {
    const struct dense_conv *c = &o->conv;
    int32_t *offsets = (int32_t *)(task->scratch + c->offsets);
    dense_cell *prepared = (dense_cell *)(task->scratch + c->prepared);
    dense_cell *sums = (dense_cell *)(task->scratch + c->sums);
    const int blocks_y = (c->out_height + c->block_rows - 1) / c->block_rows;
    const int blocks_x = (c->out_width + c->block_columns - 1) / c->block_columns;
    const int depth = c->cells * c->kernel_height * c->kernel_width;
    int64_t job = 0, jobs = (int64_t)c->images * c->groups * blocks_y * blocks_x, panel_begin = 0, panel_end = o->panels;
    if (c->share_panels)
        tercet_share(task, o->panels, 1, &panel_begin, &panel_end);
    else
        tercet_share(task, jobs, 1, &job, &jobs);
    if (job == jobs || panel_begin == panel_end)
        return;
    dense_conv_offsets(c, offsets);

    for (; job < jobs; job++) {
        const int64_t group = job / (blocks_y * blocks_x); /* over all images */
        const int y0 = (int)(job / blocks_x % blocks_y) * c->block_rows, x0 = (int)(job % blocks_x) * c->block_columns;
        const int rows = DENSE_MIN(c->block_rows, c->out_height - y0);
        const int columns = DENSE_MIN(c->block_columns, c->out_width - x0);
        const dense_cell *planes = (const dense_cell *)(task->scratch + c->planes);
        if (c->direct)
            planes = (const dense_cell *)task->in[0] + group * c->channels * c->plane + x0;
        else
            dense_conv_planes(c, (dense_cell *)(task->scratch + c->planes), task->in[0], group * c->channels, y0, x0,
                              rows, pack);
        for (int64_t panel = panel_begin; panel < panel_end; panel++) {
            const int64_t first = (group % c->groups * o->panels + panel) * depth * tile;
            const dense_cell *cells = dense_conv_weights(weights, first, depth * tile, prepared, form, binary);
            const int outputs = (int)DENSE_MIN((int64_t)tile, c->outputs - panel * tile);
            for (int y = 0; y < rows; y += o->strip_rows) {
                const int strip = DENSE_MIN(o->strip_rows, rows - y);
                dense_outputs_strip(o, planes + y * c->pitch, offsets, cells, sums, strip, columns, tall_tile,
                                    short_tile, tile);
                dense_outputs_finish(task, o, group * c->outputs + panel * tile, outputs,
                                     (int64_t)(y0 + y) * c->out_width + x0, strip * columns, sums, tile, finish);
            }
        }
    }
}

#endif
