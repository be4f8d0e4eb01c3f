#define POPCOUNT_PIXELS 8
#define POPCOUNT_VECTORS 8
#define POPCOUNT_SPARE 32
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "bit_map.h"
#include "popcount_tile.h"
#include "popcount.h"

/* no source node: conv, threshold; 1x3x8x8 ternary in bits of axis 1, 1 groups -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine popcount */
static const struct popcount_span k00_tn_conv_rows[] = {{0, 1, 1, 2}, {1, 7, 0, 3}, {7, 8, 0, 2}};
static const struct popcount_span k00_tn_conv_columns[] = {{0, 1, 1, 2}, {1, 7, 0, 3}, {7, 8, 0, 2}};
static const struct popcount_layer k00_tn_conv_layer = {
    .images = 1, .height = 8, .width = 8,
    .out_height = 8, .out_width = 8,
    .stride_y = 1, .stride_x = 1,
    .dilation_y = 1, .dilation_x = 1,
    .top = 1, .left = 1,
    .kernel_height = 3, .kernel_width = 3,
    .groups = 1, .words = 1, .planes = 2,
    .joined = 1,
    .outputs = 2, .blocks = 1,
    .row_spans = 3, .column_spans = 3,
    .rows = k00_tn_conv_rows, .columns = k00_tn_conv_columns,
    .share = POPCOUNT_SHARE_ROWS, .band_rows = 8, .band_columns = 8,
    .thresholds = 2, .limit_bytes = 2,
    .scale = 1,
    .choices = 1,
    .bytes = {.channels = 2, .height = 1, .width = 64, .pitch = 64, .size = 64, .stride = 1, .item = 1},
    .selector = {.planes = 0}, .out = {.channels = 2, .groups = 1, .words = 1, .planes = 2, .shift = {0, 7}, .invert = {0, 0}, .low = -1, .high = 1},
    .weights = 0,
    .limits = 1152,
    .codes = 1216,
    .class_items = 0,
    .sums = 0,
    .bits = 192,
};

static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_tile1(const struct popcount_tile *t) {
    popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS];
    popcount_count(t, u, 1, 4, 1, POPCOUNT_TERNARY, POPCOUNT_PLUS);
    popcount_levels(t, u, 1, 4, 4, 2, 2, 1, &k00_tn_conv_layer.selector, 0);
}

static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_tile2(const struct popcount_tile *t) {
    popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS];
    popcount_count(t, u, 2, 4, 1, POPCOUNT_TERNARY, POPCOUNT_PLUS);
    popcount_levels(t, u, 2, 4, 4, 2, 2, 1, &k00_tn_conv_layer.selector, 0);
}

static popcount_tile_function *const k00_tn_conv_tiles[] = {k00_tn_conv_tile1, k00_tn_conv_tile2};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    popcount_product(task, &k00_tn_conv_layer, k00_tn_conv_tiles, NULL, 2, 4, 2, 0, POPCOUNT_UNPACKED);
}
