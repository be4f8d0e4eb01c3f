"""Sums of levels and a shortcut, clipped, against the thresholds that the shortcut selects, on every sum there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, ClipOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import SelectThresholdOp, ThresholdOp
from tercet.ir.types import int_type, tensor_type
from tercet.passes.thresholds import Thresholds

LO, HI = -140, 150  # beyond int8, in which a table may be stored
SIZE = HI - LO + 1


def block(
    table: np.ndarray, sign: np.ndarray | None, base: int, shortcut: tuple[int, int], clip: tuple[int, int],
    swap: bool = False, step: int = 1,
) -> Program:  # fmt: skip
    """x [1, C, 1, N] -> 1x1 depthwise conv by 1 -> threshold -> + r -> clip."""
    channels = len(table)
    x = Port("x", tensor_type((1, channels, 1, SIZE), int_type(LO, HI)), np.dtype(np.int16))
    r = Port("r", tensor_type((1, channels, 1, SIZE), int_type(*shortcut)), np.dtype(np.int8))
    program = Program.new("block", [x, r])
    arrays = {"w": np.ones((channels, 1, 1, 1), np.int8), "t": table} | ({} if sign is None else {"s": sign})
    weights, *table_and_sign = [program.constant(name, array) for name, array in arrays.items()]
    conv = ConvOp.make(
        program.block.args[0], weights.result, strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), group=channels
    )
    levels = ThresholdOp.make(conv.result, *(one.result for one in table_and_sign), axis=1, base=base, step=step)
    operands = (program.block.args[1], levels.result) if swap else (levels.result, program.block.args[1])
    add = AddOp.make(*operands)
    end = ClipOp.make(add.results[0], lo=float(clip[0]), hi=float(clip[1]))
    program.block.add_ops([weights, *table_and_sign, conv, levels, add, end])
    program.finish([("y", end.results[0], np.dtype(np.int64))])
    program.verify()
    return program


@given(st.data())
@settings(deadline=None)
def test_every_sum_and_every_shortcut(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    channels, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 8))
    base = data.draw(st.integers(-4, 2))
    shortcut = data.draw(st.sampled_from(((-1, 1), (0, 1), (0, 3), (-2, 1), (0, 0))))
    low, high = base + shortcut[0], base + steps + shortcut[1]
    bottom = data.draw(st.integers(low, high - 1))
    clip = (bottom, data.draw(st.integers(bottom + 1, high)))
    ends = data.draw(st.sampled_from(((-9, 9), (-128, 127), (LO - 3, HI + 3))))
    table = np.sort(rng.integers(*ends, (channels, steps), endpoint=True), axis=1)
    if ends[0] >= -128:
        table = table.astype(np.int8)
    sign = rng.choice(np.array([-1, 1], np.int8), channels) if data.draw(st.booleans()) else None
    program = block(table, sign, base, shortcut, clip, swap=data.draw(st.booleans()))
    x = np.broadcast_to(np.arange(LO, HI + 1, dtype=np.int16), (1, channels, 1, SIZE)).copy()
    feeds = [{"x": x, "r": np.full_like(x, value, dtype=np.int8)} for value in range(shortcut[0], shortcut[1] + 1)]
    wanted = [run(program, feed)["y"] for feed in feeds]
    assert Thresholds().apply(program)
    program.verify()
    kinds = {type(op) for op in program.ops}
    assert SelectThresholdOp in kinds and not {ThresholdOp, AddOp, ClipOp} & kinds
    for feed, want in zip(feeds, wanted, strict=True):
        np.testing.assert_array_equal(run(program, feed)["y"], want)


def test_what_stays_a_sum() -> None:
    table = np.array([[-2, 0, 3]])
    assert not Thresholds().apply(block(table, None, -1, (-8, 7), (-1, 1)))  # a shortcut of many values
    assert not Thresholds().apply(block(table, None, -1, (-1, 1), (-1, 1), step=2))
