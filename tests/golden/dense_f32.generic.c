#define DENSE_ROWS 12
#define DENSE_WIDTH 8
#include "tercet_kernel.h"
#include "dense_tile.h"
#include "dense_conv.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "dense_f32.h"

/* no source node: conv; 1x3x8x8 float -> 1x2x8x8 float; constants 2x3x3x3 float; engine dense_f32 */
static TERCET_FLATTEN void k00_tn_conv_pack(dense_cell *to, const void *map, int64_t first, int channels, int count) {
    dense_pack_f32(to, (const float *)map + first, count, 1);
}
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                                        const void *sums_) {
    const float *restrict sums = (const float *)sums_;
    float y0[80];
    for (int block = 0; block < count; block += 16) {
        for (int i = block; i < block + 16; i++) {
            const float v0 = sums[i];
            y0[i] = v0;
        }
    }
    memcpy((float *)task->out[0] + row * 64 + column, y0, count * sizeof *y0);
}

static const struct dense_conv k00_tn_conv_shape = {
    .images = 1, .groups = 1, .channels = 3, .outputs = 2,
    .height = 8, .width = 8, .out_height = 8, .out_width = 8,
    .kernel_height = 3, .kernel_width = 3, .stride_y = 1, .stride_x = 1,
    .dilation_y = 1, .dilation_x = 1, .top = 1, .left = 1,
    .phases_y = 1, .phases_x = 1, .pitch = 10, .plane_rows = 10, .plane = 100,
    .block_rows = 8, .block_columns = 8, .block_depth = 27,
    .cells = 3, .per_cell = 1, .border = 0, .panels = {2, 1, 2},
    .direct = 0, .share_panels = 0,
    .shared = 0, .group_lanes = 80,
    .join_rows = 1, .prepare_all = 0, .runs = 0,
    .offsets = 0, .prepared = 128, .planes = 128, .sums = 1472,
};

DENSE_TILE k00_tn_conv_tall(const unsigned char *vectors, const int32_t *offsets, const dense_cell *cells, int depth,
                            dense_cell *sums, int first) {
    const struct dense_operands from = {vectors, offsets, cells, 1, 2, DENSE_CELLS, 0};
    dense_tile(&from, depth, sums, 80, first, 2, 5, DENSE_INPUT_LANES, DENSE_F32);
}

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    dense_conv(task, &k00_tn_conv_shape, task->weights + 0, k00_tn_conv_pack, k00_tn_conv_finish,
               k00_tn_conv_tall, NULL, 5 * DENSE_LANES, DENSE_CELLS, 0);
}
