/* What one element of an elementwise operation is: the same float32 steps as the numpy interpreter's. */
#ifndef TERCET_ELEMENT_H
#define TERCET_ELEMENT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Stands in every loop that is not innermost. gcc 12 unrolls short inner loops, vectorises the outer one instead, and
 * with masked loads (AVX2 and up) of several elements reads wrong addresses. This statement compiles to nothing, but
 * keeps it to the innermost loop. */
#define TERCET_OUTER_LOOP __asm__ volatile("")

/* NaN in, NaN out, as numpy's maximum and minimum. */
static inline float tercet_max_f32(float a, float b) { return ((a > b) | (a != a)) ? a : b; }
static inline float tercet_min_f32(float a, float b) { return ((a < b) | (a != a)) ? a : b; }
static inline int32_t tercet_max_i32(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t tercet_min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int64_t tercet_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t tercet_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

/* Rounding to a whole float. `x + 0.5` would itself round, so nearest goes by the exact fraction. */
static inline float tercet_round(float x) { return rintf(x); }
static inline float tercet_round_ceil(float x) { return ceilf(x); }
static inline float tercet_round_floor(float x) { return floorf(x); }
static inline float tercet_round_up(float x) { return copysignf(ceilf(fabsf(x)), x); }
static inline float tercet_round_down(float x) { return truncf(x); }
static inline float tercet_round_half_up(float x) {
    const float size = fabsf(x), whole = truncf(size);
    return copysignf(whole + (size - whole >= 0.5f ? 1.0f : 0.0f), x);
}
static inline float tercet_round_half_down(float x) {
    const float size = fabsf(x), whole = truncf(size);
    return copysignf(whole + (size - whole > 0.5f ? 1.0f : 0.0f), x);
}

/* The same of a double, as a float: exact up to 2^24, and monotone beyond, where it is saturated anyway. */
static inline float tercet_round_f64(double x) { return (float)rint(x); }
static inline float tercet_round_ceil_f64(double x) { return (float)ceil(x); }
static inline float tercet_round_floor_f64(double x) { return (float)floor(x); }
static inline float tercet_round_up_f64(double x) { return (float)copysign(ceil(fabs(x)), x); }
static inline float tercet_round_down_f64(double x) { return (float)trunc(x); }
static inline float tercet_round_half_up_f64(double x) {
    const double size = fabs(x), whole = trunc(size);
    return (float)copysign(whole + (size - whole >= 0.5 ? 1.0 : 0.0), x);
}
static inline float tercet_round_half_down_f64(double x) {
    const double size = fabs(x), whole = trunc(size);
    return (float)copysign(whole + (size - whole > 0.5 ? 1.0 : 0.0), x);
}

static inline int32_t tercet_bits(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float tercet_from_bits(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A whole float as an integer of lo..hi, at most 2^24 apart; NaN counts as 0. Floats from 0 on are ordered as their bits
 * are, and integers have a minimum and a maximum: compilers turn comparisons of floats into long chains of masks. */
static inline int32_t tercet_saturate_i32(float x, float lo, float hi) {
    const float number = tercet_from_bits(tercet_bits(x) & -(x == x));
    const int32_t above = tercet_bits(number - lo), most = tercet_bits(hi - lo);
    const int32_t positive = above < 0 ? 0 : above;
    return (int32_t)tercet_from_bits(positive > most ? most : positive) + (int32_t)lo;
}

/* The same for any lo..hi. */
static inline int64_t tercet_saturate_i64(float x, int64_t lo, int64_t hi) {
    x = x == x ? x : 0.0f;
    if (x >= 0x1p63f)
        return hi;
    if (x < -0x1p63f)
        return lo;
    const int64_t whole = (int64_t)x;
    return whole < lo ? lo : whole > hi ? hi : whole;
}

/* x modulo `size`, as a value of lo..lo + size - 1. */
static inline int64_t tercet_wrap(int64_t x, int64_t lo, int64_t size) {
    const int64_t a = (x % size + size) % size, b = (lo % size + size) % size;
    return (a >= b ? a - b : a - b + size) + lo;
}

/* Towards zero; 0 where b is 0. The one quotient that overflows wraps. */
static inline int32_t tercet_div_i32(int32_t a, int32_t b) { return b == 0 ? 0 : a / b; }
static inline int64_t tercet_div_i64(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

/* a * b + c, rounded once where that is an instruction. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define TERCET_FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define TERCET_FMA(a, b, c) ((a) * (b) + (c))
#endif

/* e^x is 2^n times what this returns; the lowest bits of *rounded are n. Operations that compilers vectorise: r = x - n ln 2,
 * then 1 + r + r^2 p(r), with p fitted to the least relative error for |r| <= ln 2 / 2. x: -104..89, or NaN. */
static inline float tercet_exp_of_rest(float x, float *rounded) {
    *rounded = TERCET_FMA(x, 0x1.715476p+0f, 0x1.8p23f);
    const float n = *rounded - 0x1.8p23f;
    const float r = TERCET_FMA(n, -0x1.7f7d1cp-20f, TERCET_FMA(n, -0x1.62e4p-1f, x)); /* the inner product is exact */
    float p = TERCET_FMA(0x1.6db428p-10f, r, 0x1.123b54p-7f);
    p = TERCET_FMA(p, r, 0x1.55545ep-5f);
    p = TERCET_FMA(p, r, 0x1.55548ep-3f);
    p = TERCET_FMA(p, r, 0.5f);
    return TERCET_FMA(p, r * r, r) + 1.0f;
}

/* e to the x, at most 1 ulp off. 2^n in two factors, so that results may be subnormal. */
static inline float tercet_exp(float x) {
    float rounded;
    const float rest = tercet_exp_of_rest(x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x, &rounded);
    const int32_t n = (int32_t)((uint32_t)tercet_bits(rounded) - 0x4b400000u), half = n >> 1;
    const float a = tercet_from_bits((int32_t)((uint32_t)(half + 127) << 23));
    return rest * a * tercet_from_bits((int32_t)((uint32_t)(n - half + 127) << 23));
}

/* 1 / (1 + e^-x), where what is below the smallest normal number does not matter and 2^128 is infinite. */
static inline float tercet_sigmoid(float x) {
    float rounded;
    const float rest = tercet_exp_of_rest(x > 87.0f ? -87.0f : x < -89.0f ? 89.0f : -x, &rounded);
    return 1.0f / (1.0f + rest * tercet_from_bits((int32_t)(((uint32_t)tercet_bits(rounded) << 23) + 0x3f800000u)));
}
static inline float tercet_softplus(float x) { return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x))); }
static inline float tercet_elu(float x, float alpha) { return x < 0.0f ? alpha * expm1f(x) : x; }
static inline float tercet_gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0x1.6a09e6p-1f)); }
static inline float tercet_gelu_tanh(float x) {
    return 0.5f * x * (1.0f + tanhf(0x1.988454p-1f * (x + 0.044715f * x * x * x)));
}
static inline float tercet_mish(float x) { return x * tanhf(tercet_softplus(x)); }
static inline float tercet_hard_sigmoid(float x, float alpha, float beta) {
    return tercet_max_f32(0.0f, tercet_min_f32(1.0f, alpha * x + beta));
}
static inline float tercet_hard_swish(float x) {
    return x * tercet_max_f32(0.0f, tercet_min_f32(1.0f, x / 6.0f + 0.5f));
}
static inline float tercet_batch_norm(float x, float scale, float bias, float mean, float var, float epsilon) {
    const float k = scale / sqrtf(var + epsilon);
    return x * k + (bias - mean * k);
}

/* How many of the `kernel` positions start, start + dilation, .. are in lo..hi - 1. */
static inline int64_t tercet_window_count(int64_t start, int64_t kernel, int64_t dilation, int64_t lo, int64_t hi) {
    const int64_t first = start >= lo ? 0 : (lo - start + dilation - 1) / dilation;
    const int64_t last = start >= hi ? 0 : (hi - start + dilation - 1) / dilation;
    const int64_t end = last < kernel ? last : kernel;
    return end > first ? end - first : 0;
}

/* The dot product of n neighbouring floats, summed in 16 lanes. */
static inline float tercet_dot_f32(const float *restrict a, const float *restrict b, int64_t n) {
    float lanes[16] = {0}, sum = 0;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int j = 0; j < 16; j++)
            lanes[j] += a[k + j] * b[k + j];
    for (; k < n; k++)
        sum += a[k] * b[k];
    for (int j = 0; j < 16; j++)
        sum += lanes[j];
    return sum;
}

/* How many of n ascending thresholds x reaches; NaN reaches none. */
#define TERCET_COUNT(NAME, X, T)                                                                                     \
    static inline int32_t NAME(X x, const T *thresholds, int32_t n) {                                                \
        int32_t below = 0;                                                                                           \
        while (n > 0) {                                                                                              \
            const int32_t half = n / 2;                                                                              \
            const int passes = x >= (X)thresholds[below + half];                                                     \
            below = passes ? below + half + 1 : below;                                                               \
            n = passes ? n - half - 1 : half;                                                                        \
        }                                                                                                            \
        return below;                                                                                                \
    }

#endif
