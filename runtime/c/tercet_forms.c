/* Words of bits, and lists of inputs; backends/c/lists.py makes the same. */
#include "tercet_forms.h"

#include <string.h>

enum { MOST_BLOCK = 64 };

/* The even bits of a word, in its lower half. */
static uint64_t even_bits(uint64_t x) {
    x &= 0x5555555555555555u;
    x = (x | x >> 1) & 0x3333333333333333u;
    x = (x | x >> 2) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
    x = (x | x >> 8) & 0x0000ffff0000ffffu;
    return (x | x >> 16) & 0xffffffffu;
}

/* 32 trits of two bits each, the first in the lowest ones. */
static uint64_t trits_at(const unsigned char *bytes) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) {
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    return word;
}

void tercet_split_trits(unsigned char *expanded, int64_t words, int split) {
    uint64_t bits[2 * TERCET_MOST_SPLIT];
    for (int64_t run = 0; run < words; run += split, expanded += 16 * split) {
        for (int i = 0; i < split; i++) {
            const uint64_t low = trits_at(expanded + 16 * i), high = trits_at(expanded + 16 * i + 8);
            bits[i] = even_bits(low | low >> 1) | even_bits(high | high >> 1) << 32;
            bits[split + i] = even_bits(low >> 1) | even_bits(high >> 1) << 32;
        }
        memcpy(expanded, bits, (size_t)split * 16);
    }
}

int tercet_lists_fit(const struct tercet_lists *lists, int64_t count) {
    const int64_t most = UINT16_MAX;
    if (lists->length < 1 || lists->run < 1 || lists->length % lists->run || lists->bytes < 0 || lists->block < 1 ||
        lists->block > MOST_BLOCK || lists->pitch < 0 || lists->step < 0 || lists->pitch > most || lists->step > most) {
        return 0;
    }
    const int64_t runs = lists->length / lists->run;
    return count % lists->length == 0 && runs <= most && lists->run <= most && lists->length <= most * lists->block &&
           runs * lists->pitch + (lists->run - 1) * lists->step <= most;
}

/* Lists the inputs whose digit it is, in whole blocks. Returns where they end; NULL beyond `end`. */
static uint16_t *list_digit(const struct tercet_lists *lists, const unsigned char *digits, int digit, uint16_t *next,
                            const uint16_t *end) {
    uint16_t *const first = next;
    for (int64_t run = 0; run < lists->length / lists->run; run++) {
        for (int64_t i = 0; i < lists->run; i++) {
            if (digits[run * lists->run + i] == digit) {
                if (next == end) {
                    return NULL;
                }
                *next++ = (uint16_t)(run * lists->pitch + i * lists->step);
            }
        }
    }
    while ((next - first) % lists->block) {
        if (next == end) {
            return NULL;
        }
        *next++ = (uint16_t)(lists->length / lists->run * lists->pitch);
    }
    return next;
}

int tercet_make_lists(const struct tercet_lists *lists, const unsigned char *digits, int64_t count, unsigned char *out) {
    const int64_t filters = count / lists->length;
    if (lists->bytes % 2 || filters > lists->bytes / 8) { /* 4 for a filter's place, 4 for its blocks */
        return 0;
    }
    uint32_t *const starts = (uint32_t *)out;
    uint16_t *const begin = (uint16_t *)out, *const end = begin + lists->bytes / 2, *next = begin + 2 * filters;
    for (int64_t filter = 0; filter < filters; filter++, digits += lists->length) {
        if (end - next < 2) {
            return 0;
        }
        starts[filter] = (uint32_t)(next - begin);
        uint16_t *const blocks = next, *from = next + 2;
        for (int digit = 1; digit <= 2; digit++) {
            next = list_digit(lists, digits, digit, from, end);
            if (next == NULL) {
                return 0;
            }
            blocks[digit - 1] = (uint16_t)((next - from) / lists->block);
            from = next;
        }
    }
    return next == end;
}
