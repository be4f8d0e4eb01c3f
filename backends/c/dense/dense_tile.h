/* Register tiles: the inner loop of every dense kernel.
 *
 * Everything is counted in cells of 4 bytes, the unit of one multiply-accumulate: one float, two int16 or four int8. A
 * tile is `rows` x `width` vectors of sums. Each step of depth loads `width` vectors and `rows` single cells, and adds
 * the product of every pair. Convolutions have pixels in the vectors and weights in the single cells; matrix products
 * have weights in the vectors and inputs in the single cells. */
#ifndef TERCET_DENSE_TILE_H
#define TERCET_DENSE_TILE_H

#include "tercet_kernel.h"
#include "tercet_target.h"

#define DENSE_UNROLL _Pragma("GCC unroll 16")
#define DENSE_LANES (TERCET_VECTOR_BYTES / 4)
/* DENSE_ROWS and DENSE_WIDTH, the largest tile, are defined where this is included. */
#define DENSE_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DENSE_MAX(a, b) ((a) > (b) ? (a) : (b))

/* What a cell holds. Quads are 8-bit inputs times int8 weights, added up in int32 where the target has an instruction
 * for that; else uint8 inputs are added up in int16, and the caller bounds the depth. */
enum dense_cell_kind { DENSE_F32, DENSE_I16_PAIR, DENSE_U8_QUAD, DENSE_U8_DOT, DENSE_I8_DOT };

/* How weights lie in memory: as cells, or smaller and widened to cells when read. */
enum dense_weights {
    DENSE_CELLS,    /* cells as they are: floats, int16 pairs, int8 quads */
    DENSE_I8_PAIRS, /* int8 pairs, for int16 cells */
    DENSE_I8_FLOATS /* int8, for float cells */
};

typedef int32_t dense_cell __attribute__((may_alias, aligned(1)));
typedef int32_t dense_vector __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint32_t dense_unsigned __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef uint16_t dense_unsigned_half __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));
typedef int32_t dense_loose __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias, aligned(1)));
typedef int8_t dense_half __attribute__((vector_size(TERCET_VECTOR_BYTES / 2), may_alias, aligned(1)));
typedef int8_t dense_quarter __attribute__((vector_size(TERCET_VECTOR_BYTES / 4), may_alias, aligned(1)));

TERCET_INLINE dense_vector dense_load(const dense_cell *at) { return *(const dense_loose *)at; }
TERCET_INLINE void dense_store(dense_cell *at, dense_vector value) { *(dense_loose *)at = value; }
TERCET_INLINE dense_vector dense_splat(dense_cell value) { return (dense_vector){0} + value; }

/* Keeps a sum in its register: GCC would first add up products, and then has more of them than registers. */
#if defined(__x86_64__) && defined(__AVX512F__) && TERCET_VECTOR_BYTES == 64
#define DENSE_KEEP(sum) __asm__("" : "+v"(sum))
#elif defined(__x86_64__) && (TERCET_VECTOR_BYTES == 16 || (defined(__AVX2__) && TERCET_VECTOR_BYTES == 32))
#define DENSE_KEEP(sum) __asm__("" : "+x"(sum))
#elif defined(__aarch64__) && TERCET_VECTOR_BYTES == 16
#define DENSE_KEEP(sum) __asm__("" : "+w"(sum))
#else
#define DENSE_KEEP(sum) (void)0
#endif

/* a + b. Lanes without a pixel may hold anything: unsigned ones wrap, where signed ones must not. */
TERCET_INLINE dense_vector dense_add(dense_vector a, dense_vector b) {
    return (dense_vector)((dense_unsigned)a + (dense_unsigned)b);
}

TERCET_INLINE dense_vector dense_multiply(dense_vector a, dense_vector b) {
    return (dense_vector)((dense_unsigned)a * (dense_unsigned)b);
}

/* Bytes of weights after one cell. */
TERCET_INLINE int dense_weight_bytes(const enum dense_weights form) {
    return form == DENSE_CELLS ? 4 : form == DENSE_I8_PAIRS ? 2 : 1;
}

/* One vector of weight cells. binary: stored bytes are 0 and 1, for -1 and +1: 2 * byte - 1. */
TERCET_INLINE dense_vector dense_load_weights(const unsigned char *at, const enum dense_weights form,
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

/* One vector of sums. Only the member that the kind of cell needs is ever used; each keeps its own type, because GCC
 * copies registers back and forth when a sum changes its type inside a loop. */
struct dense_sum {
    tercet_f32v f32;
    dense_vector i32;
    tercet_i16v i16;
};

/* The target's instructions, or the same in portable C. */
TERCET_INLINE tercet_f32v dense_fma_f32(tercet_f32v a, tercet_f32v b, tercet_f32v sum) {
#ifdef TERCET_FMA_F32
    return (tercet_f32v)TERCET_FMA_F32(a, b, sum);
#else
    return a * b + sum;
#endif
}

TERCET_INLINE dense_vector dense_madd_i16(dense_vector a, dense_vector b) {
#ifdef TERCET_MADD_I16
    return (dense_vector)TERCET_MADD_I16(a, b);
#elif defined(__SSE2__) && TERCET_VECTOR_BYTES == 16 /* the generic target on x86-64 */
    typedef short eight __attribute__((vector_size(16)));
    return (dense_vector)__builtin_ia32_pmaddwd128((eight)a, (eight)b);
#else
    return dense_add(dense_multiply((a << 16) >> 16, (b << 16) >> 16), dense_multiply(a >> 16, b >> 16));
#endif
}

TERCET_INLINE dense_vector dense_dot_i16(dense_vector sum, dense_vector a, dense_vector b) {
#ifdef TERCET_DOT_I16
    return (dense_vector)TERCET_DOT_I16(sum, a, b);
#else
    return dense_add(sum, dense_madd_i16(a, b));
#endif
}

TERCET_INLINE tercet_i16v dense_madd_u8(dense_vector x, dense_vector w) {
#ifdef TERCET_MADD_U8
    return (tercet_i16v)TERCET_MADD_U8(x, w);
#else
    const tercet_i16v low = (tercet_i16v)x & 255, high = ((tercet_i16v)x >> 8) & 255;
    const tercet_i16v even = ((tercet_i16v)w << 8) >> 8, odd = (tercet_i16v)w >> 8;
    return (tercet_i16v)((dense_unsigned_half)low * (dense_unsigned_half)even +
                         (dense_unsigned_half)high * (dense_unsigned_half)odd);
#endif
}

TERCET_INLINE dense_vector dense_dot_u8(dense_vector sum, dense_vector x, dense_vector w) {
#ifdef TERCET_DOT_U8
    return (dense_vector)TERCET_DOT_U8(sum, x, w);
#else
    for (int i = 0; i < 32; i += 8)
        sum = dense_add(sum, ((x >> i) & 255) * (w << (24 - i) >> 24));
    return sum;
#endif
}

TERCET_INLINE dense_vector dense_dot_i8(dense_vector sum, dense_vector x, dense_vector w) {
#ifdef TERCET_DOT_I8
    return (dense_vector)TERCET_DOT_I8(sum, x, w);
#else
    for (int i = 0; i < 32; i += 8)
        sum = dense_add(sum, (x << (24 - i) >> 24) * (w << (24 - i) >> 24));
    return sum;
#endif
}

TERCET_INLINE void dense_sum_zero(struct dense_sum *sum) {
    sum->f32 = (tercet_f32v){0};
    sum->i32 = (dense_vector){0};
    sum->i16 = (tercet_i16v){0};
}

/* sum += x * w for all lanes. */
TERCET_INLINE void dense_mac(struct dense_sum *sum, dense_vector x, dense_vector w, const enum dense_cell_kind cell) {
    if (cell == DENSE_F32)
        sum->f32 = dense_fma_f32((tercet_f32v)x, (tercet_f32v)w, sum->f32);
    else if (cell == DENSE_I16_PAIR)
        sum->i32 = dense_dot_i16(sum->i32, x, w);
    else if (cell == DENSE_U8_DOT)
        sum->i32 = dense_dot_u8(sum->i32, x, w);
    else if (cell == DENSE_I8_DOT)
        sum->i32 = dense_dot_i8(sum->i32, x, w);
    else
        sum->i16 = (tercet_i16v)((dense_unsigned_half)sum->i16 + (dense_unsigned_half)dense_madd_u8(x, w));
}

/* Starts from sums in memory; int16 sums are added to them at the end. */
TERCET_INLINE void dense_sum_load(struct dense_sum *sum, const dense_cell *from, const enum dense_cell_kind cell) {
    if (cell == DENSE_F32)
        sum->f32 = (tercet_f32v)dense_load(from);
    else if (cell != DENSE_U8_QUAD)
        sum->i32 = dense_load(from);
}

TERCET_INLINE void dense_sum_store(const struct dense_sum *sum, dense_cell *to, int first,
                                   const enum dense_cell_kind cell) {
    if (cell == DENSE_F32)
        dense_store(to, (dense_vector)sum->f32);
    else if (cell != DENSE_U8_QUAD)
        dense_store(to, sum->i32);
    else {
        const dense_vector pairs = (dense_vector)sum->i16, wide = ((pairs << 16) >> 16) + (pairs >> 16);
        if (first)
            dense_store(to, wide);
        else
            dense_store(to, dense_add(wide, dense_load(to)));
    }
}

/* Which operand fills the vectors: inputs of a convolution, weights of a matrix product, or weights of a convolution. */
enum dense_side { DENSE_INPUT_LANES, DENSE_WEIGHT_LANES, DENSE_OUTPUT_LANES };

/* Where one tile reads. Step k loads vectors at `vectors` + offsets[k] cells (input lanes), or the k-th `width` vectors of
 * weights (other lanes), and row i's single cell at cells[i * row_step + k * depth_step], or cells[i * row_step +
 * offsets[k]] (output lanes). */
struct dense_operands {
    const unsigned char *vectors;
    const int32_t *offsets;
    const dense_cell *cells;
    int64_t row_step, depth_step;
    enum dense_weights form;
    int binary;
};

/* The j-th vector of step k. */
TERCET_INLINE dense_vector dense_tile_vector(const struct dense_operands *from, int k, int j, const int width,
                                             const enum dense_side side) {
    if (side == DENSE_INPUT_LANES)
        return dense_load((const dense_cell *)from->vectors + from->offsets[k] + j * DENSE_LANES);
    const int bytes = DENSE_LANES * dense_weight_bytes(from->form);
    return dense_load_weights(from->vectors + (k * width + j) * (int64_t)bytes, from->form, from->binary);
}

TERCET_INLINE void dense_tile_mac(struct dense_sum *sum, dense_vector vector, dense_vector single,
                                  const enum dense_side side, const enum dense_cell_kind cell) {
    if (side == DENSE_INPUT_LANES)
        dense_mac(sum, vector, single, cell);
    else
        dense_mac(sum, single, vector, cell);
}

/* Adds `depth` steps to the tile sums[row * pitch + lane]; `first` starts from zero instead. The side that needs fewer
 * registers is held while the other passes by. */
TERCET_INLINE void dense_tile(const struct dense_operands *from, int depth, dense_cell *sums, int64_t pitch, int first,
                              const int rows, const int width, const enum dense_side side,
                              const enum dense_cell_kind cell) {
    struct dense_sum sum[DENSE_ROWS][DENSE_WIDTH];
    dense_vector held[DENSE_ROWS];
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++)
            dense_sum_zero(&sum[i][j]);
    if (!first)
        DENSE_UNROLL for (int i = 0; i < rows; i++)
            DENSE_UNROLL for (int j = 0; j < width; j++)
                dense_sum_load(&sum[i][j], sums + i * pitch + j * DENSE_LANES, cell);
    for (int k = 0; k < depth; k++) {
        const int64_t step = side == DENSE_OUTPUT_LANES ? from->offsets[k] : k * from->depth_step;
        const dense_cell *single = from->cells + step;
        if (rows < width) {
            DENSE_UNROLL for (int i = 0; i < rows; i++)
                held[i] = dense_splat(single[i * from->row_step]);
            DENSE_UNROLL for (int j = 0; j < width; j++) {
                const dense_vector v = dense_tile_vector(from, k, j, width, side);
                DENSE_UNROLL for (int i = 0; i < rows; i++)
                    dense_tile_mac(&sum[i][j], v, held[i], side, cell);
            }
        } else {
            DENSE_UNROLL for (int j = 0; j < width; j++)
                held[j] = dense_tile_vector(from, k, j, width, side);
            DENSE_UNROLL for (int i = 0; i < rows; i++) {
                const dense_vector one = dense_splat(single[i * from->row_step]);
                DENSE_UNROLL for (int j = 0; j < width; j++)
                    dense_tile_mac(&sum[i][j], held[j], one, side, cell);
            }
        }
    }
    DENSE_UNROLL for (int i = 0; i < rows; i++)
        DENSE_UNROLL for (int j = 0; j < width; j++)
            dense_sum_store(&sum[i][j], sums + i * pitch + j * DENSE_LANES, first, cell);
}

/* A tile of fixed size. Each is a function of its own, never inlined: only then do compilers keep all sums in registers. */
typedef void dense_tile_function(const unsigned char *vectors, const int32_t *offsets, const dense_cell *cells, int depth,
                                 dense_cell *sums, int first);
#define DENSE_TILE static TERCET_FLATTEN __attribute__((noinline)) void

/* `count` rows or outputs, split into panels of `tall` and then `tall` - 1 that are as equal as can be. */
struct dense_panels {
    int count, panels, tall;
};

TERCET_INLINE int dense_panel_begin(const struct dense_panels *p, int panel) {
    const int shorter = p->panels * p->tall - p->count; /* how many panels have one row less: the last ones */
    return panel * p->tall - DENSE_MAX(0, panel - (p->panels - shorter));
}

#endif
