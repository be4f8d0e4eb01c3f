#define PERMUTE_PIXELS 8
#define PERMUTE_VECTORS 4
#define PERMUTE_ROWS 16
#define PERMUTE_CELLS 32
#define PERMUTE_WORDS 3
#define PERMUTE_SPARE 32
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "transpose.h"
#include "permute_tile.h"
#include "permute.h"

/* no source node: conv, threshold; 1x3x8x8 ternary -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine permute */
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                                        const void *sums_) {
    const int32_t *restrict sums = (const int32_t *)sums_;
    const int32_t c0 = ((const int32_t *)(task->weights + 576))[row];
    const int8_t c1 = ((const int8_t *)(task->weights + 640))[row];
    const int8_t c2 = ((const int8_t *)(task->weights + 704))[row];
    int8_t y0[64];
    for (int block = 0; block < count; block += 32) {
        for (int i = block; i < block + 32; i++) {
            const int32_t v0 = sums[i];
            const int32_t v1 = v0 + c0;
            const int32_t v2 = -1 + (v1 >= c1) + (v1 >= c2);
            y0[i] = (int8_t)v2;
        }
    }
    memcpy((int8_t *)task->out[0] + row * 64 + column, y0, count * sizeof *y0);
}

static const struct permute_layer k00_tn_conv_layer = {
    .images = 1, .height = 8, .width = 8,
    .out_height = 8, .out_width = 8,
    .stride_y = 1, .dilation_y = 1,
    .top = 1, .left = 1,
    .kernel_height = 3, .kernel_width = 3,
    .stride_x = 1, .column_step = 1, .column_stride = 1,
    .column_dilation = 1,
    .groups = 1, .channels = 3, .tables = 1,
    .outputs = 2, .blocks = 1,
    .lowest = -1, .turned = 0,
    .share = PERMUTE_SHARE_ROWS, .band_rows = 8, .band_columns = 8,
    .ring_rows = 8, .row_bytes = 640,
    .block_bytes = 384,
    .indices = 0,
    .digits = 384,
    .signs = 512,
    .ring = 0,
    .padding = 5120,
    .pairs = 5760,
    .held = 5888,
    .taps = 5952,
    .staged = 6144,
    .sums = 16384,
};

static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_tile(const struct permute_tile *t) {
    permute_sum(t, 8, 1, 3, 1, 64, 3, 6);
}

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    permute_conv(task, &k00_tn_conv_layer, k00_tn_conv_tile, k00_tn_conv_finish, 8, 32, 3, 2);
}
