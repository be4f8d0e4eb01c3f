"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ..operation import TensorOperation, fail
from ..types import Tensor, element_of, int_type, is_float, range_of, shape_of, tensor_type
from ._families import ALONG_BATCH
from ._shapes import window_output


class PoolOp(TensorOperation):
    """A window slides over the spatial axes of x [N, C, *S].

    pads: before each spatial axis, then after each. Padding is never the maximum and never counted.
    """

    x = operand_def()
    kernel = prop_def(DenseArrayBase)
    strides = prop_def(DenseArrayBase)
    pads = prop_def(DenseArrayBase)
    dilations = prop_def(DenseArrayBase)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        x = shape_of(self.x)
        kernel = self.get("kernel")
        if len(x) < 3 or len(kernel) != len(x) - 2:
            raise fail(self, "kernel", f"one size for each spatial axis of {list(x)}", kernel)
        if min((*kernel, *self.get("strides"), *self.get("dilations"))) < 1 or min(self.get("pads")) < 0:
            raise fail(self, "window", "positive sizes and pads >= 0", f"kernel {kernel}, pads {self.get('pads')}")
        return [tensor_type((*x[:2], *window_output(self, x[2:], kernel)), element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ""  # the spatial axes alone


def window_counts(op: PoolOp, margin: Sequence[int]) -> list[np.ndarray]:
    """For each spatial axis, an int64 array over the outputs: how many elements of their window lie in the input
    widened by `margin` (begins, then ends)."""
    rank, counts = len(op.get("kernel")), []
    for i, size in enumerate(shape_of(op.x)[2:]):
        first = np.arange(shape_of(op.y)[2 + i]) * op.get("strides")[i] - op.get("pads")[i]
        at = first[:, None] + np.arange(op.get("kernel")[i]) * op.get("dilations")[i]
        counts.append(((-margin[i] <= at) & (at < size + margin[rank + i])).sum(axis=1))
    return counts


@irdl_op_definition
class MaxPoolOp(PoolOp):
    """The largest element of each window, floats or integers. A window that lies wholly in padding is an error."""

    name = "tn.max_pool"


@irdl_op_definition
class AvgPoolOp(PoolOp):
    """The mean of each window; floats only. A window in which nothing counts gives 0, as in onnxruntime.

    counted: the part of `pads`, in the same order, that is in the divisor; the rest, an overhang of ceil mode, is not.
    """

    name = "tn.avg_pool"
    counted = prop_def(DenseArrayBase)

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x):
            raise fail(self, "x", "f32", element_of(self.x))
        return super().infer()


@irdl_op_definition
class SumPoolOp(PoolOp):
    """The exact sum of each window of integers; padding adds nothing."""

    name = "tn.sum_pool"

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.x):
            raise fail(self, "x", "integers", element_of(self.x))
        (kind,) = super().infer()
        most = int(np.prod(self.get("kernel"), dtype=np.int64))
        lo, hi = range_of(element_of(self.x))
        if any(self.get("pads")):
            lo, hi = min(lo, 0), max(hi, 0)
        return [tensor_type(shape_of(kind), int_type(lo * most, hi * most))]


class ReduceOp(TensorOperation):
    """One number from all elements along some axes.

    axes: ascending, not negative.
    keepdims: 1 keeps these axes with size 1, 0 removes them.
    """

    x = operand_def()
    axes = prop_def(DenseArrayBase)
    keepdims = prop_def(IntegerAttr)
    y = result_def()
    DEFAULTS: ClassVar = {"keepdims": 1}

    def infer(self) -> Sequence[Tensor]:
        x, axes, keep = shape_of(self.x), self.get("axes"), self.get("keepdims")
        if any(not 0 <= a < len(x) for a in axes) or list(axes) != sorted(set(axes)):
            raise fail(self, "axes", f"ascending axes below {len(x)}", axes)
        shape = [1 if i in axes else d for i, d in enumerate(x) if keep or i not in axes]
        return [tensor_type(shape, element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return "it reduces the batch axis" if 0 in self.get("axes") else ""


@irdl_op_definition
class ReduceMeanOp(ReduceOp):
    """The mean; floats only."""

    name = "tn.reduce_mean"

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x):
            raise fail(self, "x", "f32", element_of(self.x))
        return super().infer()


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """The sum, exact for integers: the range of the result holds it."""

    name = "tn.reduce_sum"

    def infer(self) -> Sequence[Tensor]:
        (kind,) = super().infer()
        if is_float(self.x):
            return [kind]
        count = int(np.prod([shape_of(self.x)[a] for a in self.get("axes")], dtype=np.int64))
        lo, hi = range_of(element_of(self.x))
        return [tensor_type(shape_of(kind), int_type(lo * count, hi * count))]


class ExtremeOp(ReduceOp):
    """Floats or integers; NaN where one of the elements is NaN. Of no floats it is an infinity; of integers there has
    to be at least one."""

    def infer(self) -> Sequence[Tensor]:
        x = shape_of(self.x)
        (y,) = super().infer()
        if not is_float(self.x) and any(not x[a] for a in self.get("axes")):
            raise fail(self, "axes", "axes with elements", list(x))
        return [y]


@irdl_op_definition
class ReduceMaxOp(ExtremeOp):
    """The largest element."""

    name = "tn.reduce_max"


@irdl_op_definition
class ReduceMinOp(ExtremeOp):
    """The smallest element."""

    name = "tn.reduce_min"


@irdl_op_definition
class ArgMaxOp(TensorOperation):
    """The index of the largest or smallest element along `axis`; the axis is kept with size 1.

    largest: 1 for the largest, 0 for the smallest.
    last: which of equal elements, 1 for the last, 0 for the first.
    """

    name = "tn.arg_max"
    x = operand_def()
    axis = prop_def(IntegerAttr)
    largest = prop_def(IntegerAttr)
    last = prop_def(IntegerAttr)
    y = result_def()
    DEFAULTS: ClassVar = {"largest": 1, "last": 0}

    def infer(self) -> Sequence[Tensor]:
        x, axis = shape_of(self.x), self.get("axis")
        if not 0 <= axis < len(x):
            raise fail(self, "axis", f"0 <= axis < {len(x)}", axis)
        return [tensor_type((*x[:axis], 1, *x[axis + 1 :]), int_type(0, max(x[axis] - 1, 0)))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ALONG_BATCH if self.get("axis") == 0 else ""


@irdl_op_definition
class TopKOp(TensorOperation):
    """The k largest or smallest elements along `axis` in order, and their indices.

    Of equal elements the one with the lower index comes first.
    largest: 1 for the largest, 0 for the smallest.
    """

    name = "tn.top_k"
    x = operand_def()
    k = prop_def(IntegerAttr)
    axis = prop_def(IntegerAttr)
    largest = prop_def(IntegerAttr)
    values = result_def()
    indices = result_def()
    DEFAULTS: ClassVar = {"largest": 1}

    def infer(self) -> Sequence[Tensor]:
        x, axis, k = shape_of(self.x), self.get("axis"), self.get("k")
        if not 0 <= axis < len(x):
            raise fail(self, "axis", f"0 <= axis < {len(x)}", axis)
        if not 0 <= k <= x[axis]:
            raise fail(self, "k", f"0 <= k <= {x[axis]}", k)
        shape = (*x[:axis], k, *x[axis + 1 :])
        return [tensor_type(shape, element_of(self.x)), tensor_type(shape, int_type(0, max(x[axis] - 1, 0)))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ALONG_BATCH if self.get("axis") == 0 else ""


OPS = [MaxPoolOp, AvgPoolOp, SumPoolOp, ReduceMeanOp, ReduceSumOp, ReduceMaxOp, ReduceMinOp, ArgMaxOp, TopKOp]
