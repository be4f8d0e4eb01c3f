#define DENSE_ROWS 12
#define DENSE_WIDTH 8
#define LINEAR_ROWS 8
#define LINEAR_COLUMNS 4
#define LINEAR_RUN 64
#include "tercet_kernel.h"
#include "dense_tile.h"
#include "linear.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"

/* no source node: matmul, threshold; 1x8 ternary -> 1x8 ternary; constants 8x8 ternary, 1x2 int -1..2; engine linear */
static TERCET_FLATTEN void k00_tn_matmul_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                const void *sums_) {
    const int32_t *restrict sums = (const int32_t *)sums_;
    int8_t *restrict y0 = (int8_t *)task->out[0] + row * 8 + column;
    for (int i = 0; i < count; i++) {
        const int32_t v0 = sums[i];
        const int32_t v1 = -1 + (v0 >= -1) + (v0 >= 2);
        y0[i] = (int8_t)v1;
    }
}

static const struct linear k00_tn_matmul_shape = {
    .inputs = 8, .columns = 8,
    .column_panels = 1,
    .steps = 1, .depth = 1,
    .pitch = 64,
    .panels = {1, 1, 1},
    .group_panels = 1, .span = 1,
    .share_rows = 0, .grain = 1,
    .x = 0, .totals = 64, .cells = 128, .sums = 192,
};

static int32_t k00_tn_matmul_pack(int8_t *to, const void *map, int64_t first) {
    return linear_pack_i8(to, (const int8_t *)map + first, 8, 0);
}

LINEAR_TILE k00_tn_matmul_tall(const unsigned char *weights, const unsigned char *x, dense_cell *sums,
                               int64_t panels, int steps, int first) {
    linear_tile(weights, x, sums, panels, steps, first, 1, 1, 2, DENSE_U8_DOT);
}

TERCET_FLATTEN void k00_tn_matmul(const struct tercet_task *task) {
    linear_product(task, &k00_tn_matmul_shape, task->weights + 0, (const int8_t *)task->weights + 64,
                   (const int8_t *)task->weights + 128, k00_tn_matmul_pack, k00_tn_matmul_finish,
                   k00_tn_matmul_tall, NULL, 16, 4, DENSE_U8_DOT, 1);
}
