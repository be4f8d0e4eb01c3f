"""Operators on channels-last tensors [N, *S, C], wrapped in transposes: the domain qonnx.custom_op.channels_last, and
what onnxruntime's optimiser writes."""

from __future__ import annotations

from collections.abc import Sequence

from ...emitter import Emitter
from ...values import Value
from ..node import Node
from ..registry import CHANNELS_LAST, MICROSOFT, imports
from .convolution import conv
from .normalization import batch_normalization
from .pooling import max_pool


def first(e: Emitter, x: Value) -> Value:
    """[N, *S, C] -> [N, C, *S]."""
    return e.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1))) if x.rank > 2 else x


def last(e: Emitter, x: Value) -> Value:
    """[N, C, *S] -> [N, *S, C]."""
    return e.transpose(x, (0, *range(2, x.rank), 1)) if x.rank > 2 else x


@imports("Conv", domains=CHANNELS_LAST)
def conv_last(e: Emitter, node: Node, x: Value, w: Value, bias: Value | None = None) -> Value:
    """The weight is channels last as well: [O, *K, C / group]."""
    return last(e, conv(e, node, first(e, x), first(e, w), bias))


@imports("NhwcMaxPool", domains=MICROSOFT)
@imports("MaxPool", domains=CHANNELS_LAST)
def max_pool_last(e: Emitter, node: Node, x: Value) -> Sequence[Value | None]:
    y, *rest = max_pool(e, node, first(e, x))
    return [last(e, y) if y is not None else None, *rest]


@imports("BatchNormalization", domains=CHANNELS_LAST)
def batch_normalization_last(
    e: Emitter, node: Node, x: Value, scale: Value, bias: Value, mean: Value, var: Value
) -> Value:
    return last(e, batch_normalization(e, node, first(e, x), scale, bias, mean, var))
