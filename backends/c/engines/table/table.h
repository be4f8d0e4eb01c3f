/* Convolution by tables (table_sums.h): from sums to results, tile by tile. */
#ifndef TERCET_TABLE_H
#define TERCET_TABLE_H

#include "table_sums.h"

/* TABLE_STAGED, defined where this is included: channels finished before they are stored, as a vector cannot be
 * reread in parts right away. */

/* An element of a channel's record in every lane. */
TERCET_INLINE tercet_u64v table_splat(const struct table_layer *l, const unsigned char *record, int i) {
    if (l->wide == 1)
        return (tercet_u64v)((tercet_i8v){0} + ((const int8_t *)record)[i]);
    if (l->wide == 2) {
        int16_t x;
        memcpy(&x, record + 2 * i, sizeof x);
        return (tercet_u64v)((tercet_i16v){0} + x);
    }
    int32_t x;
    memcpy(&x, record + 4 * i, sizeof x);
    return (tercet_u64v)((tercet_i32v){0} + x);
}

/* All ones where a > b. */
TERCET_INLINE tercet_u64v table_greater(const struct table_layer *l, tercet_u64v a, tercet_u64v b) {
    if (l->wide == 1)
        return (tercet_u64v)((tercet_i8v)a > (tercet_i8v)b);
    return l->wide == 2 ? (tercet_u64v)((tercet_i16v)a > (tercet_i16v)b)
                        : (tercet_u64v)((tercet_i32v)a > (tercet_i32v)b);
}

/* All ones where the selector of a vector of pixels names row `choice` of the thresholds, in wide lanes. */
TERCET_INLINE tercet_u64v table_chosen(const struct table_layer *l, const unsigned char *selector, int choice, int part) {
    tercet_u64v x;
    if (l->lane == 1) {
        memcpy(&x, selector, sizeof x);
    } else {
        table_i8half narrow;
        memcpy(&narrow, selector, sizeof narrow);
        x = (tercet_u64v)__builtin_convertvector(narrow, tercet_i16v);
    }
    x = table_widen(l, x, part);
    const int value = l->selector.first + choice;
    if (l->wide == 1)
        return (tercet_u64v)((tercet_i8v)x == (int8_t)value);
    return l->wide == 2 ? (tercet_u64v)((tercet_i16v)x == (int16_t)value) : (tercet_u64v)((tercet_i32v)x == value);
}

/* Sums to levels: one vector of pixels as bytes. A record is (start, step, thresholds); value = start + step * #{sum >
 * threshold}, which also says a bias, a sign and the first level. */
TERCET_INLINE void table_levels(const struct table_layer *l, const tercet_u64v *sums, const unsigned char *record,
                                const unsigned char *selector, unsigned char *to) {
    const tercet_u64v start = table_splat(l, record, 0), step = table_splat(l, record, 1);
    const int parts = l->wide / l->lane;
    tercet_u64v level[4], packed = {0};
    for (int part = 0; part < parts; part++)
        level[part] = start;
    for (int choice = 0; choice < l->selector.choices; choice++) {
        tercet_u64v add[4];
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++) {
            add[part] = step;
            if (l->selector.choices > 1)
                add[part] &= table_chosen(l, selector, choice, part);
        }
        for (int i = 0; i < l->steps; i++) {
            const tercet_u64v threshold = table_splat(l, record, choice * l->steps + i + 2);
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                level[part] = table_add_wide(l, level[part], table_greater(l, sums[part], threshold) & add[part]);
        }
    }
#pragma GCC unroll 4
    for (int part = 0; part < parts; part++) { /* the inverse of table_widen */
        const int up = 8 * l->lane * part, keep = (int)(0xffffffffu >> (32 - 8 * l->lane));
        if (parts == 1)
            packed = level[0];
        else if (l->wide == 2)
            packed |= (tercet_u64v)(((table_u16v)level[part] & (uint16_t)keep) << up);
        else
            packed |= (tercet_u64v)(((table_u32v)level[part] & (uint32_t)keep) << up);
    }
    if (l->lane == 1) {
        memcpy(to, &packed, sizeof packed);
    } else {
        const table_i8half bytes = __builtin_convertvector((tercet_i16v)packed, table_i8half);
        memcpy(to, &bytes, sizeof bytes);
    }
}

/* Sums as they are: one vector of pixels as elements of the output. A record is (bias, sign): sign -1 negates. */
TERCET_INLINE void table_values(const struct table_layer *l, const tercet_u64v *sums, const unsigned char *record,
                                unsigned char *to) {
    const int parts = l->wide / l->lane, count = TERCET_VECTOR_BYTES / l->wide, item = l->out.item;
    const tercet_u64v bias = table_splat(l, record, 0), sign = table_splat(l, record, 1);
    tercet_u64v values[4];
    for (int part = 0; part < parts; part++) {
        const tercet_u64v x = sums[part] ^ sign; /* ~x = -x - 1, and the record's bias holds the 1 */
        values[part] = table_add_wide(l, x, bias);
    }
#define TABLE_INTERLEAVE(WIDE, ITEM)                                                                                   \
    for (int i = 0; i < count; i++)                                                                                    \
        for (int part = 0; part < parts; part++)                                                                       \
            ((ITEM *)to)[i * parts + part] = (ITEM)((const WIDE *)values)[part * count + i]
    if (l->wide == 1 && item == 1)
        TABLE_INTERLEAVE(table_i8, table_i8);
    else if (l->wide == 1 && item == 2)
        TABLE_INTERLEAVE(table_i8, table_i16);
    else if (l->wide == 1)
        TABLE_INTERLEAVE(table_i8, table_i32);
    else if (l->wide == 2 && item == 1)
        TABLE_INTERLEAVE(table_i16, table_i8);
    else if (l->wide == 2 && item == 2)
        TABLE_INTERLEAVE(table_i16, table_i16);
    else if (l->wide == 2)
        TABLE_INTERLEAVE(table_i16, table_i32);
    else if (item == 1)
        TABLE_INTERLEAVE(table_i32, table_i8);
    else if (item == 2)
        TABLE_INTERLEAVE(table_i32, table_i16);
    else
        TABLE_INTERLEAVE(table_i32, table_i32);
#undef TABLE_INTERLEAVE
}

/* Where the working memory of a part holds what; plan.py counts the same bytes. */
struct table_scratch {
    tercet_u64v *tables, *sums;
    unsigned char *lanes, *mask;
};

TERCET_INLINE struct table_scratch table_scratch(const struct table_layer *l, unsigned char *memory) {
    struct table_scratch s;
    s.tables = (tercet_u64v *)memory;
    s.sums = s.tables + l->chunk * table_entries(l) * l->vectors;
    s.lanes = (unsigned char *)(s.sums + l->outputs * l->vectors * (l->wide / l->lane));
    s.mask = s.lanes + TABLE_STAGED * l->vectors * TERCET_VECTOR_BYTES * l->out.item;
    return s;
}

/* Output channels [begin, end) of one convolution for the tile of pixels from lane `first` on. */
TERCET_INLINE void table_tile(const struct table_layer *l, const struct tercet_task *task, struct table_scratch s,
                              epilogue_finish *const finish, int64_t first, int convolution, int begin, int end) {
    const int groups = (l->inputs * l->tap_count + l->group - 1) / l->group, whole = groups - groups % l->chunk;
    const int lanes = TERCET_VECTOR_BYTES / l->lane, parts = l->wide / l->lane;
    const unsigned char *tile =
        (const unsigned char *)task->in[0] + (int64_t)convolution * l->inputs * l->in.size + first;
    const unsigned char *index = task->weights + (int64_t)convolution * l->outputs * groups;
    for (int chunk = 0; chunk < whole; chunk += l->chunk, index += l->outputs * l->chunk)
        table_chunk(l, s.tables, tile, index + begin * l->chunk, s.sums, chunk, l->chunk, end - begin);
    if (whole < groups)
        table_chunk(l, s.tables, tile, index + begin * (groups - whole), s.sums, whole, groups - whole, end - begin);

    const int64_t rest = planes_lanes(&l->out, l->in.pitch) - first;
    const int count = rest < l->vectors * lanes ? (int)rest : l->vectors * lanes;
    const int staged = l->vectors * TERCET_VECTOR_BYTES * l->out.item; /* bytes of a channel in s.lanes */
    for (int k = begin; k < end; k += TABLE_STAGED) {
        const int batch = end - k < TABLE_STAGED ? end - k : TABLE_STAGED;
        const int64_t channel = convolution * l->outputs + k;
        for (int i = 0; i < batch; i++) {
            const unsigned char *record =
                task->weights + l->records + (channel + i) * (l->selector.choices * l->steps + 2) * l->wide;
            unsigned char copy[TABLE_MAX_VECTORS * TERCET_VECTOR_BYTES];
            const unsigned char *selector =
                epilogue_select(&l->selector, task, channel + i, copy, l->in.pitch, first, count);
            for (int v = 0; v < l->vectors; v++, s.sums += parts) {
                unsigned char *to = s.lanes + i * staged + v * lanes * l->out.item;
                if (l->steps)
                    table_levels(l, s.sums, record, selector ? selector + v * lanes : NULL, to);
                else
                    table_values(l, s.sums, record, to);
            }
        }
        epilogue_tile(task, &l->out, finish, channel, batch, s.lanes, staged, s.mask, l->in.pitch, first, count);
    }
}

/* The layer; finish: what takes the sums, or NULL for levels and for sums that are the result. Parts share pairs of a
 * tile and a channel, tile by tile, so that large maps build each table once and small ones still keep all threads
 * busy. */
TERCET_INLINE void table_conv(const struct table_layer *l, const struct tercet_task *task,
                              epilogue_finish *const finish) {
    const struct table_scratch s = table_scratch(l, task->scratch);
    const int lanes = l->vectors * TERCET_VECTOR_BYTES / l->lane, channels = l->out.channels;
    const int64_t tiles = (planes_lanes(&l->out, l->in.pitch) + lanes - 1) / lanes;
    int64_t item, end;
    tercet_share(task, channels, 1, &item, &end);
    if (!finish)
        planes_clear_borders(&l->out, task->out[0], l->in.pitch, item, end);
    tercet_share_tiles(task, tiles * channels, TABLE_SHARE, channels, &item, &end);
    for (int64_t masked = -1; item < end;) {
        const int64_t tile = item / channels;
        const int channel = (int)(item % channels), convolution = channel / l->outputs;
        const int begin = channel % l->outputs;
        const int stop = begin + (end - item) < l->outputs ? begin + (int)(end - item) : l->outputs;
        if (tile != masked)
            planes_mask(&l->out, s.mask, l->in.pitch, tile * lanes, lanes);
        masked = tile;
        table_tile(l, task, s, finish, tile * lanes, convolution, begin, stop);
        item += stop - begin;
    }
}

#endif
