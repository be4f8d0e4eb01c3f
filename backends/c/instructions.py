"""The few instructions that vector extensions cannot say: what each means on numpy arrays, and its C on each machine.

A target names those it has; `tercet_target.h` hands them to the kernels as macros, and what is not there has a portable
fallback in the kernels' own headers. So a kernel asks whether there is a TERCET_DOT_U8, never which CPU it runs on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Meaning:
    """What an instruction computes. arguments, result: element types of its vectors, which all fill one register."""

    compute: Callable[..., np.ndarray]
    arguments: tuple[str, ...]
    result: str


@dataclass(frozen=True)
class Instruction:
    """c: the C spelling, with {0}, {1}, ... for arguments. gcc: GCC's builtin, which needs no header (immintrin.h takes
    longer to read than a kernel); empty: `c` serves. ops: vector operations that it takes."""

    meaning: Meaning
    c: str
    gcc: str = ""
    ops: int = 1


def _fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _products(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Sums of `count` neighbouring products."""
    return (a.astype(np.int64) * b).reshape(-1, count).sum(axis=1)


def _madd_u8(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.clip(_products(x, w, 2), -(2**15), 2**15 - 1).astype(np.int16)


def _dot(count: int) -> Callable[..., np.ndarray]:
    return lambda total, x, w: (total + _products(x, w, count)).astype(np.int32)


def _ones(x: np.ndarray) -> np.ndarray:
    return np.unpackbits(x.view(np.uint8)).reshape(-1, 8 * x.itemsize).sum(axis=1).astype(x.dtype)


FMA_F32 = Meaning(_fma, ("float32",) * 3, "float32")
"""a * b + c, rounded once."""
MADD_I16 = Meaning(lambda a, b: _products(a, b, 2).astype(np.int32), ("int16", "int16"), "int32")
"""Two products added, exact but for four times -32768."""
MADD_U8 = Meaning(_madd_u8, ("uint8", "int8"), "int16")
"""Two products added, saturated to int16."""
DOT_I16 = Meaning(_dot(2), ("int32", "int16", "int16"), "int32")
"""sum + two products, modulo 2^32."""
DOT_U8 = Meaning(_dot(4), ("int32", "uint8", "int8"), "int32")
"""sum + four products, modulo 2^32."""
DOT_I8 = Meaning(_dot(4), ("int32", "int8", "int8"), "int32")
"""sum + four products, modulo 2^32; no w is -128 (NEON adds two products in int16)."""
POPCOUNT_U64 = Meaning(_ones, ("uint64",), "uint64")
"""Ones of every word."""
POPCOUNT_U8 = Meaning(_ones, ("uint8",), "uint8")
"""Ones of every byte."""
PERMUTE_I16 = Meaning(lambda index, table: table[index % len(table)], ("uint16", "int16"), "int16")
"""table[index], by the lower bits of every index."""
PERMUTE_F32 = Meaning(
    lambda index, low, high: np.concatenate([low, high])[index % (2 * len(low))],
    ("uint32", "float32", "float32"),
    "float32",
)
"""table[index] of a table in two registers, by the lower bits of every index."""
CHOOSE_F32 = Meaning(
    lambda index, table: np.take_along_axis(table.reshape(-1, 4), index.reshape(-1, 4) % 4, axis=1).reshape(-1),
    ("uint32", "float32"),
    "float32",
)
"""One of the four elements of its own 16 bytes of the table, by the two lowest bits of every index."""

AVX2: Mapping[str, Instruction] = {
    "fma_f32": Instruction(
        FMA_F32,
        "_mm256_fmadd_ps((__m256){0}, (__m256){1}, (__m256){2})",
        "__builtin_ia32_vfmaddps256((tercet_floats){0}, (tercet_floats){1}, (tercet_floats){2})",
    ),
    "madd_i16": Instruction(
        MADD_I16,
        "_mm256_madd_epi16((__m256i){0}, (__m256i){1})",
        "__builtin_ia32_pmaddwd256((tercet_shorts){0}, (tercet_shorts){1})",
    ),
    "madd_u8": Instruction(
        MADD_U8,
        "_mm256_maddubs_epi16((__m256i){0}, (__m256i){1})",
        "__builtin_ia32_pmaddubsw256((tercet_chars){0}, (tercet_chars){1})",
    ),
    "choose_f32": Instruction(
        CHOOSE_F32,
        "_mm256_permutevar_ps((__m256){1}, (__m256i){0})",
        "__builtin_ia32_vpermilvarps256((tercet_floats){1}, (tercet_ints){0})",
    ),
    "popcount_u8": Instruction(  # a table of the ones of four bits
        POPCOUNT_U8,
        "_mm256_add_epi8("
        "_mm256_shuffle_epi8((__m256i)TERCET_NIBBLES, (__m256i)((tercet_u64v){0} & 0x0f0f0f0f0f0f0f0fu)), "
        "_mm256_shuffle_epi8((__m256i)TERCET_NIBBLES, (__m256i)((tercet_u64v){0} >> 4 & 0x0f0f0f0f0f0f0f0fu)))",
        "((tercet_u8v)__builtin_ia32_pshufb256((tercet_chars)TERCET_NIBBLES, "
        "(tercet_chars)((tercet_u64v){0} & 0x0f0f0f0f0f0f0f0fu)) + "
        "(tercet_u8v)__builtin_ia32_pshufb256((tercet_chars)TERCET_NIBBLES, "
        "(tercet_chars)((tercet_u64v){0} >> 4 & 0x0f0f0f0f0f0f0f0fu)))",
        ops=6,
    ),
}

AVX_VNNI: Mapping[str, Instruction] = {
    "dot_u8": Instruction(
        DOT_U8,
        "_mm256_dpbusd_avx_epi32((__m256i){0}, (__m256i){1}, (__m256i){2})",
        "__builtin_ia32_vpdpbusd_v8si((tercet_ints){0}, (tercet_ints){1}, (tercet_ints){2})",
    ),
    "dot_i16": Instruction(
        DOT_I16,
        "_mm256_dpwssd_avx_epi32((__m256i){0}, (__m256i){1}, (__m256i){2})",
        "__builtin_ia32_vpdpwssd_v8si((tercet_ints){0}, (tercet_ints){1}, (tercet_ints){2})",
    ),
}

AVX512: Mapping[str, Instruction] = {
    "fma_f32": Instruction(FMA_F32, "_mm512_fmadd_ps((__m512){0}, (__m512){1}, (__m512){2})"),
    "madd_i16": Instruction(MADD_I16, "_mm512_madd_epi16((__m512i){0}, (__m512i){1})"),
    "madd_u8": Instruction(MADD_U8, "_mm512_maddubs_epi16((__m512i){0}, (__m512i){1})"),
    "popcount_u8": Instruction(
        POPCOUNT_U8,
        "_mm512_add_epi8("
        "_mm512_shuffle_epi8((__m512i)TERCET_NIBBLES, (__m512i)((tercet_u64v){0} & 0x0f0f0f0f0f0f0f0fu)), "
        "_mm512_shuffle_epi8((__m512i)TERCET_NIBBLES, (__m512i)((tercet_u64v){0} >> 4 & 0x0f0f0f0f0f0f0f0fu)))",
        ops=6,
    ),
    "permute_i16": Instruction(PERMUTE_I16, "_mm512_permutexvar_epi16((__m512i){0}, (__m512i){1})"),
    "permute_f32": Instruction(PERMUTE_F32, "_mm512_permutex2var_ps((__m512){1}, (__m512i){0}, (__m512){2})"),
}

AVX512_VNNI: Mapping[str, Instruction] = {
    "dot_u8": Instruction(DOT_U8, "_mm512_dpbusd_epi32((__m512i){0}, (__m512i){1}, (__m512i){2})"),
    "dot_i16": Instruction(DOT_I16, "_mm512_dpwssd_epi32((__m512i){0}, (__m512i){1}, (__m512i){2})"),
}

AVX512_POPCOUNT: Mapping[str, Instruction] = {
    "popcount_u64": Instruction(POPCOUNT_U64, "_mm512_popcnt_epi64((__m512i){0})"),
}

NEON: Mapping[str, Instruction] = {
    "popcount_u8": Instruction(POPCOUNT_U8, "vcntq_u8((uint8x16_t){0})"),
    "fma_f32": Instruction(FMA_F32, "vfmaq_f32((float32x4_t){2}, (float32x4_t){0}, (float32x4_t){1})"),
    "madd_i16": Instruction(
        MADD_I16,
        "vpaddq_s32(vmull_s16(vget_low_s16((int16x8_t){0}), vget_low_s16((int16x8_t){1})), "
        "vmull_high_s16((int16x8_t){0}, (int16x8_t){1}))",
        ops=3,
    ),
    "dot_i8": Instruction(
        DOT_I8,
        "vpadalq_s16((int32x4_t){0}, "
        "vpaddq_s16(vmull_s8(vget_low_s8((int8x16_t){1}), vget_low_s8((int8x16_t){2})), "
        "vmull_high_s8((int8x16_t){1}, (int8x16_t){2})))",
        ops=4,
    ),
}

NEON_DOTPROD: Mapping[str, Instruction] = {
    "dot_i8": Instruction(DOT_I8, "vdotq_s32((int32x4_t){0}, (int8x16_t){1}, (int8x16_t){2})"),
}

NIBBLES = """\
#define TERCET_TWICE(...) __VA_ARGS__, __VA_ARGS__
#define TERCET_NIBBLE_ONES 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4
#if TERCET_VECTOR_BYTES == 64
#define TERCET_NIBBLES ((tercet_u8v){TERCET_TWICE(TERCET_TWICE(TERCET_NIBBLE_ONES))})
#else
#define TERCET_NIBBLES ((tercet_u8v){TERCET_TWICE(TERCET_NIBBLE_ONES)})
#endif
"""
"""The ones of 0..15 in every 16 bytes, for spellings that look them up."""

# GCC's builtins take these types and no aliases of them.
GCC_TYPES = """\
typedef float tercet_floats __attribute__((vector_size(TERCET_VECTOR_BYTES)));
typedef int tercet_ints __attribute__((vector_size(TERCET_VECTOR_BYTES)));
typedef short tercet_shorts __attribute__((vector_size(TERCET_VECTOR_BYTES)));
typedef char tercet_chars __attribute__((vector_size(TERCET_VECTOR_BYTES)));
"""


def target_header(name: str, prelude: str, instructions: Mapping[str, Instruction]) -> str:
    """`tercet_target.h`: a macro TERCET_NAME for every instruction. prelude: C that the spellings need."""
    builtins = {key: i.gcc for key, i in instructions.items() if i.gcc}
    lines = ["#ifndef TERCET_TARGET_H", "#define TERCET_TARGET_H", ""]
    if any("TERCET_NIBBLES" in i.c for i in instructions.values()):
        lines.append(NIBBLES)
    if builtins and len(builtins) == len(instructions):
        lines += ["#ifdef __clang__", prelude.rstrip(), *_macros({key: i.c for key, i in instructions.items()})]
        lines += ["#else", GCC_TYPES.rstrip(), *_macros(builtins), "#endif"]
    elif instructions:
        lines += [prelude.rstrip(), *_macros({key: i.c for key, i in instructions.items()})]
    text = "\n".join([*lines, "", "#endif"])
    return f"/* What target {name} can do beyond vector extensions; see backends/c/instructions.py. */\n{text}\n"


def _macros(spellings: Mapping[str, str]) -> list[str]:
    lines = []
    for name, spelling in spellings.items():
        count = 1 + max(int(i) for i in re.findall(r"\{(\d)\}", spelling))
        names = "abc"[:count]
        body = spelling.format(*(f"({n})" for n in names))
        lines += [f"#define TERCET_{name.upper()}({', '.join(names)}) \\", f"    {body}"]
    return lines
