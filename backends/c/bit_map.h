/* Maps in bits (#kn.bits of ir/kn/bits.py): the channels of a pixel in the bits of 64-bit words; to and from bytes. */
#ifndef TERCET_BIT_MAP_H
#define TERCET_BIT_MAP_H

#include "epilogue.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "maps in bits need the lowest byte of a word first"
#endif

#define BIT_MAP_RUN 64 /* pixels that are turned around together */
#define BIT_MAP_ONES 0x0101010101010101u
#define BIT_MAP_UNROLL _Pragma("GCC unroll 8")

/* How bytes become bits. Bit p of a value is bit shift[p] of its byte, turned around where invert[p] is 255; a value of
 * one bit is `low` or `high`, of two 0, 1 or -1. */
struct bit_map {
    int channels, groups, words; /* channels of a group; words of one of its planes */
    int planes;
    int shift[2], invert[2];
    int low, high;
};

/* Words from one pixel to the next. */
TERCET_INLINE int64_t bit_map_pixel(const struct bit_map *b) {
    return (int64_t)b->groups * b->words * b->planes;
}

/* The byte of a pixel that holds bit `plane` of channels 8 * octet .. 8 * octet + 7 of a group. */
TERCET_INLINE int64_t bit_map_byte(const struct bit_map *b, int64_t group, int octet, int plane) {
    return ((group * b->words + octet / 8) * b->planes + plane) * 8 + octet % 8;
}

/* Which bits of an octet are channels. */
TERCET_INLINE unsigned bit_map_valid(const struct bit_map *b, int octet) {
    const int left = b->channels - 8 * octet;
    return left >= 8 ? 255u : left > 0 ? (1u << left) - 1 : 0u;
}

/* -- from bytes ---------------------------------------------------------------------------------------------------- */

/* Bits `plane` of eight rows of values: those of a pixel become a byte. */
TERCET_INLINE void bit_map_octet(const struct bit_map *b, unsigned char *bits, unsigned char rows[8][BIT_MAP_RUN],
                                 int plane, unsigned valid) {
    const unsigned char bit = (unsigned char)(1 << b->shift[plane]);
    for (int i = 0; i < BIT_MAP_RUN; i++) {
        unsigned char sum = 0;
        for (int j = 0; j < 8; j++) /* a comparison: CPUs shift no bytes */
            sum |= (rows[j][i] & bit) == bit ? (unsigned char)(1 << j) : 0;
        bits[i] = (unsigned char)((sum ^ b->invert[plane]) & valid);
    }
}

/* Pixels [pixel, pixel + count), at most BIT_MAP_RUN, of the channels from `channel` on. to: the first of them. */
TERCET_INLINE void bit_map_pack(const struct bit_map *b, const struct planes *map, const void *in, int64_t channel,
                                uint64_t *to, int64_t pixel, int count) {
    for (int64_t group = 0; group < b->groups; group++, channel += b->channels)
        for (int word = 0; word < b->words; word++, to += b->planes) {
            unsigned char bits[2][8][BIT_MAP_RUN] = {{{0}}};
            for (int j = 0; j < 8 && bit_map_valid(b, 8 * word + j); j++) {
                unsigned char rows[8][BIT_MAP_RUN] = {{0}};
                const int octet = 8 * word + j;
                const unsigned valid = bit_map_valid(b, octet);
                for (int k = 0; k < 8 && valid >> k; k++)
                    epilogue_load(map, in, channel + 8 * octet + k, rows[k], pixel, count);
                for (int plane = 0; plane < b->planes; plane++)
                    bit_map_octet(b, bits[plane][j], rows, plane, valid);
            }
            for (int plane = 0; plane < b->planes; plane++) {
                uint64_t words[BIT_MAP_RUN];
                for (int i = 0; i < BIT_MAP_RUN; i++) {
                    words[i] = 0;
                    BIT_MAP_UNROLL for (int j = 0; j < 8; j++)
                        words[i] |= (uint64_t)bits[plane][j][i] << 8 * j;
                }
                for (int i = 0; i < count; i++)
                    to[i * bit_map_pixel(b) + plane] = words[i];
            }
        }
}

/* A pixel whose channels are neighbouring bytes. */
TERCET_INLINE void bit_map_pack_pixel(const struct bit_map *b, const unsigned char *from, uint64_t *to) {
    for (int64_t group = 0; group < b->groups; group++, from += b->channels)
        for (int octet = 0; octet < 8 * b->words; octet++) {
            const unsigned valid = bit_map_valid(b, octet);
            uint64_t bytes = 0;
            if (valid == 255)
                memcpy(&bytes, from + 8 * octet, 8);
            else if (valid)
                memcpy(&bytes, from + 8 * octet, (size_t)(b->channels - 8 * octet));
            for (int plane = 0; plane < b->planes; plane++) {
                const uint64_t ones = bytes >> b->shift[plane] & BIT_MAP_ONES;
                ((unsigned char *)to)[bit_map_byte(b, group, octet, plane)] =
                    (unsigned char)((ones * 0x0102040810204080u >> 56 ^ (unsigned)b->invert[plane]) & valid);
            }
        }
}

/* A whole map [outer, channels, inner]; parts share its pixels. map: [outer * channels, inner]. */
TERCET_INLINE void bit_map_from_bytes(const struct tercet_task *task, const struct bit_map *b, const struct planes *map,
                                      int64_t outer) {
    const int64_t inner = (int64_t)map->height * map->width, runs = (inner + BIT_MAP_RUN - 1) / BIT_MAP_RUN;
    const int64_t channels = (int64_t)b->groups * b->channels;
    const unsigned char *in = task->in[0];
    uint64_t *out = task->out[0];
    int64_t begin, end;
    if (map->size == 1) {
        tercet_share(task, outer, 1, &begin, &end);
        for (int64_t o = begin; o < end; o++)
            bit_map_pack_pixel(b, in + o * channels, out + o * bit_map_pixel(b));
        return;
    }
    tercet_share(task, outer * runs, 1, &begin, &end);
    for (int64_t run = begin; run < end; run++) {
        const int64_t o = run / runs, pixel = run % runs * BIT_MAP_RUN;
        const int count = inner - pixel < BIT_MAP_RUN ? (int)(inner - pixel) : BIT_MAP_RUN;
        bit_map_pack(b, map, in, o * channels, out + (o * inner + pixel) * bit_map_pixel(b), pixel, count);
    }
}

/* From one grouping of the channels to another; parts share the pixels. */
TERCET_INLINE void bit_map_regroup(const struct tercet_task *task, const struct bit_map *from, const struct bit_map *to,
                                   int64_t pixels) {
    int64_t begin, end;
    tercet_share(task, pixels, 1, &begin, &end);
    for (int64_t pixel = begin; pixel < end; pixel++) {
        const unsigned char *in = (const unsigned char *)((const uint64_t *)task->in[0] + pixel * bit_map_pixel(from));
        unsigned char *out = (unsigned char *)((uint64_t *)task->out[0] + pixel * bit_map_pixel(to));
        for (int64_t group = 0; group < to->groups; group++)
            for (int octet = 0; octet < 8 * to->words; octet++)
                for (int plane = 0; plane < to->planes; plane++) {
                    unsigned bits = 0;
                    for (int j = 0; j < 8 && bit_map_valid(to, octet) >> j; j++) {
                        const int64_t c = group * to->channels + 8 * octet + j, own = c % from->channels;
                        const int64_t at = bit_map_byte(from, c / from->channels, (int)(own / 8), plane);
                        bits |= (in[at] >> own % 8 & 1u) << j;
                    }
                    out[bit_map_byte(to, group, octet, plane)] = (unsigned char)bits;
                }
    }
}

/* -- to bytes ------------------------------------------------------------------------------------------------------ */

/* The value of every bit j of the octets, bits[plane]. */
TERCET_INLINE unsigned char bit_map_value(const struct bit_map *b, unsigned first, unsigned second, int j) {
    if (b->planes == 2)
        return (unsigned char)((first >> j & 1) | -(second >> j & 1));
    return (unsigned char)((-(first >> j & 1) & (unsigned)(b->low ^ b->high)) ^ (unsigned)b->low);
}

/* Octets [begin, end) of a group of pixels [pixel, pixel + count). from: the first pixel; channel: the group's first. */
TERCET_INLINE void bit_map_unpack(const struct bit_map *b, const struct planes *map, void *out, int64_t channel,
                                  const uint64_t *from, int64_t group, int begin, int end, int64_t pixel, int64_t count) {
    for (int64_t done = 0; done < count; done += BIT_MAP_RUN) {
        const int run = count - done < BIT_MAP_RUN ? (int)(count - done) : BIT_MAP_RUN;
        uint64_t words[2][BIT_MAP_RUN] = {{0}};
        for (int octet = begin; octet < end; octet++) {
            if (octet == begin || octet % 8 == 0)
                for (int plane = 0; plane < b->planes; plane++)
                    for (int i = 0; i < run; i++)
                        words[plane][i] = from[(done + i) * bit_map_pixel(b) + bit_map_byte(b, group, octet, plane) / 8];
            unsigned char bits[2][BIT_MAP_RUN], row[BIT_MAP_RUN];
            for (int plane = 0; plane < b->planes; plane++)
                for (int i = 0; i < BIT_MAP_RUN; i++)
                    bits[plane][i] = (unsigned char)(words[plane][i] >> octet % 8 * 8);
            for (int j = 0; j < 8 && bit_map_valid(b, octet) >> j; j++) {
                for (int i = 0; i < BIT_MAP_RUN; i++)
                    row[i] = bit_map_value(b, bits[0][i], bits[b->planes - 1][i], j);
                epilogue_store(map, out, channel + 8 * octet + j, row, pixel + done, run);
            }
        }
    }
}

/* The same for pixels whose channels are neighbouring bytes. to: the first channel of the group. */
TERCET_INLINE void bit_map_unpack_pixel(const struct bit_map *b, unsigned char *to, const uint64_t *from, int64_t group,
                                        int begin, int end) {
    const unsigned char *bytes = (const unsigned char *)from;
    for (int octet = begin; octet < end; octet++) {
        const unsigned first = bytes[bit_map_byte(b, group, octet, 0)];
        const unsigned second = bytes[bit_map_byte(b, group, octet, b->planes - 1)];
        unsigned char values[8];
        for (int j = 0; j < 8; j++)
            values[j] = bit_map_value(b, first, second, j);
        const int left = b->channels - 8 * octet;
        memcpy(to + 8 * octet, values, left < 8 ? (size_t)left : 8);
    }
}

/* A whole map, as bit_map_from_bytes. */
TERCET_INLINE void bit_map_to_bytes(const struct tercet_task *task, const struct bit_map *b, const struct planes *map,
                                    int64_t outer) {
    const int64_t inner = (int64_t)map->height * map->width, runs = (inner + BIT_MAP_RUN - 1) / BIT_MAP_RUN;
    const int64_t channels = (int64_t)b->groups * b->channels;
    const int octets = (b->channels + 7) / 8;
    const uint64_t *in = task->in[0];
    unsigned char *out = task->out[0];
    int64_t begin, end;
    if (map->zero) {
        tercet_share(task, channels, 1, &begin, &end);
        planes_clear_borders(map, out, 0, begin, end);
    }
    tercet_share(task, outer * runs, 1, &begin, &end);
    for (int64_t run = begin; run < end; run++) {
        const int64_t o = run / runs, pixel = run % runs * BIT_MAP_RUN;
        const int64_t count = inner - pixel < BIT_MAP_RUN ? inner - pixel : BIT_MAP_RUN;
        const uint64_t *from = in + (o * inner + pixel) * bit_map_pixel(b);
        for (int64_t group = 0; group < b->groups; group++)
            if (map->size == 1)
                bit_map_unpack_pixel(b, out + (o * b->groups + group) * b->channels, from, group, 0, octets);
            else
                bit_map_unpack(b, map, out, (o * b->groups + group) * b->channels, from, group, 0, octets, pixel, count);
    }
}

#endif
