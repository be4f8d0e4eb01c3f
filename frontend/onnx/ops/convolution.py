"""Convolution."""

from __future__ import annotations

from ....ir.tn.linear import ConvOp
from ...emitter import Emitter
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports
from ._window import window


@imports("Conv")
def conv(e: Emitter, node: Node, x: Value, w: Value, bias: Value | None = None) -> Value:
    """x [N, C, *S], w [O, C / group, *K], bias [O]; 1-D and 2-D."""
    if not x.is_float:
        raise Refusal(f"Conv of {x.dtype.name} tensors is not supported")
    return convolve(e, node, x, w, bias)


def convolve(e: Emitter, node: Node, x: Value, w: Value, bias: Value | None = None) -> Value:
    """tn.conv with the node's attributes, on floats or integers."""
    if x.rank not in (3, 4):
        raise Refusal(f"convolution of a tensor of rank {x.rank} is not supported, only 1-D and 2-D")
    if w.rank != x.rank:
        raise node.error(f"the weight has rank {w.rank}, expected {x.rank} as the input")
    kernel = node.ints("kernel_shape", w.shape[2:])
    if kernel != w.shape[2:]:
        raise node.error(f"attribute 'kernel_shape' is {list(kernel)}, but the weight has {list(w.shape[2:])}")
    group = node.int("group", 1)
    if group < 1:
        raise node.error(f"attribute 'group': expected 1 or more, got {group}")
    operands = (x, w) if bias is None else (x, w, bias)
    return e.op(ConvOp, *operands, group=group, **window(node, x.shape[2:], kernel).attributes)
