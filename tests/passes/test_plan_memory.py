"""Buffers that are alive together never share a byte of the arena."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32
from xdsl.ir import Block, SSAValue

from tercet.backends.c.lowering.plan_memory import place
from tercet.ir.kn.buffers import ALIGNMENT, TAIL_BYTES
from tercet.ir.kn.memory import Buffer
from tercet.ir.types import tensor_type

LIVES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=20)


def _values(count: int) -> list[SSAValue]:
    return list(Block(arg_types=[tensor_type((1,), f32)] * count).args)


@given(LIVES)
def test_no_overlap(lives: list[tuple[int, int, int]]) -> None:
    values = _values(len(lives))
    buffers = [
        Buffer(v, size * ALIGNMENT, first, first + length)
        for v, (size, first, length) in zip(values, lives, strict=True)
    ]
    offsets = place(buffers)
    for i, a in enumerate(buffers):
        assert offsets[a.value] % ALIGNMENT == 0 and offsets[a.value] >= 0
        for b in buffers[:i]:
            together = a.first <= b.last and b.first <= a.last
            apart = offsets[a.value] + a.size <= offsets[b.value] or offsets[b.value] + b.size <= offsets[a.value]
            assert apart or not together


def test_a_chain_needs_two_buffers() -> None:
    values = _values(6)
    offsets = place([Buffer(v, 64, i, i + 1) for i, v in enumerate(values)])
    assert max(offsets.values()) == 64


def test_the_runtime_allocates_by_the_same_numbers() -> None:
    source = (Path(__file__).parents[2] / "runtime/c/tercet_runtime.c").read_text("utf-8")
    found = dict(re.findall(r"\b(ALIGNMENT|TAIL_BYTES) = (\d+)", source))
    assert found == {"ALIGNMENT": str(ALIGNMENT), "TAIL_BYTES": str(TAIL_BYTES)}
