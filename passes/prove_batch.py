"""Proves that a program with a leading axis of size 1 treats that axis as a batch, so that it can run on any number
of samples, one after the other."""

from __future__ import annotations

from typing import ClassVar

from xdsl.ir import Operation, SSAValue

from ..ir.errors import UnsupportedError
from ..ir.locations import describe
from ..ir.program import Program
from ..ir.tn.elementwise import BinaryOp, CastOp, SoftmaxOp, UnaryOp
from ..ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from ..ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from ..ir.tn.pool import ArgMaxOp, AvgPoolOp, MaxPoolOp, ReduceMeanOp, TopKOp
from ..ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ..ir.types import shape_of
from .base import Pass


class ProveBatch(Pass):
    """Sets `batched` where the leading axis of every input and output provably is a batch of independent samples.

    Raises UnsupportedError when the model has a symbolic batch dimension that mixes samples.
    """

    name: ClassVar[str] = "prove-batch"

    def apply(self, program: Program) -> bool:
        blocker = _mixing_operation(program)
        if program.batched:
            if blocker is not None:
                raise UnsupportedError(
                    "the samples of a symbolic batch are mixed here, so they cannot run one by one",
                    where=blocker,
                    hint="fix the batch size when importing (--batch N)",
                )
            return False
        program.batched = blocker is None
        return blocker is None


def _mixing_operation(program: Program) -> str | None:
    """Where the batch axis is first lost; None when all inputs and outputs keep it."""
    if any(shape_of(port.type)[:1] != (1,) for port in (*program.inputs, *program.outputs)):
        return "the function's inputs and outputs"
    samples: set[SSAValue] = set(program.block.args)
    for op in program.ops:
        if not any(v in samples for v in op.operands):
            continue
        if not _keeps_batch(op, samples):
            return describe(op)
        samples.update(op.results)
    lost = [v for v in program.returned.operands if v not in samples]
    return "an output that does not depend on the inputs" if lost else None


def _keeps_batch(op: Operation, samples: set[SSAValue]) -> bool:
    """Whether axis 0 of the results is the batch axis, given which operands have one."""
    x, y = shape_of(op.operands[0]), shape_of(op.results[0])
    if y[:1] != (1,):
        return False
    match op:
        case ConvOp() | BatchNormOp() | MaxPoolOp() | AvgPoolOp() | PadOp():
            return op.operands[0] in samples and not any(v in samples for v in list(op.operands)[1:])
        case BinaryOp() | DequantizeOp() | QuantizeOp():
            return all(_aligned(v, op, samples) for v in op.operands)
        case MatMulOp():
            left, right = op.a in samples, op.b in samples
            return len(x) >= 2 and left and (not right or (len(x) == len(shape_of(op.b)) >= 3))
        case ReshapeOp():
            return True
        case TransposeOp():
            return op.get("perm")[0] == 0
        case SoftmaxOp() | ArgMaxOp() | TopKOp() | ConcatOp():
            return op.get("axis") != 0 and all(v in samples for v in op.operands)
        case ThresholdOp():
            return op.get("axis") % len(x) != 0 or shape_of(op.thresholds)[0] == 1
        case ReduceMeanOp():
            return 0 not in op.get("axes")
        case TakeOp():
            return op.get("axis") != 0 and op.indices not in samples
        case SliceOp() | UnaryOp() | CastOp():
            return True
        case _:
            return False


def _aligned(value: SSAValue, op: Operation, samples: set[SSAValue]) -> bool:
    """An operand whose axis 0 meets the result's axis 0 (or that is the same for every sample)."""
    shape, result = shape_of(value), shape_of(op.results[0])
    if value in samples:
        return len(shape) == len(result)
    return len(shape) < len(result) or shape[:1] == (1,)
