/* Register tiles: the inner loop of every dense kernel.
 *
 * Everything is counted in cells of 4 bytes, the unit of one multiply-accumulate: one float, two int16 or four int8. A
 * tile is `rows` x `width` vectors of sums. Each step of depth loads `width` vectors and `rows` single cells, and adds
 * the product of every pair. Convolutions have pixels in the vectors and weights in the single cells; matrix products
 * have weights in the vectors and inputs in the single cells. */
#ifndef TERCET_DENSE_TILE_H
#define TERCET_DENSE_TILE_H

#include "tercet_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define DENSE_INLINE static inline __attribute__((always_inline))
#define DENSE_UNROLL _Pragma("GCC unroll 16")
#define DENSE_LANES (TERCET_VECTOR_BYTES / 4)
#define DENSE_ROWS 12 /* the largest tile */
#define DENSE_WIDTH 8
#define DENSE_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DENSE_MAX(a, b) ((a) > (b) ? (a) : (b))

/* What a cell holds. Quads are uint8 inputs times int8 weights, added up in int16: the caller bounds the depth. */
enum dense_cell { DENSE_F32, DENSE_I16_PAIR, DENSE_U8_QUAD };

/* How weights lie in memory: as cells, or smaller and widened to cells when read. */
enum dense_weights {
    DENSE_CELLS,    /* cells as they are: floats, int16 pairs, int8 quads */
    DENSE_I8_PAIRS, /* int8 pairs, for int16 cells */
    DENSE_I8_FLOATS /* int8, for float cells */
};

typedef int32_t dense_cell __attribute__((may_alias, aligned(1)));
typedef int32_t dense_vector __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int32_t dense_loose __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias, aligned(1)));
typedef int8_t dense_half __attribute__((vector_size(TERCET_VECTOR_BYTES / 2), may_alias, aligned(1)));
typedef int8_t dense_quarter __attribute__((vector_size(TERCET_VECTOR_BYTES / 4), may_alias, aligned(1)));

DENSE_INLINE dense_vector dense_load(const dense_cell *at) { return *(const dense_loose *)at; }
DENSE_INLINE void dense_store(dense_cell *at, dense_vector value) { *(dense_loose *)at = value; }
DENSE_INLINE dense_vector dense_splat(dense_cell value) { return (dense_vector){0} + value; }

/* Bytes of weights behind one cell. */
DENSE_INLINE int dense_weight_bytes(const enum dense_weights form) {
    return form == DENSE_CELLS ? 4 : form == DENSE_I8_PAIRS ? 2 : 1;
}

/* One vector of weight cells. binary: stored bytes are 0 and 1, for -1 and +1: 2 * byte - 1. */
DENSE_INLINE dense_vector dense_load_weights(const unsigned char *at, const enum dense_weights form,
                                             const int binary) {
    if (form == DENSE_I8_PAIRS) {
        const tercet_i16v pairs = __builtin_convertvector(*(const dense_half *)at, tercet_i16v);
        return (dense_vector)((pairs << binary) - (int16_t)binary);
    }
    if (form == DENSE_I8_FLOATS) {
        const dense_vector whole = __builtin_convertvector(*(const dense_quarter *)at, dense_vector);
        return (dense_vector)__builtin_convertvector((whole << binary) - binary, tercet_f32v);
    }
    const tercet_i8v bytes = (tercet_i8v) * (const dense_loose *)at;
    return binary ? (dense_vector)(bytes + bytes - (int8_t)1) : (dense_vector)bytes;
}

DENSE_INLINE dense_vector dense_fma_f32(dense_vector a, dense_vector b, dense_vector sum) {
#if defined(__AVX512F__) && TERCET_VECTOR_BYTES == 64
    return (dense_vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
#elif defined(__FMA__) && TERCET_VECTOR_BYTES == 32
    return (dense_vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
#elif defined(__ARM_NEON) && TERCET_VECTOR_BYTES == 16
    return (dense_vector)vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b);
#else
    return (dense_vector)((tercet_f32v)a * (tercet_f32v)b + (tercet_f32v)sum);
#endif
}

/* Two int16 products of every cell, added: exact in int32. */
DENSE_INLINE dense_vector dense_madd_i16(dense_vector a, dense_vector b) {
#if defined(__AVX512BW__) && TERCET_VECTOR_BYTES == 64
    return (dense_vector)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && TERCET_VECTOR_BYTES == 32
    return (dense_vector)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && TERCET_VECTOR_BYTES == 16
    return (dense_vector)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    return ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* uint8 x times int8 w, two products added in each int16; the caller knows that they fit. */
DENSE_INLINE tercet_i16v dense_madd_u8(dense_vector x, dense_vector w) {
#if defined(__AVX512BW__) && TERCET_VECTOR_BYTES == 64
    return (tercet_i16v)_mm512_maddubs_epi16((__m512i)x, (__m512i)w);
#elif defined(__AVX2__) && TERCET_VECTOR_BYTES == 32
    return (tercet_i16v)_mm256_maddubs_epi16((__m256i)x, (__m256i)w);
#else
    const tercet_i16v low = (tercet_i16v)x & 255, high = ((tercet_i16v)x >> 8) & 255;
    return low * (((tercet_i16v)w << 8) >> 8) + high * ((tercet_i16v)w >> 8);
#endif
}

/* sum + x * w for all lanes of a vector. Quads keep two int16 sums per lane. */
DENSE_INLINE dense_vector dense_mac(dense_vector sum, dense_vector x, dense_vector w, const enum dense_cell cell) {
    if (cell == DENSE_F32)
        return dense_fma_f32(x, w, sum);
    if (cell == DENSE_I16_PAIR)
        return sum + dense_madd_i16(x, w);
    return (dense_vector)((tercet_i16v)sum + dense_madd_u8(x, w));
}

/* Where one tile reads. Step k loads vectors at `vectors` + offsets[k] cells (convolution), or the k-th `width` vectors
 * of weights (matrix product, offsets NULL), and row i's cell at cells[i * row_step + k * depth_step]. */
struct dense_operands {
    const unsigned char *vectors;
    const int32_t *offsets;
    const dense_cell *cells;
    int64_t row_step, depth_step;
    enum dense_weights form;
    int binary;
};

/* Adds `depth` steps to the tile sums[row * pitch + lane]; `first` starts from zero instead. */
DENSE_INLINE void dense_tile(const struct dense_operands *from, int depth, dense_cell *sums, int64_t pitch, int first,
                             const int rows, const int width, const enum dense_cell cell) {
    dense_vector sum[DENSE_ROWS][DENSE_WIDTH];
    const int load = !first && cell != DENSE_U8_QUAD;
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++)
            sum[i][j] = load ? dense_load(sums + i * pitch + j * DENSE_LANES) : (dense_vector){0};
    const int vector_bytes = DENSE_LANES * dense_weight_bytes(from->form);
    const unsigned char *weights = from->vectors;
    for (int k = 0; k < depth; k++) {
        dense_vector v[DENSE_WIDTH];
        DENSE_UNROLL for (int j = 0; j < width; j++)
            v[j] = from->offsets ? dense_load((const dense_cell *)from->vectors + from->offsets[k] + j * DENSE_LANES)
                                 : dense_load_weights(weights + j * vector_bytes, from->form, from->binary);
        weights += width * vector_bytes;
        DENSE_UNROLL for (int i = 0; i < rows; i++) {
            const dense_vector c = dense_splat(from->cells[i * from->row_step + k * from->depth_step]);
            DENSE_UNROLL for (int j = 0; j < width; j++)
                sum[i][j] = from->offsets ? dense_mac(sum[i][j], v[j], c, cell) : dense_mac(sum[i][j], c, v[j], cell);
        }
    }
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++) {
            dense_cell *at = sums + i * pitch + j * DENSE_LANES;
            if (cell == DENSE_U8_QUAD) {
                const dense_vector wide = ((sum[i][j] << 16) >> 16) + (sum[i][j] >> 16);
                sum[i][j] = wide;
                if (!first)
                    sum[i][j] += dense_load(at);
            }
            dense_store(at, sum[i][j]);
        }
}

/* `count` rows or outputs, split into panels of `tall` and then `tall` - 1 that are as equal as can be. */
struct dense_panels {
    int count, panels, tall;
};

DENSE_INLINE int dense_panel_begin(const struct dense_panels *p, int panel) {
    const int shorter = p->panels * p->tall - p->count; /* how many panels have one row less: the last ones */
    return panel * p->tall - DENSE_MAX(0, panel - (p->panels - shorter));
}

#endif
