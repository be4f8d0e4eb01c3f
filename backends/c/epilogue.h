/* What the generated epilogues of dense kernels call: stores into planes. */
#ifndef TERCET_EPILOGUE_H
#define TERCET_EPILOGUE_H

#include "planes.h"

/* Stores `count` pixels of one channel, from pixel `pixel` in row-major order on. */
PLANES_INLINE void epilogue_store(const struct planes *map, void *out, int64_t channel, const void *from,
                                  int64_t pixel, int count) {
    unsigned char *plane = (unsigned char *)out + channel * map->size * map->item;
    const unsigned char *next = from;
    int y = (int)(pixel / map->width), x = (int)(pixel % map->width);
    for (; count > 0; y++, x = 0) {
        const int pixels = count < map->width - x ? count : map->width - x;
        planes_store_row(map, plane, next, y, x, x + pixels);
        next += (int64_t)pixels * map->item;
        count -= pixels;
    }
}

#endif
