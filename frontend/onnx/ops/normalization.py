"""Normalisation and dropout as they are at inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.elementwise import AddOp, DivOp, MulOp
from ....ir.tn.linear import BatchNormOp
from ...emitter import Emitter
from ...forms.normalization import normalized
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports


@imports("BatchNormalization")
def batch_normalization(e: Emitter, node: Node, x: Value, scale: Value, bias: Value, mean: Value, var: Value) -> Value:
    """x [N, C, ..]; all parameters [C]."""
    if node.int("training_mode", 0):
        raise Refusal("training mode is not supported; export the model for inference")
    if node.opset < 9 and not node.int("spatial", 1):
        raise Refusal("spatial = 0 is not supported")
    if any(node.wants(i) for i in range(1, len(node.outputs))):
        raise Refusal("outputs of training (running mean, variance) are not supported")
    return e.op(BatchNormOp, x, scale, bias, mean, var, epsilon=node.float("epsilon", 1e-5))


@imports("InstanceNormalization")
def instance_normalization(e: Emitter, node: Node, x: Value, scale: Value, bias: Value) -> Value:
    """x [N, C, ..]: over all axes from the third on; scale and bias [C]."""
    if x.rank < 3:
        raise node.error(f"expected a tensor with spatial axes, got rank {x.rank}")
    if scale.shape != x.shape[1:2] or bias.shape != x.shape[1:2]:
        raise node.error(f"scale, bias: expected shape [channels], got {list(scale.shape)} and {list(bias.shape)}")
    y, _, _ = normalized(e, x, tuple(range(2, x.rank)), node.float("epsilon", 1e-5))
    shape = (*scale.shape, *(1,) * (x.rank - 2))
    return e.op(AddOp, e.op(MulOp, y, e.reshape(scale, shape)), e.reshape(bias, shape))


@imports("LayerNormalization")
def layer_normalization(
    e: Emitter, node: Node, x: Value, scale: Value, bias: Value | None = None
) -> Sequence[Value | None]:
    """Over all axes from `axis` on; the outputs are y, the mean and 1 / deviation."""
    axis = e.axis(node.int("axis", -1), x.rank)
    y, mean, deviation = normalized(e, x, tuple(range(axis, x.rank)), node.float("epsilon", 1e-5))
    y = e.op(MulOp, y, scale)
    y = y if bias is None else e.op(AddOp, y, bias)
    if y.shape != x.shape:
        raise node.error(f"scale and bias do not broadcast to {list(x.shape)}")
    inverse = e.op(DivOp, e.constant(1.0, "one"), deviation) if node.wants(2) else None
    return [y, mean if node.wants(1) else None, inverse]


@imports("Dropout")
def dropout(
    e: Emitter, node: Node, x: Value, ratio: Value | None = None, training: Value | None = None
) -> Sequence[Value | None]:
    """The input itself; the mask is all true."""
    if training is not None and e.scalar(training, "training_mode"):
        dropped = 0.5 if ratio is None else e.scalar(ratio, "the ratio")
        if dropped:
            raise Refusal("training mode is not supported; export the model for inference")
    if not node.wants(1):
        return [x, None]
    mask = np.ones(x.shape, np.bool_ if node.opset >= 10 else x.dtype)
    return [x, e.constant(mask, "mask")]
