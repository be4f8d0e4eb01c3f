/* From maps in rows of bits to maps in words of channels (#kn.bits), and back: blocks of 8 x 8 bits are turned around. */
#ifndef TERCET_BIT_ROWS_WORDS_H
#define TERCET_BIT_ROWS_WORDS_H

#include "bit_map.h"
#include "bit_rows.h"

/* Bit j of byte i becomes bit i of byte j. */
TERCET_INLINE uint64_t bit_rows_turned(uint64_t x) {
    uint64_t t = (x ^ x >> 7) & 0x00AA00AA00AA00AAu;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000CCCC0000CCCCu;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000F0F0F0F0u;
    return x ^ t ^ t << 28;
}

/* A value's bits in one form from those in the other: (1, not -1) to (not 0, -1), or back. Of one bit: the same. */
TERCET_INLINE void bit_rows_to_word_bits(uint64_t *bits, int planes) {
    if (planes == 2) {
        bits[1] = ~bits[1];
        bits[0] |= bits[1];
    }
}
TERCET_INLINE void bit_rows_from_word_bits(uint64_t *bits, int planes) {
    if (planes == 2) {
        bits[1] = ~bits[1];
        bits[0] &= bits[1];
    }
}

/* Channels along axis 1: parts share the rows. */
TERCET_INLINE void bit_rows_to_words(const struct tercet_task *task, const struct bit_rows *rows,
                                     const struct bit_map *map) {
    int64_t begin, end;
    tercet_share(task, rows->height, 1, &begin, &end);
    for (int64_t y = begin; y < end; y++)
        for (int64_t group = 0; group < map->groups; group++)
            for (int octet = 0; octet < 8 * map->words; octet++)
                for (int x = 0; x < rows->width; x += 8) {
                    const unsigned valid = bit_map_valid(map, octet);
                    const int64_t channel = group * map->channels + 8 * octet;
                    const unsigned char *from = (const unsigned char *)task->in[0] +
                                                channel * rows->planes * rows->size + y * rows->pitch + x / 8;
                    uint64_t bits[2] = {0};
                    for (int p = 0; p < rows->planes; p++) {
                        for (int j = 0; j < 8 && valid >> j; j++)
                            bits[p] |= (uint64_t)from[(j * rows->planes + p) * (int64_t)rows->size] << 8 * j;
                        bits[p] = bit_rows_turned(bits[p]);
                    }
                    bit_rows_to_word_bits(bits, rows->planes);
                    unsigned char *to = (unsigned char *)task->out[0] + (y * rows->width + x) * bit_map_pixel(map) * 8;
                    for (int i = 0; i < 8 && x + i < rows->width; i++, to += bit_map_pixel(map) * 8)
                        for (int p = 0; p < rows->planes; p++)
                            to[bit_map_byte(map, group, octet, p)] = (unsigned char)(bits[p] >> 8 * i & valid);
                }
}

/* Back; parts share octets of channels. */
TERCET_INLINE void bit_rows_from_words(const struct tercet_task *task, const struct bit_rows *rows,
                                       const struct bit_map *map) {
    const int octets = (map->channels + 7) / 8;
    int64_t begin, end;
    tercet_share(task, (int64_t)map->groups * octets, 1, &begin, &end);
    for (int64_t item = begin; item < end; item++)
        for (int y = 0; y < rows->height; y++)
            for (int x = 0; x < rows->width; x += 8) {
                const int64_t group = item / octets;
                const int octet = (int)(item % octets);
                const unsigned valid = bit_map_valid(map, octet);
                const unsigned char *from =
                    (const unsigned char *)task->in[0] + ((int64_t)y * rows->width + x) * bit_map_pixel(map) * 8;
                unsigned char *to = (unsigned char *)task->out[0] + y * rows->pitch + x / 8 +
                                    (group * map->channels + 8 * octet) * rows->planes * rows->size;
                uint64_t bits[2] = {0};
                for (int i = 0; i < 8 && x + i < rows->width; i++, from += bit_map_pixel(map) * 8)
                    for (int p = 0; p < rows->planes; p++)
                        bits[p] |= (uint64_t)from[bit_map_byte(map, group, octet, p)] << 8 * i;
                bit_rows_from_word_bits(bits, rows->planes);
                for (int p = 0; p < rows->planes; p++) {
                    bits[p] = bit_rows_turned(bits[p]);
                    for (int j = 0; j < 8 && valid >> j; j++)
                        to[(j * rows->planes + p) * (int64_t)rows->size] = (unsigned char)(bits[p] >> 8 * j);
                }
            }
}

/* -- words of another axis: bit by bit, on one thread ---------------------------------------------------------------- */

/* Where the words hold a value: its pixel, and its channel in `*channel`. */
TERCET_INLINE int64_t bit_rows_pixel(const struct bit_rows *rows, int axis, int64_t c, int64_t y, int64_t x,
                                     int64_t *channel) {
    *channel = axis == 2 ? y : axis == 3 ? x : 0;
    if (axis == 2)
        return c * rows->width + x;
    return axis == 3 ? c * rows->height + y : (c * rows->height + y) * rows->width + x;
}

/* One value's bits, to words if `back` is 0. */
TERCET_INLINE void bit_rows_move(const struct bit_rows *rows, unsigned char *row, const struct bit_map *map,
                                 unsigned char *words, int64_t c, int64_t y, int64_t x, int axis, int back) {
    int64_t channel;
    words += bit_rows_pixel(rows, axis, c, y, x, &channel) * bit_map_pixel(map) * 8;
    row += c * rows->planes * rows->size + y * rows->pitch + x / 8;
    const int64_t group = channel / map->channels, own = channel % map->channels;
    uint64_t bits[2] = {0};
    for (int p = 0; p < rows->planes; p++)
        bits[p] = back ? words[bit_map_byte(map, group, (int)(own / 8), p)] >> own % 8 & 1u : row[p * rows->size] >> x % 8 & 1u;
    if (back)
        bit_rows_from_word_bits(bits, rows->planes);
    else
        bit_rows_to_word_bits(bits, rows->planes);
    for (int p = 0; p < rows->planes; p++) {
        unsigned char *to = back ? row + p * rows->size : words + bit_map_byte(map, group, (int)(own / 8), p);
        const int at = (int)(back ? x % 8 : own % 8);
        *to = (unsigned char)((*to & ~(1u << at)) | (unsigned)(bits[p] & 1) << at);
    }
}

TERCET_INLINE void bit_rows_move_all(const struct tercet_task *task, const struct bit_rows *rows,
                                     const struct bit_map *map, int64_t pixels, int axis, int back) {
    unsigned char *in = (unsigned char *)task->in[0], *out = task->out[0];
    if (!back)
        memset(out, 0, (size_t)(pixels * bit_map_pixel(map) * 8));
    for (int64_t c = 0; c < rows->channels; c++)
        for (int64_t y = 0; y < rows->height; y++)
            for (int64_t x = 0; x < rows->width; x++)
                bit_rows_move(rows, back ? out : in, map, back ? in : out, c, y, x, axis, back);
}

#endif
