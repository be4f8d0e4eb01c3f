"""The QONNX operators: Quant, BipolarQuant, Trunc, MultiThreshold."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import ROUNDING_MODES, AddOp, DivOp, MulOp, RoundOp, SubOp
from ....ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ...emitter import Emitter
from ...forms.quantizers import check_divisor, check_scale
from ...values import FLOAT, INT32, Refusal, Value
from ..node import Node
from ..registry import QONNX_DOMAINS, imports

_MAX_BITS = 32


def _rounding(node: Node, default: str) -> str:
    """The node's rounding mode as tn.round names it; HALF_EVEN is another name of ROUND."""
    mode = node.text("rounding_mode", default).lower()
    mode = "round" if mode == "half_even" else mode
    if mode not in ROUNDING_MODES:
        raise Refusal(f"rounding_mode '{mode.upper()}' is not supported")
    return mode


def _bits(e: Emitter, value: Value, what: str) -> int:
    """A bit width: a constant whole number, or a tensor of equal ones. Raises Refusal, or ModelError for nonsense."""
    array = e.known(value, what).astype(np.float64)
    if not array.size or array.min() != array.max():
        raise Refusal(f"{what} that differs between channels is not supported")
    bits = float(array.reshape(-1)[0])
    if bits != int(bits) or bits < 1:
        raise e.node.error(f"{what} is {bits:g}, expected a whole number of 1 or more")
    if bits > _MAX_BITS:
        raise Refusal(f"{what} is {int(bits)}, more than {_MAX_BITS} is not supported")
    return int(bits)


def _bounds(node: Node, bits: int, *, narrow: int) -> tuple[int, int]:
    """The integers of a signed or unsigned type of that width; narrow gives one up."""
    if node.int("signed", 1):
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _scaled(e: Emitter, x: Value, scale: Value, zero: Value) -> Value:
    """x / scale + zero in float32."""
    y = e.op(DivOp, x, scale)
    return y if zero.equals(0) else e.op(AddOp, y, zero)


def _rescaled(e: Emitter, q: Value, scale: Value, zero: Value) -> Value:
    """(q - zero) * scale for integers q and a zero point in float32, whole or not."""
    if zero.equals(0):
        return e.op(DequantizeOp, q, scale, dtype=FLOAT)
    if (array := zero.array) is not None and bool(np.all(array == np.rint(array))):
        whole = e.constant(array.astype(np.int64), "zero_point")
        return e.op(DequantizeOp, e.op(SubOp, q, whole, dtype=INT32), scale, dtype=FLOAT)
    real = e.op(DequantizeOp, q, e.constant(1.0, "one"), dtype=FLOAT)
    return e.op(MulOp, e.op(SubOp, real, zero), scale)


def _sign(e: Emitter, x: Value) -> Value:
    """+1 where x >= 0, else -1, as a bipolar integer."""
    zero = e.constant(np.zeros((1, 1), np.float32), "sign")
    return e.op(ThresholdOp, x, zero, dtype=INT32, axis=-1, base=-1, step=2)


@imports("Quant", "IntQuant", domains=QONNX_DOMAINS)
def quant(e: Emitter, node: Node, x: Value, scale: Value, zero: Value, bits: Value) -> Value:
    """(round(clip(x / s + zp, lo, hi)) - zp) * s; one signed bit is +-1 with x >= 0 -> +1.

    Rounding happens after the zero point is added, where ties depend on it, so only zp = 0 is a plain tn.quantize.
    """
    x, scale, zero = e.to_float(x), check_divisor(e, e.to_float(scale)), e.to_float(zero)
    width, mode = _bits(e, bits, "the bit width"), _rounding(node, "ROUND")
    if width == 1 and node.int("signed", 1):
        positive = zero.equals(0) and scale.array is not None and bool(np.all(scale.array > 0))
        return _rescaled(e, _sign(e, x if positive else _scaled(e, x, scale, zero)), scale, zero)
    lo, hi = _bounds(node, width, narrow=int(bool(node.int("narrow", 0))))
    if lo > hi:
        raise node.error(f"{width} bits leave no values with narrow = 1")
    if zero.equals(0):
        q = e.op(QuantizeOp, x, scale, dtype=INT32, lo=lo, hi=hi, mode=mode)
    else:
        q = e.op(QuantizeOp, _scaled(e, x, scale, zero), e.constant(1.0, "one"), dtype=INT32, lo=lo, hi=hi, mode=mode)
    return _rescaled(e, q, scale, zero)


@imports("BipolarQuant", domains=QONNX_DOMAINS)
def bipolar_quant(e: Emitter, node: Node, x: Value, scale: Value) -> Value:
    """(x >= 0 ? 1 : -1) * s."""
    return e.op(DequantizeOp, _sign(e, e.to_float(x)), check_scale(e, e.to_float(scale)), dtype=FLOAT)


@imports("Trunc", domains=QONNX_DOMAINS)
def trunc(
    e: Emitter,
    node: Node,
    x: Value,
    scale: Value,
    zero: Value,
    in_bits: Value,
    fourth: Value,
    fifth: Value | None = None,
) -> Value:
    """Drops low bits of an integer. v1: (x, s, zp, in_bits, out_bits); v2: (x, s, zp, in_bits, out_scale, out_bits)."""
    x, scale, zero = e.to_float(x), check_divisor(e, e.to_float(scale)), e.to_float(zero)
    mode = _rounding(node, "FLOOR")
    whole = e.op(RoundOp, _scaled(e, x, scale, zero), mode="round")
    if fifth is None:
        shift = _bits(e, in_bits, "the input bit width") - _bits(e, fourth, "the output bit width")
        y = e.op(RoundOp, e.op(DivOp, whole, e.constant(float(2.0**shift), "step")), mode=mode)
        return e.op(MulOp, y if zero.equals(0) else e.op(SubOp, y, zero), scale)
    out_scale = check_divisor(e, e.to_float(fourth), "the output scale")
    ratio = e.known(out_scale, "the output scale") / e.known(scale, "the scale")
    if not bool(np.all(ratio > 0)):
        raise node.error("scale and output scale differ in sign")
    step = np.exp2(np.round(np.log2(ratio))).astype(np.float32)
    lo, hi = _bounds(node, _bits(e, fifth, "the output bit width"), narrow=int(bool(node.int("narrow", 0))))
    if lo > hi:
        raise node.error("the output bits leave no values with narrow = 1")
    q = e.op(QuantizeOp, whole, e.constant(step, "step"), dtype=INT32, lo=lo, hi=hi, mode=mode)
    shifted = e.constant((e.known(zero, "the zero point") / step).astype(np.float32), "out_zero_point")
    return _rescaled(e, q, out_scale, shifted)


@imports("MultiThreshold", domains=QONNX_DOMAINS)
def multi_threshold(e: Emitter, node: Node, x: Value, thresholds: Value) -> Value:
    """out_scale * #{T : x >= T} + out_bias; T [C or 1, steps]; channels on axis 1, or last with a layout .. C.

    Becomes a threshold with integer values and a scale where out_bias is a multiple of out_scale or both are whole.
    """
    x = e.to_float(x)
    table = e.known(thresholds, "the thresholds").astype(np.float32)
    if table.ndim != 2:
        raise node.error(f"expected thresholds of shape [channels or 1, steps], got {list(table.shape)}")
    if len(broken := np.flatnonzero(np.isnan(table).any(axis=1))):
        raise node.error(f"a threshold of channel {broken[0]} is NaN")
    table = np.sort(table, axis=1)
    axis = _channel_axis(node, x, len(table))
    scale, bias = node.float("out_scale", 1.0), node.float("out_bias", 0.0)
    if not (np.isfinite([scale, bias]).all() and scale):
        raise node.error(f"out_scale {scale} or out_bias {bias} is not usable")
    ratio = bias / scale
    if ratio == int(ratio):
        base, step, factor, rest = int(ratio), 1, scale, 0.0
    elif scale == int(scale) and bias == int(bias):
        base, step, factor, rest = int(bias), int(scale), 1.0, 0.0
    else:
        base, step, factor, rest = 0, 1, scale, bias
    sorted_table = Value.constant(thresholds.name, table)
    q = e.op(ThresholdOp, x, sorted_table, dtype=INT32, axis=axis, base=base, step=step)
    y = e.op(DequantizeOp, q, e.constant(factor, "out_scale"), dtype=FLOAT)
    return e.op(AddOp, y, e.constant(rest, "out_bias")) if rest else y


def _channel_axis(node: Node, x: Value, rows: int) -> int:
    layout = node.text("data_layout", "")
    if x.rank < 2:
        axis = 0
    elif layout.endswith("C"):
        axis = x.rank - 1
    elif not layout and rows not in (1, x.shape[1]) and rows == x.shape[-1]:
        axis = x.rank - 1  # qonnx guesses channels last for tensors of rank 3 without a layout
    else:
        axis = 1
    if x.rank and rows not in (1, x.shape[axis]):
        raise node.error(f"{rows} rows of thresholds do not fit axis {axis} of {list(x.shape)}")
    return axis
