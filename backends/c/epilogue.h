/* What kernels and their generated epilogues share: runs of pixels, loaded from planes and stored into them. */
#ifndef TERCET_EPILOGUE_H
#define TERCET_EPILOGUE_H

#include "planes.h"

/* Finishes `count` sums (4 bytes each) of row (channel or matrix row) `row`, from column (pixel or matrix column)
 * `column` on. */
typedef void epilogue_finish(const struct tercet_task *task, int64_t row, int64_t column, int count, const void *sums);

/* The first of the pixels of one channel in row-major order, where they lie one after the other; else NULL. */
TERCET_INLINE unsigned char *epilogue_joined(const struct planes *map, const void *maps, int64_t channel) {
    const int64_t cell = channel * map->size + (int64_t)map->top * map->pitch;
    return map->stride == 1 && map->pitch == map->width ? (unsigned char *)maps + cell * map->item : NULL;
}

/* Loads `count` pixels of one channel, from pixel `pixel` in row-major order on. */
TERCET_INLINE void epilogue_load(const struct planes *map, const void *in, int64_t channel, void *to, int64_t pixel,
                                 int count) {
    const unsigned char *plane = (const unsigned char *)in + channel * map->size * map->item;
    const unsigned char *joined = epilogue_joined(map, in, channel);
    if (joined) {
        memcpy(to, joined + pixel * map->item, (size_t)count * map->item);
        return;
    }
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
TERCET_INLINE void epilogue_store(const struct planes *map, void *out, int64_t channel, const void *from,
                                  int64_t pixel, int count) {
    unsigned char *plane = (unsigned char *)out + channel * map->size * map->item;
    unsigned char *joined = epilogue_joined(map, out, channel);
    if (joined) {
        memcpy(joined + pixel * map->item, from, (size_t)count * map->item);
        return;
    }
    const unsigned char *next = from;
    int y = (int)(pixel / map->width), x = (int)(pixel % map->width);
    for (; count > 0; y++, x = 0) {
        const int pixels = count < map->width - x ? count : map->width - x;
        planes_store_row(map, plane, next, y, x, x + pixels);
        next += (int64_t)pixels * map->item;
        count -= pixels;
    }
}

/* Which of several rows of thresholds a pixel meets: row (operand - first). One row: `choices` is 1, the rest 0. */
struct epilogue_selector {
    int choices, first, operand;
    struct planes map; /* the layout of that operand, int8 */
};

/* The selectors of lanes [first, first + count) of one channel, perhaps copied to `copy`; NULL if nothing is chosen. */
TERCET_INLINE const unsigned char *epilogue_select(const struct epilogue_selector *s, const struct tercet_task *task,
                                                   int64_t channel, unsigned char *copy, int lane_pitch, int64_t first,
                                                   int count) {
    if (s->choices == 1)
        return NULL;
    const unsigned char *map = task->in[s->operand];
    return planes_find_lanes(&s->map, map + channel * s->map.size, copy, lane_pitch, first, count);
}

/* Finishes lanes [first, first + count) of one channel of a map `width` pixels wide. The garbage between rows is dropped
 * and the pixels joined, in place, so that small maps have long runs. */
TERCET_INLINE void epilogue_lanes(const struct tercet_task *task, int64_t channel, int width, int lane_pitch,
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

/* The end of a tile: lanes [first, first + count) of `channels` channels from `channel` on, sums for `finish` or, without
 * one, results for the map. The lanes of a channel start `step` bytes after those of the one before. */
TERCET_INLINE void epilogue_tile(const struct tercet_task *task, const struct planes *out, epilogue_finish *const finish,
                                 int64_t channel, int channels, unsigned char *lanes, int64_t step,
                                 const unsigned char *mask, int lane_pitch, int64_t first, int count) {
    unsigned char *map = task->out[0];
    if (finish)
        for (int i = 0; i < channels; i++)
            epilogue_lanes(task, channel + i, out->width, lane_pitch, first, count, (int32_t *)(lanes + i * step), finish);
    else
        planes_store(out, map + channel * out->size * out->item, channels, lanes, step, mask, lane_pitch, first, count);
}

#endif
