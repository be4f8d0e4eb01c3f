"""When a value is alive: from the step that makes it to the last one that reads it, in whatever order its users are."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from tercet.backends.c.lowering.plan_memory import PlanMemory
from tercet.ir.kn.kernel import ConvertOp
from tercet.ir.kn.memory import arena_buffers, live_bytes
from tercet.ir.program import Port, Program
from tercet.ir.types import tensor_type

KIND = tensor_type((1, 16), f32)


def copies(sources: list[int]) -> tuple[Program, list[SSAValue]]:
    """A program of copies: step i copies the result of step sources[i], or the input for -1. All that nobody reads is
    returned."""
    program = Program.new("copies", [Port("x", KIND, np.dtype(np.float32))])
    values: list[SSAValue] = []
    for source in sources:
        op = ConvertOp.create(operands=[program.block.args[0] if source < 0 else values[source]], result_types=[KIND])
        program.block.add_op(op)
        values.append(op.results[0])
    ends = [v for i, v in enumerate(values) if i not in sources]
    program.finish([(f"y{i}", v, np.dtype(np.float32)) for i, v in enumerate(ends)])
    return program, values


@pytest.mark.parametrize(
    "sources", [[-1, 0, 1, 2, 0], [-1, 0, 0, 0, 0], [-1, 0, 1, 1, 0, 3], [-1, -1, 0, 1, 0, 4]], ids=str
)
def test_a_value_lives_until_its_last_reader(sources: list[int]) -> None:
    program, values = copies(sources)
    lives = {buffer.value: (buffer.first, buffer.last) for buffer in arena_buffers(program.block)}
    for i, value in enumerate(values):
        readers = [step for step, source in enumerate(sources) if source == i]
        assert lives.get(value) == ((i, max(readers)) if readers else None)  # what is returned is not in the arena
    PlanMemory().apply(program)
    offsets = {v: op.properties["offsets"] for v, op in zip(values, program.ops, strict=True)}
    for a in lives:
        for b in lives:
            if a is not b and lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]:
                assert offsets[a] != offsets[b]
    assert len(live_bytes(program.block)) == len(sources)
