#define TABLE_F32_MAX_GROUP 5
#define TABLE_F32_MAX_SUMS 12
#include "tercet_kernel.h"
#include "tercet_element.h"
#include "planes.h"
#include "epilogue.h"
#include "table_f32.h"

/* no source node: conv; 1x3x8x8 float in planes (pitch 10, size 100) -> 1x2x8x8 float; constants 2x3x3x3 float; engine table_f32 */
static TERCET_FLATTEN __attribute__((noinline)) void k00_tn_conv_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,
                                                                        const void *sums_) {
    const float *restrict sums = (const float *)sums_;
    float y0[64];
    for (int block = 0; block < count; block += 16) {
        for (int i = block; i < block + 16; i++) {
            const float v0 = sums[i];
            y0[i] = v0;
        }
    }
    memcpy((float *)task->out[0] + row * 64 + column, y0, count * sizeof *y0);
}

static const struct table_f32_window k00_tn_conv_windows[] = {{0, 10}};
static const struct table_f32_layer k00_tn_conv_layer = {
    .in_pitch = 10, .in_size = 100,
    .height = 8, .width = 8,
    .convolutions = 1, .inputs = 3, .outputs = 2,
    .radix = 3, .group = 3, .values = {0.0f, 0.5f, (-0.5f)},
    .rows = 8, .vectors = 1, .columns = 4,
    .window_rows = 10, .pitch = 2,
    .block = 2, .run = 64,
    .windows = k00_tn_conv_windows,
    .scales = -1, .sums = 8640, .finished = 8896,
};

static const int k00_tn_conv_offsets0[] = {0, 1, 2, 8, 9, 10, 16, 17, 18};

static TERCET_FLATTEN void k00_tn_conv_add0(const float *tables, const unsigned char *index, table_f32_v *sums,
                                            int channels, int fresh) {
    table_f32_look_up(&k00_tn_conv_layer, k00_tn_conv_offsets0, 9, tables, index, sums, channels, fresh);
}

static const struct table_f32_part k00_tn_conv_parts[] = {
    {0, 1, 9, 1, k00_tn_conv_add0, NULL},
};

TERCET_FLATTEN void k00_tn_conv(const struct tercet_task *task) {
    table_f32_conv(&k00_tn_conv_layer, k00_tn_conv_parts, 1, task, k00_tn_conv_finish);
}
