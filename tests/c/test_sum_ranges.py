"""Sums that reach both ends of what 8 and 16 bits hold, and the first ones beyond: no accumulator is too short."""

from __future__ import annotations

import numpy as np
import pytest
from harness import Case, check_engine

from tercet.backends.c.engine import Engine
from tercet.backends.c.engines.bit_sliced import ENGINE as BIT_SLICED
from tercet.backends.c.engines.dense_int8 import ENGINE as DENSE_INT8
from tercet.backends.c.engines.loops import ENGINE as LOOPS
from tercet.backends.c.engines.popcount import ENGINE as POPCOUNT
from tercet.backends.c.engines.table import ENGINE as TABLE
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import TERNARY, Element, int_type

INT8, UINT8 = int_type(-128, 127), int_type(0, 255)
LENGTHS: list[tuple[Element, int, int, tuple[int, ...]]] = [
    (TERNARY, -1, 1, (127, 128, 129)),
    (INT8, -128, 127, (256, 258)),
    (UINT8, 0, 255, (128, 129)),
]
"""Inputs whose sums are next to 2^7 and 2^15: element, smallest and largest input, numbers of inputs."""


def extreme_case(element: Element, lo: int, hi: int, length: int, thresholds: bool) -> Case:
    """A 1x1 convolution of three pixels: the smallest sum, the largest, and one in between, of each filter."""
    case = Case(f"{length} inputs of {lo} to {hi}", [((1, length, 1, 3), element)])
    signs = np.random.default_rng(length).choice((-1, 1), length)
    weights = np.stack([np.ones(length), -np.ones(length), signs, np.r_[signs[1:], 0]]).astype(np.int8)
    y = case.add(
        ConvOp, case.inputs[0], case.constant(weights[:, :, None, None]),
        strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), group=1,
    )  # fmt: skip
    if thresholds:
        ends = np.array([[length * lo + 1, 0, length * hi]] * len(weights), np.int32)
        y = case.add(ThresholdOp, y, case.constant(ends), axis=1, base=0, step=1)
    x = np.stack([np.full(length, hi), np.full(length, lo), np.where(signs > 0, hi, lo)], axis=1)
    case.feeds = [x.reshape(1, length, 1, 3).astype(np.uint8 if hi > 127 else np.int8)]
    return case.returns(y)


@pytest.mark.parametrize("engine", [TABLE, BIT_SLICED, POPCOUNT, DENSE_INT8, LOOPS], ids=lambda engine: engine.name)
def test_sums_reach_the_ends(engine: Engine) -> None:
    ternary = engine in (BIT_SLICED, POPCOUNT)
    cases = [
        extreme_case(element, lo, hi, length, thresholds)
        for element, lo, hi, lengths in LENGTHS[: 1 if ternary else None]
        for length in lengths
        for thresholds in (False, True)
    ]
    check_engine(engine, cases, schedules="first", threads=(1,))
