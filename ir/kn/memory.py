"""When every value of a program at kernel level is alive, and what that means for the arena."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from ..errors import IRError
from ..locations import describe
from .buffers import ALIGNMENT, TAIL_BYTES, round_up
from .kernel import ConvertOp, KernelOp, planned_offsets
from .layout import buffer_bytes


@dataclass(frozen=True)
class Buffer:
    """Bytes needed for a value, alive from step `first` to step `last` (both included)."""

    value: SSAValue
    size: int
    first: int
    last: int


def steps_of(block: Block) -> list[KernelOp | ConvertOp]:
    return [op for op in block.ops if isinstance(op, KernelOp | ConvertOp)]


def arena_buffers(block: Block) -> list[Buffer]:
    """The results that live in the arena: all but those the program returns, which have memory of their own."""
    steps = steps_of(block)
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


def live_bytes(block: Block) -> list[int]:
    """For every step, the bytes of the arena's values alive while it runs; no plan needs less than the most."""
    live = [0] * len(steps_of(block))
    for buffer in arena_buffers(block):
        for step in range(buffer.first, buffer.last + 1):
            live[step] += buffer.size
    return live


def arena_bytes(block: Block) -> int:
    """The size of the arena that the planned offsets need."""
    ends = [
        offset + round_up(buffer_bytes(value.type) + TAIL_BYTES, ALIGNMENT)
        for op in block.ops
        if planned_offsets(op)
        for value, offset in zip(op.results, planned_offsets(op), strict=True)
        if offset >= 0
    ]
    return max(ends, default=0)


def verify_memory(block: Block) -> None:
    """Checks the planned offsets by walking the steps: a step reads bytes that still hold the value that was written
    there, writes over nothing that it or a later step reads, and a value without an offset is one that the program
    returns. Nothing is checked before memory is planned. Raises IRError naming the step."""
    steps = steps_of(block)
    if not any(planned_offsets(op) for op in steps):
        return
    last_use: dict[SSAValue, int] = {}
    for i, op in enumerate(steps):
        last_use.update(dict.fromkeys(op.operands, i))
    live: dict[SSAValue, tuple[int, int]] = {}
    for i, op in enumerate(steps):
        if len(planned_offsets(op)) != len(op.results):
            raise IRError("memory is planned, but not for this step", where=describe(op))
        for value, offset in zip(op.results, planned_offsets(op), strict=True):
            if offset == -1:
                if not any(isinstance(use.operation, ReturnOp) for use in value.uses):
                    raise IRError("a result that is not returned has no place in the arena", where=describe(op))
                continue
            place = (offset, offset + buffer_bytes(value.type))
            if offset < 0 or offset % ALIGNMENT:
                raise IRError(f"arena offset {offset} is not a multiple of {ALIGNMENT}", where=describe(op))
            for other, (begin, end) in live.items():
                if begin < place[1] and place[0] < end:
                    reader = steps[last_use.get(other, i)]
                    raise IRError(
                        f"result at bytes {place[0]}..{place[1]} of the arena overwrites a value at {begin}..{end}, "
                        f"which is read by {describe(reader)}",
                        where=describe(op),
                    )
            live[value] = place
        live = {v: place for v, place in live.items() if last_use.get(v, i) > i}
