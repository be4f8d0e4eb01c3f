/* Counters of many outputs side by side: one vector holds one bit of the count of every output of a block.
 *
 * Adding the weights of an active input, a bit or two for each output, is a full adder for each vector of them: three bits
 * of weight one become one of weight one and one of weight two, and so on up. An input that is -1 subtracts:
 * a - b = ~(~a + b).
 *
 * A kernel says its width with ACTIVE_BYTES: narrower vectors than the target's leave no lanes idle
 * where a layer has fewer outputs. */
#ifndef TERCET_ACTIVE_ADDERS_H
#define TERCET_ACTIVE_ADDERS_H

#include "active_lists.h"

#define ACTIVE_UNROLL _Pragma("GCC unroll 32")
#define ACTIVE_WORDS (ACTIVE_BYTES / 8)
#define ACTIVE_COUNTERS 32 /* bits of a count, at most */
/* Defined where this is included: ACTIVE_BYTES of a vector; ACTIVE_RUN, outputs whose sums are taken from the
 * counters together. */

typedef uint64_t active_vector __attribute__((vector_size(ACTIVE_BYTES), may_alias));

/* c where t, else a: one instruction with AVX-512. */
TERCET_INLINE active_vector active_select(active_vector t, active_vector c, active_vector a) {
    return (t & c) | (~t & a);
}

/* *s becomes the sum's bit; returns the carry. Exclusive or, select, exclusive or: two general functions of three
 * vectors would be slower, as they wait for two fresh operands each. */
TERCET_INLINE active_vector active_full(active_vector *s, active_vector a, active_vector b) {
    const active_vector t = a ^ b, carry = active_select(t, *s, a);
    *s ^= t;
    return carry;
}

TERCET_INLINE active_vector active_plane(const uint64_t *weights, const uint16_t *list, const int item, const int plane) {
    return *(const active_vector *)(weights + list[item] + plane * ACTIVE_WORDS);
}

/* Adds two planes of a list: of two inputs, or the two of one, which say where the weight is not 0 and where it is 1. It
 * counts as weight + 1: where it is 0 the sum's bit changes, and what it was is the carry. */
TERCET_INLINE active_vector active_pair(active_vector *s, const uint64_t *weights, const uint16_t *list, const int at,
                                        const int two) {
    if (!two)
        return active_full(s, active_plane(weights, list, at, 0), active_plane(weights, list, at + 1, 0));
    const active_vector whole = active_plane(weights, list, at / 2, 0);
    const active_vector carry = active_select(whole, active_plane(weights, list, at / 2, 1), *s);
    *s = ~(*s ^ whole);
    return carry;
}

/* Adds eight planes from `at` on to *ones, s[1] and s[2]. Returns their carry. */
TERCET_INLINE active_vector active_eight(active_vector *ones, active_vector *s, const uint64_t *weights,
                                         const uint16_t *list, const int at, const int two) {
    active_vector a = active_pair(ones, weights, list, at, two), b = active_pair(ones, weights, list, at + 2, two);
    const active_vector c = active_full(&s[1], a, b);
    a = active_pair(ones, weights, list, at + 4, two), b = active_pair(ones, weights, list, at + 6, two);
    return active_full(&s[2], c, active_full(&s[1], a, b));
}

/* Of two bits a weight, half of the planes are added to the second plane of ones: the others need not wait for them. */
TERCET_INLINE active_vector active_block(active_vector *s, const uint64_t *weights, const uint16_t *list, const int two) {
    const active_vector a = active_eight(&s[0], s, weights, list, 0, two);
    return active_full(&s[3], a, active_eight(&s[two ? ACTIVE_COUNTERS : 0], s, weights, list, 8, two));
}

/* Adds a carry to the counters from s[first] on. */
TERCET_INLINE void active_ripple(active_vector *s, active_vector carry, const int first, const int counters) {
    ACTIVE_UNROLL for (int i = first; i < counters; i++) {
        const active_vector next = s[i] & carry;
        s[i] ^= carry;
        carry = next;
    }
}

/* Adds the weights of so many blocks of a list. Returns where it ends. */
TERCET_INLINE const uint16_t *active_blocks(active_vector *s, const uint64_t *weights, const uint16_t *list, int blocks,
                                            const int counters, const int two) {
    const int items = two ? ACTIVE_BLOCK / 2 : ACTIVE_BLOCK;
    for (; blocks >= 4; blocks -= 4, list += 4 * items) {
        active_vector a = active_block(s, weights, list, two);
        a = active_full(&s[4], a, active_block(s, weights, list + items, two));
        active_vector b = active_block(s, weights, list + 2 * items, two);
        b = active_full(&s[4], b, active_block(s, weights, list + 3 * items, two));
        active_ripple(s, active_full(&s[5], a, b), 6, counters);
    }
    if (blocks >= 2) {
        const active_vector a = active_block(s, weights, list, two);
        active_ripple(s, active_full(&s[4], a, active_block(s, weights, list + items, two)), 5, counters);
        blocks -= 2, list += 2 * items;
    }
    if (blocks) {
        active_ripple(s, active_block(s, weights, list, two), 4, counters);
        list += items;
    }
    return list;
}

/* Words of the counters of a pixel: so many bits of a count and, of two bits a weight, a second plane of ones. */
TERCET_INLINE int64_t active_counter_words(const int counters, const int two) {
    return (int64_t)(counters + two) * ACTIVE_WORDS;
}

/* counter[bit] += weights of the inputs in the list that are 1, -= of those that are -1. */
TERCET_INLINE void active_add(uint64_t *counter, const uint64_t *weights, const uint16_t *list, const int counters,
                              const int two, const int signs) {
    active_vector s[ACTIVE_COUNTERS + 1], *const memory = (active_vector *)counter;
    const uint16_t *next = list + ACTIVE_HEAD;
    ACTIVE_UNROLL for (int i = 0; i < counters; i++)
        s[i] = memory[i];
    if (two)
        s[ACTIVE_COUNTERS] = memory[counters];
    _Pragma("GCC unroll 1") for (int sign = 0; sign < signs; sign++) {
        next = active_blocks(s, weights, next, list[sign], counters, two);
        if (signs == 2) { /* with two planes of ones, the negative of their sum */
            ACTIVE_UNROLL for (int i = 0; i < counters; i++)
                s[i] = ~s[i];
            if (two)
                s[ACTIVE_COUNTERS] = ~s[ACTIVE_COUNTERS];
        }
    }
    ACTIVE_UNROLL for (int i = 0; i < counters; i++)
        memory[i] = s[i];
    if (two)
        memory[counters] = s[ACTIVE_COUNTERS];
}

/* Sets all counters to one value, modulo 2^counters. */
TERCET_INLINE void active_start(uint64_t *counter, int64_t value, const int counters, const int two) {
    ACTIVE_UNROLL for (int i = 0; i < counters; i++)
        ((active_vector *)counter)[i] = (active_vector){0} - ((uint64_t)value >> i & 1);
    if (two)
        ((active_vector *)counter)[counters] = (active_vector){0};
}

/* Adds the second plane of ones to the counts, which are whole then. */
TERCET_INLINE void active_join(uint64_t *counter, const int counters, const int two) {
    if (two)
        active_ripple((active_vector *)counter, ((const active_vector *)counter)[counters], 0, counters);
}

/* -- levels -------------------------------------------------------------------------------------------------------- */

/* Vectors of the words of a map in bits, whose planes lie word by word. count: words that are there. */
TERCET_INLINE active_vector active_load_bits(const uint64_t *from, const int planes, const int plane, int count) {
    uint64_t words[ACTIVE_WORDS] = {0};
    active_vector bits;
    for (int w = 0; w < count; w++)
        words[w] = from[w * planes + plane];
    memcpy(&bits, words, sizeof bits);
    return bits;
}

/* Which outputs have the selector's value `value`. */
TERCET_INLINE active_vector active_chosen(const struct bit_map *b, const uint64_t *from, int value, int count) {
    const active_vector first = active_load_bits(from, b->planes, 0, count);
    active_vector chosen = {0};
    if (b->planes == 2) {
        const active_vector second = active_load_bits(from, 2, 1, count);
        if (value == 0)
            chosen = ~first;
        else if (value == 1)
            chosen = first & ~second;
        else if (value == -1)
            chosen = second;
    } else if (value == b->low)
        chosen = ~first;
    else if (value == b->high)
        chosen = first;
    return chosen;
}

/* Levels of a pixel as bits, word by word of `planes` planes. A count passes a threshold that is at most it; limits hold the
 * complements of thresholds' bits, [choice][threshold][counter]. Bit p of a level that passes j thresholds is the
 * exclusive or of codes[p][0] .. codes[p][j]. from: the pixel's words of the map whose values, from `first` on, choose
 * among thresholds. */
TERCET_INLINE void active_levels(const uint64_t *counter, const uint64_t *limits, const uint64_t *codes, uint64_t *to,
                                 int count, const int counters, const int thresholds, const int planes,
                                 const int choices, const struct bit_map *selector, const uint64_t *from,
                                 const int first) {
    const active_vector *const s = (const active_vector *)counter, *limit = (const active_vector *)limits;
    const active_vector *const code = (const active_vector *)codes;
    active_vector passed[4];
    ACTIVE_UNROLL for (int j = 0; j < thresholds; j++)
        passed[j] = (active_vector){0};
    for (int choice = 0; choice < choices; choice++)
        ACTIVE_UNROLL for (int j = 0; j < thresholds; j++, limit += counters) {
            active_vector reached = ~(active_vector){0}; /* the carry out of count - threshold */
            ACTIVE_UNROLL for (int i = 0; i < counters; i++)
                reached = active_select(s[i] ^ limit[i], reached, s[i]);
            if (choices > 1)
                reached &= active_chosen(selector, from, first + choice, count);
            passed[j] |= reached;
        }
    for (int p = 0; p < planes; p++) {
        active_vector found = code[p * (thresholds + 1)];
        ACTIVE_UNROLL for (int j = 0; j < thresholds; j++)
            found ^= passed[j] & code[p * (thresholds + 1) + j + 1];
        uint64_t words[ACTIVE_WORDS];
        memcpy(words, &found, sizeof words);
        for (int w = 0; w < count; w++)
            to[w * planes + p] = words[w];
    }
}

/* -- sums ---------------------------------------------------------------------------------------------------------- */

/* sums[output] = base + factor * (count - 2^(counters - 1)) + more, for the run of outputs from `first` on. */
TERCET_INLINE void active_sums(const uint64_t *counter, int first, const int32_t *base, const int32_t *factor, int32_t more,
                               int32_t *sums, const int counters) {
    int32_t counts[ACTIVE_RUN];
    for (int i = 0; i < ACTIVE_RUN; i++)
        counts[i] = -(1 << (counters - 1));
    for (int bit = 0; bit < counters; bit++) {
        uint32_t ones;
        memcpy(&ones, (const unsigned char *)(counter + bit * ACTIVE_WORDS) + first / 8, sizeof ones);
        for (int i = 0; i < ACTIVE_RUN; i++)
            counts[i] += ones & 1u << i ? 1 << bit : 0;
    }
    for (int i = 0; i < ACTIVE_RUN; i++)
        sums[i] = base[i] + factor[i] * counts[i] + more;
}

#endif
