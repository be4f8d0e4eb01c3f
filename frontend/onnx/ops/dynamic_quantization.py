"""Quantization whose scale follows from the tensor: DynamicQuantizeLinear, and products with a quantizer inside.

The scale is that of the whole tensor. A program for one sample of a symbolic batch has one scale for each sample:
results are then those of running the model sample by sample, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.elementwise import AddOp, DivOp, MaxOp, MinOp, SubOp
from ....ir.tn.pool import ReduceMaxOp, ReduceMinOp
from ....ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ...emitter import Emitter
from ...forms.quantizers import saturated
from ...values import FLOAT, UINT8, Refusal, Value
from ..node import Node
from ..registry import MICROSOFT, imports
from .quantized_ops import matmul_integer_to_float

_LAST = 255
_SMALLEST = np.nextafter(np.float32(0), np.float32(1))


@imports("DynamicQuantizeLinear")
def dynamic_quantize_linear(e: Emitter, node: Node, x: Value) -> Sequence[Value]:
    """uint8 integers, scale and zero point, so that 0..255 covers x and 0; the scale of a tensor of zeros is 1.

    Scale and zero point are scalars; where the batch is symbolic they have x's rank and one element for each sample.
    """
    if x.dtype != FLOAT:
        raise Refusal(f"{node.op_type} of {x.dtype.name} tensors is not supported")
    if not np.prod(x.shape):
        raise Refusal("a scale of a tensor without elements")
    sample = e.batched and x.per_sample
    if sample and not x.rank:
        raise Refusal("a scale of a tensor without a batch axis")
    over = {"axes": tuple(range(int(sample), x.rank)), "keepdims": int(sample)}
    nothing = e.constant(0.0, "zero")
    least = e.op(MinOp, e.op(ReduceMinOp, x, **over), nothing)
    span = e.op(SubOp, e.op(MaxOp, e.op(ReduceMaxOp, x, **over), nothing), least)
    scale = e.op(AddOp, e.op(DivOp, span, e.constant(float(_LAST), "levels")), _where_zero(e, span))
    # round half to even is odd: -round(v) is round(-v)
    below = e.op(QuantizeOp, least, scale, dtype=UINT8, lo=-_LAST, hi=0)
    zero = e.op(SubOp, e.constant(0, "no_offset"), below, dtype=UINT8)
    return [saturated(e, x, scale, zero, UINT8), scale, zero]


def _where_zero(e: Emitter, span: Value) -> Value:
    """1.0 where span >= 0 is zero, else 0.0."""
    smallest = e.constant(np.full((1, 1), _SMALLEST, np.float32), "smallest")
    whole = e.op(ThresholdOp, span, smallest, dtype=UINT8, axis=0, base=1, step=-1)
    return e.op(DequantizeOp, whole, e.constant(1.0, "one"), dtype=FLOAT)


@imports("DynamicQuantizeMatMul", domains=MICROSOFT)
def dynamic_quantize_matmul(
    e: Emitter,
    node: Node,
    a: Value,
    b: Value,
    b_scale: Value,
    b_zero: Value | None = None,
    bias: Value | None = None,
) -> Value:
    """DynamicQuantizeLinear of a, then MatMulIntegerToFloat."""
    q, scale, zero = dynamic_quantize_linear(e, node, a)
    return matmul_integer_to_float(e, node, q, b, scale, b_scale, zero, b_zero, bias)
