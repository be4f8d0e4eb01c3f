/* Matrix product x [rows, depth] * w [depth, columns] as register tiles: columns in the lanes, weights prepacked in
 * panels of `width` vectors of columns. A panel's weights serve all rows of a group before the next panel. */
#ifndef TERCET_DENSE_MATMUL_H
#define TERCET_DENSE_MATMUL_H

#include "dense_conv.h"

struct dense_matmul {
    int rows, columns, inputs;    /* inputs: elements of a row of x */
    int depth, block_depth;       /* cells of a row of x; steps between two visits of the sums */
    struct dense_panels panels;   /* of the rows */
    int group_panels;             /* row panels that share one panel of weights */
    int direct;                   /* 1: rows of x are cells already */
    int share_rows;               /* parts share 1: row groups, 0: column panels */
    int64_t cells, sums;          /* byte offsets in scratch */
};

TERCET_INLINE void dense_matmul(const struct tercet_task *task, const struct dense_matmul *m,
                                const unsigned char *weights, dense_pack *const pack, epilogue_finish *const finish,
                                dense_tile_function *const tall_tile, dense_tile_function *const short_tile,
                                const int tile, const enum dense_weights form) {
    const int tall = m->panels.tall, panel_bytes = tile * dense_weight_bytes(form);
    const int columns = (m->columns + tile - 1) / tile;
    const int groups = (m->panels.panels + m->group_panels - 1) / m->group_panels;
    int64_t column_begin = 0, column_end = columns, group_begin = 0, group_end = groups;
    if (m->share_rows)
        tercet_share(task, groups, 1, &group_begin, &group_end);
    else
        tercet_share(task, columns, 1, &column_begin, &column_end);
    if (column_begin == column_end)
        return;
    dense_cell *sums = (dense_cell *)(task->scratch + m->sums);

    for (int64_t group = group_begin; group < group_end; group++) {
        const int first = (int)group * m->group_panels;
        const int last = DENSE_MIN(m->panels.panels, first + m->group_panels);
        const int row_begin = dense_panel_begin(&m->panels, first), row_end = dense_panel_begin(&m->panels, last);
        const dense_cell *x = (const dense_cell *)(task->scratch + m->cells);
        if (m->direct)
            x = (const dense_cell *)task->in[0] + (int64_t)row_begin * m->depth;
        else
            for (int row = row_begin; row < row_end; row++)
                pack((dense_cell *)x + (int64_t)(row - row_begin) * m->depth, task->in[0], (int64_t)row * m->inputs,
                     m->inputs, m->depth);
        for (int64_t column = column_begin; column < column_end; column++) {
            for (int k = 0; k < m->depth; k += m->block_depth) {
                const int steps = DENSE_MIN(m->block_depth, m->depth - k);
                const unsigned char *vectors = weights + (column * m->depth + k) * panel_bytes;
                for (int panel = first; panel < last; panel++) {
                    const int row = dense_panel_begin(&m->panels, panel) - row_begin;
                    const int height = dense_panel_begin(&m->panels, panel + 1) - row_begin - row;
                    dense_tile_function *const add = height == tall ? tall_tile : short_tile;
                    add(vectors, NULL, x + (int64_t)row * m->depth + k, steps, sums + row * tile, k == 0);
                }
            }
            for (int row = row_begin; row < row_end; row++)
                finish(task, row, column * tile, (int)DENSE_MIN((int64_t)tile, m->columns - column * tile),
                       sums + (int64_t)(row - row_begin) * tile);
        }
    }
}

#endif
