"""Reductions and searches along axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import AbsOp, AddOp, ClipOp, MulOp, SubOp
from ....ir.tn.functions import ExpOp, LogOp, SqrtOp
from ....ir.tn.pool import ArgMaxOp, ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceSumOp, TopKOp
from ...emitter import Emitter
from ...forms.elementwise import cast_to
from ...values import BOOL, INT64, Refusal, Value
from ..node import TorchNode
from ..registry import imports, register
from ._arguments import Number, axes_of, operand

_Dims = int | Sequence[int] | None


@imports("mean", "sum")
def mean_or_sum(
    e: Emitter, node: TorchNode, x: Value, dim: _Dims = None, keepdim: bool = False, dtype: np.dtype | None = None
) -> Value:
    """Computed in the result's dtype; integers wrap."""
    x = operand(e, x, node.dtype)
    kind = ReduceMeanOp if node.op_type == "mean" else ReduceSumOp
    y = e.op(kind, x, axes=axes_of(e, dim, x.rank), keepdims=int(keepdim))
    return y if x.is_float else e.wrapped(y, x.dtype)


def _extreme(kind: type[TensorOperation], e: Emitter, node: TorchNode, x: Value, dim: _Dims = None,
             keepdim: bool = False) -> Value:  # fmt: skip
    return e.op(kind, x, axes=axes_of(e, dim, x.rank), keepdims=int(keepdim))


for _name, _kind in {
    "amax": ReduceMaxOp,
    "amin": ReduceMinOp,
    "max.default": ReduceMaxOp,
    "min.default": ReduceMinOp,
}.items():
    register(_name, _extreme, _kind)


@imports("any", "all")
def any_or_all(e: Emitter, node: TorchNode, x: Value, dim: _Dims = None, keepdim: bool = False) -> Value:
    """Of truth values, or of what is not 0."""
    kind = ReduceMaxOp if node.op_type == "any" else ReduceMinOp
    return e.op(kind, cast_to(e, x, BOOL), dtype=BOOL, axes=axes_of(e, dim, x.rank), keepdims=int(keepdim))


@imports("max.dim", "min.dim")
def extreme_with_index(e: Emitter, node: TorchNode, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    """The values and their int64 indices."""
    largest = node.op_type == "max"
    values = _extreme(ReduceMaxOp if largest else ReduceMinOp, e, node, x, dim, keepdim)
    return [values, _index(e, x, e.axis(dim, x.rank), largest, keepdim)]


@imports("argmax", "argmin")
def arg(e: Emitter, node: TorchNode, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The index along dim as int64, of the first of equals; without dim that in the flattened tensor."""
    if dim is None:
        index = _index(e, e.reshape(x, (prod(x.shape),)), 0, node.op_type == "argmax", False)
        return e.reshape(index, (1,) * x.rank if keepdim else ())
    return _index(e, x, e.axis(dim, x.rank), node.op_type == "argmax", keepdim)


def _index(e: Emitter, x: Value, axis: int, largest: bool, keepdim: bool) -> Value:
    y = e.op(ArgMaxOp, x, dtype=INT64, axis=axis, largest=int(largest), last=0)
    return y if keepdim else e.reshape(y, y.shape[:axis] + y.shape[axis + 1 :])


@imports("topk")
def top_k(
    e: Emitter, node: TorchNode, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Sequence[Value]:
    """Values and int64 indices."""
    return list(e.ops(TopKOp, x, dtypes=(x.dtype, INT64), k=k, axis=e.axis(dim, x.rank), largest=int(largest)))


@imports("var", "std", "var_mean")
def variance(
    e: Emitter,
    node: TorchNode,
    x: Value,
    dim: _Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    correction: Number | None = 1,
) -> Value | list[Value | None]:
    """The mean of squared differences to the mean, times n / (n - correction)."""
    if isinstance(dim, bool):  # the overload without axes
        dim, unbiased = None, dim
    axes = axes_of(e, dim, x.rank)
    count = prod(x.shape[a] for a in axes)
    less = 1 if correction is None else float(correction) if unbiased else 0
    if count <= less:
        raise Refusal(f"the variance of {count} elements with the correction {less:g} is not supported")
    mean = e.op(ReduceMeanOp, x, axes=axes, keepdims=1)
    off = e.op(SubOp, x, mean)
    y = e.op(ReduceMeanOp, e.op(MulOp, off, off), axes=axes, keepdims=int(keepdim))
    if less:
        y = e.op(MulOp, y, e.constant(count / (count - less), "correction"))
    if node.op_type == "std":
        return e.op(SqrtOp, y)
    if node.op_type == "var":
        return y
    return [y, mean if keepdim else e.reshape(mean, y.shape)]


@imports("logsumexp")
def log_sum_exp(e: Emitter, node: TorchNode, x: Value, dim: _Dims, keepdim: bool = False) -> Value:
    """Of the differences to the largest element, so that no exponential overflows."""
    axes = axes_of(e, dim, x.rank)
    largest = float(np.finfo(np.float32).max)
    top = e.op(ClipOp, e.op(ReduceMaxOp, x, axes=axes, keepdims=1), lo=-largest, hi=largest)  # inf - inf is no number
    total = e.op(ReduceSumOp, e.op(ExpOp, e.op(SubOp, x, top)), axes=axes, keepdims=int(keepdim))
    y = e.op(LogOp, total)
    return e.op(AddOp, y, e.reshape(top, y.shape))


@imports("linalg_vector_norm")
def vector_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    ord: Number = 2,
    dim: _Dims = None,
    keepdim: bool = False,
    dtype: np.dtype | None = None,
) -> Value:
    """The sum of magnitudes, or the root of the sum of squares."""
    axes, x = axes_of(e, dim, x.rank), operand(e, x, node.dtype)
    if ord not in (1, 2):
        raise Refusal(f"a norm of order {ord} is not supported, only 1 and 2")
    terms = e.op(AbsOp, x) if ord == 1 else e.op(MulOp, x, x)
    y = e.op(ReduceSumOp, terms, axes=axes, keepdims=int(keepdim))
    return y if ord == 1 else e.op(SqrtOp, y)
