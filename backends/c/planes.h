/* Feature maps as channel planes (#kn.planes of ir/kn/layout.py): geometry, borders, and stores of whole vectors.
 *
 * Kernels work on lanes: output pixel (y, x) is lane y * lane_pitch + x, where lane_pitch is the distance of two rows
 * of the kernel's input. Lanes with x >= width are garbage. */
#ifndef TERCET_PLANES_H
#define TERCET_PLANES_H

#include "tercet_kernel.h"

/* A map [1, channels, height, width]. Sizes count elements of `item` bytes. A dense map is planes without border:
 * pitch = width, size = height * width, stride = 1, zero = 0. */
struct planes {
    int channels, height, width;
    int top, left, pitch, size, stride, zero;
    int item;
};

/* The element index of pixel (y, x) inside its plane. */
TERCET_INLINE int64_t planes_position(const struct planes *p, int64_t y, int64_t x) {
    const int s = p->stride;
    const int64_t row = y + p->top, column = x + p->left;
    return (row % s * s + column % s) * (p->size / (s * s)) + row / s * p->pitch + column / s;
}

/* Whether lanes lie in the plane just as they are: lane i is element planes_position(0, 0) + i. */
TERCET_INLINE int planes_flat(const struct planes *p, int lane_pitch) {
    return p->stride == 1 && p->pitch == lane_pitch;
}

/* Lanes from the first to the last pixel, garbage between rows included. */
TERCET_INLINE int64_t planes_lanes(const struct planes *p, int lane_pitch) {
    return (int64_t)(p->height - 1) * lane_pitch + p->width;
}

/* Writes zeros around the pixels of channels [begin, end), if the layout wants them. Elements that planes_store of flat
 * lanes writes are left alone, so that parts of a kernel may store pixels and clear borders at the same time. */
static inline void planes_clear_borders(const struct planes *p, unsigned char *map, int lane_pitch, int64_t begin,
                                        int64_t end) {
    const int s = p->stride;
    const int64_t phase_size = p->size / (s * s);
    if (!p->zero)
        return;
    for (int64_t phase = begin * s * s; phase < end * s * s; phase++) {
        unsigned char *first = map + phase * phase_size * p->item;
        const int py = (int)(phase / s % s), px = (int)(phase % s);
        const int64_t x0 = (p->left + s - 1 - px) / s, x1 = (p->left + p->width + s - 1 - px) / s;
        const int64_t y0 = (p->top + s - 1 - py) / s, y1 = (p->top + p->height + s - 1 - py) / s;
        int64_t clear = 0; /* everything before this element is written */
        for (int64_t y = y0; y < y1; y++) {
            const int64_t row = y * p->pitch;
            if (y == y0 || !planes_flat(p, lane_pitch))
                memset(first + clear * p->item, 0, (size_t)((row + x0 - clear) * p->item));
            clear = row + x1;
        }
        memset(first + clear * p->item, 0, (size_t)((phase_size - clear) * p->item));
    }
}

/* Fills mask[0 .. count * item) for lanes [first, first + count): 255 for pixels, 0 for garbage. Flat maps only. */
TERCET_INLINE void planes_mask(const struct planes *p, unsigned char *mask, int lane_pitch, int64_t first, int count) {
    int x = (int)(first % lane_pitch);
    for (int i = 0; i < count && planes_flat(p, lane_pitch); i++) {
        memset(mask + (int64_t)i * p->item, x < p->width ? 255 : 0, (size_t)p->item);
        x = x + 1 == lane_pitch ? 0 : x + 1;
    }
}

/* memcpy of a few dozen bytes, without a call: words that overlap at the end. */
TERCET_INLINE void planes_copy(unsigned char *to, const unsigned char *from, int64_t bytes) {
    if (bytes >= 16) {
        for (int64_t i = 0; i < bytes - 16; i += 16)
            memcpy(to + i, from + i, 16);
        memcpy(to + bytes - 16, from + bytes - 16, 16);
    } else if (bytes >= 8) {
        memcpy(to, from, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
    } else {
        for (int64_t i = 0; i < bytes; i++)
            to[i] = from[i];
    }
}

/* Bytes 0, 2, 4 .. of from[0 .. bytes) to `even`, the others to `odd`: vectors that overlap at the end. */
TERCET_INLINE void planes_split(unsigned char *even, unsigned char *odd, const unsigned char *from, int64_t bytes) {
    int64_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef uint8_t halves __attribute__((vector_size(8)));
    while (bytes >= 16 && i + 2 <= bytes) {
        pairs both;
        i = i + 16 > bytes ? (bytes - 16) / 2 * 2 : i;
        memcpy(&both, from + i, sizeof both);
        const halves low = __builtin_convertvector(both & 255, halves);
        const halves high = __builtin_convertvector(both >> 8, halves);
        memcpy(even + i / 2, &low, sizeof low);
        memcpy(odd + i / 2, &high, sizeof high);
        i += 16;
    }
#endif
    for (; i < bytes; i++)
        (i % 2 ? odd : even)[i / 2] = from[i];
}

typedef int32_t planes_words __attribute__((vector_size(16), may_alias, aligned(1)));

/* The same for words of four bytes. */
TERCET_INLINE void planes_split_words(unsigned char *even, unsigned char *odd, const unsigned char *from, int64_t words) {
    int64_t i = 0;
    for (; i + 8 <= words; i += 8) {
        const planes_words a = *(const planes_words *)(from + i * 4), b = *(const planes_words *)(from + i * 4 + 16);
        *(planes_words *)(even + i * 2) = __builtin_shufflevector(a, b, 0, 2, 4, 6);
        *(planes_words *)(odd + i * 2) = __builtin_shufflevector(a, b, 1, 3, 5, 7);
    }
    for (; i < words; i++)
        memcpy((i % 2 ? odd : even) + i / 2 * 4, from + i * 4, 4);
}

/* The inverse: to[0 .. bytes) from every other byte. */
TERCET_INLINE void planes_join(unsigned char *to, const unsigned char *even, const unsigned char *odd, int64_t bytes) {
    int64_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef uint8_t halves __attribute__((vector_size(8)));
    while (bytes >= 16 && i + 2 <= bytes) {
        halves low, high;
        i = i + 16 > bytes ? (bytes - 16) / 2 * 2 : i;
        memcpy(&low, even + i / 2, sizeof low);
        memcpy(&high, odd + i / 2, sizeof high);
        const pairs both = __builtin_convertvector(low, pairs) | __builtin_convertvector(high, pairs) << 8;
        memcpy(to + i, &both, sizeof both);
        i += 16;
    }
#endif
    for (; i < bytes; i++)
        to[i] = (i % 2 ? odd : even)[i / 2];
}

TERCET_INLINE void planes_join_words(unsigned char *to, const unsigned char *even, const unsigned char *odd, int64_t words) {
    int64_t i = 0;
    for (; i + 8 <= words; i += 8) {
        const planes_words a = *(const planes_words *)(even + i * 2), b = *(const planes_words *)(odd + i * 2);
        *(planes_words *)(to + i * 4) = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        *(planes_words *)(to + i * 4 + 16) = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    }
    for (; i < words; i++)
        memcpy(to + i * 4, (i % 2 ? odd : even) + i / 2 * 4, 4);
}

/* Copies pixels [x0, x1) of a row: from[0] is pixel x0. */
TERCET_INLINE void planes_store_row(const struct planes *p, unsigned char *plane, const unsigned char *from, int y,
                                    int x0, int x1) {
    const int s = p->stride;
    if (s == 1) {
        planes_copy(plane + planes_position(p, y, x0) * p->item, from, (int64_t)(x1 - x0) * p->item);
        return;
    }
    if (s == 2 && p->item == 1) {
        planes_split(plane + planes_position(p, y, x0), plane + planes_position(p, y, x0 + 1), from, x1 - x0);
        return;
    }
    if (s == 2 && p->item == 4) {
        planes_split_words(plane + planes_position(p, y, x0) * 4, plane + planes_position(p, y, x0 + 1) * 4, from, x1 - x0);
        return;
    }
    for (int i = 0; i < s && x0 + i < x1; i++) {
        unsigned char *to = plane + planes_position(p, y, x0 + i) * p->item;
        for (int x = i; x0 + x < x1; x += s, to += p->item)
            memcpy(to, from + (int64_t)x * p->item, (size_t)p->item);
    }
}

/* The inverse of planes_store_row: to[0] becomes pixel x0. */
TERCET_INLINE void planes_load_row(const struct planes *p, const unsigned char *plane, unsigned char *to, int y, int x0,
                                   int x1) {
    const int s = p->stride;
    if (s == 1) {
        planes_copy(to, plane + planes_position(p, y, x0) * p->item, (int64_t)(x1 - x0) * p->item);
        return;
    }
    if (s == 2 && p->item == 1) {
        planes_join(to, plane + planes_position(p, y, x0), plane + planes_position(p, y, x0 + 1), x1 - x0);
        return;
    }
    if (s == 2 && p->item == 4) {
        planes_join_words(to, plane + planes_position(p, y, x0) * 4, plane + planes_position(p, y, x0 + 1) * 4, x1 - x0);
        return;
    }
    for (int i = 0; i < s && x0 + i < x1; i++) {
        const unsigned char *from = plane + planes_position(p, y, x0 + i) * p->item;
        for (int x = i; x0 + x < x1; x += s, from += p->item)
            memcpy(to + (int64_t)x * p->item, from, (size_t)p->item);
    }
}

/* Lanes [first, first + count) of a plane of bytes: where they lie, if its rows are as far apart as the lanes' rows, or
 * else copied to `copy`. */
TERCET_INLINE const unsigned char *planes_find_lanes(const struct planes *p, const unsigned char *plane,
                                                     unsigned char *copy, int lane_pitch, int64_t first, int count) {
    if (planes_flat(p, lane_pitch))
        return plane + planes_position(p, 0, 0) + first;
    int y = (int)(first / lane_pitch), x = (int)(first % lane_pitch);
    for (int i = 0; i < count; y++, x = 0) {
        const int rest = count - i, to_end = p->width - x, pixels = rest < to_end ? rest : to_end;
        if (pixels > 0)
            planes_load_row(p, plane, copy + i, y, x, x + pixels);
        i += lane_pitch - x;
    }
    return copy;
}

/* Stores lanes [first, first + count) of `channels` planes from `map` on. The lanes of a channel start `step` bytes
 * after those of the one before; they and `mask` (see planes_mask) are aligned to vectors. */
TERCET_INLINE void planes_store(const struct planes *p, unsigned char *map, int channels, const unsigned char *lanes,
                                int64_t step, const unsigned char *mask, int lane_pitch, int64_t first, int count) {
    const int64_t plane = (int64_t)p->size * p->item;
    if (planes_flat(p, lane_pitch)) {
        unsigned char *to = map + (planes_position(p, 0, 0) + first) * p->item;
        const int bytes = count * p->item;
        for (int c = 0; c < channels; c++, to += plane, lanes += step) {
            int i = 0;
            for (; i + TERCET_VECTOR_BYTES <= bytes; i += TERCET_VECTOR_BYTES) {
                const tercet_u8v x = *(const tercet_u8v *)(lanes + i) & *(const tercet_u8v *)(mask + i);
                memcpy(to + i, &x, sizeof x);
            }
            for (; i < bytes; i++)
                to[i] = lanes[i] & mask[i];
        }
        return;
    }
    int y = (int)(first / lane_pitch), x = (int)(first % lane_pitch);
    for (int i = 0; i < count; y++, x = 0) {
        const int rest = count - i, to_end = p->width - x, pixels = rest < to_end ? rest : to_end;
        if (pixels > 0)
            for (int c = 0; c < channels; c++)
                planes_store_row(p, map + c * plane, lanes + c * step + (int64_t)i * p->item, y, x, x + pixels);
        i += lane_pitch - x;
    }
}

#endif
