"""When every value of a program at kernel level is alive, and what that means for the arena."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from ..program import Program
from .kernel import ConvertOp, KernelOp, planned_offsets
from .layout import TAIL_BYTES, buffer_bytes, round_up

ALIGNMENT = 64


@dataclass(frozen=True)
class Buffer:
    """Bytes needed for a value, alive from step `first` to step `last` (both included)."""

    value: SSAValue
    size: int
    first: int
    last: int


def steps_of(program: Program) -> list[KernelOp | ConvertOp]:
    return [op for op in program.ops if isinstance(op, KernelOp | ConvertOp)]


def arena_buffers(program: Program) -> list[Buffer]:
    """The results that live in the arena: all but those the program returns, which have memory of their own."""
    steps = steps_of(program)
    position: dict[Operation, int] = {op: i for i, op in enumerate(steps)}
    found: list[Buffer] = []
    for op in steps:
        for value in op.results:
            users = [use.operation for use in value.uses]
            if any(isinstance(user, ReturnOp) for user in users):
                continue
            last = max((position[user] for user in users), default=position[op])
            size = round_up(buffer_bytes(value.type) + TAIL_BYTES, ALIGNMENT)
            found.append(Buffer(value, size, position[op], last))
    return found


def live_bytes(program: Program) -> list[int]:
    """For every step, the bytes of the arena's values alive while it runs; no plan needs less than the most."""
    live = [0] * len(steps_of(program))
    for buffer in arena_buffers(program):
        for step in range(buffer.first, buffer.last + 1):
            live[step] += buffer.size
    return live


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
