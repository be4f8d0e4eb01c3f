#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "adder_graph.h"

/* no source node: conv, threshold; 1x3x8x8 ternary in planes (pitch 10, size 100) -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine adder_graph */
/* 27 additions, depth 5, at most 3 sums alive. */
static SUMS_STRAIGHT void k00_tn_conv_sums0(SUMS_TILE) {
    const sums_8 t14 = X8(220) + X8(222) + X8(11) - X8(10) - X8(21) - X8(22);
    const sums_8 t15 = t14 + X8(121) - X8(122) - X8(102) - X8(112);
    const sums_8 t5 = X8(210) - X8(211) + X8(212) + X8(221);
    const sums_8 t6 = t5 + X8(1) - X8(12) + X8(120) - X8(200);
    const sums_8 t21 = X8(111) - t6 - X8(202) + X8(20) - X8(2) - X8(101) - X8(110);
    const sums_8 t22 = t21 - t15;
    sums_store8(to + 0 * step, sums_levels8(t22, -1, 1, 2, (const int[]){-3, 2}), NULL);
    const sums_8 t25 = t6 - X8(201) - X8(0) - X8(100);
    const sums_8 t26 = t25 - t15;
    sums_store8(to + 1 * step, sums_levels8(t26, -1, 1, 2, (const int[]){-4, 3}), NULL);
}

static const struct sums_layer k00_tn_conv_layer = {
    .in = {.channels = 3, .height = 8, .width = 8, .top = 1, .left = 1, .pitch = 10, .size = 100, .stride = 1, .zero = 1, .item = 1},
    .out = {.channels = 2, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 8, .size = 64, .stride = 1, .zero = 0, .item = 1},
    .selector = {.choices = 1},
    .part_count = 1,
    .parts = {k00_tn_conv_sums0},
};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    sums_conv(&k00_tn_conv_layer, task, NULL);
}
