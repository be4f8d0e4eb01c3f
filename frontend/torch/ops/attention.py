"""Scaled dot product attention, taken apart."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import AddOp, MulOp, SoftmaxOp
from ....ir.tn.linear import MatMulOp
from ...emitter import Emitter
from ...forms import logic
from ...values import BOOL, Refusal, Value
from ..node import TorchNode
from ..registry import imports


@imports("scaled_dot_product_attention")
def attention(
    e: Emitter,
    node: TorchNode,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """softmax(query key' * scale + mask) value; query [.., L, D], key [.., S, D], value [.., S, E].

    attn_mask: added, or what takes part where it is bool.
    """
    if dropout_p:
        raise Refusal("dropout of attention is not supported; export the module in evaluation mode: module.eval()")
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        raise Refusal("attention whose heads share keys (enable_gqa) is not supported")
    factor = query.shape[-1] ** -0.5 if scale is None else float(scale)
    turned = e.transpose(key, (*range(key.rank - 2), key.rank - 1, key.rank - 2))
    scores = e.op(MulOp, e.op(MatMulOp, query, turned), e.constant(factor, "scale"))
    if is_causal:
        takes_part = np.tri(query.shape[-2], key.shape[-2], dtype=np.bool_)
        attn_mask = e.constant(takes_part, "causal")
    if attn_mask is not None and attn_mask.dtype == BOOL:
        if attn_mask.array is not None:
            added = np.where(attn_mask.array, np.float32(0), np.float32(-np.inf))
            scores = e.op(AddOp, scores, e.constant(added, "mask"))
        else:
            never = e.constant(np.full((), -np.inf, np.float32), "never")
            scores = logic.choice(e, attn_mask, scores, never)
    elif attn_mask is not None:
        scores = e.op(AddOp, scores, attn_mask)
    return e.op(MatMulOp, e.op(SoftmaxOp, scores, axis=scores.rank - 1), value)
