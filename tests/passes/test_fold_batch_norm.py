"""Batch norm with statistics at which each of its parameters matters, folded in both ways."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import _Builder as Builder

from tercet.backends.reference.interpreter import run
from tercet.ir.tn.elementwise import AddOp, MulOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp
from tercet.passes.fold_batch_norm import FoldBatchNorm


@pytest.mark.parametrize("into_weights", [True, False])
def test_every_parameter_counts(into_weights: bool) -> None:
    """Variances down to 0, far below epsilon."""
    b = Builder(3, (4, 4), np.random.default_rng(0))
    y = b.program.block.args[0]
    if into_weights:
        w = b.constant("w", b.rng.normal(size=(3, 3, 2, 2)).astype(np.float32))
        bias = b.constant("bias", b.rng.normal(size=3).astype(np.float32))
        y = b.add(ConvOp, y, w, bias, strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), group=1)
    parameters = {"scale": [1.5, -0.5, 2.0], "shift": [0.25, 3.0, -1.0], "mean": [4.0, -2.0, 0.5], "var": [0, 0.01, 9]}
    operands = [b.constant(name, np.array(values, np.float32)) for name, values in parameters.items()]
    y = b.add(BatchNormOp, y, *operands, epsilon=0.05)
    b.program.finish([("y", y, np.dtype(np.float32))])
    feeds = {"x": b.rng.normal(size=(1, 3, 4, 4)).astype(np.float32)}
    want = run(b.program, feeds)["y"]

    FoldBatchNorm().apply(b.program)
    b.program.verify()
    kinds = [type(op) for op in b.program.ops]
    assert BatchNormOp not in kinds and (MulOp in kinds and AddOp in kinds) != into_weights
    np.testing.assert_allclose(run(b.program, feeds)["y"], want, rtol=1e-4, atol=1e-4)
