"""Targets of other CPUs for this one: their vectors, tiles and schedules, their instructions spelled in plain C.

So the code that an engine generates for AVX-512 with VNNI, say, is run and checked on every machine; what the real
spellings compute is checked where the CPU has them (test_instructions.py).
"""

from __future__ import annotations

from dataclasses import replace

from tercet.backends.c.target import Target, find_target

PRELUDE = """
#define LANES(type) (int)(TERCET_VECTOR_BYTES / sizeof(type))
#define PORTABLE static inline __attribute__((always_inline))

PORTABLE tercet_f32v portable_fma_f32(tercet_f32v a, tercet_f32v b, tercet_f32v c) {
    for (int i = 0; i < LANES(float); i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}

#define PORTABLE_DOT(NAME, X, W, COUNT)                                                             \\
    PORTABLE tercet_i32v NAME(tercet_i32v sum, tercet_i32v a, tercet_i32v b) {                      \\
        typedef X x_vector __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));            \\
        typedef W w_vector __attribute__((vector_size(TERCET_VECTOR_BYTES), may_alias));            \\
        const x_vector x = (x_vector)a;                                                             \\
        const w_vector w = (w_vector)b;                                                             \\
        for (int i = 0; i < LANES(int32_t) * COUNT; i++)                                            \\
            sum[i / COUNT] = (int32_t)((uint32_t)sum[i / COUNT] + (uint32_t)(x[i] * w[i]));         \\
        return sum;                                                                                 \\
    }

PORTABLE_DOT(portable_dot_i16, int16_t, int16_t, 2)
PORTABLE_DOT(portable_dot_u8, uint8_t, int8_t, 4)
PORTABLE_DOT(portable_dot_i8, int8_t, int8_t, 4)
#define portable_madd_i16(a, b) portable_dot_i16((tercet_i32v){0}, a, b)

PORTABLE tercet_i16v portable_madd_u8(tercet_u8v x, tercet_i8v w) {
    tercet_i16v sums;
    for (int i = 0; i < LANES(int16_t); i++) {
        const int sum = x[2 * i] * w[2 * i] + x[2 * i + 1] * w[2 * i + 1];
        sums[i] = (int16_t)(sum < -32768 ? -32768 : sum > 32767 ? 32767 : sum);
    }
    return sums;
}

#define PORTABLE_POPCOUNT(NAME, VECTOR, ITEM)                                                       \\
    PORTABLE VECTOR NAME(VECTOR x) {                                                                \\
        for (int i = 0; i < LANES(ITEM); i++)                                                       \\
            x[i] = (ITEM)__builtin_popcountll(x[i]);                                                \\
        return x;                                                                                   \\
    }

PORTABLE_POPCOUNT(portable_popcount_u64, tercet_u64v, uint64_t)
PORTABLE_POPCOUNT(portable_popcount_u8, tercet_u8v, uint8_t)

PORTABLE tercet_i16v portable_permute_i16(tercet_i16v index, tercet_i16v table) {
    tercet_i16v found;
    for (int i = 0; i < LANES(int16_t); i++)
        found[i] = table[index[i] & (LANES(int16_t) - 1)];
    return found;
}

PORTABLE tercet_f32v portable_permute_f32(tercet_i32v index, tercet_f32v low, tercet_f32v high) {
    tercet_f32v found;
    for (int i = 0; i < LANES(float); i++)
        found[i] = index[i] & LANES(float) ? high[index[i] & (LANES(float) - 1)] : low[index[i] & (LANES(float) - 1)];
    return found;
}

PORTABLE tercet_f32v portable_choose_f32(tercet_i32v index, tercet_f32v table) {
    tercet_f32v found;
    for (int i = 0; i < LANES(float); i++)
        found[i] = table[i / 4 * 4 + (index[i] & 3)];
    return found;
}
"""
SPELLINGS = {
    "fma_f32": "portable_fma_f32((tercet_f32v){0}, (tercet_f32v){1}, (tercet_f32v){2})",
    "madd_i16": "portable_madd_i16((tercet_i32v){0}, (tercet_i32v){1})",
    "madd_u8": "portable_madd_u8((tercet_u8v){0}, (tercet_i8v){1})",
    "dot_i16": "portable_dot_i16((tercet_i32v){0}, (tercet_i32v){1}, (tercet_i32v){2})",
    "dot_u8": "portable_dot_u8((tercet_i32v){0}, (tercet_i32v){1}, (tercet_i32v){2})",
    "dot_i8": "portable_dot_i8((tercet_i32v){0}, (tercet_i32v){1}, (tercet_i32v){2})",
    "popcount_u64": "portable_popcount_u64((tercet_u64v){0})",
    "popcount_u8": "portable_popcount_u8((tercet_u8v){0})",
    "permute_i16": "portable_permute_i16((tercet_i16v){0}, (tercet_i16v){1})",
    "permute_f32": "portable_permute_f32((tercet_i32v){0}, (tercet_f32v){1}, (tercet_f32v){2})",
    "choose_f32": "portable_choose_f32((tercet_i32v){0}, (tercet_f32v){1})",
}


def portable(name: str) -> Target:
    """The target `name` as code for this machine. An instruction without a spelling here gets its engine's fallback."""
    target, native = find_target(name), find_target("native")
    instructions = {
        key: replace(instruction, c=SPELLINGS[key], gcc="")
        for key, instruction in target.instructions.items()
        if key in SPELLINGS
    }
    return replace(
        target, name=f"{name}, portable", machine=native.machine, flags=(*native.flags, "-Wno-psabi"),
        features=native.features, instructions=instructions, prelude=PRELUDE,
    )  # fmt: skip
