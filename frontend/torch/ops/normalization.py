"""Normalisation as it is at inference."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....ir.tn.elementwise import AddOp, DivOp, MulOp
from ....ir.tn.functions import SqrtOp
from ....ir.tn.linear import BatchNormOp
from ....ir.tn.pool import ReduceMeanOp
from ...emitter import Emitter
from ...forms.normalization import normalized
from ...values import FLOAT, Refusal, Value
from ..node import TorchNode
from ..registry import imports

_TRAINING = "training mode is not supported; export the module in evaluation mode: module.eval()"


@imports("batch_norm")
def batch_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    """x [N, C, ..]; all parameters [C]."""
    if training or mean is None or var is None:
        raise Refusal(f"batch norm without running statistics: {_TRAINING}" if mean is None else _TRAINING)
    channels = x.shape[1:2]
    scale = e.constant(np.ones(channels, FLOAT), "weight") if weight is None else weight
    shift = e.constant(np.zeros(channels, FLOAT), "bias") if bias is None else bias
    return e.op(BatchNormOp, x, scale, shift, mean, var, epsilon=float(eps))


@imports("_native_batch_norm_legit_no_training")
def native_batch_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    var: Value,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    return [batch_norm(e, node, x, weight, bias, mean, var, False, momentum, eps), None, None]


@imports("_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm")
def training_batch_norm(e: Emitter, node: TorchNode, *_: object, **__: object) -> Value:
    raise Refusal(_TRAINING)


@imports("layer_norm")
def layer_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Value:
    """Over the last axes, as many as normalized_shape has."""
    y, _, _ = normalized(e, x, tuple(range(x.rank - len(normalized_shape), x.rank)), float(eps))
    return _affine(e, y, weight, bias)


@imports("native_layer_norm")
def native_layer_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    normalized_shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> list[Value | None]:
    return [layer_norm(e, node, x, normalized_shape, weight, bias, eps), None, None]


@imports("group_norm")
def group_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    """Over the channels of each group and all spatial axes; weight and bias [C]."""
    n, c = x.shape[:2]
    if num_groups < 1 or c % num_groups:
        raise node.error(f"{num_groups} groups do not divide {c} channels")
    flat = e.reshape(x, (n, num_groups, prod(x.shape[1:]) // num_groups))
    y, _, _ = normalized(e, flat, (2,), float(eps))
    return _affine(e, e.reshape(y, x.shape), *(_along_channels(e, p, x) for p in (weight, bias)))


@imports("native_group_norm")
def native_group_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    n: int,
    c: int,
    size: int,
    group: int,
    eps: float,
) -> list[Value | None]:
    return [group_norm(e, node, x, group, weight, bias, eps), None, None]


@imports("instance_norm")
def instance_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    """x [N, C, ..]: over all spatial axes of each channel; or by running statistics."""
    if not use_input_stats:
        return batch_norm(e, node, x, weight, bias, mean, var, False, momentum, eps)
    y, _, _ = normalized(e, x, tuple(range(2, x.rank)), float(eps))
    return _affine(e, y, *(_along_channels(e, p, x) for p in (weight, bias)))


@imports("rms_norm")
def rms_norm(
    e: Emitter,
    node: TorchNode,
    x: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    eps: float | None = None,
) -> Value:
    """x / sqrt(mean(x^2) + eps) over the last axes."""
    axes = tuple(range(x.rank - len(normalized_shape), x.rank))
    mean = e.op(ReduceMeanOp, e.op(MulOp, x, x), axes=axes, keepdims=1)
    epsilon = float(np.finfo(np.float32).eps) if eps is None else float(eps)
    root = e.op(SqrtOp, e.op(AddOp, mean, e.constant(epsilon, "epsilon")))
    return _affine(e, e.op(DivOp, x, root), weight, None)


def _affine(e: Emitter, y: Value, weight: Value | None, bias: Value | None) -> Value:
    y = y if weight is None else e.op(MulOp, y, weight)
    return y if bias is None else e.op(AddOp, y, bias)


def _along_channels(e: Emitter, parameter: Value | None, x: Value) -> Value | None:
    return None if parameter is None else e.reshape(parameter, (*parameter.shape, *(1,) * (x.rank - 2)))
