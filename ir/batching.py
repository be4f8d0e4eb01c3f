"""Which operations keep the samples of a batch apart. It reads `tn` only and asks one operation at a time."""

from __future__ import annotations

from collections.abc import Sequence

from .operation import TensorOperation
from .tn.elementwise import BinaryOp, SoftmaxOp
from .tn.linear import BatchNormOp, ConvOp, MatMulOp
from .tn.logic import SelectOp
from .tn.movement import ConcatOp, PadOp, TakeOp, TransposeOp
from .tn.pool import ArgMaxOp, ReduceOp, TopKOp
from .tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, SelectThresholdOp, ThresholdOp
from .types import shape_of


def mixes_samples(op: TensorOperation, per_sample: Sequence[bool]) -> str:
    """Why the operation does not act on every sample of a batch alone, or "" when it does.

    per_sample: for each operand, whether its leading axis (of size 1) is the batch; at least one is. All results then
    have the batch as leading axis too.
    """
    reason = _reason(op, per_sample, [len(shape_of(v)) for v in op.operands])
    if not reason and any(shape_of(result)[:1] != (1,) for result in op.results):
        return "its result does not keep the batch as leading axis"
    return reason


def _reason(op: TensorOperation, per_sample: Sequence[bool], ranks: Sequence[int]) -> str:
    result_rank = len(shape_of(op.results[0]))
    if isinstance(op, BinaryOp | SelectOp | QuantizeOp | DequantizeOp | RequantizeOp):
        aligned = all(rank == result_rank for rank, sample in zip(ranks, per_sample, strict=True) if sample)
        return "" if aligned else "it broadcasts the batch axis against another one"
    if isinstance(op, ConvOp | BatchNormOp | ThresholdOp):
        return "its parameters depend on the input" if any(per_sample[1:]) else ""
    if isinstance(op, SelectThresholdOp):
        return "its parameters depend on the input" if any(per_sample[2:]) or not all(per_sample[:2]) else ""
    if isinstance(op, MatMulOp):
        return _matmul(per_sample, ranks, result_rank)
    if isinstance(op, TransposeOp):
        return "" if op.get("perm")[:1] == (0,) else "it moves the batch axis"
    if isinstance(op, ReduceOp):
        return "it reduces the batch axis" if 0 in op.get("axes") else ""
    if isinstance(op, ArgMaxOp | TopKOp | SoftmaxOp | ConcatOp):
        return "it works along the batch axis" if op.get("axis") == 0 else ""
    if isinstance(op, PadOp):
        pads = op.get("pads")
        return "it pads the batch axis" if pads[0] or pads[len(pads) // 2] else ""
    if isinstance(op, TakeOp):
        x, indices = per_sample
        kept = op.get("axis") != 0 and not indices if x else op.get("axis") == 0
        return "" if kept else "it picks elements across samples"
    return ""


def _matmul(per_sample: Sequence[bool], ranks: Sequence[int], result_rank: int) -> str:
    """Rows of a are samples, or a leading axis outside the matrices is."""
    (a, b), (rank_a, rank_b) = per_sample, ranks
    if b and (rank_b < 3 or rank_b != result_rank):
        return "it sums over the batch axis or broadcasts it"
    if a and (rank_a < 2 or rank_a != max(ranks) or (b and rank_a < 3)):
        return "it sums over the batch axis or broadcasts it"
    return ""
