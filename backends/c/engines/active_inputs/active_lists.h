/* Lists of active inputs: which channels of a pixel are not zero, as places of their weights. */
#ifndef TERCET_ACTIVE_LISTS_H
#define TERCET_ACTIVE_LISTS_H

#include "bit_map.h"
#include "tercet_target.h"

#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512VBMI2__)
#include <immintrin.h>
#endif

/* Defined where this is included: ACTIVE_BLOCK, planes that are added together; ACTIVE_SPARE, items after a list
 * that may be written. */
#define ACTIVE_HEAD 2   /* items in front of a list's places: blocks of inputs that are 1, and that are -1 */

/* Appends the places first, first + step, .. of the ones of a word. Returns the list's new end. */
TERCET_INLINE uint16_t *active_append(uint16_t *end, uint64_t ones, unsigned first, unsigned step) {
#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512VBMI2__)
    static const uint16_t count[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    const __m512i steps = _mm512_mullo_epi16(_mm512_loadu_si512(count), _mm512_set1_epi16((short)step));
    for (int half = 0; half < 2; half++, ones >>= 32, first += 32 * step) {
        const __m512i places = _mm512_add_epi16(steps, _mm512_set1_epi16((short)first));
        _mm512_storeu_si512(end, _mm512_maskz_compress_epi16((uint32_t)ones, places));
        end += __builtin_popcount((uint32_t)ones);
    }
#else
    for (; ones; ones &= ones - 1)
        *end++ = (uint16_t)(first + (unsigned)__builtin_ctzll(ones) * step);
#endif
    return end;
}

/* The list of a pixel's inputs in `words` words of channels: those that are 1, padded to whole blocks with the place of
 * no weights, then those that are -1. step: from the weights of one input to those of the next; nothing: where the
 * weights of no input lie; items: inputs of a block. Returns ones less minus ones. */
TERCET_INLINE int active_list(uint16_t *list, const uint64_t *bits, int words, const int planes, const unsigned step,
                              unsigned nothing, const int items) {
    uint16_t *end = list + ACTIVE_HEAD;
    int difference = 0;
    list[1] = 0;
    for (int negative = 0; negative < planes; negative++) {
        uint16_t *const begin = end;
        for (int w = 0; w < words; w++) {
            uint64_t ones = bits[w * planes];
            if (planes == 2)
                ones &= negative ? bits[2 * w + 1] : ~bits[2 * w + 1];
            end = active_append(end, ones, (unsigned)w * 64 * step, step);
        }
        difference += negative ? (int)(begin - end) : (int)(end - begin);
        while ((end - begin) % items)
            *end++ = (uint16_t)nothing;
        list[negative] = (uint16_t)((end - begin) / items);
    }
    return difference;
}

#endif
