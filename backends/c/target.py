"""Targets as data: vector width, registers, caches, compiler flags, required CPU features, special instructions.

A kernel is written once over vectors of `vector_bytes`; only what vector extensions cannot say is an `Instruction`.
Adding a target is adding a row: engines look at what is in it, never at its name.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...ir.errors import InputError
from ...ir.host import cpu_features
from .costs import Costs, read_costs
from .instructions import AVX2, AVX512, AVX512_POPCOUNT, AVX512_VNNI, AVX_VNNI, NEON, NEON_DOTPROD, Instruction

MEASURED = "x86-64-v3"
"""The target whose costs were fitted first."""


@dataclass(frozen=True)
class Target:
    """What generated code may rely on.

    features: CPU flags as Linux names them, checked by the loader before any code is mapped.
    flags: arguments for the C compiler, as gcc and clang spell them. registers: number of vector registers. l1, l2:
    data cache bytes of one core. instructions: by name, see instructions.py. prelude: C that their spellings need.
    costs: the numbers of the engines' cost formulas: those of costs.toml, of MEASURED for engines without any there.
    """

    name: str
    machine: str
    vector_bytes: int
    registers: int
    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    l1: int = 32 * 1024
    l2: int = 512 * 1024
    instructions: Mapping[str, Instruction] = field(default_factory=dict, repr=False)
    prelude: str = ""
    costs: Costs = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.costs:
            known = read_costs()
            object.__setattr__(self, "costs", {**known[MEASURED], **known.get(self.name, {})})

    def lanes(self, dtype: np.dtype | type) -> int:
        """Elements of one vector."""
        return self.vector_bytes // np.dtype(dtype).itemsize


_X86, _ARM = "#include <immintrin.h>", "#include <arm_neon.h>"
_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_ICE_LAKE = ("avx512_vnni", "avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq")
_ZEN_5 = ("avx_vnni", "avx512_vp2intersect")  # what tells it from others
_V4_FLAGS = ("-march=x86-64-v4", "-mprefer-vector-width=512")
_ICE_LAKE_FLAGS = ("-mavx512vnni", "-mavx512vbmi", "-mavx512vbmi2", "-mavx512bitalg", "-mavx512vpopcntdq")
_ICE_LAKE_INSTRUCTIONS = {**AVX512, **AVX512_VNNI, **AVX512_POPCOUNT}
_KIB, _MIB = 1024, 1024 * 1024

TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("generic", "any", 16, 16),
        Target("x86-64-v3", "x86_64", 32, 16, ("-march=x86-64-v3",), _V3, instructions=AVX2, prelude=_X86),
        Target(  # Alder Lake and later, Zen 5
            "x86-64-v3-vnni", "x86_64", 32, 16, ("-march=x86-64-v3", "-mavxvnni"), (*_V3, "avx_vnni"),
            instructions={**AVX2, **AVX_VNNI}, prelude=_X86,
        ),
        Target("x86-64-v4", "x86_64", 64, 32, _V4_FLAGS, _V4, l2=_MIB, instructions=AVX512, prelude=_X86),
        Target(  # Ice Lake servers, Zen 4 and later
            "x86-64-v4-vnni", "x86_64", 64, 32, (*_V4_FLAGS, *_ICE_LAKE_FLAGS), (*_V4, *_ICE_LAKE), l2=_MIB,
            instructions=_ICE_LAKE_INSTRUCTIONS, prelude=_X86,
        ),
        Target(  # the same instructions at twice the speed, so other engines win
            "x86-64-v4-zen5", "x86_64", 64, 32, (*_V4_FLAGS, *_ICE_LAKE_FLAGS), (*_V4, *_ICE_LAKE, *_ZEN_5),
            l1=48 * _KIB, l2=_MIB, instructions=_ICE_LAKE_INSTRUCTIONS, prelude=_X86,
        ),
        Target(
            "aarch64", "aarch64", 16, 32, ("-march=armv8-a",), ("asimd",), l2=_MIB, instructions=NEON, prelude=_ARM
        ),
        Target(  # Cortex-A76, Neoverse N1, Apple M1 and later
            "aarch64-dotprod", "aarch64", 16, 32, ("-march=armv8.2-a+dotprod",), ("asimd", "asimddp"), l2=_MIB,
            instructions={**NEON, **NEON_DOTPROD}, prelude=_ARM,
        ),
    )
}  # fmt: skip


BASELINES: Mapping[str, tuple[str, ...]] = {"x86_64": ("-march=x86-64",), "aarch64": ("-march=armv8-a",), "any": ()}
"""By machine, the compiler's arguments for code that all its CPUs run."""


def runs_here(target: Target) -> str:
    """Why code for a target cannot run on this machine; empty when it can."""
    if target.machine not in ("any", platform.machine()):
        return f"target {target.name} needs a {target.machine} machine, this is {platform.machine()}"
    missing = [f for f in target.features if f not in cpu_features()]
    return f"target {target.name} needs CPU features this machine lacks: {', '.join(missing)}" if missing else ""


def worth(target: Target) -> tuple[int, int]:
    """The better of two targets of one machine has more of it. What asks for all features of another, and for more, is
    better."""
    return target.vector_bytes, len(target.features)


def find_target(name: str) -> Target:
    """A target by name; `native` is the best that runs here. Raises InputError for unknown names."""
    if name == "native":
        return max((t for t in TARGETS.values() if not runs_here(t)), key=worth)
    if name not in TARGETS:
        raise InputError(f"unknown target '{name}'", hint=f"one of: native, {', '.join(TARGETS)}")
    return TARGETS[name]


def find_targets(names: str) -> tuple[Target, ...]:
    """Targets by their names, between commas, the best one first. Raises InputError for unknown names, for targets that
    are named twice and for those of different machines."""
    found = [find_target(name.strip()) for name in names.split(",")]
    if twice := next((one for i, one in enumerate(found) if one in found[:i]), None):
        raise InputError(f"target '{twice.name}' is named twice", where=names, hint="leave one of them out")
    if len(machines := sorted({one.machine for one in found} - {"any"})) > 1:
        raise InputError(
            f"targets of different machines: {' and '.join(machines)}", where=names, hint="make an artifact for each"
        )
    return tuple(sorted(found, key=worth, reverse=True))


def common_target(targets: Sequence[Target]) -> Target:
    """Of targets that are compiled together the one whose machine all are for: `any` is what the others are."""
    return next((target for target in targets if target.machine != "any"), targets[0])
