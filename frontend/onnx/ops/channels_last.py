"""Standard operators in the domain qonnx.custom_op.channels_last: [N, *S, C] tensors, wrapped in transposes."""

from __future__ import annotations

from collections.abc import Sequence

from ..emitter import Emitter
from ..node import Node
from ..registry import CHANNELS_LAST, imports
from ..values import Value
from .convolution import conv
from .normalization import batch_normalization
from .pooling import max_pool


def _first(e: Emitter, x: Value) -> Value:
    """[N, *S, C] -> [N, C, *S]."""
    return e.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1))) if x.rank > 2 else x


def _last(e: Emitter, x: Value) -> Value:
    """[N, C, *S] -> [N, *S, C]."""
    return e.transpose(x, (0, *range(2, x.rank), 1)) if x.rank > 2 else x


@imports("Conv", domains=CHANNELS_LAST)
def conv_last(e: Emitter, node: Node, x: Value, w: Value, bias: Value | None = None) -> Value:
    """The weight is channels last as well: [O, *K, C / group]."""
    return _last(e, conv(e, node, _first(e, x), _first(e, w), bias))


@imports("MaxPool", domains=CHANNELS_LAST)
def max_pool_last(e: Emitter, node: Node, x: Value) -> Sequence[Value | None]:
    y, *rest = max_pool(e, node, _first(e, x))
    return [_last(e, y) if y is not None else None, *rest]


@imports("BatchNormalization", domains=CHANNELS_LAST)
def batch_normalization_last(
    e: Emitter, node: Node, x: Value, scale: Value, bias: Value, mean: Value, var: Value
) -> Value:
    return _last(e, batch_normalization(e, node, _first(e, x), scale, bias, mean, var))
