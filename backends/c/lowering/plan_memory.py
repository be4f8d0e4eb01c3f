"""Where every value lies in the arena: buffers share memory when they are never alive together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, StringAttr, i64
from xdsl.ir import SSAValue

from ....ir.kn.kernel import ConvertOp
from ....ir.kn.memory import Buffer, arena_buffers, steps_of
from ....ir.program import Program
from ....passes.base import Pass
from ....passes.properties import IN_KERNELS, MEMORY_PLANNED

ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first),
    lambda b: (-b.size * (b.last - b.first + 1), b.first),
    lambda b: (b.first - b.last, -b.size),
    lambda b: (b.first, -b.size),
)
"""Which buffer to place first: the largest, the largest for longest, the longest-lived, the earliest."""


@dataclass(frozen=True)
class PlanMemory(Pass):
    """Assigns arena offsets: the smallest arena that several orders of placing give. Names the conversions."""

    name: ClassVar[str] = "plan-memory"
    requires: ClassVar = (IN_KERNELS,)
    ensures: ClassVar = (IN_KERNELS, MEMORY_PLANNED)

    def apply(self, program: Program) -> bool:
        offsets = place(arena_buffers(program.block))
        steps = steps_of(program.block)
        for number, op in enumerate(op for op in steps if isinstance(op, ConvertOp)):
            op.properties["symbol"] = StringAttr(f"t{number:02}_convert")
        for op in steps:
            chosen = [offsets.get(value, -1) for value in op.results]
            op.properties["offsets"] = DenseArrayBase.from_list(i64, chosen)
        return bool(steps)


def place(buffers: Sequence[Buffer]) -> dict[SSAValue, int]:
    """Byte offsets such that buffers alive at the same time never overlap."""
    plans = [_place_in_order(sorted(buffers, key=order)) for order in ORDERS]
    return min(plans, key=lambda offsets: max((offsets[b.value] + b.size for b in buffers), default=0))


def _place_in_order(buffers: Sequence[Buffer]) -> dict[SSAValue, int]:
    """Each buffer in the tightest gap that is free during its life; else after what is there."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        rivals = sorted(
            (offset, offset + other.size)
            for offset, other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        gaps: list[tuple[int, int]] = []
        end = 0
        for begin, stop in rivals:
            if begin - end >= buffer.size:
                gaps.append((begin - end, end))
            end = max(end, stop)
        placed.append((min(gaps)[1] if gaps else end, buffer))
    return {buffer.value: offset for offset, buffer in placed}
