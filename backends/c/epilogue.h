/* What kernels and their generated epilogues share: runs of pixels, loaded from planes and stored into them. */
#ifndef TERCET_EPILOGUE_H
#define TERCET_EPILOGUE_H

#include "planes.h"

/* Finishes `count` sums (4 bytes each) of row (channel or matrix row) `row`, from column (pixel or matrix column)
 * `column` on. */
typedef void epilogue_finish(const struct tercet_task *task, int64_t row, int64_t column, int count, const void *sums);

/* Loads `count` pixels of one channel, from pixel `pixel` in row-major order on. */
PLANES_INLINE void epilogue_load(const struct planes *map, const void *in, int64_t channel, void *to, int64_t pixel,
                                 int count) {
    const unsigned char *plane = (const unsigned char *)in + channel * map->size * map->item;
    unsigned char *next = to;
    int y = (int)(pixel / map->width), x = (int)(pixel % map->width);
    for (; count > 0; y++, x = 0) {
        const int pixels = count < map->width - x ? count : map->width - x;
        planes_load_row(map, plane, next, y, x, x + pixels);
        next += (int64_t)pixels * map->item;
        count -= pixels;
    }
}

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

/* Finishes lanes [first, first + count) of one channel of a map `width` pixels wide. The garbage between rows is dropped
 * and the pixels joined, in place, so that small maps have long runs. */
PLANES_INLINE void epilogue_lanes(const struct tercet_task *task, int64_t channel, int width, int lane_pitch,
                                  int64_t first, int count, int32_t *sums, epilogue_finish *const finish) {
    const int64_t y = first / lane_pitch;
    int x = (int)(first % lane_pitch), done = 0;
    const int64_t pixel = y * width + (x < width ? x : width);
    for (int i = 0; i < count; x = 0) {
        const int pixels = width - x < count - i ? width - x : count - i;
        if (pixels > 0) {
            if (done != i)
                memmove(sums + done, sums + i, (size_t)pixels * sizeof *sums);
            done += pixels;
        }
        i += lane_pitch - x;
    }
    if (done)
        finish(task, channel, pixel, done, sums);
}

#endif
