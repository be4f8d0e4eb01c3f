#define DENSE_ROWS 12
#define DENSE_WIDTH 8
#define LINEAR_F32_ROWS 8
#define LINEAR_F32_VECTORS 8
#define LINEAR_F32_RUN 128
#define LINEAR_F32_TABLE 32
#define LINEAR_F32_GROUP 5
#include "tercet_kernel.h"
#include "dense_tile.h"
#include "linear_f32.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"

/* no source node: matmul, relu; 1x8 float -> 1x8 float; constants 8x8 float; engine linear_f32 */
static TERCET_FLATTEN void k00_tn_matmul_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                const void *sums_) {
    const float *restrict sums = (const float *)sums_;
    float *restrict y0 = (float *)task->out[0] + row * 8 + column;
    for (int i = 0; i < count; i++) {
        const float v0 = sums[i];
        const float v1 = v0 < 0 ? 0 : v0;
        y0[i] = v1;
    }
}

static const struct linear_f32 k00_tn_matmul_shape = {
    .inputs = 8, .columns = 8,
    .column_panels = 1,
    .steps = 1, .depth = 1,
    .factor = 0.25f,
    .panels = {1, 1, 1},
    .group_panels = 1, .span = 1,
    .share_rows = 0, .grain = 1,
    .values = 0, .scales = -1,
    .cells = 0, .sums = 64,
};

LINEAR_F32_TILE k00_tn_matmul_tall(const unsigned char *weights, const float *cells, float *sums, int64_t panels,
                                   int steps, int first) {
    linear_f32_tile(weights, cells, sums, panels, steps, first, 1, 2, 0.5f, (-0.5f), LINEAR_F32_TRITS);
}

TERCET_FLATTEN void k00_tn_matmul(const struct tercet_task *task) {
    linear_f32_product(task, &k00_tn_matmul_shape, task->weights + 0, k00_tn_matmul_finish,
                       k00_tn_matmul_tall, NULL, 8, 1, LINEAR_F32_TRITS);
}
