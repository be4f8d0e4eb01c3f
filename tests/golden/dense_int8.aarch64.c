#define DENSE_ROWS 12
#define DENSE_WIDTH 8
#include "tercet_kernel.h"
#include "dense_tile.h"
#include "dense_conv.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "dense_int8.h"

/* no source node: conv, dequantize; 1x3x8x8 int 0..255 -> 1x2x8x8 float; constants 2x3x3x3 int -127..127, 2x1x1 float; engine dense_int8 */
static TERCET_FLATTEN void k00_tn_conv_pack(dense_cell *to, const void *map, int64_t first, int channels, int count) {
    dense_planes_u8_quads(to, (const uint8_t *)map + first, 64, channels, count, 1, -128);
}
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                                        const void *sums_) {
    const int32_t *restrict sums = (const int32_t *)sums_;
    const int32_t c0 = ((const int32_t *)(task->weights + 192))[row];
    const float c1 = ((const float *)(task->weights + 256))[row];
    float y0[96];
    for (int block = 0; block < count; block += 16) {
        for (int i = block; i < block + 16; i++) {
            const int32_t v0 = sums[i];
            const int32_t v1 = v0 + c0;
            const float v2 = (float)v1 * c1;
            y0[i] = v2;
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
    .block_rows = 8, .block_columns = 8, .block_depth = 9,
    .cells = 1, .per_cell = 4, .border = 128, .panels = {2, 1, 2},
    .direct = 0, .share_panels = 0,
    .shared = 0, .group_lanes = 84,
    .join_rows = 1, .prepare_all = 0, .runs = 0,
    .offsets = 0, .prepared = 64, .planes = 64, .sums = 640,
};

DENSE_TILE k00_tn_conv_tall(const unsigned char *vectors, const int32_t *offsets, const dense_cell *cells, int depth,
                            dense_cell *sums, int first) {
    const struct dense_operands from = {vectors, offsets, cells, 1, 2, DENSE_CELLS, 0};
    dense_tile(&from, depth, sums, 84, first, 2, 7, DENSE_INPUT_LANES, DENSE_I8_DOT);
}

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    dense_conv(task, &k00_tn_conv_shape, task->weights + 0, k00_tn_conv_pack, k00_tn_conv_finish,
               k00_tn_conv_tall, NULL, 7 * DENSE_LANES, DENSE_CELLS, 0);
}
