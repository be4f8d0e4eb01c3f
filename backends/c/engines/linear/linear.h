/* Matrix product x [rows, inputs] * w [inputs, columns] for weights of one or two bits: columns in the lanes.
 *
 * A weight is scale * field + rest, field an unsigned number of `bits` bits, scale and rest the column's. A packed
 * vector holds 8 / bits fields in every byte; a shift and a mask bring one out, for all rows of a tile. The four bytes of
 * a lane meet four neighbouring inputs of a row, broadcast. Sums of fields become sums of weights at the end:
 * scale * sum + rest * (sum of the row).
 *
 * Inputs are added up block by block, so that those of a tile's rows stay in L1 while all columns pass by. */
#ifndef TERCET_LINEAR_H
#define TERCET_LINEAR_H

#include "dense_tile.h"
#include "epilogue.h"

/* Defined where this is included: LINEAR_ROWS and LINEAR_COLUMNS, the largest tile; LINEAR_RUN, columns that are
 * finished together at most. */

struct linear {
    int inputs, columns;
    int column_panels;          /* the last one is padded */
    int steps, depth;           /* packed vectors of a column panel, and of it in a block */
    int64_t pitch;              /* bytes from one packed row of x to the next; what lies after its inputs is 0 */
    struct dense_panels panels; /* of the rows */
    int group_panels, span;     /* row panels and column panels whose inputs and sums are in scratch together */
    int share_rows, grain;      /* parts share 1: groups of rows, 0: column panels, so many at a time */
    int64_t x, totals, cells, sums; /* byte offsets in scratch: rows, their totals, a block of a tile's inputs, sums */
};

typedef uint16_t linear_u16v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef void linear_tile_function(const unsigned char *weights, const unsigned char *x, dense_cell *sums, int64_t panels,
                                  int steps, int first);
typedef int32_t linear_pack(int8_t *to, const void *map, int64_t first);
#define LINEAR_TILE static TERCET_FLATTEN __attribute__((noinline)) void

/* Field number `field` of every byte. */
TERCET_INLINE dense_vector linear_field(dense_vector packed, const int field, const int bits) {
    const linear_u16v moved = field ? (linear_u16v)packed >> (field * bits) : (linear_u16v)packed;
    return (dense_vector)((tercet_u8v)moved & (uint8_t)((1 << bits) - 1));
}

/* Bytes of a quad of inputs in a block. A multiply-add that takes two instructions reads its inputs in every lane, as an
 * operand from memory; one that accumulates by itself leaves the time to broadcast them. */
TERCET_INLINE int linear_quad_bytes(const enum dense_cell_kind cell) {
    return cell == DENSE_U8_QUAD ? TERCET_VECTOR_BYTES : 4;
}

TERCET_INLINE dense_vector linear_quad(const unsigned char *at, const enum dense_cell_kind cell) {
    return linear_quad_bytes(cell) == 4 ? dense_splat(*(const dense_cell *)at) : *(const dense_vector *)at;
}

/* A block of inputs for the tiles of `rows` rows: quad by quad, row by row. */
TERCET_INLINE void linear_block(unsigned char *to, const int8_t *x, int64_t pitch, int quads, int rows,
                                const enum dense_cell_kind cell) {
    for (int q = 0; q < quads; q++)
        for (int r = 0; r < rows; r++, to += linear_quad_bytes(cell)) {
            const dense_cell quad = *(const dense_cell *)(x + r * pitch + q * 4);
            if (linear_quad_bytes(cell) == 4)
                *(dense_cell *)to = quad;
            else
                *(dense_vector *)to = dense_splat(quad);
        }
}

TERCET_INLINE void linear_mac(struct dense_sum *sum, dense_vector field, dense_vector x,
                              const enum dense_cell_kind cell) {
    if (cell == DENSE_I8_DOT) {
        dense_mac(sum, x, field, cell);
        DENSE_KEEP(sum->i32);
    } else if (cell == DENSE_U8_DOT) {
        dense_mac(sum, field, x, cell);
        DENSE_KEEP(sum->i32);
    } else {
        dense_mac(sum, field, x, DENSE_U8_QUAD);
        DENSE_KEEP(sum->i16);
    }
}

/* The sums of `rows` rows of x and `panels` panels of `columns` vectors of columns over `steps` packed vectors, or with
 * `first` 0 what they add to the sums that are there: sums[panel][row][lane]. */
TERCET_INLINE void linear_tile(const unsigned char *weights, const unsigned char *x, dense_cell *sums, int64_t panels,
                               const int steps, const int first, const int rows, const int columns, const int bits,
                               const enum dense_cell_kind cell) {
    const int quads = 8 / bits / columns; /* of inputs in a packed vector */
    for (int64_t panel = 0; panel < panels; panel++) {
        struct dense_sum sum[LINEAR_ROWS][LINEAR_COLUMNS];
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int c = 0; c < columns; c++)
                dense_sum_zero(&sum[r][c]);
        const unsigned char *quad = x;
        for (int step = 0; step < steps; step++, weights += TERCET_VECTOR_BYTES) {
            const dense_vector packed = *(const dense_vector *)weights;
            DENSE_UNROLL for (int q = 0; q < quads; q++) {
                dense_vector field[LINEAR_COLUMNS];
                DENSE_UNROLL for (int c = 0; c < columns; c++)
                    field[c] = linear_field(packed, q * columns + c, bits);
                DENSE_UNROLL for (int r = 0; r < rows; r++, quad += linear_quad_bytes(cell)) {
                    const dense_vector inputs = linear_quad(quad, cell);
                    DENSE_UNROLL for (int c = 0; c < columns; c++)
                        linear_mac(&sum[r][c], field[c], inputs, cell);
                }
            }
        }
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int c = 0; c < columns; c++, sums += DENSE_LANES) {
                const dense_vector one = (dense_vector)((tercet_i16v){0} + 1);
                const dense_vector whole = first ? (dense_vector){0} : dense_load(sums);
                const dense_vector more =
                    cell == DENSE_U8_QUAD ? dense_madd_i16((dense_vector)sum[r][c].i16, one) : sum[r][c].i32;
                dense_store(sums, dense_add(whole, more));
            }
    }
}

/* Copies a row of inputs, each less `shift`, and returns their sum. */
#define LINEAR_PACK(NAME, FROM)                                                                                      \
    TERCET_INLINE int32_t NAME(int8_t *restrict to, const FROM *restrict from, int inputs, const int shift) {        \
        int32_t total = 0;                                                                                           \
        for (int i = 0; i < inputs; i++) {                                                                           \
            to[i] = (int8_t)(from[i] - shift);                                                                       \
            total += from[i] - shift;                                                                                \
        }                                                                                                            \
        return total;                                                                                                \
    }

LINEAR_PACK(linear_pack_i8, int8_t)
LINEAR_PACK(linear_pack_u8, uint8_t)
LINEAR_PACK(linear_pack_i16, int16_t)

/* The sums of a group of rows and a span of columns: sums[row panel][column panel][row][lane].
 * x: its packed rows. lanes: columns of a panel. */
TERCET_INLINE void linear_span(const struct linear *m, const unsigned char *weights, const int8_t *x, unsigned char *cells,
                               dense_cell *sums, int first_panel, int last_panel, int64_t begin, int64_t end,
                               linear_tile_function *const tall_tile, linear_tile_function *const short_tile,
                               const int lanes, const int step_quads, const enum dense_cell_kind cell) {
    for (int step = 0; step < m->steps; step += m->depth) {
        const int depth = DENSE_MIN(m->depth, m->steps - step);
        const int8_t *rows_x = x + (int64_t)step * step_quads * 4;
        dense_cell *to = sums;
        for (int panel = first_panel; panel < last_panel; panel++) {
            const int rows = dense_panel_begin(&m->panels, panel + 1) - dense_panel_begin(&m->panels, panel);
            linear_tile_function *const tile = rows == m->panels.tall ? tall_tile : short_tile;
            linear_block(cells, rows_x, m->pitch, depth * step_quads, rows, cell);
            rows_x += rows * m->pitch;
            tile(weights + ((int64_t)step * m->column_panels + begin * depth) * TERCET_VECTOR_BYTES, cells, to, end - begin,
                 depth, step == 0);
            to += (end - begin) * rows * lanes;
        }
    }
}

/* From sums of fields to sums of weights, and from those to results, in runs of neighbouring columns. scale, rest: of
 * the columns, or with `uniform` one of each. */
TERCET_INLINE void linear_finish(const struct tercet_task *task, const struct linear *m, const dense_cell *sums,
                                 const int32_t *totals, const int8_t *scale, const int8_t *rest, int first_panel,
                                 int last_panel, int64_t begin, int64_t end, epilogue_finish *const finish,
                                 const int lanes, const int uniform) {
    dense_cell run[LINEAR_RUN];
    for (int panel = first_panel; panel < last_panel; panel++) {
        const int row_begin = dense_panel_begin(&m->panels, panel);
        const int rows = dense_panel_begin(&m->panels, panel + 1) - row_begin;
        for (int64_t column = begin; column < end; column += LINEAR_RUN / lanes) {
            const int panels = (int)DENSE_MIN((int64_t)(LINEAR_RUN / lanes), end - column);
            const int count = (int)DENSE_MIN((int64_t)panels * lanes, m->columns - column * lanes);
            for (int row = 0; row < rows; row++) {
                const int32_t total = *totals++;
                for (int i = 0; i < panels; i++)
                    for (int lane = 0; lane < lanes; lane++) {
                        const int64_t own = uniform ? 0 : (column + i) * lanes + lane;
                        run[i * lanes + lane] = sums[(i * rows + row) * lanes + lane] * scale[own] + total * rest[own];
                    }
                finish(task, row_begin + row, column * lanes, count, run);
            }
            totals -= rows;
            sums += panels * rows * lanes;
        }
        totals += rows;
    }
}

TERCET_INLINE void linear_product(const struct tercet_task *task, const struct linear *m, const unsigned char *weights,
                                  const int8_t *scale, const int8_t *rest, linear_pack *const pack,
                                  epilogue_finish *const finish, linear_tile_function *const tall_tile,
                                  linear_tile_function *const short_tile, const int lanes, const int step_quads,
                                  const enum dense_cell_kind cell, const int uniform) {
    const int groups = (m->panels.panels + m->group_panels - 1) / m->group_panels;
    int64_t begin = 0, end = m->column_panels, group_begin = 0, group_end = groups;
    if (m->share_rows)
        tercet_share(task, groups, 1, &group_begin, &group_end);
    else
        tercet_share(task, m->column_panels, m->grain, &begin, &end);
    if (begin == end)
        return;
    int8_t *x = (int8_t *)(task->scratch + m->x);
    int32_t *totals = (int32_t *)(task->scratch + m->totals);
    dense_cell *sums = (dense_cell *)(task->scratch + m->sums);

    for (int64_t group = group_begin; group < group_end; group++) {
        const int first = (int)group * m->group_panels, last = DENSE_MIN(m->panels.panels, first + m->group_panels);
        const int row_begin = dense_panel_begin(&m->panels, first), row_end = dense_panel_begin(&m->panels, last);
        for (int row = row_begin; row < row_end; row++) {
            int8_t *to = x + (row - row_begin) * m->pitch;
            totals[row - row_begin] = pack(to, task->in[0], (int64_t)row * m->inputs);
            memset(to + m->inputs, 0, (size_t)(m->pitch - m->inputs));
        }
        for (int64_t column = begin; column < end; column += m->span) {
            const int64_t column_end = DENSE_MIN(column + m->span, end);
            linear_span(m, weights, x, task->scratch + m->cells, sums, first, last, column, column_end, tall_tile,
                        short_tile, lanes, step_quads, cell);
            linear_finish(task, m, sums, totals, scale, rest, first, last, column, column_end, finish, lanes, uniform);
        }
    }
}

#endif
