"""Batch norm becomes a multiply and an add, or part of the convolution's float weights before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation

from ..ir.locations import fused_location
from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace, sole_user
from ..ir.tn.elementwise import AddOp, MulOp
from ..ir.tn.linear import BatchNormOp, ConvOp
from ..ir.tn.quant import QuantizeOp, ThresholdOp
from ..ir.types import shape_of
from .base import RewritePass
from .properties import NO_BATCH_NORM, NO_KERNELS


def batch_norm_affine(op: BatchNormOp, program: Program) -> tuple[np.ndarray, np.ndarray] | None:
    """k = scale / sqrt(var + epsilon) and b = bias - mean * k in float32, as onnxruntime computes them; None when the
    statistics are not constants."""
    arrays = [program.array(v) for v in (op.scale, op.bias, op.mean, op.var)]
    scale, bias, mean, var = arrays
    if scale is None or bias is None or mean is None or var is None:
        return None
    k = (scale / np.sqrt(var + np.float32(op.get("epsilon")))).astype(np.float32)
    return k, (bias - mean * k).astype(np.float32)


def _into_weights(program: Program, op: Operation) -> bool:
    """conv(x, w) * k + b with float weights is conv(x, w * k, bias * k + b). Weights with few values were made
    dequantized integers before this pass and stay as they are."""
    assert isinstance(op, BatchNormOp)
    conv = op.x.owner
    affine = batch_norm_affine(op, program)
    if affine is None or not isinstance(conv, ConvOp) or sole_user(conv.result) is not op or _feeds_quantizer(op):
        return False
    w = program.array(conv.w)
    bias = np.zeros(len(affine[0]), np.float32) if conv.bias is None else program.array(conv.bias)
    if w is None or bias is None:
        return False
    k, b = affine
    scaled = (w * k.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
    new_w = constant_before(program, op, name_of(conv.w) + ".bn", scaled, conv.w)
    new_b = constant_before(program, op, name_of(conv.w) + ".bn.bias", (bias * k + b).astype(np.float32), conv.w)
    attributes = {n: conv.get(n) for n in ("strides", "pads", "dilations", "group")}
    fused = ConvOp.make(conv.x, new_w, new_b, at=fused_location(conv.location, op.location), **attributes)
    return replace(op, insert(op, fused))


def _feeds_quantizer(op: Operation) -> bool:
    """A float convolution in front of a quantizer keeps its own arithmetic: other rounding could move a value over a
    quantizer's edge."""
    users = [use.operation for use in op.results[0].uses]
    return any(isinstance(u, QuantizeOp | ThresholdOp) for u in users) or any(
        u.name in ("tn.relu", "tn.clip", "tn.leaky_relu") and _feeds_quantizer(u) for u in users
    )


def _to_affine(program: Program, op: Operation) -> bool:
    """x * k + b, per channel."""
    assert isinstance(op, BatchNormOp)
    affine = batch_norm_affine(op, program)
    if affine is None:
        return False
    shape = (-1, *[1] * (len(shape_of(op.x)) - 2))
    k = constant_before(program, op, name_of(op.scale) + ".k", affine[0].reshape(shape), op.scale)
    b = constant_before(program, op, name_of(op.bias) + ".b", affine[1].reshape(shape), op.bias)
    scaled = MulOp.make(op.x, k, at=op)
    insert(op, scaled)
    return replace(op, insert(op, AddOp.make(scaled.result, b, at=op)))


RULES: Rules = {BatchNormOp: (_into_weights, _to_affine)}


@dataclass(frozen=True)
class FoldBatchNorm(RewritePass):
    """Batch norm becomes x * k + b, folded into the weights of a float convolution where no quantizer follows."""

    name: ClassVar[str] = "fold-batch-norm"
    requires: ClassVar = (NO_KERNELS,)
    ensures: ClassVar = (NO_BATCH_NORM,)

    def rules(self) -> Rules:
        return RULES
