/* What the generated epilogues of dense kernels call: rounding without libm, and stores into planes. */
#ifndef TERCET_EPILOGUE_H
#define TERCET_EPILOGUE_H

#include "planes.h"

#define EPILOGUE_INLINE static inline __attribute__((always_inline))

/* Half to even: adding 2^23 leaves no room for a fraction. */
EPILOGUE_INLINE float epilogue_round(float x) {
    const float size = __builtin_fabsf(x), whole = (size + 8388608.0f) - 8388608.0f;
    return __builtin_copysignf(size < 8388608.0f ? whole : size, x);
}
EPILOGUE_INLINE float epilogue_floor(float x) {
    const float near = epilogue_round(x);
    return near > x ? near - 1.0f : near;
}
EPILOGUE_INLINE float epilogue_ceil(float x) {
    const float near = epilogue_round(x);
    return near < x ? near + 1.0f : near;
}
EPILOGUE_INLINE float epilogue_down(float x) { return __builtin_copysignf(epilogue_floor(__builtin_fabsf(x)), x); }
EPILOGUE_INLINE float epilogue_up(float x) { return __builtin_copysignf(epilogue_ceil(__builtin_fabsf(x)), x); }
/* Ties away from zero; |x| + 0.5 would itself round. */
EPILOGUE_INLINE float epilogue_half_up(float x) {
    const float size = __builtin_fabsf(x), whole = epilogue_floor(size);
    return __builtin_copysignf(size - whole >= 0.5f ? whole + 1.0f : whole, x);
}
EPILOGUE_INLINE float epilogue_half_down(float x) {
    const float size = __builtin_fabsf(x), whole = epilogue_floor(size);
    return __builtin_copysignf(size - whole > 0.5f ? whole + 1.0f : whole, x);
}

/* Stores `count` pixels of one channel, from pixel `pixel` in row-major order on. */
EPILOGUE_INLINE void epilogue_store(const struct planes *map, void *out, int64_t channel, const void *from,
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
