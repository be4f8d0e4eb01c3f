"""Targets as data: vector width, registers, caches, compiler flags, required CPU features, special instructions.

A kernel is written once over vectors of `vector_bytes`; only what vector extensions cannot say is an `Instruction`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...ir.errors import InputError
from ...ir.host import cpu_features


@dataclass(frozen=True)
class Instruction:
    """One machine instruction: its C spelling, with {0}, {1}, ... for arguments, beside its meaning on numpy arrays."""

    c: str
    meaning: Callable[..., np.ndarray]


def _fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _madd_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int16 x int16 -> int32 sums of neighbouring pairs."""
    product = a.astype(np.int32) * b.astype(np.int32)
    return product[..., 0::2] + product[..., 1::2]


@dataclass(frozen=True)
class Target:
    """What generated code may rely on.

    features: CPU flags as Linux names them, checked by the loader before any code is mapped.
    flags: arguments for the C compiler. registers: number of vector registers. l1, l2: data cache bytes of one core.
    """

    name: str
    machine: str
    vector_bytes: int
    registers: int
    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    l1: int = 32 * 1024
    l2: int = 512 * 1024
    instructions: Mapping[str, Instruction] = field(default_factory=dict)

    def lanes(self, dtype: np.dtype | type) -> int:
        """Elements of one vector."""
        return self.vector_bytes // np.dtype(dtype).itemsize


_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("generic", "any", 16, 16),
        Target(
            "x86-64-v3", "x86_64", 32, 16, ("-march=x86-64-v3",), _V3,
            instructions={
                "fma_f32": Instruction("_mm256_fmadd_ps({0}, {1}, {2})", _fma),
                "madd_i16": Instruction("_mm256_madd_epi16({0}, {1})", _madd_pairs),
            },
        ),
        Target(
            "x86-64-v4", "x86_64", 64, 32, ("-march=x86-64-v4", "-mprefer-vector-width=512"), _V4, l2=1024 * 1024,
            instructions={
                "fma_f32": Instruction("_mm512_fmadd_ps({0}, {1}, {2})", _fma),
                "madd_i16": Instruction("_mm512_madd_epi16({0}, {1})", _madd_pairs),
            },
        ),
        Target("aarch64", "aarch64", 16, 32, l2=1024 * 1024),
    )
}  # fmt: skip


def runs_here(target: Target) -> str:
    """Why code for a target cannot run on this machine; empty when it can."""
    if target.machine not in ("any", platform.machine()):
        return f"target {target.name} needs a {target.machine} machine, this is {platform.machine()}"
    missing = [f for f in target.features if f not in cpu_features()]
    return f"target {target.name} needs CPU features this machine lacks: {', '.join(missing)}" if missing else ""


def find_target(name: str) -> Target:
    """A target by name; `native` is the widest that runs here. Raises InputError for unknown names."""
    if name == "native":
        return max((t for t in TARGETS.values() if not runs_here(t)), key=lambda t: (t.vector_bytes, len(t.features)))
    if name not in TARGETS:
        raise InputError(f"unknown target '{name}'", hint=f"one of: native, {', '.join(TARGETS)}")
    return TARGETS[name]
