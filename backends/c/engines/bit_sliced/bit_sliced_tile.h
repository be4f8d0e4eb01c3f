/* Tiles of BITS_BYTES: one bit of every pixel in a vector. Sums of listed planes, and what they reach.
 *
 * A full adder makes of three bits of weight one one of weight one and one of weight two, and so on up: sixteen planes
 * become sixteen adders. Counts are modulo 2^counters, and a - b = ~(~a + b), so that one kind of adder does.
 * A kernel includes this once for each width of its tiles. */
#ifdef BITS_BYTES

#ifndef TERCET_BIT_SLICED_TILE_H
#define TERCET_BIT_SLICED_TILE_H
#define BITS_JOINED(name, bytes) name##_##bytes
#define BITS_OF_WIDTH(name, bytes) BITS_JOINED(name, bytes)
#define bits BITS_OF_WIDTH(bits, BITS_BYTES)
#define bits_anywhere BITS_OF_WIDTH(bits_anywhere, BITS_BYTES)
#define bits_select BITS_OF_WIDTH(bits_select, BITS_BYTES)
#define bits_majority BITS_OF_WIDTH(bits_majority, BITS_BYTES)
#define bits_full BITS_OF_WIDTH(bits_full, BITS_BYTES)
#define bits_plane BITS_OF_WIDTH(bits_plane, BITS_BYTES)
#define bits_pair BITS_OF_WIDTH(bits_pair, BITS_BYTES)
#define bits_eight BITS_OF_WIDTH(bits_eight, BITS_BYTES)
#define bits_block BITS_OF_WIDTH(bits_block, BITS_BYTES)
#define bits_ripple BITS_OF_WIDTH(bits_ripple, BITS_BYTES)
#define bits_blocks BITS_OF_WIDTH(bits_blocks, BITS_BYTES)
#define bits_filter BITS_OF_WIDTH(bits_filter, BITS_BYTES)
#define bits_start BITS_OF_WIDTH(bits_start, BITS_BYTES)
#define bits_start_doubled BITS_OF_WIDTH(bits_start_doubled, BITS_BYTES)
#define bits_at_least BITS_OF_WIDTH(bits_at_least, BITS_BYTES)
#define bits_reached BITS_OF_WIDTH(bits_reached, BITS_BYTES)
#define bits_chosen_rows BITS_OF_WIDTH(bits_chosen_rows, BITS_BYTES)
#define bits_chosen_bytes BITS_OF_WIDTH(bits_chosen_bytes, BITS_BYTES)
#define bits_chosen BITS_OF_WIDTH(bits_chosen, BITS_BYTES)
#define bits_store BITS_OF_WIDTH(bits_store, BITS_BYTES)
#define bits_levels BITS_OF_WIDTH(bits_levels, BITS_BYTES)
#define bits_values BITS_OF_WIDTH(bits_values, BITS_BYTES)
#define bits_output BITS_OF_WIDTH(bits_output, BITS_BYTES)
#endif

typedef uint64_t bits __attribute__((vector_size(BITS_BYTES), may_alias));
typedef uint64_t bits_anywhere __attribute__((vector_size(BITS_BYTES), may_alias, aligned(1)));

/* c where t, else a. */
TERCET_INLINE bits bits_select(bits t, bits c, bits a) {
#if BITS_BYTES == 64 && defined(BIT_ROWS_AVX512)
    return (bits)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)t, (__m512i)c, 0xB8);
#elif BITS_BYTES == 32 && defined(BIT_ROWS_AVX512)
    return (bits)_mm256_ternarylogic_epi64((__m256i)a, (__m256i)t, (__m256i)c, 0xB8);
#elif BITS_BYTES == 16 && defined(BIT_ROWS_AVX512)
    return (bits)_mm_ternarylogic_epi64((__m128i)a, (__m128i)t, (__m128i)c, 0xB8);
#else
    return (t & c) | (~t & a);
#endif
}

/* Ones where two of three are. */
TERCET_INLINE bits bits_majority(bits a, bits b, bits c) {
#if BITS_BYTES == 64 && defined(BIT_ROWS_AVX512)
    return (bits)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xE8);
#else
    return (a & b) | (c & (a | b));
#endif
}

/* *s becomes the sum's bit; returns the carry. Exclusive or, select, exclusive or: with two general functions of three
 * vectors both would wait for two fresh operands, which AVX-512 runs at half rate; NEON has a select, too. */
TERCET_INLINE bits bits_full(bits *s, bits a, bits b) {
    const bits t = a ^ b, carry = bits_select(t, *s, a);
    *s ^= t;
    return carry;
}

TERCET_INLINE bits bits_plane(const struct bits_planes *p, const uint16_t *list, const int item, const int plane) {
    return *(const bits_anywhere *)(p->base + (int64_t)list[item] * p->unit + plane * p->window);
}

/* Adds two bits of a list: two inputs, or the two bits of one, of which the planes hold the sum already. */
TERCET_INLINE bits bits_pair(bits *s, const struct bits_planes *p, const uint16_t *list, const int at) {
    if (p->planes == 1) {
        const bits a = bits_plane(p, list, at, 0);
        return bits_full(s, a, bits_plane(p, list, at + 1, 0));
    }
    const bits zero = bits_plane(p, list, at / 2, 1), carry = bits_select(zero, *s, bits_plane(p, list, at / 2, 0));
    *s ^= zero;
    return carry;
}

/* Adds eight bits from `at` on to s[0..2]. Returns their carry. */
TERCET_INLINE bits bits_eight(bits *s, const struct bits_planes *p, const uint16_t *list, const int at) {
    bits a = bits_pair(&s[0], p, list, at), b = bits_pair(&s[0], p, list, at + 2);
    const bits c = bits_full(&s[1], a, b);
    a = bits_pair(&s[0], p, list, at + 4), b = bits_pair(&s[0], p, list, at + 6);
    return bits_full(&s[2], c, bits_full(&s[1], a, b));
}

TERCET_INLINE bits bits_block(bits *s, const struct bits_planes *p, const uint16_t *list) {
    const bits a = bits_eight(s, p, list, 0);
    return bits_full(&s[3], a, bits_eight(s, p, list, 8));
}

/* Adds a carry to the counters from s[first] on. */
TERCET_INLINE void bits_ripple(bits *s, bits carry, const int first, const int counters) {
    BITS_UNROLL for (int i = first; i < counters; i++) {
        const bits next = s[i] & carry;
        s[i] ^= carry;
        carry = next;
    }
}

/* Adds so many blocks of a list. s: at least six planes. */
TERCET_INLINE void bits_blocks(bits *s, const struct bits_planes *p, const uint16_t *list, int blocks, const int counters) {
    const int items = BITS_BLOCK / p->planes;
    for (; blocks >= 4; blocks -= 4, list += 4 * items) {
        bits a = bits_block(s, p, list);
        a = bits_full(&s[4], a, bits_block(s, p, list + items));
        bits b = bits_block(s, p, list + 2 * items);
        b = bits_full(&s[4], b, bits_block(s, p, list + 3 * items));
        bits_ripple(s, bits_full(&s[5], a, b), 6, counters);
    }
    if (blocks >= 2) {
        const bits a = bits_block(s, p, list);
        bits_ripple(s, bits_full(&s[4], a, bits_block(s, p, list + items)), 5, counters);
        blocks -= 2, list += 2 * items;
    }
    if (blocks)
        bits_ripple(s, bits_block(s, p, list), 4, counters);
}

/* s = start + the planes of a filter's first list - those of its second, where there are `signs` = 2. filter: the blocks of
 * both lists, then the lists. */
TERCET_INLINE void bits_filter(bits *s, const struct bits_planes *p, const uint16_t *filter, const int counters,
                               const int signs) {
    const uint16_t *const lists[2] = {filter + 2, filter + 2 + filter[0] * (BITS_BLOCK / p->planes)};
    if (signs == 2)
        BITS_UNROLL for (int i = 0; i < counters; i++)
            s[i] = ~s[i];
    _Pragma("GCC unroll 1") for (int sign = signs - 1; sign >= 0; sign--) {
        bits_blocks(s, p, lists[sign], filter[sign], counters);
        if (sign == 1)
            BITS_UNROLL for (int i = 0; i < counters; i++)
                s[i] = ~s[i];
    }
}

/* What counts start with: a constant. */
TERCET_INLINE void bits_start(const struct bits_layer *l, const struct bits_tile *t) {
    const int32_t start = *(const int32_t *)(t->task->weights + l->start);
    for (int i = 0; i < l->counters; i++)
        ((bits *)t->start)[i] = (bits){0} - (uint64_t)(start >> i & 1);
}

/* The same where counts are doubled: the complement of the count of all inputs. */
TERCET_INLINE void bits_start_doubled(const struct bits_layer *l, const struct bits_tile *t) {
    bits s[BITS_MAX_COUNTER] = {{0}};
    const struct bits_planes planes = bits_planes(l, t);
    bits_filter(s, &planes, t->all, l->whole, 1);
    for (int i = 0; i < l->counters; i++)
        ((bits *)t->start)[i] = i < l->whole ? ~s[i] : s[i]; /* which is 0 */
}

/* -- from counts to results ---------------------------------------------------------------------------------------- */

/* The pixels whose counts reach a limit. Upwards from the lowest bit: where count and limit differ the higher bit decides. */
TERCET_INLINE bits bits_at_least(const struct bits_layer *l, const bits *s, int32_t limit) {
    uint64_t below[BITS_MAX_COUNTER];
    bits reached = ~(bits){0};
    bits_words(~limit, below);
    BITS_UNROLL for (int i = 0; i < l->counters; i++)
        reached = bits_majority(s[i], reached, (bits){0} + below[i]);
    return reached;
}

/* The pixels whose counts reach the limit of their class. limits: of every class, `apart` numbers apart. */
TERCET_INLINE bits bits_reached(const struct bits_layer *l, const struct bits_tile *t, const bits *s, const int32_t *limits,
                                int apart) {
    if (l->row_spans * l->column_spans == 1)
        return bits_at_least(l, s, limits[0]);
    bits found = {0};
    limits += (int64_t)t->row_class * l->column_spans * apart;
    for (int j = 0; j < t->rows * l->column_spans; j++)
        found |= bits_at_least(l, s, limits[(int64_t)j * apart]) & ((const bits *)t->classes)[j];
    return found;
}

/* The pixels of a tile where the selector of a channel has a value, from rows of bits as long as those of the tile. */
TERCET_INLINE bits bits_chosen_rows(const struct bits_layer *l, const struct bits_tile *t, int64_t channel, int value) {
    const struct bit_rows *map = &l->rows_selector;
    const unsigned char *plane =
        (const unsigned char *)t->task->in[l->selector.operand] + channel * map->planes * map->size + t->byte;
    const bits high = *(const bits_anywhere *)plane;
    if (value == map->low + map->planes * map->step)
        return high;
    const bits low = *(const bits_anywhere *)(plane + (map->planes - 1) * map->size);
    if (value == map->low)
        return ~low;
    return value == 0 && map->planes == 2 ? low & ~high : low ^ low; /* no pixel has another value */
}

/* The same from bytes. */
TERCET_INLINE bits bits_chosen_bytes(const struct bits_layer *l, const struct bits_tile *t, int64_t channel, int value) {
    const unsigned char *plane =
        (const unsigned char *)t->task->in[l->selector.operand] + channel * l->selector.map.size;
    unsigned char found[BITS_BYTES + BIT_ROWS_RUN / 8], pixels[BIT_ROWS_RUN] = {0};
    bits chosen;
    for (int i = 0; i < t->runs; i++) {
        const struct bits_run *run = &t->run[i];
        planes_load_row(&l->selector.map, plane, pixels, run->y, run->x, run->x + run->count);
        const uint64_t plus = bit_rows_mark(pixels, BIT_ROWS_RUN, BIT_ROWS_PLUS);
        const uint64_t minus = ~bit_rows_mark(pixels, BIT_ROWS_RUN, BIT_ROWS_NOT_MINUS);
        const uint64_t marks = value > 0 ? plus : value < 0 ? minus : ~(plus | minus);
        memcpy(found + run->at, &marks, sizeof marks);
    }
    memcpy(&chosen, found, sizeof chosen);
    return chosen;
}

TERCET_INLINE bits bits_chosen(const struct bits_layer *l, const struct bits_tile *t, int64_t channel, int value) {
    if (l->rows_selector.planes)
        return bits_chosen_rows(l, t, channel, value);
    return bits_chosen_bytes(l, t, channel, value);
}

/* Stores a plane of a tile, and nothing after it: that may be another thread's. */
TERCET_INLINE void bits_store(const struct bits_layer *l, const struct bits_tile *t, unsigned char *to, bits plane) {
    if (l->tile == BITS_BYTES) {
        *(bits_anywhere *)to = plane;
        return;
    }
#if BITS_BYTES == 64 && defined(BIT_ROWS_AVX512)
    _mm512_mask_storeu_epi8(to, ~(uint64_t)0 >> (64 - t->bytes), (__m512i)plane);
#else
    unsigned char copy[BITS_BYTES];
    memcpy(copy, &plane, sizeof copy);
    planes_copy(to, copy, t->bytes);
#endif
}

/* Levels of a channel. record: start, step, limits of every class; level = start + step * #{count >= limit}. In rows of
 * bits each bit has a limit, and is turned around where start is 1. */
TERCET_INLINE void bits_levels(const struct bits_layer *l, const struct bits_tile *t, const bits *s, int64_t channel,
                               const int32_t *record) {
    const int choices = l->selector.choices, apart = choices * l->steps, gap = bit_rows_gap(&l->out);
    unsigned char reached[BITS_STEPS][BITS_BYTES + BIT_ROWS_RUN / 8];
    unsigned char *plane = (unsigned char *)t->task->out[0] + channel * l->out.size;
    for (int i = 0; i < l->steps; i++) {
        bits found = {0};
        for (int choice = 0; choice < choices; choice++) {
            bits pixels = bits_reached(l, t, s, record + 2 + choice * l->steps + i, apart);
            if (choices > 1)
                pixels &= bits_chosen(l, t, channel, l->selector.first + choice);
            found |= pixels;
        }
        if (l->rows_out.planes) {
            unsigned char *to = (unsigned char *)t->task->out[0] + (channel * l->rows_out.planes + i) * l->rows_out.size;
            bits_store(l, t, to + t->byte, found ^ ((bits){0} - (uint64_t)record[0]));
        }
        memcpy(reached[i], &found, sizeof found);
    }
    if (l->rows_out.planes)
        return;
    for (int i = 0; i < t->runs; i++) {
        const struct bits_run *run = &t->run[i];
        struct bit_rows_run row;
        bit_rows_fill(&row, record[0]);
        for (int j = 0; j < l->steps; j++) {
            uint64_t pixels;
            memcpy(&pixels, reached[j] + run->at, sizeof pixels);
            bit_rows_add(&row, pixels, record[1]);
        }
        bit_rows_store_bytes(&l->out, plane, &row, run->y, run->x, run->count, gap);
    }
}

/* Sums of a channel. record: what to add to the counts of every class. */
TERCET_INLINE void bits_values(const struct bits_layer *l, const struct bits_tile *t, const bits *s, int64_t channel,
                               const int32_t *record, epilogue_finish *const finish) {
    unsigned char counts[BITS_MAX_COUNTER][BITS_BYTES + BIT_ROWS_RUN / 8];
    int32_t *next = t->sums;
    unsigned char *plane = (unsigned char *)t->task->out[0] + channel * l->out.size * l->out.item;
    BITS_UNROLL for (int i = 0; i < l->counters; i++)
        memcpy(counts[i], &s[i], sizeof s[i]);
    for (int i = 0; i < t->runs; i++) {
        const struct bits_run *run = &t->run[i];
        struct bit_rows_run part[2];
        bit_rows_fill(&part[0], 0), bit_rows_fill(&part[1], 0);
        BITS_UNROLL for (int j = 0; j < l->counters; j++) {
            uint64_t pixels;
            memcpy(&pixels, counts[j] + run->at, sizeof pixels);
            bit_rows_add(&part[j / 8], pixels, 1 << j % 8);
        }
        unsigned char low[BIT_ROWS_RUN], high[BIT_ROWS_RUN];
        memcpy(low, &part[0], sizeof low);
        memcpy(high, &part[1], sizeof high);
        int row = 0, first = 0;
        while (l->row_spans > 1 && run->y >= l->row_ends[row].end)
            row++;
        while (l->column_spans > 1 && run->x + run->count / 2 >= l->column_ends[first].end)
            first++;
        const int32_t *base = record + row * l->column_spans, most = base[first]; /* of the pixel in the middle */
        for (int x = 0; x < BIT_ROWS_RUN; x++)
            next[x] = (low[x] | high[x] << 8) * l->scale + most;
        for (int column = 0, x = run->x; l->column_spans > 1 && x < run->x + run->count; column++) {
            const int last = run->x + run->count, end = l->column_ends[column].end < last ? l->column_ends[column].end : last;
            for (int i = x; i < end && column != first; i++)
                next[i - run->x] += base[column] - most;
            x = end > x ? end : x;
        }
        if (!finish) {
            unsigned char stored[4 * BIT_ROWS_RUN];
            for (int x = 0; x < run->count; x++)
                memcpy(stored + (int64_t)x * l->out.item, &next[x], (size_t)l->out.item);
            planes_store_row(&l->out, plane, stored, run->y, run->x, run->x + run->count);
        }
        next += run->count;
    }
    if (finish)
        finish(t->task, channel, t->first, t->pixels, t->sums);
}

/* One output channel of a tile. */
TERCET_INLINE void bits_output(const struct bits_layer *l, const struct bits_tile *t, int channel,
                               epilogue_finish *const finish) {
    const int below = l->doubled, counters = l->counters - below;
    const int numbers = l->row_spans * l->column_spans * (l->steps ? l->selector.choices * l->steps : 1) + 2 * !!l->steps;
    const int32_t *record = (const int32_t *)(t->task->weights + l->records) + (int64_t)channel * numbers;
    const unsigned char *lists = t->task->weights + l->lists;
    const uint16_t *filter = (const uint16_t *)lists + ((const uint32_t *)lists)[channel];
    bits s[BITS_MAX_COUNTER + 1] = {{0}};
    BITS_UNROLL for (int i = 0; i < l->counters; i++)
        s[i] = ((const bits *)t->start)[i];
    const struct bits_planes planes = bits_planes(l, t);
    bits_filter(s + below, &planes, filter, counters, l->signs);
    if (l->steps)
        bits_levels(l, t, s, channel, record);
    else
        bits_values(l, t, s, channel, record, finish);
}

#endif
