"""Runs a batched program on many samples at once, with the results of running it sample by sample.

Integers are the same bit for bit. So are floats as far as BLAS and numpy add in the same order for one matrix whatever
stands around it: every sample's float product is a product of its own. Within 1e-5 of the largest they always are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from ...ir.batching import mixes_samples
from ...ir.errors import IRError
from ...ir.kn.kernel import ConvertOp, KernelOp
from ...ir.kn.layout import tensor_in
from ...ir.locations import describe
from ...ir.operation import TensorOperation
from ...ir.program import Program
from ...ir.tn import ElementwiseOp
from ...ir.tn.constant import ConstantOp
from ...ir.tn.elementwise import SoftmaxOp
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from ...ir.tn.pool import ArgMaxOp, AvgPoolOp, MaxPoolOp, ReduceOp, TopKOp
from ...ir.types import shape_of
from . import interpreter
from .meaning import MEANING

MOST_ELEMENTS = 1 << 22
"""So many elements of the largest tensor are in memory at once; samples are taken in groups that keep to it."""

WIDE = (ElementwiseOp, SoftmaxOp, ConvOp, TransposeOp, PadOp, TakeOp, MaxPoolOp, AvgPoolOp, ReduceOp, ArgMaxOp, TopKOp)
"""Operations whose meaning takes a leading axis of any size as it stands. Those in neither table run by sample."""


def _reshape(op: ReshapeOp, count: int, x: np.ndarray) -> np.ndarray:
    return x.reshape(count, *op.get("shape")[1:])


def _slice(op: SliceOp, count: int, x: np.ndarray) -> np.ndarray:
    """The leading axis has one element in the program, so all of it is kept."""
    return np.concatenate([MEANING[SliceOp](op, x[i : i + 1]) for i in range(count)]) if count else x


def _concat(op: ConcatOp, count: int, *parts: np.ndarray) -> np.ndarray:
    widened = [np.broadcast_to(part, (count, *part.shape[1:])) for part in parts]
    return np.concatenate(widened, axis=op.get("axis"))


def _matmul(op: MatMulOp, count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A row for each sample becomes a matrix for each: BLAS adds a row of many in another order than one alone. A
    constant matrix from the left is as it is: what it multiplies then has more axes."""
    function = MEANING[MatMulOp]
    if a.ndim == 2 and b.ndim <= 2 and a.dtype.kind == "f":
        return np.asarray(function(op, a[:, None], b))[:, 0]
    return np.asarray(function(op, a, b))


ADAPTED: dict[type[Operation], Callable[..., np.ndarray]] = {
    ReshapeOp: _reshape, SliceOp: _slice, ConcatOp: _concat, MatMulOp: _matmul,
}  # fmt: skip
"""Operations whose attributes or operands speak of the leading axis: called with the number of samples as well."""

Wide: TypeAlias = "tuple[np.ndarray, bool]"
"""A value: its array, and whether the leading axis is samples (else it is as in the program)."""


def run_batch(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As `interpreter.run` of a batched program. Raises InputError where the inputs do not fit."""
    given = {name: np.asarray(array) for name, array in inputs.items()}
    count = interpreter.check_inputs(program, given)
    if count is None or count < 2 or not keeps_samples_apart(program.block, [True] * len(program.inputs)):
        return interpreter.run(program, inputs)
    arrays = [interpreter.inside(given[port.name]) for port in program.inputs]
    weights, group = interpreter.Widened(program), max(1, MOST_ELEMENTS // _largest(program))
    parts = []
    for first in range(0, count, group):
        values: list[Wide] = [(array[first : first + group], True) for array in arrays]
        size = min(group, count - first)
        parts.append([_widened(y, size) for y in _run_block(program.block, values, weights, size)])
    results = [np.concatenate(same) for same in zip(*parts, strict=True)]
    return {port.name: y.astype(port.dtype) for port, y in zip(program.outputs, results, strict=True)}


def keeps_samples_apart(block: Block, per_sample: Sequence[bool]) -> bool:
    """Whether no operation of a block mixes the samples of the arguments that have them."""
    known: dict[SSAValue, bool] = dict(zip(block.args, per_sample, strict=True))
    for op in block.ops:
        flags = [known.get(value, False) for value in op.operands]
        if any(flags) and not op.has_trait(IsTerminator) and not _acts_on_each(op, flags):
            return False
        known.update((result, any(flags)) for result in op.results)
    return True


def _acts_on_each(op: Operation, flags: Sequence[bool]) -> bool:
    if isinstance(op, KernelOp):
        return keeps_samples_apart(op.block, flags)
    return isinstance(op, ConvertOp) or (isinstance(op, TensorOperation) and not mixes_samples(op, flags))


def _run_block(block: Block, arguments: Sequence[Wide], weights: interpreter.Weights, count: int) -> list[Wide]:
    values: dict[SSAValue, Wide] = dict(zip(block.args, arguments, strict=True))
    last_use = {value: op for op in block.ops for value in op.operands}
    for op in block.ops:
        if isinstance(op, ConstantOp):
            continue
        operands = [
            (interpreter.evaluate(v.owner, [], weights)[0], False) if isinstance(v.owner, ConstantOp) else values[v]
            for v in op.operands
        ]
        if op.has_trait(IsTerminator):
            return operands
        results = _evaluate(op, operands, weights, count)
        values.update((r, y) for r, y in zip(op.results, results, strict=True) if r in last_use)
        for value in op.operands:
            if last_use[value] is op:
                values.pop(value, None)
    raise IRError("a block without a terminator")


def _evaluate(op: Operation, operands: Sequence[Wide], weights: interpreter.Weights, count: int) -> list[Wide]:
    arrays = [array for array, _ in operands]
    if not any(wide for _, wide in operands):
        return [(y, False) for y in interpreter.evaluate(op, arrays, weights)]
    if isinstance(op, KernelOp):
        return _run_block(op.block, operands, weights, count)
    if (adapted := ADAPTED.get(type(op))) is not None:
        with np.errstate(all="ignore"):
            results = [adapted(op, count, *arrays)]
    elif isinstance(op, ConvertOp):
        results = arrays
    elif isinstance(op, WIDE):
        results = interpreter.evaluate(op, arrays, weights)
    else:
        results = [np.concatenate(same) for same in zip(*_by_sample(op, operands, weights, count), strict=True)]
    for value, array in zip(op.results, results, strict=True):
        want = (count, *shape_of(tensor_in(value.type))[1:])
        if array.shape != want:
            raise IRError(f"computed the shape {list(array.shape)} for {list(want)}", where=describe(op))
    return [(y, True) for y in results]


def _by_sample(
    op: Operation, operands: Sequence[Wide], weights: interpreter.Weights, count: int
) -> Iterator[list[np.ndarray]]:
    for i in range(count):
        yield interpreter.evaluate(op, [a[i : i + 1] if wide else a for a, wide in operands], weights)


def _widened(value: Wide, count: int) -> np.ndarray:
    array, wide = value
    return array if wide else np.broadcast_to(array, (count, *array.shape[1:]))


def _largest(program: Program) -> int:
    """Elements of the largest tensor of one sample; for a convolution, of its columns."""
    sizes = [1]
    for op in program.module.walk():
        if isinstance(op, FuncOp | ConstantOp):
            continue
        for result in op.results:
            shape = shape_of(tensor_in(result.type))
            size = prod(shape)
            if isinstance(op, ConvOp):
                size = max(size, prod(shape[2:]) * op.get("group") * prod(shape_of(op.w)[1:]))
            sizes.append(size)
    return max(sizes)
