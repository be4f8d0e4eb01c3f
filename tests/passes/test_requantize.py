"""A tensor quantized twice with one scale: the second quantizer is a clip to its range, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import _Builder as Builder

from tercet.backends.reference.interpreter import run
from tercet.ir.tn.elementwise import ClipOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.passes.recover_quantizers import RecoverQuantizers


@pytest.mark.parametrize(
    ("second", "clips"), [((-4, 3), False), ((-8, 7), False), ((-1, 1), True), ((-4, 2), True), ((0, 3), True)]
)
def test_only_a_narrower_range_clips(second: tuple[int, int], clips: bool) -> None:
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
    kinds = [type(op) for op in b.program.ops]
    assert kinds.count(QuantizeOp) == 1 and (ClipOp in kinds) == clips
    np.testing.assert_array_equal(run(b.program, feeds)["y"], want)
