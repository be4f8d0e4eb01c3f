"""Which operations keep the samples of a batch apart, on programs with a leading axis of 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import f32

from tercet.ir.batching import mixes_samples
from tercet.ir.operation import TensorOperation
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, ReluOp, SoftmaxOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.movement import ConcatOp, PadOp, TransposeOp
from tercet.ir.tn.pool import ReduceMeanOp
from tercet.ir.types import tensor_type

SQUARE, MAP = (1, 4, 4), (1, 3, 5, 5)
CASES: dict[str, tuple[Sequence[tuple[int, ...]], Callable[..., TensorOperation], Sequence[bool], bool]] = {
    "relu": ([MAP], lambda x: ReluOp.make(x), [True], False),
    "add": ([MAP, MAP], lambda a, b: AddOp.make(a, b), [True, True], False),
    "add of a lower rank": ([SQUARE, (1, *SQUARE)], lambda a, b: AddOp.make(a, b), [True, True], True),
    "mean over pixels": ([MAP], lambda x: ReduceMeanOp.make(x, axes=(2, 3), keepdims=1), [True], False),
    "mean over the batch": ([MAP], lambda x: ReduceMeanOp.make(x, axes=(0, 2), keepdims=1), [True], True),
    "softmax of channels": ([MAP], lambda x: SoftmaxOp.make(x, axis=1), [True], False),
    "softmax of the batch": ([MAP], lambda x: SoftmaxOp.make(x, axis=0), [True], True),
    "concat of channels": ([MAP, MAP], lambda a, b: ConcatOp.make(a, b, axis=1), [True, True], False),
    "concat of samples": ([MAP, MAP], lambda a, b: ConcatOp.make(a, b, axis=0), [True, True], True),
    "transposed pixels": ([MAP], lambda x: TransposeOp.make(x, perm=(0, 1, 3, 2)), [True], False),
    "transposed samples": ([SQUARE], lambda x: TransposeOp.make(x, perm=(1, 0, 2)), [True], True),
    "padded pixels": ([MAP], lambda x: PadOp.make(x, pads=(0, 0, 1, 1, 0, 0, 1, 1), value=0.0), [True], False),
    "padded samples": ([MAP], lambda x: PadOp.make(x, pads=(0, 0, 0, 0, 1, 0, 0, 0), value=0.0), [True], True),
    "rows times weights": ([(1, 4), (4, 4)], lambda a, b: MatMulOp.make(a, b), [True, False], False),
    "weights times rows": ([(4, 1), (1, 4)], lambda a, b: MatMulOp.make(a, b), [False, True], True),
    "filters of the sample": (
        [MAP, (1, 3, 3, 3)],
        lambda x, w: ConvOp.make(x, w, strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), group=1),
        [True, True],
        True,
    ),
}
"""Shapes of the operands, the operation, whose leading axis is the batch, and whether it mixes samples."""


@pytest.mark.parametrize("name", CASES)
def test_mixes_samples(name: str) -> None:
    shapes, make, per_sample, mixes = CASES[name]
    ports = [Port(f"x{i}", tensor_type(shape, f32), np.dtype(np.float32)) for i, shape in enumerate(shapes)]
    op = make(*Program.new("batch", ports).block.args)
    assert bool(mixes_samples(op, per_sample)) == mixes
