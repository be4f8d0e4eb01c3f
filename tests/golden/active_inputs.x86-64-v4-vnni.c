#define ACTIVE_BLOCK 16
#define ACTIVE_SPARE 32
#define ACTIVE_RUN 32
#define ACTIVE_BYTES 32
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "bit_map.h"
#include "active_lists.h"
#include "active_adders.h"
#include "active_inputs.h"

/* no source node: matmul, threshold; 1x8 ternary in bits of axis 1, 1 groups -> 1x8 ternary; constants 8x8 ternary, 1x2 int -1..2; engine active_inputs */
static const struct active_span k00_tn_matmul_rows[] = {{0, 1}};
static const struct active_span k00_tn_matmul_columns[] = {{0, 1}};
static const struct active_layer k00_tn_matmul_layer = {
    .images = 1, .height = 1, .width = 1,
    .out_height = 1, .out_width = 1,
    .stride_y = 1, .stride_x = 1,
    .dilation_y = 1, .dilation_x = 1,
    .top = 0, .left = 0,
    .kernel_height = 1, .kernel_width = 1,
    .channels = 8, .words = 1,
    .chunk = 1, .chunks = 1,
    .outputs = 8, .blocks = 1, .step = 8,
    .starts = ACTIVE_WHOLE, .odd = 0,
    .row_spans = 1, .column_spans = 1,
    .rows = k00_tn_matmul_rows, .columns = k00_tn_matmul_columns,
    .classes = 0,
    .most = 1, .items = 128,
    .choices = 1,
    .bytes = {.channels = 8, .height = 1, .width = 1, .pitch = 1, .size = 1, .stride = 1, .item = 1},
    .selector = {.planes = 0}, .out = {.channels = 8, .groups = 1, .words = 1, .planes = 2, .shift = {0, 7}, .invert = {0, 0}, .low = -1, .high = 1},
    .weights = 0,
    .limits = 576,
    .codes = 960,
    .counters = 0,
    .lists = 256,
    .differences = 512,
    .starting = 576,
    .bits = 640,
};

static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_matmul_add(uint64_t *counter, const uint64_t *weights, const uint16_t *list) {
    active_add(counter, weights, list, 6, 1, 2);
}

TERCET_FLATTEN void k00_tn_matmul(const struct tercet_task *task) {
    active_product(task, &k00_tn_matmul_layer, k00_tn_matmul_add, NULL, 6, 2, 1, 2, 2, ACTIVE_UNPACKED);
}
