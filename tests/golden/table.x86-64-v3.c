#define TABLE_MAX_GROUP 8
#define TABLE_MAX_VECTORS 4
#define TABLE_STAGED 16
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "table_sums.h"
#include "table.h"

/* no source node: conv, threshold; 1x3x8x8 ternary in planes (pitch 10, size 100) -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine table */
static const int k00_tn_conv_taps[] = {0, 1, 2, 10, 11, 12, 20, 21, 22};

static const struct table_layer k00_tn_conv_layer = {
    .in = {.channels = 3, .height = 8, .width = 8, .top = 1, .left = 1, .pitch = 10, .size = 100, .stride = 1, .zero = 1, .item = 1},
    .taps = k00_tn_conv_taps,
    .tap_count = 9,
    .inputs = 3,
    .outputs = 2,
    .weights = TABLE_TERNARY,
    .in_unsigned = 0,
    .lane = 1, .wide = 1,
    .vectors = 1, .group = 1, .chunk = 27,
    .steps = 2,
    .out = {.channels = 2, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 8, .size = 64, .stride = 1, .zero = 0, .item = 1},
    .selector = {.choices = 1},
    .records = 64,
};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    table_conv(&k00_tn_conv_layer, task, NULL);
}
