/* Convolution of {-1, 0, 1} by {-1, 0, 1} on bits: one bit plane holds one bit of every pixel of a tile.
 *
 * A product of two such values is one or two bits. The sums of three products are built once for all weights of the
 * three inputs (tables of bit planes); every output channel adds one entry per group to counters, whose planes hold the
 * bits of a count, with full adders. Thresholds are compared with the counter planes, again bit by bit.
 *
 * Bit j of byte i of a plane is pixel j * TERCET_VECTOR_BYTES + i of the tile: packing and unpacking are shifts. */
#ifndef TERCET_BIT_TABLES_H
#define TERCET_BIT_TABLES_H

#include "epilogue.h"

#if TERCET_VECTOR_BYTES == 64 && defined(__AVX512F__)
#include <immintrin.h>
#define BITS_TERNARY_LOGIC /* any function of three vectors is one instruction; compilers miss one of an adder's two */
#endif

/* Defined where this is included: BITS_GROUP, inputs of a table; BITS_MAX_COUNTER, bits of a count; BITS_MAX_CHUNK,
 * tables at a time; BITS_STAGED, channels finished before they are stored. */
#define BITS_MAX_ENTRY 3   /* planes of a table entry: sums 0..6 */
#define BITS_SHARE 8       /* pairs of a tile and an output channel that stay on one thread */
#define BITS_PIXELS (8 * TERCET_VECTOR_BYTES)

typedef tercet_u64v bits;

/* What the product a * w counts. TERNARY: a * w + 1 for any a. ONE: a = 1 for w = +1, a != 1 for w = -1, nothing for
 * w = 0; the channel's record turns such counts of bipolar or {0, 1} activations into sums. */
enum bits_products { BITS_TERNARY, BITS_ONE };

struct bits_layer {
    struct planes in, out; /* .item of out: bytes of a result, or 4 where `finish` takes the sums */
    const int *taps; /* element offset of each filter tap from a lane, `tap_count` of them */
    int tap_count;
    int inputs, outputs; /* channels of one group of the convolution */
    enum bits_products products;
    int radix;           /* 3: digits 0, 1, 2 are the weights 0, +1, -1; 2: digits 0, 1 are -1, +1 */
    int chunk;           /* tables at a time */
    int counter;         /* bits of a count */
    int steps;           /* thresholds per channel; 0: the sums are stored */
    struct epilogue_selector selector; /* of -1..1 */
    int scale;           /* sum = count * scale + the record's first number; 1 or 2 */
    int64_t records;     /* offset of the channels' records in the weights; the index stream is at 0 */
};

static const unsigned char bits_zeros[BITS_PIXELS + TERCET_VECTOR_BYTES];

TERCET_INLINE int bits_entries(const struct bits_layer *l) {
    return l->radix * l->radix * l->radix;
}

TERCET_INLINE int bits_entry_planes(const struct bits_layer *l) {
    return l->products == BITS_TERNARY ? 3 : 2;
}

/* -- from pixels to tables ----------------------------------------------------------------------------------------- */

/* Bit planes of a tile's activations: which are not zero, which are negative. `vectors` of pixels lie in the map. */
TERCET_INLINE void bits_pack(const unsigned char *from, int vectors, bits *nonzero, bits *negative) {
    *nonzero = *negative = (bits){0};
    for (int j = 0; j < vectors; j++) {
        const bits one = (bits)((tercet_u8v){0} + (uint8_t)(1 << j));
        bits x;
        memcpy(&x, from + j * TERCET_VECTOR_BYTES, sizeof x);
        *nonzero |= (x << j) & one;        /* bit 0 of 1 and of -1 */
        *negative |= ((x >> 1) << j) & one; /* bit 1 of -1 */
    }
}

/* The bits that one input counts for each digit of its weight: low[digit] + 2 * high[digit]. */
TERCET_INLINE void bits_counted(const struct bits_layer *l, bits nonzero, bits negative, bits *low, bits *high) {
    const bits positive = nonzero & ~negative, none = {0};
    const int plus = 1, minus = l->radix == 3 ? 2 : 0;
    if (l->products == BITS_TERNARY) {
        if (l->radix == 3)
            low[0] = ~none, high[0] = none;
        low[plus] = low[minus] = ~nonzero;
        high[plus] = positive;
        high[minus] = negative;
    } else {
        if (l->radix == 3)
            low[0] = none;
        low[plus] = positive;
        low[minus] = ~positive;
    }
}

TERCET_INLINE void bits_full_adder(bits a, bits b, bits c, bits *sum, bits *carry) {
#ifdef BITS_TERNARY_LOGIC
    const __m512i x = (__m512i)a, y = (__m512i)b, z = (__m512i)c;
    *sum = (bits)_mm512_ternarylogic_epi64(x, y, z, 0x96);
    *carry = (bits)_mm512_ternarylogic_epi64(x, y, z, 0xE8);
#else
    const bits half = a ^ b;
    *sum = half ^ c;
    *carry = (a & b) | (half & c);
#endif
}

/* The table of one group: entry e holds the planes of the sum of three products, for the digits of e. */
TERCET_INLINE void bits_build(const struct bits_layer *l, bits *table, const unsigned char *const *inputs, int vectors) {
    bits low[BITS_GROUP][3], high[BITS_GROUP][3];
    for (int j = 0; j < BITS_GROUP; j++) {
        bits nonzero, negative;
        bits_pack(inputs[j], vectors, &nonzero, &negative);
        bits_counted(l, nonzero, negative, low[j], high[j]);
    }
    for (int c = 0; c < l->radix; c++)
        for (int b = 0; b < l->radix; b++) {
            const bits two_low = low[2][c] ^ low[1][b], two_carry = low[2][c] & low[1][b];
            bits two_middle = two_carry, two_high = {0};
            if (l->products == BITS_TERNARY)
                bits_full_adder(high[2][c], high[1][b], two_carry, &two_middle, &two_high);
            for (int a = 0; a < l->radix; a++) {
                bits *entry = table + ((c * l->radix + b) * l->radix + a) * bits_entry_planes(l);
                const bits carry = two_low & low[0][a];
                entry[0] = two_low ^ low[0][a];
                if (l->products == BITS_TERNARY) {
                    bits top;
                    bits_full_adder(two_middle, high[0][a], carry, &entry[1], &top);
                    entry[2] = two_high ^ top; /* the sum is 6 at most: no carry out of the third bit */
                } else {
                    entry[1] = two_middle | carry; /* never both: the sum is 3 at most */
                }
            }
        }
}

/* The tables of groups [begin, begin + groups) of one convolution, for the tile of pixels from `tile` on. */
TERCET_INLINE void bits_build_chunk(const struct bits_layer *l, bits *tables, const unsigned char *tile, int vectors,
                                    int begin, int groups) {
    const int table = bits_entries(l) * bits_entry_planes(l), count = l->inputs * l->tap_count;
    for (int q = 0; q < groups; q++) {
        const unsigned char *inputs[BITS_GROUP];
        for (int j = 0; j < BITS_GROUP; j++) {
            const int input = (begin + q) * BITS_GROUP + j;
            const int64_t plane = (int64_t)(input / l->tap_count) * l->in.size;
            inputs[j] = input < count ? tile + plane + l->taps[input % l->tap_count] : bits_zeros;
        }
        if (vectors == 8)
            bits_build(l, tables + q * table, inputs, 8);
        else
            bits_build(l, tables + q * table, inputs, vectors);
    }
}

/* -- counting ------------------------------------------------------------------------------------------------------ */

/* Adds `count` bits of one weight. Returns their sum's bit; count / 2 carries go to `carry`. */
TERCET_INLINE bits bits_compress(const bits *column, int count, bits *carry) {
    bits sum = column[0];
    int carries = 0;
#pragma GCC unroll 16
    for (int i = 1; i + 1 < count; i += 2)
        bits_full_adder(column[i], column[i + 1], sum, &sum, &carry[carries++]);
    if (count % 2 == 0) {
        carry[carries++] = sum & column[count - 1];
        sum ^= column[count - 1];
    }
    return sum;
}

/* counter += the entries that the index names in each table. */
TERCET_INLINE void bits_count(const struct bits_layer *l, const bits *tables, const unsigned char *index, int groups,
                              int fresh, bits *counter) {
    const int planes = bits_entry_planes(l), table = bits_entries(l) * planes;
    const bits *entry[BITS_MAX_CHUNK];
    bits column[3 * BITS_MAX_CHUNK], carry[3 * BITS_MAX_CHUNK];
    int carries = 0;
#pragma GCC unroll 16
    for (int q = 0; q < groups; q++)
        entry[q] = tables + q * table + index[q] * planes;
#pragma GCC unroll 16
    for (int b = 0; b < l->counter; b++) {
        int count = 0;
#pragma GCC unroll 16
        for (int q = 0; b < planes && q < groups; q++)
            column[count++] = entry[q][b];
#pragma GCC unroll 32
        for (int i = 0; i < carries; i++)
            column[count++] = carry[i];
        if (!fresh)
            column[count++] = counter[b];
        counter[b] = count ? bits_compress(column, count, carry) : (bits){0};
        carries = count / 2;
    }
}

/* One chunk: tables, then a count for `channels` output channels. */
TERCET_INLINE void bits_chunk(const struct bits_layer *l, bits *tables, const unsigned char *tile, int vectors,
                              const unsigned char *index, bits *counters, int begin, int groups, int channels) {
    bits_build_chunk(l, tables, tile, vectors, begin, groups);
    if (begin == 0)
        for (int k = 0; k < channels; k++, index += groups, counters += l->counter)
            bits_count(l, tables, index, groups, 1, counters);
    else
        for (int k = 0; k < channels; k++, index += groups, counters += l->counter)
            bits_count(l, tables, index, groups, 0, counters);
}

/* -- from counts to results ---------------------------------------------------------------------------------------- */

/* The plane of count >= threshold. Upwards from the lowest bit: where the bits differ the higher one decides. */
TERCET_INLINE bits bits_at_least(const struct bits_layer *l, const bits *counter, int32_t threshold) {
    bits reached = ~(bits){0};
    for (int b = 0; b < l->counter; b++) {
        const bits clear = (bits){0} + (uint64_t)((threshold >> b & 1) - 1); /* ones where the threshold has a 0 */
        reached = (counter[b] & reached) | (clear & (counter[b] | reached));
    }
    return reached;
}

/* Bytes of vector j of the tile's pixels: 1 where the plane has a bit. */
TERCET_INLINE tercet_u8v bits_bytes(bits plane, int j) {
    return (tercet_u8v)(plane >> j) & ((tercet_u8v){0} + (uint8_t)1);
}

/* The pixels of a tile whose selector names row `choice` of the thresholds. */
TERCET_INLINE bits bits_chosen(const struct bits_layer *l, bits nonzero, bits negative, int choice) {
    const int value = l->selector.first + choice;
    if (l->selector.choices == 1)
        return ~(bits){0};
    if (value == 0)
        return ~nonzero;
    if (value < 0)
        return negative;
    return nonzero & ~negative;
}

/* Levels of a tile as bytes. A record is (start, step, thresholds): level = start + step * #{count >= threshold}. */
TERCET_INLINE void bits_levels(const struct bits_layer *l, const bits *counter, const int32_t *record,
                               const unsigned char *selector, int vectors, unsigned char *to) {
    const tercet_u8v start = (tercet_u8v){0} + (uint8_t)record[0], step = (tercet_u8v){0} + (uint8_t)record[1];
    for (int j = 0; j < 8; j++)
        *(tercet_u8v *)(to + j * TERCET_VECTOR_BYTES) = start;
    bits nonzero = {0}, negative = {0};
    if (l->selector.choices > 1)
        bits_pack(selector, vectors, &nonzero, &negative);
    for (int i = 0; i < l->steps; i++) {
        bits reached = {0};
        for (int choice = 0; choice < l->selector.choices; choice++)
            reached |= bits_at_least(l, counter, record[choice * l->steps + i + 2]) &
                       bits_chosen(l, nonzero, negative, choice);
        for (int j = 0; j < 8; j++)
            *(tercet_u8v *)(to + j * TERCET_VECTOR_BYTES) += -bits_bytes(reached, j) & step;
    }
}

/* Sums of a tile as elements of the output. A record is (what to add). */
TERCET_INLINE void bits_values(const struct bits_layer *l, const bits *counter, const int32_t *record,
                               unsigned char *to) {
    for (int j = 0; j < 8; j++) {
        unsigned char low[TERCET_VECTOR_BYTES], high[TERCET_VECTOR_BYTES];
        tercet_u8v parts[2] = {{0}, {0}};
        for (int b = 0; b < l->counter; b++)
            parts[b / 8] |= bits_bytes(counter[b], j) << b % 8;
        memcpy(low, &parts[0], sizeof low);
        memcpy(high, &parts[1], sizeof high);
        for (int i = 0; i < TERCET_VECTOR_BYTES; i++, to += l->out.item) {
            const int32_t x = (low[i] | high[i] << 8) * l->scale + record[0];
            memcpy(to, &x, (size_t)l->out.item);
        }
    }
}

/* -- the layer ----------------------------------------------------------------------------------------------------- */

/* Where the working memory of a part holds what; plan.py counts the same bytes. */
struct bits_scratch {
    bits *tables, *counters;
    unsigned char *lanes, *mask;
};

TERCET_INLINE struct bits_scratch bits_scratch(const struct bits_layer *l, unsigned char *memory) {
    struct bits_scratch s;
    s.tables = (bits *)memory;
    s.counters = s.tables + l->chunk * bits_entries(l) * bits_entry_planes(l);
    s.lanes = (unsigned char *)(s.counters + l->outputs * l->counter);
    s.mask = s.lanes + BITS_STAGED * BITS_PIXELS * l->out.item;
    return s;
}

/* Output channels [begin, end) of one convolution for the tile of pixels from lane `first` on. */
TERCET_INLINE void bits_tile(const struct bits_layer *l, const struct tercet_task *task, struct bits_scratch s,
                             epilogue_finish *const finish, int64_t first, int convolution, int begin, int end) {
    const int groups = (l->inputs * l->tap_count + BITS_GROUP - 1) / BITS_GROUP, whole = groups - groups % l->chunk;
    const int64_t rest = planes_lanes(&l->out, l->in.pitch) - first;
    const int count = rest < BITS_PIXELS ? (int)rest : BITS_PIXELS;
    const int vectors = (count + TERCET_VECTOR_BYTES - 1) / TERCET_VECTOR_BYTES;
    const unsigned char *tile =
        (const unsigned char *)task->in[0] + (int64_t)convolution * l->inputs * l->in.size + first;
    const unsigned char *index = task->weights + (int64_t)convolution * l->outputs * groups;
    for (int chunk = 0; chunk < whole; chunk += l->chunk, index += l->outputs * l->chunk)
        bits_chunk(l, s.tables, tile, vectors, index + begin * l->chunk, s.counters, chunk, l->chunk, end - begin);
    if (whole < groups)
        bits_chunk(l, s.tables, tile, vectors, index + begin * (groups - whole), s.counters, whole, groups - whole,
                   end - begin);

    const int numbers = l->steps ? l->selector.choices * l->steps + 2 : 1, staged = BITS_PIXELS * l->out.item;
    for (int k = begin; k < end; k += BITS_STAGED) {
        const int batch = end - k < BITS_STAGED ? end - k : BITS_STAGED;
        const int64_t channel = convolution * l->outputs + k;
        for (int i = 0; i < batch; i++, s.counters += l->counter) {
            const int32_t *record = (const int32_t *)(task->weights + l->records) + (channel + i) * numbers;
            unsigned char copy[BITS_PIXELS];
            const unsigned char *selector =
                epilogue_select(&l->selector, task, channel + i, copy, l->in.pitch, first, count);
            if (l->steps)
                bits_levels(l, s.counters, record, selector, vectors, s.lanes + i * staged);
            else
                bits_values(l, s.counters, record, s.lanes + i * staged);
        }
        epilogue_tile(task, &l->out, finish, channel, batch, s.lanes, staged, s.mask, l->in.pitch, first, count);
    }
}

/* The layer; finish: what takes the sums, or NULL for levels and for sums that are the result. Parts share pairs of a
 * tile and a channel, tile by tile. */
TERCET_INLINE void bits_conv(const struct bits_layer *l, const struct tercet_task *task,
                             epilogue_finish *const finish) {
    const struct bits_scratch s = bits_scratch(l, task->scratch);
    const int channels = l->out.channels;
    const int64_t tiles = (planes_lanes(&l->out, l->in.pitch) + BITS_PIXELS - 1) / BITS_PIXELS;
    int64_t item, end;
    tercet_share(task, channels, 1, &item, &end);
    if (!finish)
        planes_clear_borders(&l->out, task->out[0], l->in.pitch, item, end);
    tercet_share_tiles(task, tiles * channels, BITS_SHARE, channels, &item, &end);
    for (int64_t masked = -1; item < end;) {
        const int64_t tile = item / channels;
        const int channel = (int)(item % channels), convolution = channel / l->outputs;
        const int begin = channel % l->outputs;
        const int stop = begin + (end - item) < l->outputs ? begin + (int)(end - item) : l->outputs;
        if (tile != masked)
            planes_mask(&l->out, s.mask, l->in.pitch, tile * BITS_PIXELS, BITS_PIXELS);
        masked = tile;
        bits_tile(l, task, s, finish, tile * BITS_PIXELS, convolution, begin, stop);
        item += stop - begin;
    }
}

#endif
