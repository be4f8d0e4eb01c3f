/* Maps in rows of bits (#kn.bit_rows of ir/kn/bit_rows.py), eight pixels a byte; to and from bytes.
 *
 * A run is at most 64 neighbouring pixels of a row; bit i of a word is pixel i. */
#ifndef TERCET_BIT_ROWS_H
#define TERCET_BIT_ROWS_H

#include "epilogue.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "maps in bits need the lowest byte of a word first"
#endif
#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512BW__)
#include <immintrin.h>
#define BIT_ROWS_AVX512
#elif TERCET_VECTOR_BYTES == 32 && defined(__AVX2__)
#define BIT_ROWS_AVX2 /* by builtins of GCC and clang: immintrin.h takes longer to read than a kernel */
typedef char bit_rows_chars __attribute__((vector_size(32), may_alias));
#endif

#define BIT_ROWS_UNROLL _Pragma("GCC unroll 16")

/* BIT_ROWS_RUN, pixels of a row that are packed together, is defined where this is included. */
#define BIT_ROWS_PARTS (BIT_ROWS_RUN / TERCET_VECTOR_BYTES)
#define BIT_ROWS_EACH 0x0101010101010101u

/* Which values are marked: 1, those that are not negative, or 0. Bytes hold -1, 0 and 1. */
enum bit_rows_mark { BIT_ROWS_PLUS, BIT_ROWS_NOT_MINUS, BIT_ROWS_ZERO };

/* A map in rows of bits: planes of `size` bytes, `planes` for each channel. */
struct bit_rows {
    int channels, height, width, pitch, size;
    int planes, low, step; /* a value is low + step * its bits */
    enum bit_rows_mark marks[2]; /* of each plane */
};

/* Values of a run. */
struct bit_rows_run {
    tercet_u8v part[BIT_ROWS_PARTS];
};

/* -- to bits ------------------------------------------------------------------------------------------------------- */

/* The marks of `count` pixels, which is a constant; up to 64 may be read, and bits beyond are unspecified. */
TERCET_INLINE uint64_t bit_rows_mark(const unsigned char *from, const int count, const enum bit_rows_mark mark) {
#ifdef BIT_ROWS_AVX512
    if (count <= 32) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)from);
        return mark == BIT_ROWS_NOT_MINUS ? ~_mm256_movepi8_mask(x)
                                          : _mm256_cmpeq_epi8_mask(x, _mm256_set1_epi8(mark == BIT_ROWS_PLUS));
    }
    const __m512i x = _mm512_loadu_si512(from);
    return mark == BIT_ROWS_NOT_MINUS ? ~_mm512_movepi8_mask(x)
                                      : _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(mark == BIT_ROWS_PLUS));
#elif defined(BIT_ROWS_AVX2)
    uint64_t found = 0;
    BIT_ROWS_UNROLL for (int i = 0; i < count; i += 32) {
        tercet_i8v x;
        memcpy(&x, from + i, sizeof x);
        const tercet_i8v marked = mark == BIT_ROWS_NOT_MINUS ? ~x : (tercet_i8v)(x == (int8_t)(mark == BIT_ROWS_PLUS));
        found |= (uint64_t)(uint32_t)__builtin_ia32_pmovmskb256((bit_rows_chars)marked) << i;
    }
    return found;
#else
    uint64_t found = 0;
    BIT_ROWS_UNROLL for (int i = 0; i < count; i += 8) {
        uint64_t x;
        memcpy(&x, from + i, sizeof x);
        const uint64_t marked = mark == BIT_ROWS_PLUS ? x & ~(x >> 1) : mark == BIT_ROWS_ZERO ? ~x : ~(x >> 7);
        const uint64_t each = marked & BIT_ROWS_EACH;
        found |= each * 0x0102040810204080u >> 56 << i;
    }
    return found;
#endif
}

/* -- to bytes ------------------------------------------------------------------------------------------------------ */

/* 255 for every pixel of a part of the run that has a bit, else 0. */
TERCET_INLINE tercet_u8v bit_rows_bytes(uint64_t run, const int part) {
#ifdef BIT_ROWS_AVX512
    (void)part;
    return (tercet_u8v)_mm512_movm_epi8(run);
#elif defined(BIT_ROWS_AVX2)
    const tercet_u64v lanes = {0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303};
    const tercet_u8v each = (tercet_u8v)((tercet_u64v){0} + 0x8040201008040201);
    const tercet_i32v four = (tercet_i32v){0} + (int32_t)(run >> 32 * part);
    const tercet_u8v x = (tercet_u8v)__builtin_ia32_pshufb256((bit_rows_chars)four, (bit_rows_chars)lanes);
    return (tercet_u8v)((x & each) == each);
#else
    uint64_t bytes[TERCET_VECTOR_BYTES / 8];
    tercet_u8v found;
    BIT_ROWS_UNROLL for (int i = 0; i < TERCET_VECTOR_BYTES / 8; i++) {
        const uint64_t eight = run >> (8 * i + TERCET_VECTOR_BYTES * part) & 255;
        const uint64_t each = eight * BIT_ROWS_EACH & 0x8040201008040201u;
        bytes[i] = ((each + 0x7f7f7f7f7f7f7f7fu) >> 7 & BIT_ROWS_EACH) * 255;
    }
    memcpy(&found, bytes, sizeof found);
    return found;
#endif
}

TERCET_INLINE void bit_rows_fill(struct bit_rows_run *row, int32_t value) {
    BIT_ROWS_UNROLL for (int i = 0; i < BIT_ROWS_PARTS; i++)
        row->part[i] = (tercet_u8v){0} + (uint8_t)value;
}

/* Adds a value, modulo 256, to the pixels that have a bit. */
TERCET_INLINE void bit_rows_add(struct bit_rows_run *row, uint64_t run, int32_t value) {
    BIT_ROWS_UNROLL for (int i = 0; i < BIT_ROWS_PARTS; i++)
        row->part[i] += bit_rows_bytes(run, i) & ((tercet_u8v){0} + (uint8_t)value);
}

/* Stores the first `count` values and `zeros` zeros after them, 64 bytes together at most. */
TERCET_INLINE void bit_rows_store(unsigned char *to, const struct bit_rows_run *row, int count, int zeros) {
    const uint64_t kept = ~(uint64_t)0 >> (BIT_ROWS_RUN - count);
#ifdef BIT_ROWS_AVX512
    const __m512i x = _mm512_maskz_mov_epi8(kept, (__m512i)row->part[0]);
    _mm512_mask_storeu_epi8(to, ~(uint64_t)0 >> (BIT_ROWS_RUN - count - zeros), x);
#else
    unsigned char copy[BIT_ROWS_RUN];
    BIT_ROWS_UNROLL for (int i = 0; i < BIT_ROWS_PARTS; i++) {
        tercet_u8v x = row->part[i];
        if (zeros)
            x &= bit_rows_bytes(kept, i);
        memcpy(copy + i * TERCET_VECTOR_BYTES, &x, sizeof x);
    }
    planes_copy(to, copy, count + zeros);
#endif
}

/* Stores pixels [x, x + count) of row y of a plane; after the last one `gap` zeros, up to the next row. */
TERCET_INLINE void bit_rows_store_bytes(const struct planes *map, unsigned char *plane,
                                        const struct bit_rows_run *row, int y, int x, int count, const int gap) {
    if (map->stride == 1) {
        const int zeros = x + count == map->width && y + 1 < map->height ? gap : 0;
        bit_rows_store(plane + planes_position(map, y, x), row, count, zeros);
        return;
    }
    unsigned char copy[BIT_ROWS_RUN];
    memcpy(copy, row, sizeof copy);
    planes_store_row(map, plane, copy, y, x, x + count);
}

/* Zeros between two rows that bits_store_row writes: none where there is no room for them in a run, or no need. */
TERCET_INLINE int bit_rows_gap(const struct planes *map) {
    const int gap = map->pitch - map->width, longest = map->width < BIT_ROWS_RUN - 8 ? map->width : BIT_ROWS_RUN - 8;
    return map->stride == 1 && map->zero && longest + gap <= BIT_ROWS_RUN ? gap : 0;
}

/* -- whole maps ---------------------------------------------------------------------------------------------------- */

/* From bytes; parts share the channels. */
TERCET_INLINE void bit_rows_from_bytes(const struct tercet_task *task, const struct planes *map,
                                       const struct bit_rows *bits) {
    int64_t begin, end;
    tercet_share(task, bits->channels, 1, &begin, &end);
    for (int64_t c = begin; c < end; c++) {
        const unsigned char *plane = (const unsigned char *)task->in[0] + c * map->size;
        unsigned char *to = (unsigned char *)task->out[0] + c * bits->planes * bits->size;
        for (int y = 0; y < bits->height; y++)
            for (int x = 0; x < bits->width; x += BIT_ROWS_RUN) {
                const int count = bits->width - x < BIT_ROWS_RUN ? bits->width - x : BIT_ROWS_RUN;
                unsigned char copy[BIT_ROWS_RUN] = {0};
                const unsigned char *from = copy;
                const int64_t place = planes_position(map, y, x);
                if (map->stride == 1 && (bits->channels - c) * map->size - place >= BIT_ROWS_RUN)
                    from = plane + place; /* a model's input ends with its last value */
                else
                    planes_load_row(map, plane, copy, y, x, x + count);
                for (int p = 0; p < bits->planes; p++) {
                    const uint64_t marks = bit_rows_mark(from, BIT_ROWS_RUN, bits->marks[p]);
                    memcpy(to + p * bits->size + y * bits->pitch + x / 8, &marks, (size_t)(count + 7) / 8);
                }
            }
    }
}

/* To bytes, whose borders are cleared where that is asked for; parts share the channels. */
TERCET_INLINE void bit_rows_to_bytes(const struct tercet_task *task, const struct bit_rows *bits,
                                     const struct planes *map) {
    int64_t begin, end;
    tercet_share(task, bits->channels, 1, &begin, &end);
    planes_clear_borders(map, task->out[0], -1, begin, end);
    for (int64_t c = begin; c < end; c++) {
        const unsigned char *from = (const unsigned char *)task->in[0] + c * bits->planes * bits->size;
        unsigned char *plane = (unsigned char *)task->out[0] + c * map->size;
        for (int y = 0; y < bits->height; y++)
            for (int x = 0; x < bits->width; x += BIT_ROWS_RUN) {
                const int count = bits->width - x < BIT_ROWS_RUN ? bits->width - x : BIT_ROWS_RUN;
                struct bit_rows_run row;
                bit_rows_fill(&row, bits->low);
                for (int p = 0; p < bits->planes; p++) {
                    uint64_t marks = 0;
                    memcpy(&marks, from + p * bits->size + y * bits->pitch + x / 8, (size_t)(count + 7) / 8);
                    bit_rows_add(&row, marks, bits->step);
                }
                bit_rows_store_bytes(map, plane, &row, y, x, count, 0);
            }
    }
}

#endif
