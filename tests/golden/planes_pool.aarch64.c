#include "tercet_kernel.h"
#include "planes.h"
#include "planes_pool.h"

/* no source node: max_pool; 1x2x8x8 ternary in planes (pitch 4, size 64, 2x2 phases) -> 1x2x4x4 ternary; engine planes_pool */
static const struct pool_layer k00_tn_max_pool_layer = {
    .in = {.channels = 2, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 4, .size = 64, .stride = 2, .zero = 0, .item = 1},
    .out = {.channels = 2, .height = 4, .width = 4, .top = 0, .left = 0, .pitch = 4, .size = 16, .stride = 1, .zero = 0, .item = 1},
    .kernel_height = 2, .kernel_width = 2,
    .stride_y = 2, .stride_x = 2,
    .dilation_y = 1, .dilation_x = 1,
    .pad_top = 0, .pad_left = 0, .padded = 0,
};

TERCET_FLATTEN void k00_tn_max_pool(const struct tercet_task *task) {
    pool_max(&k00_tn_max_pool_layer, task);
}
