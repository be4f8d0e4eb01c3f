"""Convolutions, matrix products and pools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .builder import FLOAT, Graph, Value
from .elementwise import batch_norm
from .numbers import real, scale, scales, weight
from .rule import RULES, both, floats, full, rank, rule, since

LAST = "qonnx.custom_op.channels_last"


def window(
    g: Graph, size: tuple[int, ...], *, kernel: tuple[int, ...] | None = None, most: int = 3, ceil: bool = False,
    inside: bool = False,
) -> tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    """(attributes, kernel, result size) of a window over axes of `size`; kernels, strides, pads and dilations of all
    kinds. inside: pads are smaller than the kernel, so that every window meets the input."""
    n = len(size)
    kernel = kernel or tuple(g.integer(1, most) for _ in size)
    strides = tuple(g.pick((1, 1, 1, 2, 3)) for _ in size)
    dilations = tuple(g.pick((1, 1, 1, 1, 2)) for _ in size)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations}
    form = g.pick(("none", "same", "pads", "pads", "auto", "valid"))
    begins, ends = [0] * n, [0] * n
    if form == "same":
        begins = [(span - 1) // 2 for span in spans]
        ends = [span - 1 - b for b, span in zip(begins, spans, strict=True)]
    elif form == "pads":
        begins, ends = ([g.integer(0, k if not inside else k - 1) for k in kernel] for _ in range(2))
        if inside:
            begins = [min(b, k - 1) for b, k in zip(begins, kernel, strict=True)]
    if form in ("auto", "valid"):
        g.need(all(d == 1 for d in dilations))
        attributes["auto_pad"] = "VALID" if form == "valid" else g.pick(("SAME_UPPER", "SAME_LOWER"))
        ceil = False
    elif any((*begins, *ends)) or g.chance(0.5):
        attributes["pads"] = (*begins, *ends)
    if form == "auto":
        out = tuple(-(-d // s) for d, s in zip(size, strides, strict=True))
        g.need(all(span <= 2 * d for span, d in zip(spans, size, strict=True)))
    else:
        out = ()
        for d, b, e, s, span in zip(size, begins, ends, strides, spans, strict=True):
            room = d + b + e - span
            g.need(room >= 0)
            count = (-(-room // s) if ceil else room // s) + 1
            if ceil and (count - 1) * s >= d + b:
                count -= 1
            out += (count,)
    g.need(not inside or form == "auto" or _meets(size, begins, strides, kernel, dilations, out))
    return attributes, kernel, out


def _meets(size: Any, begins: Any, strides: Any, kernel: Any, dilations: Any, out: Any) -> bool:
    """Whether every window covers an element of the input."""
    for d, b, s, k, step, count in zip(size, begins, strides, kernel, dilations, out, strict=True):
        at = np.arange(count)[:, None] * s - b + np.arange(k) * step
        if not ((at >= 0) & (at < d)).any(axis=1).all():
            return False
    return True


def split_channels(g: Graph, channels: int) -> tuple[int, int]:
    """(group, outputs): dense, grouped, depthwise, with more filters than channels or a single one."""
    group = g.pick([d for d in (1, 1, 1, 2, 3, channels) if channels % d == 0 and d <= channels])
    return group, group * g.pick((1, 1, 2, 3, 5) if group == 1 else (1, 1, 2)) * (
        g.pick((1, 2, 4)) if group == 1 else 1
    )


def bias(g: Graph, count: int, about: float) -> Value | None:
    """None, floats, or int32 with a scale."""
    if not g.chance(0.4):
        return None
    if g.opset < 13 or not g.chance(0.3):
        return g.constant(real(g, (count,), about))
    q = g.constant(g.rng.integers(-200, 201, count).astype(np.int32))
    s = g.constant(scales(g, about / 200, count)) if g.chance(0.5) else g.constant(np.float32(scale(g, about / 200)))
    return g.op("DequantizeLinear", [q, s], (count,), dtype=FLOAT, size=about, axis=0 if s.shape else None)


@rule("Conv", both(floats, full, rank(3, 4)), weight=6)
def conv(g: Graph, x: Value) -> Value:
    channels = x.shape[1]
    group, outputs = split_channels(g, channels)
    attributes, kernel, size = window(g, x.shape[2:])
    shape = (outputs, channels // group, *kernel)
    shared = [v for v in g.info.values() if v.shape == shape and not v.sample and v.is_float and v.name]
    w = g.pick(shared) if shared and g.chance(0.25) else weight(g, shape)
    about = x.size * max(w.size, 1e-6) * np.sqrt(np.prod(shape[1:]))
    given = kernel if g.chance(0.5) else None
    return g.op(
        "Conv", [x, w, bias(g, outputs, about)], (x.shape[0], outputs, *size), size=about,
        group=group if group > 1 or g.chance(0.3) else None, kernel_shape=given, **attributes,
    )  # fmt: skip


@rule("ConvTranspose", both(floats, full, rank(3, 4), since(11)), weight=3)
def conv_transpose(g: Graph, x: Value) -> Value:
    group = g.pick([d for d in (1, 1, 2, x.shape[1]) if x.shape[1] % d == 0])
    outputs, n = g.pick((1, 2, 3, 5)), x.rank - 2
    kernel, strides = (tuple(g.pick(sizes) for _ in range(n)) for sizes in ((1, 2, 3), (1, 2, 2, 3)))
    dilations = tuple(g.pick((1, 1, 1, 2)) for _ in range(n))
    pads = [g.pick((0, 0, 1, 2)) for _ in range(2 * n)]
    extra = tuple(g.integer(0, s - 1) for s in strides) if g.chance(0.3) else None
    whole = [
        (d - 1) * s + (k - 1) * step + 1 + (extra or (0,) * n)[i]
        for i, (d, s, k, step) in enumerate(zip(x.shape[2:], strides, kernel, dilations, strict=True))
    ]
    size = [w - pads[i] - pads[n + i] for i, w in enumerate(whole)]
    g.need(min(size) >= 1)
    w = weight(g, (x.shape[1], outputs, *kernel), axis=1)
    about = x.size * max(w.size, 1e-6) * np.sqrt(x.shape[1] // group * np.prod(kernel))
    return g.op(
        "ConvTranspose", [x, w, bias(g, outputs * group, about)], (x.shape[0], outputs * group, *size), size=about,
        group=group, strides=strides, dilations=dilations, pads=pads, output_padding=extra,
    )  # fmt: skip


def _channels_last(g: Graph, x: Value, build: Any) -> Value:
    """build on [N, *S, C], between two transposes."""
    perm, back = (0, *range(2, x.rank), 1), (0, x.rank - 1, *range(1, x.rank - 1))
    last = g.op("Transpose", [x], [x.shape[p] for p in perm], perm=perm)
    y = build(last)
    return g.op("Transpose", [y], [y.shape[p] for p in back], perm=back)


@rule("channels-last Conv", both(floats, full, rank(3, 4)), weight=0.5, ops=("Conv",), domains=(LAST,))
def conv_last(g: Graph, x: Value) -> Value:
    channels, outputs = x.shape[1], g.integer(1, 4)
    attributes, kernel, size = window(g, x.shape[2:])
    w = weight(g, (outputs, *kernel, channels))
    about = x.size * max(w.size, 1e-6) * np.sqrt(channels * np.prod(kernel))
    return _channels_last(
        g, x, lambda v: g.op("Conv", [v, w], (x.shape[0], *size, outputs), size=about, domain=LAST, **attributes)
    )


@rule("channels-last MaxPool", both(floats, full, rank(3, 4)), weight=0.5, ops=("MaxPool",), domains=(LAST,))
def max_pool_last(g: Graph, x: Value) -> Value:
    attributes, kernel, size = window(g, x.shape[2:], inside=True)
    shape = (x.shape[0], *size, x.shape[1])
    return _channels_last(g, x, lambda v: g.op("MaxPool", [v], shape, domain=LAST, kernel_shape=kernel, **attributes))


@rule(
    "channels-last BatchNormalization",
    both(floats, rank(3, 4)),
    weight=0.5,
    ops=("BatchNormalization",),
    domains=(LAST,),
)
def batch_norm_last(g: Graph, x: Value) -> Value:
    return _channels_last(g, x, lambda v: batch_norm(g, v, x.shape[1], LAST))


@rule("MaxPool", both(full, rank(3, 4)), weight=2)
def max_pool(g: Graph, x: Value) -> Value:
    g.need(x.is_float or (x.dtype.name in ("int8", "uint8") and g.opset >= 12))
    ceil = g.opset >= 10 and g.chance(0.3)
    attributes, kernel, size = window(g, x.shape[2:], ceil=ceil, inside=True)
    if g.opset < 10:
        g.need(set(attributes.pop("dilations")) <= {1})
    mode = 1 if ceil and "auto_pad" not in attributes else None
    return g.op("MaxPool", [x], (*x.shape[:2], *size), kernel_shape=kernel, ceil_mode=mode, **attributes)


@rule("AveragePool", both(floats, full, rank(3, 4)), weight=2)
def average_pool(g: Graph, x: Value) -> Value:
    ceil = g.opset >= 19 and g.chance(0.3)
    attributes, kernel, size = window(g, x.shape[2:], ceil=ceil, inside=True)
    if g.opset < 19:
        g.need(set(attributes.pop("dilations")) <= {1})
    mode = 1 if ceil and "auto_pad" not in attributes else None
    return g.op(
        "AveragePool", [x], (*x.shape[:2], *size), kernel_shape=kernel, ceil_mode=mode,
        count_include_pad=g.pick((None, 1)), **attributes,
    )  # fmt: skip


@rule("GlobalAveragePool", both(floats, full, rank(3, 4)))
def global_average_pool(g: Graph, x: Value) -> Value:
    return g.op("GlobalAveragePool", [x], (*x.shape[:2], *(1,) * (x.rank - 2)))


@rule("GlobalMaxPool", both(floats, full, rank(3, 4)))
def global_max_pool(g: Graph, x: Value) -> Value:
    return g.op("GlobalMaxPool", [x], (*x.shape[:2], *(1,) * (x.rank - 2)))


def _enter_reduction(name: str, weight: float) -> None:
    whole = name in ("ReduceSum", "ReduceL1", "ReduceSumSquare")

    @rule(name, both(lambda g, x: x.is_float or (whole and x.dtype.name in ("int32", "int64")), full), weight=weight)
    def build(g: Graph, x: Value) -> Value:
        first = 1 if g.batched else 0
        g.need(x.rank > first and (x.is_float or x.size < 1000))
        if not x.is_float:  # the random samples of verify have any value, and sums that leave 32 bits have no meaning
            g.need(g.opset >= 12)
            bounds = [g.constant(np.array(v, x.dtype)) for v in (-1000, 1000)]
            x = g.op("Clip", [x, *bounds], x.shape, size=min(x.size, 1000))
        if name == "ReduceLogSum":  # of what has a logarithm
            x = g.op("Abs", [x], x.shape)
            x = g.op("Add", [x, g.constant(np.float32(0.5))], x.shape, size=x.size + 0.5)
        axes = sorted({g.integer(first, x.rank - 1) for _ in range(g.integer(1, 3))})
        keep = int(g.chance(0.6))
        shape = [1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes]
        given = [a - x.rank if g.chance(0.3) else a for a in axes]
        count = int(np.prod([x.shape[a] for a in axes]))
        size = x.size * {"ReduceSum": count, "ReduceL1": count, "ReduceSumSquare": count * x.size}.get(name, 1)
        if g.opset >= (13 if name == "ReduceSum" else 18):
            return g.op(name, [x, g.ints(given)], shape, size=size, keepdims=keep)
        return g.op(name, [x], shape, size=size, axes=given, keepdims=keep)


for _name in ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"):
    _enter_reduction(_name, 0.6)
_enter_reduction("ReduceMean", 1.5)


@rule("MatMul", both(floats, full), weight=4)
def matmul(g: Graph, x: Value) -> Value:
    """With a constant on the right (or left), or with another value."""
    g.need(x.rank >= (2 if g.batched else 1))
    if g.chance(0.2):
        return _product_of_values(g, x)
    if (g.chance(0.15) and x.rank >= 3) or (g.chance(0.15) and x.rank >= 2 and not g.batched):
        rows = g.integer(1, 4)
        w = weight(g, (rows, x.shape[-2]))
        return g.op("MatMul", [w, x], (*x.shape[:-2], rows, x.shape[-1]), size=x.size * w.size * np.sqrt(x.shape[-2]))
    columns = g.pick((1, 2, 3, 7, 16, 33))
    leading = (x.shape[0],) if x.rank == 3 and g.chance(0.15) and not g.batched else ()
    w = weight(g, (*leading, x.shape[-1], columns), axis=len(leading) + 1)
    if x.rank >= 1 and g.chance(0.1):
        vector = weight(g, (x.shape[-1],))
        g.need(not g.batched or x.rank >= 2)
        return g.op("MatMul", [x, vector], x.shape[:-1], size=x.size * vector.size * np.sqrt(x.shape[-1]))
    size = x.size * max(w.size, 1e-6) * np.sqrt(x.shape[-1])
    return g.op("MatMul", [x, w], (*x.shape[:-1], columns), size=size)


@rule("Einsum", both(floats, full, since(12)), weight=1.5)
def einsum(g: Graph, x: Value) -> Value:
    """Over one axis of x and of a constant, or of one value."""
    g.need(2 <= x.rank <= 4)
    labels = "abcd"[: x.rank]
    axis = g.integer(1, x.rank - 1)
    inner, rest = labels[axis], labels.replace(labels[axis], "")
    if g.chance(0.2):
        shape = [d for i, d in enumerate(x.shape) if i != axis]
        return g.op("Einsum", [x], shape, size=x.size * x.shape[axis], equation=f"{labels}->{rest}")
    columns = g.pick((1, 3, 5))
    w = weight(g, (x.shape[axis], columns), axis=1)
    turned = g.chance(0.3)
    result = f"{rest}y" if not turned else f"{rest[0]}y{rest[1:]}"
    sizes = dict(zip(labels, x.shape, strict=True)) | {"y": columns}
    size = x.size * max(w.size, 1e-6) * np.sqrt(x.shape[axis])
    first = g.chance(0.7)
    equation = f"{labels},{inner}y->{result}" if first else f"{inner}y,{labels}->{result}"
    shape = [sizes[label] for label in result]
    return g.op("Einsum", [x, w] if first else [w, x], shape, dtype=FLOAT, size=size, equation=equation)


def _product_of_values(g: Graph, x: Value) -> Value:
    g.need(x.rank >= (3 if g.batched else 2))
    fits = [v for v in g.values if v.is_float and v.rank == x.rank and v.shape[:-2] == x.shape[:-2]]
    plain = [v for v in fits if v.shape[-2] == x.shape[-1]]
    turned = [v for v in fits if v.shape[-1] == x.shape[-1]]
    if plain and (not turned or g.chance(0.5)):
        other = g.pick(plain)
    else:
        other = g.pick(turned)
        perm = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
        other = g.op("Transpose", [other], [other.shape[p] for p in perm], perm=perm)
    size = x.size * other.size * np.sqrt(max(x.shape[-1], 1))
    return g.op("MatMul", [x, other], (*x.shape[:-1], other.shape[-1]), size=size)


@rule("Gemm", both(floats, full), weight=2)
def gemm(g: Graph, x: Value) -> Value:
    """Of a matrix; of anything else after Flatten or Reshape."""
    if x.rank != 2:
        g.need(x.rank >= 1)
        rows = x.shape[0]
        x = g.op("Flatten", [x], (rows, x.count // max(rows, 1)))
    turned = not g.batched and g.chance(0.15)
    rows, depth = (x.shape[1], x.shape[0]) if turned else x.shape
    columns, flipped = g.pick((1, 2, 5, 10, 17)), g.chance(0.5)
    w = weight(g, (columns, depth) if flipped else (depth, columns), axis=0 if flipped else 1)
    size = x.size * max(w.size, 1e-6) * np.sqrt(depth)
    shapes: list[tuple[int, ...]] = [(columns,), (1, columns), (), (1,)] + (
        [(rows, columns), (rows, 1)] if not g.batched else []
    )
    c = g.constant(real(g, g.pick(shapes), size)) if g.chance(0.6) or g.opset < 11 else None
    return g.op(
        "Gemm", [x, w, c], (rows, columns), size=size, transA=1 if turned else None, transB=1 if flipped else None,
        alpha=g.pick((None, None, 0.5)), beta=g.pick((None, None, 2.0, 0.0)),
    )  # fmt: skip


@rule("ArgMax", full)
def arg_max(g: Graph, x: Value) -> Value:
    return _arg(g, x, "ArgMax")


@rule("ArgMin", full)
def arg_min(g: Graph, x: Value) -> Value:
    return _arg(g, x, "ArgMin")


def _arg(g: Graph, x: Value, kind: str) -> Value:
    g.need(x.dtype.name in ("float32", "int32", "int8", "uint8") and (x.is_float or g.opset >= 13))
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    axis, keep = g.integer(first, x.rank - 1), int(g.chance(0.6))
    shape = [1 if i == axis else d for i, d in enumerate(x.shape) if keep or i != axis]
    last = 1 if g.opset >= 12 and g.chance(0.3) else None
    return g.op(
        kind, [x], shape, dtype=np.dtype(np.int64), size=x.shape[axis], axis=axis, keepdims=keep, select_last_index=last
    )


@rule("TopK", both(full, since(10)))
def top_k(g: Graph, x: Value) -> list[Value]:
    g.need(x.is_float or (x.dtype.name in ("int32", "int64") and g.opset >= 11))
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    axis = g.integer(first, x.rank - 1)
    k = g.integer(1, x.shape[axis])
    shape = [k if i == axis else d for i, d in enumerate(x.shape)]
    largest = g.pick((None, 1, 0)) if g.opset >= 11 else None
    values, indices = g.ops(
        "TopK", [x, g.ints([k])], [(shape, x.dtype), (shape, np.dtype(np.int64))], axis=axis, largest=largest
    )
    indices = g.info[indices.name] = replace(indices, size=float(x.shape[axis]))
    return [values, indices] if g.chance(0.4) else [values]


@rule("layer", both(floats, full, rank(2, 3, 4), since(10)), weight=8, ops=("Conv", "Gemm", "MatMul"))
def layer(g: Graph, x: Value) -> list[Value]:
    """What trained networks are made of: a quantizer, a product with quantized weights, normalisation, activation and
    a quantizer again, wide enough for every engine."""
    if x.made_by not in QUANTIZED:
        x = _one_of(g, QUANTIZERS, x)
    y = _wide_product(g, x)
    for names in (("BatchNormalization",), ("Relu", "LeakyRelu", "Clip", "PRelu", "Add", "Mul")):
        if g.chance(0.4):
            y = _one_of(g, names, y)
    quantized = _one_of(g, QUANTIZERS, y) if g.chance(0.8) else y
    return [quantized, y] if g.chance(0.3) else [quantized]


QUANTIZERS = ("QDQ", "QDQ", "Quant", "BipolarQuant", "MultiThreshold", "float quantizer")
QUANTIZED = ("DequantizeLinear", "Quant", "IntQuant", "BipolarQuant", "MultiThreshold", "MaxPool")


def _one_of(g: Graph, names: tuple[str, ...], x: Value) -> Value:
    chosen = RULES[g.pick([name for name in names if name in RULES])]
    g.need(chosen.applies(g, x))
    made = chosen.build(g, x)
    return made if isinstance(made, Value) else made[0]


def _wide_product(g: Graph, x: Value) -> Value:
    outputs = g.pick((4, 8, 16, 24, 32, 48))
    if x.rank == 2:
        w = weight(g, (outputs, x.shape[1]))
        size = x.size * max(w.size, 1e-6) * np.sqrt(x.shape[1])
        return g.op("Gemm", [x, w, bias(g, outputs, size)], (x.shape[0], outputs), size=size, transB=1)
    channels, n = x.shape[1], x.rank - 2
    k = g.pick((1, 3, 3))
    group = g.pick((1, 1, 1, channels))
    outputs = group * max(outputs // group, 1)
    g.need(k == 1 or min(x.shape[2:]) > 1 or g.chance(0.3))
    w = weight(g, (outputs, channels // group, *(k,) * n))
    size = x.size * max(w.size, 1e-6) * np.sqrt(channels // group * k**n)
    pads = (k // 2,) * 2 * n
    return g.op(
        "Conv", [x, w, bias(g, outputs, size)], (x.shape[0], outputs, *x.shape[2:]), size=size, group=group, pads=pads
    )
