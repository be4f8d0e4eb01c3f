#define BIT_ROWS_RUN 64
#define BITS_MAX_COUNTER 16
#define BITS_BLOCK 16
#define BITS_STEPS 32
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "bit_rows.h"
#include "bit_sliced.h"
#include "bit_sliced_tile.h"

/* no source node: conv, threshold; 1x3x8x8 ternary in rows of bits (pitch 1, size 64) -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine bit_sliced */
static const int k00_tn_conv_shifts0[] = {0, 1, 2};
static const struct bits_source k00_tn_conv_sources[] = {{-9, -1, -1, 3, 3, k00_tn_conv_shifts0}};

static const struct bits_layer k00_tn_conv_layer = {
    .in = {.channels = 3, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 8, .size = 64, .stride = 1, .zero = 0, .item = 1},
    .inputs = 3, .outputs = 2,
    .source_count = 1, .sources = k00_tn_conv_sources,
    .slots = 3, .step = 1,
    .planes = 2, .marks = {BIT_ROWS_PLUS, BIT_ROWS_ZERO},
    .tile = 32, .pitch = 1, .chunk = 1, .rows = 34,
    .unit = 1, .window = 41,
    .number_window = 82, .number_step = 1,
    .counters = 6, .doubled = 0, .whole = 6,
    .signs = 2,
    .steps = 2, .scale = 1,
    .out = {.channels = 2, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 8, .size = 64, .stride = 1, .zero = 0, .item = 1},
    .selector = {.choices = 1},
    .rows_in = {.channels = 3, .height = 8, .width = 8, .pitch = 1, .size = 64, .planes = 2, .low = -1, .step = 1, .marks = {BIT_ROWS_PLUS, BIT_ROWS_NOT_MINUS}},
    .row_spans = 1, .column_spans = 1,
    .records = 0, .start = 64, .lists = 128,
};

#undef BITS_BYTES
#define BITS_BYTES 32
#include "bit_sliced_tile.h"

static TERCET_FLATTEN void k00_tn_conv_start32(const struct bits_tile *t) {
    bits_start(&k00_tn_conv_layer, t);
}
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_output32(const struct bits_tile *t, int channel) {
    bits_output(&k00_tn_conv_layer, t, channel, NULL);
}
static const struct bits_width k00_tn_conv_width32 = {32, k00_tn_conv_start32, k00_tn_conv_output32};

#undef BITS_BYTES
#define BITS_BYTES 16
#include "bit_sliced_tile.h"

static TERCET_FLATTEN void k00_tn_conv_start16(const struct bits_tile *t) {
    bits_start(&k00_tn_conv_layer, t);
}
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_output16(const struct bits_tile *t, int channel) {
    bits_output(&k00_tn_conv_layer, t, channel, NULL);
}
static const struct bits_width k00_tn_conv_width16 = {16, k00_tn_conv_start16, k00_tn_conv_output16};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    bits_conv(&k00_tn_conv_layer, task, k00_tn_conv_width32, k00_tn_conv_width16, 0);
}
