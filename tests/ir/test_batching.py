"""Which operations keep the samples of a batch apart, on programs with a leading axis of 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from xdsl.dialects.builtin import f32
from xdsl.ir import Block

from tercet.ir.batching import mixes_samples
from tercet.ir.operation import TensorOperation
from tercet.ir.tn import OPS
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import AddOp, ReluOp, SoftmaxOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from tercet.ir.tn.pool import ArgMaxOp, MaxPoolOp, ReduceMeanOp, TopKOp
from tercet.ir.tn.quant import SelectThresholdOp, ThresholdOp
from tercet.ir.types import Tensor, int_type, tensor_type

SQUARE, MAP = (1, 4, 4), (1, 3, 5, 5)
INDICES = tensor_type((1, 2), int_type(0, 0))
LEVELS = tensor_type(MAP, int_type(-1, 1))
TABLE = tensor_type((1, 3, 2), int_type(-9, 9))
WINDOW = {"kernel": (3, 3), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
CASES: dict[str, tuple[Sequence[tuple[int, ...] | Tensor], Callable[..., TensorOperation], Sequence[bool], bool]] = {
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
    "norm of channels": ([MAP, *[(3,)] * 4], lambda *v: BatchNormOp.make(*v, epsilon=0.1), [True] + [False] * 4, False),
    "norm by the sample": ([(1, 1, 5), *[(1,)] * 4], lambda *v: BatchNormOp.make(*v, epsilon=0.1), [True] * 5, True),
    "threshold": ([MAP, (3, 2)], lambda x, t: ThresholdOp.make(x, t, axis=1, base=0, step=1), [True, False], False),
    "thresholds of the sample": (
        [MAP, (1, 2)],
        lambda x, t: ThresholdOp.make(x, t, axis=1, base=0, step=1),
        [True, True],
        True,
    ),
    "selected threshold": (
        [LEVELS, LEVELS, TABLE],
        lambda x, r, t: SelectThresholdOp.make(x, r, t, axis=1, base=0, step=1, first=-1),
        [True, True, False],
        False,
    ),
    "threshold that something else selects": (
        [LEVELS, LEVELS, TABLE],
        lambda x, r, t: SelectThresholdOp.make(x, r, t, axis=1, base=0, step=1, first=-1),
        [True, False, False],
        True,
    ),
    "reshape of pixels": ([MAP], lambda x: ReshapeOp.make(x, shape=(1, 75)), [True], False),
    "reshape of all": ([MAP], lambda x: ReshapeOp.make(x, shape=(75,)), [True], True),
    "slice of channels": (
        [MAP],
        lambda x: SliceOp.make(x, starts=(0,) * 4, sizes=(1, 2, 5, 5), steps=(1,) * 4),
        [True],
        False,
    ),
    "no sample": ([MAP], lambda x: SliceOp.make(x, starts=(0,) * 4, sizes=(0, 3, 5, 5), steps=(1,) * 4), [True], True),
    "taken channels": ([MAP, INDICES], lambda x, i: TakeOp.make(x, i, axis=1), [True, False], False),
    "taken samples": ([MAP, INDICES], lambda x, i: TakeOp.make(x, i, axis=0), [True, False], True),
    "rows that samples choose": ([(4, 3), INDICES], lambda x, i: TakeOp.make(x, i, axis=0), [False, True], False),
    "max pool": ([MAP], lambda x: MaxPoolOp.make(x, **WINDOW), [True], False),
    "arg max of channels": ([MAP], lambda x: ArgMaxOp.make(x, axis=1), [True], False),
    "arg max of the batch": ([MAP], lambda x: ArgMaxOp.make(x, axis=0), [True], True),
    "top k of channels": ([MAP], lambda x: TopKOp.make(x, axis=1, k=2), [True], False),
    "top k of the batch": ([MAP], lambda x: TopKOp.make(x, axis=0, k=1), [True], True),
}
"""Shapes of the operands, the operation, whose leading axis is the batch, and whether it mixes samples."""


@pytest.mark.parametrize("name", CASES)
def test_mixes_samples(name: str) -> None:
    shapes, make, per_sample, mixes = CASES[name]
    assert bool(mixes_samples(_made(shapes, make), per_sample)) == mixes


def test_every_claim_has_a_case() -> None:
    """At least one for each definition of mixes_samples."""
    covered = {type(_made(shapes, make)).mixes_samples for shapes, make, _, _ in CASES.values()}
    assert sorted(op.name for op in OPS if op is not ConstantOp and op.mixes_samples not in covered) == []


def _made(operands: Sequence[tuple[int, ...] | Tensor], make: Callable[..., TensorOperation]) -> TensorOperation:
    types = [tensor_type(x, f32) if isinstance(x, tuple) else x for x in operands]
    return make(*Block(arg_types=types).args)
