/* Matrix product x [rows, inputs] * w [inputs, columns] of floats, for weights of few kinds: columns in the lanes.
 *
 * A lane of a packed vector holds the weights of one column for the inputs of a step. With tables, each of its four
 * bytes is an index: the weights of a few inputs, whose sums for all such weights are a table of 32 floats in two
 * registers. With fields, a shift and a mask make a float of each weight. Both serve all rows of a tile.
 *
 * What is prepared of the inputs, cells, is tables or the inputs times a factor: for one row panel and block of steps
 * at a time, so that cells stay in the cache while all columns pass by. */
#ifndef TERCET_LINEAR_F32_H
#define TERCET_LINEAR_F32_H

#include "dense_tile.h"
#include "epilogue.h"

#define LINEAR_F32_UNROLL _Pragma("GCC unroll 32")
/* Defined where this is included: LINEAR_F32_ROWS and LINEAR_F32_VECTORS, the largest tile; LINEAR_F32_RUN, columns
 * that are finished together at most; LINEAR_F32_TABLE, floats of a table, and LINEAR_F32_GROUP, its inputs at most. */

/* How a lane of 32 bits holds weights. */
enum linear_f32_form {
    LINEAR_F32_TABLES, /* four indices */
    LINEAR_F32_SIGNS,  /* 32 bits: 0 is 2, 1 is -2 */
    LINEAR_F32_MASKS,  /* 32 bits: 0 is 0, 1 is 2 */
    LINEAR_F32_TRITS,  /* 16 fields: 1 is 2, 2 is 0, 3 is -2 */
    LINEAR_F32_EITHER, /* 32 bits: the one value, the other */
    LINEAR_F32_CHOICE  /* 16 fields: 1 is the one value, 2 is 0, 3 is the other */
};

struct linear_f32 {
    int inputs, columns;
    int column_panels;          /* the last one is padded */
    int steps, depth;           /* packed vectors of a column, and of it in a block */
    float factor;               /* of the inputs in cells, for fields */
    struct dense_panels panels; /* of the rows */
    int group_panels, span;     /* row panels and column panels whose sums are in scratch together */
    int share_rows, grain;      /* parts share 1: groups of rows, 0: column panels, so many at a time */
    int64_t values, scales;     /* byte offsets in the weights: for each input of a table its weight in every entry; the
                                 * columns' scales, -1 for none */
    int64_t cells, sums;        /* byte offsets in scratch */
};

typedef void linear_f32_tile_function(const unsigned char *weights, const float *cells, float *sums, int64_t panels,
                                      int steps, int first);
#define LINEAR_F32_TILE static TERCET_FLATTEN __attribute__((noinline)) void

/* Cells of a lane. */
TERCET_INLINE int linear_f32_slots(const enum linear_f32_form form) {
    return form == LINEAR_F32_TABLES ? 4 : form == LINEAR_F32_TRITS || form == LINEAR_F32_CHOICE ? 16 : 32;
}

TERCET_INLINE int linear_f32_cell(const enum linear_f32_form form) {
    return form == LINEAR_F32_TABLES ? LINEAR_F32_TABLE : 1;
}

TERCET_INLINE tercet_f32v linear_f32_splat(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (tercet_f32v)dense_splat(bits);
}

/* The entries that the low bits of every index name, of a table in two registers. */
TERCET_INLINE tercet_f32v linear_f32_look_up(dense_vector index, const float *table) {
    const tercet_f32v low = *(const tercet_f32v *)table;
#ifdef TERCET_PERMUTE_F32
    return (tercet_f32v)TERCET_PERMUTE_F32(index, low, *(const tercet_f32v *)(table + LINEAR_F32_TABLE / 2));
#else /* no schedule asks for tables then */
    (void)index;
    return low;
#endif
}

/* Slot number `slot` of every lane: an index in the low bits, or a weight as a float. */
TERCET_INLINE dense_vector linear_f32_slot(dense_vector packed, const int slot, const float one, const float other,
                                           const enum linear_f32_form form) {
    const int bits = 32 / linear_f32_slots(form);
    if (form == LINEAR_F32_TABLES)
        return (dense_vector)((dense_unsigned)packed >> slot * bits);
    const dense_unsigned field = (dense_unsigned)packed << (32 - bits - slot * bits); /* in the highest bits */
    if (form == LINEAR_F32_TRITS)
        return (dense_vector)(field & 0xC0000000u);
    if (form == LINEAR_F32_SIGNS)
        return (dense_vector)((field & 0x80000000u) | 0x40000000u);
    if (form == LINEAR_F32_MASKS)
        return (dense_vector)(field >> 1 & 0x40000000u);
#ifdef TERCET_CHOOSE_F32
    const float even = form == LINEAR_F32_EITHER ? one : 0;
    const float four[] = {even, form == LINEAR_F32_EITHER ? other : one, even, other};
    dense_vector values;
    for (int i = 0; i < DENSE_LANES; i += 4)
        memcpy((float *)&values + i, four, sizeof four);
    return (dense_vector)TERCET_CHOOSE_F32((dense_vector)((dense_unsigned)packed >> slot * bits), values);
#else
    const dense_vector first = (dense_vector)linear_f32_splat(one), last = (dense_vector)linear_f32_splat(other);
    const dense_vector value = ((dense_vector)field >> 31 & (first ^ last)) ^ first;
    if (form == LINEAR_F32_EITHER)
        return value;
    return value & (dense_vector)(field << 1) >> 31;
#endif
}

/* The sums of `rows` rows and `panels` panels of `vectors` vectors of columns over `steps` packed vectors, or where
 * `first` is 0, what they add to the sums that are there: sums[panel][row][lane]. */
TERCET_INLINE void linear_f32_tile(const unsigned char *weights, const float *cells, float *sums, int64_t panels,
                                   const int steps, const int first, const int rows, const int vectors, const float one,
                                   const float other, const enum linear_f32_form form) {
    const int slots = linear_f32_slots(form), size = linear_f32_cell(form);
    for (int64_t panel = 0; panel < panels; panel++, sums += rows * vectors * DENSE_LANES) {
        tercet_f32v sum[LINEAR_F32_ROWS][LINEAR_F32_VECTORS];
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int v = 0; v < vectors; v++)
                if (first)
                    sum[r][v] = (tercet_f32v){0};
                else
                    sum[r][v] = *(const tercet_f32v *)(sums + (r * vectors + v) * DENSE_LANES);
        const float *cell = cells;
        for (int step = 0; step < steps; step++) {
            dense_vector packed[LINEAR_F32_VECTORS];
            DENSE_UNROLL for (int v = 0; v < vectors; v++, weights += TERCET_VECTOR_BYTES)
                packed[v] = *(const dense_vector *)weights;
            LINEAR_F32_UNROLL for (int s = 0; s < slots; s++, cell += rows * size) {
                dense_vector of[LINEAR_F32_VECTORS]; /* indices or weights */
                DENSE_UNROLL for (int v = 0; v < vectors; v++)
                    of[v] = linear_f32_slot(packed[v], s, one, other, form);
                DENSE_UNROLL for (int r = 0; r < rows; r++)
                    DENSE_UNROLL for (int v = 0; v < vectors; v++) {
                        if (form == LINEAR_F32_TABLES)
                            sum[r][v] += linear_f32_look_up(of[v], cell + r * size);
                        else
                            sum[r][v] = dense_fma_f32(linear_f32_splat(cell[r]), (tercet_f32v)of[v], sum[r][v]);
                        DENSE_KEEP(sum[r][v]);
                    }
            }
        }
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int v = 0; v < vectors; v++)
                *(tercet_f32v *)(sums + (r * vectors + v) * DENSE_LANES) = sum[r][v];
    }
}

/* The table of `group` inputs, zeros after the last. values: of each of them. */
TERCET_INLINE void linear_f32_table(float *table, const float *x, int64_t left, const float *values, const int group) {
    const int half = LINEAR_F32_TABLE / DENSE_LANES;
    DENSE_UNROLL for (int v = 0; v < half; v++) {
        tercet_f32v sum = {0};
        DENSE_UNROLL for (int j = 0; j < group; j++)
            sum += *(const tercet_f32v *)(values + j * LINEAR_F32_TABLE + v * DENSE_LANES) *
                   linear_f32_splat(j < left ? x[j] : 0);
        *(tercet_f32v *)(table + v * DENSE_LANES) = sum;
    }
}

/* Cells of `rows` rows for a block of steps, of which `first` inputs come before: slot by slot, row by row. */
TERCET_INLINE void linear_f32_prepare(const struct linear_f32 *m, float *cells, const float *x, const float *values,
                                      int64_t first, int steps, int rows, const int group,
                                      const enum linear_f32_form form) {
    const int slots = linear_f32_slots(form), size = linear_f32_cell(form);
    for (int row = 0; row < rows; row++) {
        const float *from = x + (int64_t)row * m->inputs + first;
        int64_t left = m->inputs - first;
        float *to = cells + row * size;
        for (int64_t slot = 0; slot < (int64_t)steps * slots; slot++, from += group, left -= group, to += rows * size) {
            if (form == LINEAR_F32_TABLES)
                linear_f32_table(to, from, left, values, group);
            else
                *to = left > 0 ? *from * m->factor : 0;
        }
    }
}

/* Scales sums and finishes them, in runs of neighbouring columns. */
TERCET_INLINE void linear_f32_finish(const struct tercet_task *task, const struct linear_f32 *m, const float *sums,
                                     int first_panel, int last_panel, int64_t begin, int64_t end,
                                     epilogue_finish *const finish, const int lanes) {
    const float *scales = m->scales < 0 ? NULL : (const float *)(task->weights + m->scales);
    float run[LINEAR_F32_RUN];
    for (int panel = first_panel; panel < last_panel; panel++) {
        const int row_begin = dense_panel_begin(&m->panels, panel);
        const int rows = dense_panel_begin(&m->panels, panel + 1) - row_begin;
        for (int64_t column = begin; column < end; column += LINEAR_F32_RUN / lanes) {
            const int panels = (int)DENSE_MIN((int64_t)(LINEAR_F32_RUN / lanes), end - column);
            const int count = (int)DENSE_MIN((int64_t)panels * lanes, m->columns - column * lanes);
            for (int row = 0; row < rows; row++) {
                for (int i = 0; i < panels; i++)
                    for (int lane = 0; lane < lanes; lane++) {
                        const float scale = scales ? scales[(column + i) * lanes + lane] : 1.0f;
                        run[i * lanes + lane] = sums[(i * rows + row) * lanes + lane] * scale;
                    }
                finish(task, row_begin + row, column * lanes, count, run);
            }
            sums += panels * rows * lanes;
        }
    }
}

TERCET_INLINE void linear_f32_product(const struct tercet_task *task, const struct linear_f32 *m,
                                      const unsigned char *weights, epilogue_finish *const finish,
                                      linear_f32_tile_function *const tall_tile,
                                      linear_f32_tile_function *const short_tile, const int lanes, const int group,
                                      const enum linear_f32_form form) {
    const int groups = (m->panels.panels + m->group_panels - 1) / m->group_panels;
    int64_t begin = 0, end = m->column_panels, group_begin = 0, group_end = groups;
    if (m->share_rows)
        tercet_share(task, groups, 1, &group_begin, &group_end);
    else
        tercet_share(task, m->column_panels, m->grain, &begin, &end);
    const float *values = (const float *)(task->weights + m->values);
    float *cells = (float *)(task->scratch + m->cells), *sums = (float *)(task->scratch + m->sums);
    for (int64_t next = group_begin; next < group_end; next++) {
        const int first = (int)next * m->group_panels, last = DENSE_MIN(m->panels.panels, first + m->group_panels);
        for (int64_t column = begin; column < end; column += m->span) {
            const int64_t panels = DENSE_MIN((int64_t)m->span, end - column);
            for (int step = 0; step < m->steps; step += m->depth) {
                const int depth = DENSE_MIN(m->depth, m->steps - step);
                const unsigned char *block = weights + (int64_t)step * m->column_panels * lanes * 4;
                float *to = sums;
                for (int panel = first; panel < last; panel++) {
                    const int row = dense_panel_begin(&m->panels, panel);
                    const int rows = dense_panel_begin(&m->panels, panel + 1) - row;
                    linear_f32_tile_function *const tile = rows == m->panels.tall ? tall_tile : short_tile;
                    linear_f32_prepare(m, cells, (const float *)task->in[0] + (int64_t)row * m->inputs, values,
                                       (int64_t)step * linear_f32_slots(form) * group, depth, rows, group, form);
                    tile(block + column * depth * lanes * 4, cells, to, panels, depth, step == 0);
                    to += panels * rows * lanes;
                }
            }
            linear_f32_finish(task, m, sums, first, last, column, column + panels, finish, lanes);
        }
    }
}

#endif
