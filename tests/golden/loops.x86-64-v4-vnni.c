#include "tercet_kernel.h"
#include "tercet_element.h"

/* no source node: mul, relu, quantize; 1x4x8 float -> 1x4x8 int 0..15; constants 4x1 float, scalar float; engine loops */
void k00_tn_mul(const struct tercet_task *task) {
    const float *restrict in0 = task->in[0];
    const float *restrict constant0 = (const float *)(task->weights + 0);
    const float *restrict constant1 = (const float *)(task->weights + 64);
    int8_t *restrict out0 = task->out[0];

    {
        int64_t begin, end;
        tercet_share(task, 4, 1, &begin, &end);
        for (int64_t i0 = begin; i0 < end; i0++) {
            TERCET_OUTER_LOOP;
            for (int64_t i1 = 0; i1 < 8; i1++) {
                const float in0_at0 = in0[i0 * 8 + i1];
                const float constant0_at0 = constant0[i0];
                const float mul0 = in0_at0 * constant0_at0;
                const float relu0 = mul0 < 0 ? 0 : mul0;
                const float constant1_at0 = constant1[0];
                const int32_t quantize0 = tercet_saturate_i32(tercet_round(relu0 / constant1_at0), 0.0f, 15.0f);
                out0[i0 * 8 + i1] = (int8_t)quantize0;
            }
        }
    }
}
