"""What holds for tensors of one scale only: a second quantizer narrows the first, a concat is one of integers."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import _Builder as Builder

from tercet.backends.reference.interpreter import run
from tercet.ir.tn.elementwise import ClipOp
from tercet.ir.tn.movement import ConcatOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.ir.types import is_float
from tercet.passes.recover_quantizers import RecoverQuantizers


@pytest.mark.parametrize("second", [(-4, 3), (-8, 7), (-1, 1), (-4, 2), (0, 3)])
def test_a_second_quantizer_narrows_the_first(second: tuple[int, int]) -> None:
    b = Builder(2, (5, 5), np.random.default_rng(0))
    y = b.program.block.args[0]
    for lo, hi in ((-4, 3), second):
        y = b.add(DequantizeOp, b.add(QuantizeOp, y, b.scalar(0.5), lo=lo, hi=hi), b.scalar(0.5))
    b.program.finish([("y", y, np.dtype(np.float32))])
    feeds = {"x": np.linspace(-4, 4, 50, dtype=np.float32).reshape(1, 2, 5, 5)}
    want = run(b.program, feeds)["y"]
    assert want.min() == max(-4, second[0]) / 2 and want.max() == min(3, second[1]) / 2

    RecoverQuantizers().apply(b.program)
    b.program.verify()
    (quantize,) = (op for op in b.program.ops if isinstance(op, QuantizeOp))
    assert (quantize.get("lo"), quantize.get("hi")) == (max(-4, second[0]), min(3, second[1]))
    assert not any(isinstance(op, ClipOp) for op in b.program.ops)
    np.testing.assert_array_equal(run(b.program, feeds)["y"], want)


@pytest.mark.parametrize(("scales", "whole"), [((0.5, 0.5), True), ((0.5, 0.25), False), ((0.25, 0.5), False)])
def test_a_concat_is_one_of_integers_where_scales_are_equal(scales: tuple[float, float], whole: bool) -> None:
    b = Builder(2, (5, 5), np.random.default_rng(0))
    x = b.program.block.args[0]
    parts = [b.add(DequantizeOp, b.add(QuantizeOp, x, b.scalar(s), lo=-4, hi=3), b.scalar(s)) for s in scales]
    b.program.finish([("y", b.add(ConcatOp, *parts, axis=1), np.dtype(np.float32))])
    feeds = {"x": np.linspace(-4, 4, 50, dtype=np.float32).reshape(1, 2, 5, 5)}
    want = run(b.program, feeds)["y"]

    RecoverQuantizers().apply(b.program)
    b.program.verify()
    (concat,) = (op for op in b.program.ops if isinstance(op, ConcatOp))
    assert is_float(concat.results[0]) != whole
    np.testing.assert_array_equal(run(b.program, feeds)["y"], want)
