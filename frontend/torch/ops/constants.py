"""Tensors filled with a number, shaped like one that is computed at run time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...emitter import Emitter
from ...values import Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import Number

_VALUES = {"zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1}


@imports("full_like", "zeros_like", "ones_like")
def full_like(e: Emitter, node: TorchNode, x: Value, value: Number = 0, dtype: np.dtype | None = None) -> Value:
    return _full(e, node, x.shape, _VALUES.get(node.op_type, value))


@imports("new_full", "new_zeros", "new_ones")
def new_full(
    e: Emitter, node: TorchNode, x: Value, size: Sequence[int], value: Number = 0, dtype: np.dtype | None = None
) -> Value:
    return _full(e, node, size, _VALUES.get(node.op_type, value))


def _full(e: Emitter, node: TorchNode, shape: Sequence[int], value: Number) -> Value:
    e.check_size(shape)
    return e.constant(np.full(tuple(shape), value, node.dtype), "value")


@imports("fill")
def fill(e: Emitter, node: TorchNode, x: Value, value: Number | Value) -> Value:
    number = e.scalar(value, "the value") if isinstance(value, Value) else value
    return _full(e, node, x.shape, number)
