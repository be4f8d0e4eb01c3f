#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "adder_graph.h"

/* no source node: conv, threshold; 1x3x8x8 ternary in planes (pitch 10, size 100) -> 1x2x8x8 ternary; constants 2x3x3x3 ternary, 2x2 int -3..4; engine adder_graph */
/* 27 additions, depth 5, at most 5 sums alive. */
static SUMS_STRAIGHT void k00_tn_conv_sums0(SUMS_TILE) {
    const sums_8 t9 = sums_add8(sums_x8(x + 102), sums_x8(x + 112));
    const sums_8 t10 = sums_sub8(sums_x8(x + 121), sums_x8(x + 122));
    const sums_8 t13 = sums_sub8(t10, t9);
    const sums_8 t11 = sums_add8(sums_x8(x + 220), sums_x8(x + 222));
    const sums_8 t7 = sums_sub8(sums_x8(x + 11), sums_x8(x + 10));
    const sums_8 t8 = sums_add8(sums_x8(x + 21), sums_x8(x + 22));
    const sums_8 t12 = sums_sub8(t7, t8);
    const sums_8 t14 = sums_add8(t11, t12);
    const sums_8 t15 = sums_add8(t13, t14);
    const sums_8 t23 = sums_add8(sums_x8(x + 0), sums_x8(x + 100));
    const sums_8 t24 = sums_add8(sums_x8(x + 201), t23);
    const sums_8 t0 = sums_sub8(sums_x8(x + 1), sums_x8(x + 12));
    const sums_8 t1 = sums_sub8(sums_x8(x + 120), sums_x8(x + 200));
    const sums_8 t4 = sums_add8(t0, t1);
    const sums_8 t2 = sums_sub8(sums_x8(x + 210), sums_x8(x + 211));
    const sums_8 t3 = sums_add8(sums_x8(x + 212), sums_x8(x + 221));
    const sums_8 t5 = sums_add8(t2, t3);
    const sums_8 t6 = sums_add8(t4, t5);
    const sums_8 t25 = sums_sub8(t6, t24);
    const sums_8 t26 = sums_sub8(t25, t15);
    sums_store8(to + 1 * step, sums_levels8(t26, -1, 1, 2, (const int[]){-4, 3}), NULL);
    const sums_8 t18 = sums_sub8(sums_x8(x + 111), sums_x8(x + 202));
    const sums_8 t16 = sums_sub8(sums_x8(x + 20), sums_x8(x + 2));
    const sums_8 t17 = sums_add8(sums_x8(x + 101), sums_x8(x + 110));
    const sums_8 t19 = sums_sub8(t16, t17);
    const sums_8 t20 = sums_add8(t18, t19);
    const sums_8 t21 = sums_sub8(t20, t6);
    const sums_8 t22 = sums_sub8(t21, t15);
    sums_store8(to + 0 * step, sums_levels8(t22, -1, 1, 2, (const int[]){-3, 2}), NULL);
}

static const struct sums_layer k00_tn_conv_layer = {
    .in = {.channels = 3, .height = 8, .width = 8, .top = 1, .left = 1, .pitch = 10, .size = 100, .stride = 1, .zero = 1, .item = 1},
    .out = {.channels = 2, .height = 8, .width = 8, .top = 0, .left = 0, .pitch = 8, .size = 64, .stride = 1, .zero = 0, .item = 1},
    .selector = {.choices = 1},
    .part_count = 1,
    .parts = {k00_tn_conv_sums0},
};

void k00_tn_conv(const struct tercet_task *task) {
    sums_conv(&k00_tn_conv_layer, task, NULL);
}
