#define DEPTHWISE_COLUMNS 8
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "transpose.h"
#include "depthwise.h"

/* no source node: conv; 1x18x5x6 float -> 1x18x5x6 float; constants 18x1x3x3 float; engine depthwise */
static TERCET_FLATTEN void k00_tn_conv_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                              const void *sums_) {
    const float *restrict sums = (const float *)sums_;
    float y0[32];
    for (int block = 0; block < count; block += 16) {
        for (int i = block; i < block + 16; i++) {
            const float v0 = sums[i];
            y0[i] = v0;
        }
    }
    memcpy((float *)task->out[0] + row * 30 + column, y0, count * sizeof *y0);
}

static const struct depthwise_layer k00_tn_conv_layer = {
    .images = 1, .groups = 18, .outputs = 1,
    .height = 5, .width = 6, .out_height = 5, .out_width = 6,
    .kernel_height = 3, .kernel_width = 3, .stride_y = 1, .stride_x = 1,
    .dilation_y = 1, .dilation_x = 1, .top = 1, .left = 1,
    .rows = 5, .pitch = 8, .plane_rows = 7, .run = 32,
    .weights = 0,
    .planes = 576,
    .sums = 4160,
    .turned = 6592,
};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    depthwise_conv(&k00_tn_conv_layer, task, k00_tn_conv_finish, 6, DEPTHWISE_F32, DEPTHWISE_FLOATS);
}
