"""What TVM compiles for: LLVM's names of CPUs, and the features that tell where code runs."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...ir.errors import InputError
from ...ir.host import cpu_features

_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_POPCOUNT = ("avx512_vnni", "avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq")


@dataclass(frozen=True)
class Target:
    """machine: as platform.machine() names it. cpu: LLVM's name. vector_bytes, registers: of its vectors. features: as
    Linux names them."""

    name: str
    machine: str
    cpu: str
    vector_bytes: int
    registers: int
    features: tuple[str, ...] = ()

    def for_tvm(self) -> Any:
        """As TVM has it. Functions run on the calling thread, so tuning is to know of one core."""
        from .package import tvm

        return tvm.target.Target({"kind": "llvm", "mcpu": self.cpu, "num-cores": 1})


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("generic", platform.machine(), "x86-64" if platform.machine() == "x86_64" else "generic", 16, 16),
        Target("x86-64-v3", "x86_64", "x86-64-v3", 32, 16, _V3),
        Target("x86-64-v4", "x86_64", "x86-64-v4", 64, 32, _V4),
        Target("x86-64-v4-vnni", "x86_64", "icelake-server", 64, 32, (*_V4, *_POPCOUNT)),
    )
}
"""From the least to the most that is asked of a CPU. `generic`: any of this machine's kind."""


def find_target(name: str) -> Target:
    """A target by name; `native` is the best that runs here. Raises InputError for unknown names."""
    if name == "native":
        have = cpu_features()
        here = [t for t in TARGETS.values() if t.machine == platform.machine() and have.issuperset(t.features)]
        return here[-1]
    if name not in TARGETS:
        raise InputError(f"the TVM backend has no target '{name}'", hint=f"one of: native, {', '.join(TARGETS)}")
    return TARGETS[name]


STAGES = ("tvm-relax", "tvm-fused", "tvm-tuned")
"""What a network is after the passes, of which the last is there where schedules were tuned."""

RELAX = "relax"
"""The engine of all that TVM's operators, or primitive functions without a schedule, compute."""
NAMES = ("popcount", "tile_f32", RELAX)
"""Of the engines, as users choose among them: here, where nothing imports TVM."""
