"""Normalisation and dropout as they are at inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.linear import BatchNormOp
from ..emitter import Emitter
from ..node import Node
from ..registry import imports
from ..values import Refusal, Value


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
