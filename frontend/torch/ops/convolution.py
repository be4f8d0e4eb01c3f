"""Convolutions, plain and transposed."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.tn.linear import ConvOp
from ...emitter import Emitter
from ...forms.transposed import transposed_convolution
from ...values import Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import expanded


@imports("conv1d", "conv2d", "conv3d")
def conv(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """x [N, C, *S] or [C, *S], weight [O, C / groups, *K], bias [O]; padding `same` puts the odd zero at the end."""
    batch = _with_batch(e, x, weight)
    rank = weight.rank - 2
    dilations = expanded(dilation, rank)
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(weight.shape[2:], dilations, strict=True)]
        pads = (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    else:
        pads = (0,) * 2 * rank if isinstance(padding, str) else expanded(padding, rank) * 2
    operands = (batch, weight) if bias is None else (batch, weight, bias)
    y = e.op(ConvOp, *operands, strides=expanded(stride, rank), dilations=dilations, pads=pads, group=groups)
    return e.reshape(y, y.shape[1:]) if batch.rank > x.rank else y


@imports("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Value:
    """x [N, C, *S] or [C, *S], weight [C, O / groups, *K], bias [O]."""
    batch = _with_batch(e, x, weight)
    rank = weight.rank - 2
    pads = expanded(padding, rank)
    y = transposed_convolution(
        e, batch, weight, bias, group=groups, strides=expanded(stride, rank), dilations=expanded(dilation, rank),
        begins=pads, ends=pads, extra=expanded(output_padding, rank),
    )  # fmt: skip
    return e.reshape(y, y.shape[1:]) if batch.rank > x.rank else y


@imports("convolution")
def convolution(
    e: Emitter,
    node: TorchNode,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """Either of them."""
    if transposed:
        return conv_transpose(e, node, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(e, node, x, weight, bias, stride, padding, dilation, groups)


def _with_batch(e: Emitter, x: Value, weight: Value) -> Value:
    """x with an axis for the batch. Raises Refusal for what tn.conv does not compute."""
    if not x.is_float:
        raise Refusal(f"{e.node.op_type} of {x.dtype.name} tensors is not supported")
    if weight.rank not in (3, 4):
        raise Refusal(f"a convolution over {weight.rank - 2} axes is not supported, only over one or two")
    if x.rank == weight.rank - 1:
        return e.reshape(x, (1, *x.shape))
    if x.rank != weight.rank:
        raise e.node.error(f"the input has {x.rank} axes, the weight {weight.rank}")
    return x
