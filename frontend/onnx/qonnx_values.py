"""The QONNX operators on constants, in float32. Meanings: those of ops/qonnx.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..values import FLOAT, Value
from .node import Node

_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round": np.rint,
    "half_even": np.rint,
    "ceil": np.ceil,
    "floor": np.floor,
    "up": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "down": np.trunc,
}


def _quant(node: Node, x: np.ndarray, scale: np.ndarray, zero: np.ndarray, bits: np.ndarray) -> np.ndarray:
    width, signed = float(bits.reshape(-1)[0]), node.int("signed", 1)
    if width == 1 and signed:
        return (np.where(x / scale + zero >= 0, 1, -1).astype(FLOAT) - zero) * scale
    narrow = int(bool(node.int("narrow", 0)))
    lo, hi = (-(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1) if signed else (0, 2**width - 1 - narrow)
    rounding = _ROUNDINGS[node.text("rounding_mode", "ROUND").lower()]
    return (np.clip(rounding(x / scale + zero), np.float32(lo), np.float32(hi)) - zero) * scale


def _bipolar(node: Node, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, scale, -scale)


def _multi_threshold(node: Node, x: np.ndarray, table: np.ndarray) -> np.ndarray:
    axis = x.ndim - 1 if node.text("data_layout", "").endswith("C") else min(1, x.ndim - 1)
    count = np.zeros(x.shape, FLOAT)
    for column in np.moveaxis(table, -1, 0):
        shape = [len(column) if a == axis else 1 for a in range(x.ndim)]
        count += x >= column.reshape(shape)
    return count * np.float32(node.float("out_scale", 1.0)) + np.float32(node.float("out_bias", 0.0))


QONNX_VALUES: dict[str, Callable[..., np.ndarray]] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "MultiThreshold": _multi_threshold,
}


def qonnx_values(node: Node, values: Sequence[Value | None]) -> list[Value]:
    """The result of a node of `QONNX_VALUES`. Raises ModelError where its inputs do not fit."""
    arrays = [v.array.astype(FLOAT) for v in values if v is not None and v.array is not None]
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(QONNX_VALUES[node.op_type](node, *arrays), FLOAT)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise node.error(f"cannot be computed from its constant inputs: {str(error)[:200]}") from error
    return [Value.constant(node.outputs[0], result)]
