"""Appends operations to the program: infers types, folds movement of constants, keeps locations and batch apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from ..ir.batching import mixes_samples
from ..ir.operation import TensorOperation
from ..ir.program import Program
from ..ir.tn.elementwise import CastOp
from ..ir.tn.movement import ReshapeOp, SliceOp, TakeOp, TransposeOp
from ..ir.tn.quant import DequantizeOp
from ..ir.types import Element, contains, shape_of, tensor_type
from .source_node import SourceNode
from .values import FLOAT, FLOATS, MAX_ELEMENTS, MAX_RANK, Refusal, Value, element_for, plain_array

SMALL_INTEGER = 2**16
"""Sums of products of integers up to here stay far inside 64 bits."""


class Emitter:
    """What import functions build with. `node` is the node being imported; its location goes on every operation."""

    node: SourceNode

    def __init__(self, program: Program, constant_of: Callable[[Value], Value | None] = lambda value: None) -> None:
        """constant_of: the constant that a value of the program can be evaluated to, if any."""
        self.program, self._constant_of = program, constant_of
        self.batched = program.batched

    # -- operations -----------------------------------------------------------------------------------------------

    def op(
        self, kind: type[TensorOperation], *operands: Value, dtype: np.dtype | None = None, **attributes: Any
    ) -> Value:
        """One operation with one result, of the first operand's source dtype unless told."""
        (value,) = self.ops(kind, *operands, dtypes=(dtype or operands[0].dtype,), **attributes)
        return value

    def ops(
        self, kind: type[TensorOperation], *operands: Value, dtypes: Sequence[np.dtype], **attributes: Any
    ) -> list[Value]:
        """One operation; dtypes: the source dtype of each result.

        Raises ModelError where shapes or attributes do not fit, Refusal where it would mix the samples of a batch.
        """
        try:
            op = kind.make(*(self.ssa(v) for v in operands), at=self.node.location, **attributes)
        except VerifyException as error:
            raise self.node.error(_readable(error)) from error
        return self._append(op, operands, dtypes)

    def _append(self, op: TensorOperation, operands: Sequence[Value], dtypes: Sequence[np.dtype]) -> list[Value]:
        for result in op.results:
            self.check_size(shape_of(result))
        flags = [v.per_sample for v in operands]
        if self.batched and any(flags) and (reason := mixes_samples(op, flags)):
            raise Refusal(f"{reason}; import with batch=N to compile for a batch of fixed size")
        self.program.block.add_op(op)
        return [
            Value(self.node.name, dtype, shape_of(result), ssa=result, per_sample=any(flags))
            for result, dtype in zip(op.results, dtypes, strict=True)
        ]

    def ssa(self, value: Value) -> SSAValue:
        """The value in the program; a constant is put there once, under its name in the source.

        Raises Refusal for constants of a dtype that `tn` does not have.
        """
        if value.ssa is None:
            assert value.array is not None
            op = self.program.constant(value.name, plain_array(value.array), at=self.node.location)
            self.program.block.add_op(op)
            value.ssa = op.result
        return value.ssa

    def check_size(self, shape: Sequence[int]) -> None:
        """Raises ModelError for a tensor too large to be meant."""
        if len(shape) > MAX_RANK:
            raise self.node.error(f"its result has {len(shape)} axes", hint=f"tensors have up to {MAX_RANK} axes")
        if prod(shape) > MAX_ELEMENTS:
            raise self.node.error(
                f"its result has the absurd shape {list(shape)}", hint=f"the limit is {MAX_ELEMENTS} elements"
            )

    # -- values ---------------------------------------------------------------------------------------------------

    def constant(self, array: np.ndarray | float | int, suffix: str) -> Value:
        """A constant that the import itself makes, named after the node. Python floats become float32."""
        plain = np.float32(array) if isinstance(array, float) else array
        return Value.constant(f"{self.node.name}.{suffix}", np.asarray(plain))

    def scalar(self, value: Value, what: str) -> float:
        """The number of a constant with one element. Raises Refusal when it is computed at run time."""
        array = self.known(value, what)
        if array.size != 1:
            raise self.node.error(f"{what}: expected one number, got the shape {list(array.shape)}")
        return array.reshape(()).astype(np.float64).item() if value.is_float else int(array.reshape(()))

    def known(self, value: Value, what: str) -> np.ndarray:
        """The array of a constant. Raises Refusal when it is computed at run time."""
        constant = value if value.is_constant else self._constant_of(value)
        if constant is None or constant.array is None:
            raise Refusal(f"{what} must be constant, not computed at run time")
        return constant.array

    def integers(self, value: Value, what: str) -> tuple[int, ...]:
        """The elements of a constant 1-D (or scalar) integer tensor: axes, shapes, pads."""
        array = self.known(value, what)
        if array.ndim > 1 or array.dtype.kind not in "iu":
            raise self.node.error(f"{what}: expected a list of integers, got {array.dtype} {list(array.shape)}")
        return tuple(int(v) for v in array.reshape(-1))

    def axis(self, axis: int, rank: int) -> int:
        """The axis counted from the front. Raises ModelError outside the rank."""
        if not -rank <= axis < rank:
            raise self.node.error(f"axis {axis} is outside a tensor of rank {rank}")
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axes counted from the front, in the order given. Raises ModelError for one given twice."""
        normal = tuple(self.axis(a, rank) for a in axes)
        if len(set(normal)) != len(normal):
            raise self.node.error(f"axes {list(axes)} name an axis twice")
        return normal

    def keep_batch(self, value: Value, axis: int) -> None:
        """Raises Refusal when an operator would work along the batch axis of a batched program."""
        if self.batched and value.per_sample and axis == 0:
            raise Refusal("it works along the batch axis; import with batch=N to compile for a batch of fixed size")

    # -- types ----------------------------------------------------------------------------------------------------

    def cast(self, value: Value, element: Element, dtype: np.dtype) -> Value:
        """tn.cast to an element type."""
        kind = tensor_type(value.shape, element)
        op = CastOp.make_typed([self.ssa(value)], [kind], at=self.node.location)
        return self._append(op, [value], [dtype])[0]

    def wrapped(self, value: Value, dtype: np.dtype) -> Value:
        """An integer result as its source dtype, in which it wraps: a cast where the range does not provably fit."""
        element = element_for(dtype)
        if value.is_constant or contains(element, value.element):
            return retyped(value, dtype)
        return self.cast(value, element, dtype)

    def to_float(self, value: Value) -> Value:
        """Integers as float32, floats as they are; constants at once.

        Small integers go through tn.dequantize with the scale 1: the passes look for integers after it.
        """
        if value.dtype == FLOAT:
            return value
        if value.array is not None:
            with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite
                return Value.constant(value.name, value.array.astype(np.float32))
        if value.dtype in FLOATS:
            return retyped(value, FLOAT)
        if max(map(abs, value.range)) <= SMALL_INTEGER:
            return self.op(DequantizeOp, value, self.constant(1.0, "one"), dtype=FLOAT)
        return self.cast(value, element_for(FLOAT), FLOAT)

    # -- movement -------------------------------------------------------------------------------------------------

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Row-major reshape; nothing when the shape is the same already."""
        if tuple(shape) == value.shape:
            return value
        self.check_size(shape)
        if value.array is not None and prod(shape) == value.array.size:
            return Value.constant(value.name, value.array.reshape(shape))
        return self.op(ReshapeOp, value, shape=tuple(shape))

    def transpose(self, value: Value, perm: Sequence[int]) -> Value:
        if tuple(perm) == tuple(range(value.rank)):
            return value
        if value.array is not None and sorted(perm) == list(range(value.rank)):
            return Value.constant(value.name, np.ascontiguousarray(value.array.transpose(perm)))
        return self.op(TransposeOp, value, perm=tuple(perm))

    def slice(self, value: Value, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Value:
        """value[starts + i * steps] for sizes elements along each axis; nothing when that is the whole tensor."""
        if tuple(sizes) == value.shape and all(s == 1 for s in steps) and not any(starts):
            return value
        return self.op(SliceOp, value, starts=tuple(starts), sizes=tuple(sizes), steps=tuple(steps))

    def take(self, value: Value, indices: np.ndarray, axis: int, suffix: str = "indices") -> Value:
        """value's slices along an axis at constant indices; nothing when they are all of them in order."""
        if np.array_equal(indices, np.arange(value.shape[axis])):
            return value
        if value.array is not None:
            return Value.constant(value.name, np.take(value.array, indices, axis))
        return self.op(TakeOp, value, self.constant(indices.astype(np.int64), suffix), axis=axis)


def retyped(value: Value, dtype: np.dtype) -> Value:
    """The same value under another source dtype that holds its range."""
    if value.dtype == dtype:
        return value
    array = None if value.array is None else value.array.astype(dtype)
    return Value(value.name, dtype, value.shape, array, value.ssa, value.per_sample)


def _readable(error: VerifyException) -> str:
    """Without the operation and the word field: the user knows the node, not the program."""
    return re.sub(r"^\w+\.\w+: (field )?", "", str(error).replace("\n", " "))
