"""Scaled dot product attention, taken apart."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import AddOp, MulOp, SoftmaxOp
from ....ir.tn.linear import MatMulOp
from ....ir.tn.pool import ReduceMaxOp
from ...emitter import Emitter
from ...forms import logic
from ...values import BOOL, Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import operand


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
    rows = attn_mask is None or (attn_mask.array is not None and _leaves_some(attn_mask.array))
    last = scores.rank - 1
    shares = e.op(SoftmaxOp, scores, axis=last) if rows else _safe_softmax(e, scores, last)
    return e.op(MatMulOp, shares, value)


@imports("_safe_softmax")
def safe_softmax(e: Emitter, node: TorchNode, x: Value, dim: int, dtype: np.dtype | None = None) -> Value:
    return _safe_softmax(e, operand(e, x, node.dtype), e.axis(dim, max(x.rank, 1)))


def _safe_softmax(e: Emitter, scores: Value, axis: int) -> Value:
    """0 where all scores along the axis are -inf, as torch has it for what masks leave nothing of."""
    zero = e.constant(np.zeros((), np.float32), "zero")
    top = e.op(ReduceMaxOp, scores, axes=(axis,), keepdims=1)
    some = logic.at_least(e, top, e.constant(float(np.finfo(np.float32).min), "lowest"), above=False)
    shares = e.op(SoftmaxOp, logic.choice(e, some, scores, zero), axis=axis)
    return logic.choice(e, some, shares, zero)


def _leaves_some(mask: np.ndarray) -> bool:
    """Whether something takes part in every row."""
    return bool((mask if mask.dtype == BOOL else mask != -np.inf).any(axis=-1).all())
