/* Matrix product x [rows, inputs] * w [inputs, columns] for weights of one or two bits: columns in the lanes.
 *
 * A weight is scale * field + rest, field an unsigned number of `bits` bits, scale and rest the column's. A packed
 * vector holds 8 / bits fields in every byte; a shift and a mask bring one out, for all rows of a tile. The four bytes of
 * a lane meet four neighbouring inputs of a row, broadcast. Sums of fields become sums of weights at the end:
 * scale * sum + rest * (sum of the row). */
#ifndef TERCET_LINEAR_H
#define TERCET_LINEAR_H

#include "dense_tile.h"
#include "epilogue.h"

#define LINEAR_COLUMNS 4 /* the largest tile */
#define LINEAR_ROWS 8
#define LINEAR_AHEAD 4096 /* bytes of weights on their way from memory: one page more than hardware prefetches */

struct linear {
    int rows, columns, inputs;
    int steps;                  /* packed vectors of a column panel */
    int64_t pitch;              /* bytes from one packed row of x to the next; what lies behind its inputs is 0 */
    struct dense_panels panels; /* of the rows */
    int group_panels;           /* row panels whose inputs and sums are in scratch together */
    int span, share_rows;       /* column panels finished together; parts share 1: groups of rows, 0: those spans */
    int64_t cells, totals, sums; /* byte offsets in scratch: packed rows, their totals, sums of a span */
};

typedef uint16_t linear_u16v __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef void linear_tile_function(const unsigned char *weights, const int8_t *x, dense_cell *sums);
typedef int32_t linear_pack(int8_t *to, const void *map, int64_t first);
#define LINEAR_TILE static __attribute__((noinline)) void

/* Keeps a sum in its register: GCC would first add up products, and then has more of them than registers. */
#if defined(__x86_64__) && defined(__AVX512F__) && TERCET_VECTOR_BYTES == 64
#define LINEAR_KEEP(sum) __asm__("" : "+v"(sum))
#elif defined(__x86_64__) && (TERCET_VECTOR_BYTES == 16 || (defined(__AVX2__) && TERCET_VECTOR_BYTES == 32))
#define LINEAR_KEEP(sum) __asm__("" : "+x"(sum))
#elif defined(__aarch64__) && TERCET_VECTOR_BYTES == 16
#define LINEAR_KEEP(sum) __asm__("" : "+w"(sum))
#else
#define LINEAR_KEEP(sum) (void)0
#endif

/* Field number `field` of every byte. */
DENSE_INLINE dense_vector linear_field(dense_vector packed, const int field, const int bits) {
    const linear_u16v moved = field ? (linear_u16v)packed >> (field * bits) : (linear_u16v)packed;
    return (dense_vector)((tercet_u8v)moved & (uint8_t)((1 << bits) - 1));
}

DENSE_INLINE dense_vector linear_inputs(const int8_t *at) {
    return dense_splat(*(const dense_cell *)at);
}

DENSE_INLINE void linear_mac(struct dense_sum *sum, dense_vector field, dense_vector x,
                             const enum dense_cell_kind cell) {
    if (cell == DENSE_I8_DOT) {
        dense_mac(sum, x, field, cell);
        LINEAR_KEEP(sum->i32);
    } else if (cell == DENSE_U8_DOT) {
        dense_mac(sum, field, x, cell);
        LINEAR_KEEP(sum->i32);
    } else {
        dense_mac(sum, field, x, DENSE_U8_QUAD);
        LINEAR_KEEP(sum->i16);
    }
}

/* The sums of `rows` rows of x and `columns` vectors of columns, over all inputs: sums[row * sums_pitch + column]. */
DENSE_INLINE void linear_tile(const unsigned char *weights, const int8_t *x, dense_cell *sums, const int steps,
                              const int depth, const int64_t pitch, const int64_t sums_pitch, const int rows,
                              const int columns, const int bits, const enum dense_cell_kind cell) {
    const int quads = 8 / bits / columns; /* of inputs in a packed vector */
    for (int begin = 0; begin < steps; begin += depth) {
        const int end = begin + DENSE_MIN(depth, steps - begin);
        struct dense_sum sum[LINEAR_ROWS][LINEAR_COLUMNS];
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int c = 0; c < columns; c++)
                dense_sum_zero(&sum[r][c]);
        for (int step = begin; step < end; step++) {
            const unsigned char *at = weights + (int64_t)step * TERCET_VECTOR_BYTES;
            const dense_vector packed = *(const dense_vector *)at;
            __builtin_prefetch(at + LINEAR_AHEAD);
            DENSE_UNROLL for (int q = 0; q < quads; q++) {
                dense_vector field[LINEAR_COLUMNS];
                DENSE_UNROLL for (int c = 0; c < columns; c++)
                    field[c] = linear_field(packed, q * columns + c, bits);
                DENSE_UNROLL for (int r = 0; r < rows; r++) {
                    const dense_vector inputs = linear_inputs(x + r * pitch + (step * quads + q) * 4);
                    DENSE_UNROLL for (int c = 0; c < columns; c++)
                        linear_mac(&sum[r][c], field[c], inputs, cell);
                }
            }
        }
        DENSE_UNROLL for (int r = 0; r < rows; r++)
            DENSE_UNROLL for (int c = 0; c < columns; c++) {
                dense_cell *to = sums + r * sums_pitch + c * DENSE_LANES;
                const dense_vector one = (dense_vector)((tercet_i16v){0} + 1);
                dense_vector whole = begin ? dense_load(to) : (dense_vector){0};
                whole += cell == DENSE_U8_QUAD ? dense_madd_i16((dense_vector)sum[r][c].i16, one) : sum[r][c].i32;
                dense_store(to, whole);
            }
    }
}

/* From sums of fields to sums of weights. scale, rest: of the columns, or with `uniform` one of each. */
DENSE_INLINE void linear_weigh(dense_cell *sums, int count, int32_t total, const int8_t *scale, const int8_t *rest,
                               const int uniform) {
    for (int i = 0; i < count; i++)
        sums[i] = sums[i] * scale[uniform ? 0 : i] + total * rest[uniform ? 0 : i];
}

/* Copies a row of inputs, each less `shift`, and returns their sum. */
#define LINEAR_PACK(NAME, FROM)                                                                                      \
    DENSE_INLINE int32_t NAME(int8_t *restrict to, const FROM *restrict from, int inputs, const int shift) {         \
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

/* lanes: columns of a panel. */
DENSE_INLINE void linear_product(const struct tercet_task *task, const struct linear *m, const unsigned char *weights,
                                 const int8_t *scale, const int8_t *rest, linear_pack *const pack,
                                 epilogue_finish *const finish, linear_tile_function *const tall_tile,
                                 linear_tile_function *const short_tile, const int lanes, const int uniform) {
    const int span_lanes = m->span * lanes, spans = (m->columns + span_lanes - 1) / span_lanes;
    const int groups = (m->panels.panels + m->group_panels - 1) / m->group_panels;
    int64_t span_begin = 0, span_end = spans, group_begin = 0, group_end = groups;
    if (m->share_rows)
        tercet_share(task, groups, 1, &group_begin, &group_end);
    else
        tercet_share(task, spans, 1, &span_begin, &span_end);
    if (span_begin == span_end)
        return;
    int8_t *x = (int8_t *)(task->scratch + m->cells);
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
        for (int64_t span = span_begin; span < span_end; span++) {
            const int64_t column = span * span_lanes;
            const int count = (int)DENSE_MIN((int64_t)span_lanes, m->columns - column);
            for (int at = 0; at < count; at += lanes) {
                const unsigned char *panel_weights = weights + (column + at) / lanes * m->steps * TERCET_VECTOR_BYTES;
                for (int panel = first; panel < last; panel++) {
                    const int row = dense_panel_begin(&m->panels, panel) - row_begin;
                    const int rows = dense_panel_begin(&m->panels, panel + 1) - row_begin - row;
                    linear_tile_function *const tile = rows == m->panels.tall ? tall_tile : short_tile;
                    tile(panel_weights, x + row * m->pitch, sums + (int64_t)row * span_lanes + at);
                }
            }
            const int64_t own = uniform ? 0 : column;
            for (int row = row_begin; row < row_end; row++) {
                dense_cell *row_sums = sums + (int64_t)(row - row_begin) * span_lanes;
                linear_weigh(row_sums, count, totals[row - row_begin], scale + own, rest + own, uniform);
                finish(task, row, column, count, row_sums);
            }
        }
    }
}

#endif
