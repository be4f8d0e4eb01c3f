"""Where every value lies in the arena: buffers share memory when they are never alive together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from ..ir.kn.kernel import ConvertOp, KernelOp, planned_offsets
from ..ir.kn.layout import TAIL_BYTES, buffer_bytes, round_up
from ..ir.program import Program
from .base import Pass

ALIGNMENT = 64


@dataclass(frozen=True)
class Buffer:
    """Bytes needed for a value, alive from operation `first` to operation `last` (both included)."""

    value: SSAValue
    size: int
    first: int
    last: int


class PlanMemory(Pass):
    """Assigns arena offsets: the largest buffer first, each at the lowest place that is free during its life."""

    name: ClassVar[str] = "plan-memory"

    def apply(self, program: Program) -> bool:
        ops = [op for op in program.ops if isinstance(op, KernelOp | ConvertOp)]
        position: dict[Operation, int] = {op: i for i, op in enumerate(ops)}
        buffers: list[Buffer] = []
        outputs: set[SSAValue] = set()
        for op in ops:
            for value in op.results:
                users = [use.operation for use in value.uses]
                if any(isinstance(user, ReturnOp) for user in users):
                    outputs.add(value)
                    continue
                last = max((position[user] for user in users), default=position[op])
                size = round_up(buffer_bytes(value.type) + TAIL_BYTES, ALIGNMENT)
                buffers.append(Buffer(value, size, position[op], last))
        offsets = place(buffers)
        for op in ops:
            chosen = [-1 if value in outputs else offsets[value] for value in op.results]
            op.properties["offsets"] = DenseArrayBase.from_list(i64, chosen)
        return bool(ops)


def place(buffers: list[Buffer]) -> dict[SSAValue, int]:
    """Byte offsets such that buffers alive at the same time never overlap."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        rivals = sorted(
            (offset, offset + other.size)
            for offset, other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        offset = 0
        for begin, end in rivals:
            if offset + buffer.size <= begin:
                break
            offset = max(offset, end)
        placed.append((offset, buffer))
    return {buffer.value: offset for offset, buffer in placed}


def arena_bytes(program: Program) -> int:
    """The size of the arena that the planned offsets need."""
    ends = [
        offset + round_up(buffer_bytes(value.type) + TAIL_BYTES, ALIGNMENT)
        for op in program.ops
        if planned_offsets(op)
        for value, offset in zip(op.results, planned_offsets(op), strict=True)
        if offset >= 0
    ]
    return max(ends, default=0)
