"""Scales, weights and other constants of every kind that trained networks have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .builder import FLOAT, INT2, INT4, Graph, Value

DECIMALS = (0.1, 0.05, 0.37, 0.02, 1 / 255, 1 / 127, 0.3, 1.7)
KINDS = ("ternary", "binary", "signed-binary", "2-bit", "3-bit", "4-bit", "int8", "float", "zero", "ternary", "sparse")
LEVELS = {
    "ternary": (-1, 1), "binary": (-1, 1), "signed-binary": (-1, 1), "2-bit": (-2, 1), "3-bit": (-4, 3),
    "4-bit": (-8, 7), "int8": (-128, 127), "zero": (0, 0), "sparse": (-1, 1),
}  # fmt: skip


def scale(g: Graph, about: float) -> float:
    """A positive scale near `about`: a power of two, a decimal or any float32."""
    about = float(min(max(about, 1e-6), 1e6)) if np.isfinite(about) else 1.0
    power = float(2.0 ** np.round(np.log2(about)))
    if g.exact or g.chance(0.25):
        return power
    if g.chance(0.3):
        return float(np.float32(min(DECIMALS, key=lambda d: abs(np.log(d / about)))))
    return float(np.float32(about * (0.5 + g.rng.random())))


def scales(g: Graph, about: float, count: int) -> np.ndarray:
    """float32 [count], some of them equal."""
    return np.array([scale(g, about) for _ in range(count)], np.float32)


def real(g: Graph, shape: Sequence[int], about: float = 1.0) -> np.ndarray:
    """Floats of about that size; in an exact graph multiples of an eighth of a power of two."""
    array = g.rng.standard_normal(tuple(shape)) * about
    if g.exact:
        step = 2.0 ** np.round(np.log2(max(about, 1e-3))) / 8
        array = np.round(array / step) * step
    return np.asarray(array, np.float32)


def digits(g: Graph, kind: str, shape: Sequence[int]) -> np.ndarray:
    """Integer weights of a kind, int64; the first axis is that of the filters."""
    shape = tuple(shape)
    rows = (-1, *(1,) * (len(shape) - 1))
    if kind == "binary":
        return g.rng.choice(np.array([-1, 1]), shape)
    if kind == "signed-binary":
        sign = np.where(np.arange(shape[0] if shape else 1) % 2, -1, 1).reshape(rows)
        return (g.rng.integers(0, 2, shape) * sign).astype(np.int64)
    if kind == "sparse":
        return g.rng.integers(-1, 2, shape) * (g.rng.random(shape) < 0.2)
    lo, hi = LEVELS[kind]
    w = g.rng.integers(lo, hi + 1, shape)
    if w.size and g.chance(0.2):
        w[int(g.rng.integers(shape[0]))] = 0  # a pruned filter
    if w.size and shape[0] > 1 and g.chance(0.15):
        w[-1] = w[0]  # two equal filters
    return w


def weight(g: Graph, shape: Sequence[int], axis: int = 0) -> Value:
    """A float weight in one of the forms that exporters write. axis: that of the filters."""
    shape = tuple(shape)
    about = scale(g, 1.0 / np.sqrt(max(np.prod(shape) / max(shape[axis], 1), 1)))
    kind = g.pick(KINDS)
    if kind == "float":
        return g.constant(real(g, shape, about))
    w = np.moveaxis(digits(g, kind, (shape[axis], *(d for i, d in enumerate(shape) if i != axis))), 0, axis)
    along = [shape[axis] if i == axis else 1 for i in range(len(shape))]
    per_filter = g.chance(0.5)
    s = scales(g, about, shape[axis]) if per_filter else scales(g, about, 1).reshape(())
    aligned = s.reshape(along) if per_filter else s
    latent = np.asarray(w * aligned, np.float32)
    forms = [form for form in FORMS if form is not _linear or g.opset >= (13 if per_filter else 10)]
    return g.pick(forms)(g, kind, w, s, aligned, latent, axis)


def _plain(
    g: Graph, kind: str, w: np.ndarray, s: np.ndarray, aligned: np.ndarray, latent: np.ndarray, axis: int
) -> Value:
    """A float initializer whose values are integers times a scale."""
    return g.constant(latent)


def _linear(
    g: Graph, kind: str, w: np.ndarray, s: np.ndarray, aligned: np.ndarray, latent: np.ndarray, axis: int
) -> Value:
    """DequantizeLinear of integers, QuantizeLinear before it, or Clip between: QDQ and QCDQ."""
    lo, hi = LEVELS[kind]
    dtypes = [np.dtype(np.int8)]
    dtypes += [INT4] if g.opset >= 21 and hi <= 7 and lo >= -8 else []
    dtypes += [INT2] if g.opset >= 25 and hi <= 1 and lo >= -2 else []
    dtype = g.pick(dtypes)
    where = axis if s.ndim else None
    pruned = s.ndim > 0 and g.chance(0.15)
    if pruned:
        s = s.copy()
        s[int(g.rng.integers(len(s)))] = 0  # as quantizers write a filter of zeros
    given = g.constant(s)
    if dtype == np.int8 and not pruned and g.chance(0.3):
        noise = (g.rng.random(w.shape) - 0.5) * 0.5
        source = g.constant(np.asarray((w + noise) * aligned, np.float32))
        zero = g.constant(np.zeros(s.shape, np.int8))
        q = g.op("QuantizeLinear", [source, given, zero], w.shape, dtype=dtype, axis=where)
    else:
        zero = g.constant(np.zeros(s.shape, dtype)) if g.chance(0.5) else None
        q = g.constant(w.astype(np.int8).astype(dtype))
    if dtype == np.int8 and lo == -1 and g.opset >= 12 and g.chance(0.3):
        q = g.op("Clip", [q, g.constant(np.int8(-1)), g.constant(np.int8(1))], w.shape)
    return g.op("DequantizeLinear", [q, given, zero], w.shape, dtype=FLOAT, size=_largest(latent), axis=where)


def _qonnx(
    g: Graph, kind: str, w: np.ndarray, s: np.ndarray, aligned: np.ndarray, latent: np.ndarray, axis: int
) -> Value:
    """Quant or BipolarQuant of latent floats."""
    domain = g.pick(("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"))
    noise = (g.rng.random(w.shape) - 0.5) * 0.6
    source = g.constant(np.asarray((w + noise) * aligned, np.float32))
    if kind == "binary":
        return g.op("BipolarQuant", [source, g.constant(aligned)], w.shape, size=_largest(latent), domain=domain)
    lo, hi = LEVELS[kind]
    bits = int(np.ceil(np.log2(max(hi + 1, -lo, 1)))) + 1
    bits, narrow = max(bits, 2), int(kind in ("ternary", "signed-binary", "sparse", "zero"))
    parameters = [g.constant(aligned), g.constant(np.float32(0)), g.constant(np.float32(bits))]
    return g.op(
        "Quant", [source, *parameters], w.shape, size=_largest(latent), domain=domain, signed=1, narrow=narrow,
        rounding_mode="ROUND",
    )  # fmt: skip


def _arithmetic(
    g: Graph, kind: str, w: np.ndarray, s: np.ndarray, aligned: np.ndarray, latent: np.ndarray, axis: int
) -> Value:
    """Integers as float times a scale, or stored transposed."""
    if g.chance(0.5):
        return g.op("Mul", [g.constant(w.astype(np.float32)), g.constant(aligned)], w.shape, size=_largest(latent))
    perm = [int(p) for p in g.rng.permutation(w.ndim)]
    stored = g.constant(np.ascontiguousarray(latent.transpose(np.argsort(perm))))
    return g.op("Transpose", [stored], w.shape, perm=perm)


FORMS = (_plain, _plain, _linear, _linear, _qonnx, _qonnx, _arithmetic)


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))
