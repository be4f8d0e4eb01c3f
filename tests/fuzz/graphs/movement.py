"""Operators that move elements, change shapes or compute them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .builder import FLOAT, INT64, Graph, Value
from .numbers import real
from .rule import before, both, floats, full, movable, rank, rule, since


def _first(g: Graph) -> int:
    """The first axis that may be worked along."""
    return 1 if g.batched else 0


def _axis(g: Graph, x: Value) -> int:
    g.need(x.rank > _first(g))
    return g.integer(_first(g), x.rank - 1)


def _with(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return tuple(size if i == axis else d for i, d in enumerate(shape))


def _sign(g: Graph, axis: int, rank_: int) -> int:
    """The axis, now and then counted from the end (opset 11 and later)."""
    return axis - rank_ if g.opset >= 13 and g.chance(0.3) else axis


@rule("Reshape", movable, weight=1.5)
def reshape(g: Graph, x: Value) -> Value:
    first = _first(g)
    rest, parts = x.shape[first:], []
    for d in rest:
        half = next((f for f in (2, 3) if d and d % f == 0), 1)
        parts += [half, d // half] if half > 1 and g.chance(0.5) else [d]
    merged: list[int] = []
    for d in parts:
        if merged and g.chance(0.4):
            merged[-1] *= d
        else:
            merged.append(d)
    if g.chance(0.3):
        merged.insert(g.integer(0, len(merged)), 1)
    g.need(len(merged) + first <= 6)
    shape = [*x.shape[:first], *merged]
    given = list(shape)
    if g.batched:
        given[0] = g.pick((-1, 0)) if 0 not in shape else 0
    elif given and prod(shape) and g.chance(0.4):
        given[g.integer(0, len(given) - 1)] = -1
    if g.batched and 0 in shape[1:]:
        g.need(False)
    allow = 1 if 0 in given and not g.batched else None
    g.need(allow is None or g.opset >= 14)
    return g.op("Reshape", [x, g.ints(given)], shape, allowzero=allow)


@rule("Flatten", movable)
def flatten(g: Graph, x: Value) -> Value:
    g.need(x.is_float or g.opset >= 9)
    axis = 1 if g.batched else g.integer(0, x.rank)
    g.need(x.rank >= 1 or axis == 0)
    return g.op("Flatten", [x], (prod(x.shape[:axis]), prod(x.shape[axis:])), axis=axis)


@rule("Squeeze", movable)
def squeeze(g: Graph, x: Value) -> Value:
    ones = [i for i in range(_first(g), x.rank) if x.shape[i] == 1]
    gone = sorted(g.rng.permutation(ones)[: g.integer(1, len(ones))].tolist()) if ones else []
    g.need(bool(gone))
    shape = [d for i, d in enumerate(x.shape) if i not in gone]
    axes = [_sign(g, a, x.rank) for a in gone]
    return g.op("Squeeze", [x, g.ints(axes)], shape) if g.opset >= 13 else g.op("Squeeze", [x], shape, axes=axes)


@rule("Unsqueeze", movable)
def unsqueeze(g: Graph, x: Value) -> Value:
    g.need(x.rank < 5)
    axes = sorted({g.integer(_first(g), x.rank) for _ in range(g.integer(1, 2))})
    g.need(x.rank + len(axes) <= 6)
    rest = iter(x.shape)
    shape = [1 if i in axes else next(rest) for i in range(x.rank + len(axes))]
    return g.op("Unsqueeze", [x, g.ints(axes)], shape) if g.opset >= 13 else g.op("Unsqueeze", [x], shape, axes=axes)


@rule("Transpose", movable, weight=1.5)
def transpose(g: Graph, x: Value) -> Value:
    first = _first(g)
    g.need(x.rank > first)
    perm = [*range(first), *(first + int(p) for p in g.rng.permutation(x.rank - first))]
    return g.op("Transpose", [x], [x.shape[p] for p in perm], perm=perm)


@rule("Concat", movable, weight=2)
def concat(g: Graph, x: Value) -> Value:
    """Of x, itself again, other values and constants."""
    axis = _axis(g, x)
    parts = [x]
    for _ in range(g.integer(0, 2)):
        fits = [
            v
            for v in g.values
            if v.dtype == x.dtype and v.rank == x.rank and _with(v.shape, axis, 0) == _with(x.shape, axis, 0)
        ]
        if fits and g.chance(0.8):
            parts.append(g.pick(fits))
        elif x.is_float and not g.batched:
            parts.append(g.constant(real(g, _with(x.shape, axis, g.integer(0, 2)), x.size)))
    parts = [parts[int(i)] for i in g.rng.permutation(len(parts))]
    total = sum(p.shape[axis] for p in parts)
    return g.op(
        "Concat", parts, _with(x.shape, axis, total), size=max(p.size for p in parts), axis=_sign(g, axis, x.rank)
    )


@rule("Split", movable, weight=1.5)
def split(g: Graph, x: Value) -> list[Value]:
    """Into even parts or given ones, some of them empty."""
    axis = _axis(g, x)
    size = x.shape[axis]
    count = g.integer(1, 3)
    cuts = sorted(g.integer(0, size) for _ in range(count - 1))
    parts = [b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    outputs = [(_with(x.shape, axis, p), None) for p in parts]
    if g.chance(0.3) and size % count == 0 and size:
        outputs = [(_with(x.shape, axis, size // count), None)] * count
        return g.ops("Split", [x], outputs, axis=axis, num_outputs=count if g.opset >= 18 else None)
    if g.opset >= 13:
        return g.ops("Split", [x, g.ints(parts)], outputs, axis=axis)
    return g.ops("Split", [x], outputs, axis=axis, split=parts)


@rule("Slice", movable, weight=1.5)
def slice_(g: Graph, x: Value) -> Value:
    """Any starts, ends and steps, backwards as well; now and then nothing remains."""
    first = _first(g)
    g.need(x.rank > first)
    axes = sorted({g.integer(first, x.rank - 1) for _ in range(g.integer(1, 2))})
    starts, ends, steps, shape = [], [], [], list(x.shape)
    for axis in axes:
        size = x.shape[axis]
        step = g.pick((1, 1, 2, -1, -2)) if g.opset >= 10 else 1
        begin = g.integer(-size, max(size - 1, 0)) if size else 0
        end = g.pick((g.integer(-size - 1, size + 1), 2**31 - 1 if step > 0 else -(2**31) + 1))
        picked = len(range(*slice(begin, end if end > -(2**30) or step > 0 else None, step).indices(size)))
        g.need(picked > 0 or g.chance(0.1))
        starts, ends, steps = [*starts, begin], [*ends, end], [*steps, step]
        shape[axis] = picked
    if g.opset < 10:
        return g.op("Slice", [x], shape, starts=starts, ends=ends, axes=axes)
    dtype = np.int64 if g.chance(0.7) else np.int32
    given = [g.constant(np.array(v, dtype)) for v in (starts, ends, axes, steps)]
    return g.op("Slice", [x, *given], shape)


@rule("Gather", both(movable, full))
def gather(g: Graph, x: Value) -> Value:
    axis = _axis(g, x)
    shape = g.pick(((), (1,), (2,), (3,), (2, 2)))
    g.need(x.rank + len(shape) - 1 <= 6)
    indices = g.rng.integers(-x.shape[axis] if g.opset >= 11 else 0, x.shape[axis], shape)
    result = (*x.shape[:axis], *shape, *x.shape[axis + 1 :])
    return g.op("Gather", [x, g.constant(indices, g.pick((np.int64, np.int32)))], result, axis=axis)


@rule("embedding", lambda g, x: x.made_by in ("ArgMax", "ArgMin", "TopK") and x.dtype == INT64, ops=("Gather",))
def embedding(g: Graph, x: Value) -> Value:
    """Rows of a constant table at indices that are computed."""
    size = max(int(x.size), 1)
    g.need(size <= 64 and x.rank <= 4)
    table = g.constant(real(g, (size, g.integer(1, 4))))
    return g.op("Gather", [table, x], (*x.shape, table.shape[1]), dtype=FLOAT, size=table.size, axis=0)


@rule("Pad", lambda g, x: x.is_float or (x.dtype.name in ("int8", "uint8", "int32") and g.opset >= 13), weight=1.5)
def pad(g: Graph, x: Value) -> Value:
    first = _first(g)
    g.need(x.rank > first)
    mode = g.pick(("constant", "constant", "constant", "edge", "reflect"))
    begins, ends = ([0] * x.rank for _ in range(2))
    for axis in {g.integer(first, x.rank - 1) for _ in range(g.integer(1, 2))}:
        most = 2 if mode == "constant" else min(2, x.shape[axis] - 1)
        g.need(most >= 0)
        begins[axis], ends[axis] = g.integer(0, most), g.integer(0, most)
        if mode == "constant" and g.chance(0.1) and x.shape[axis] > 1:
            begins[axis] = -1
    g.need(mode == "constant" or x.count > 0)
    shape = [d + b + e for d, b, e in zip(x.shape, begins, ends, strict=True)]
    fill = g.pick((0.0, 0.0, 0.0, 1.0, -0.5)) if mode == "constant" else None
    if g.opset < 11:
        return g.op("Pad", [x], shape, pads=[*begins, *ends], mode=mode, value=fill)
    g.need(mode == "constant" or x.is_float)
    value = (
        None
        if fill is None or g.chance(0.3)
        else g.constant(np.array(int(fill) if not x.is_float else fill).astype(x.dtype))
    )
    return g.op("Pad", [x, g.ints([*begins, *ends]), value], shape, mode=mode)


@rule("DepthToSpace", both(floats, rank(4)))
def depth_to_space(g: Graph, x: Value) -> Value:
    n, c, h, w = x.shape
    g.need(c % 4 == 0 and c > 0)
    mode = g.pick((None, "DCR", "CRD")) if g.opset >= 11 else None
    return g.op("DepthToSpace", [x], (n, c // 4, 2 * h, 2 * w), blocksize=2, mode=mode)


@rule("SpaceToDepth", both(floats, rank(4)))
def space_to_depth(g: Graph, x: Value) -> Value:
    n, c, h, w = x.shape
    b = g.pick([b for b in (1, 2, 3) if h % b == 0 and w % b == 0])
    return g.op("SpaceToDepth", [x], (n, c * b * b, h // b, w // b), blocksize=b)


@rule("Resize", both(floats, full, rank(3, 4), since(10)))
def resize(g: Graph, x: Value) -> Value:
    """By scales or sizes."""
    factors = [1.0, 1.0, *(g.pick((1.0, 2.0, 0.5, 1.5)) for _ in x.shape[2:])]
    shape = [int(np.floor(d * f)) for d, f in zip(x.shape, factors, strict=True)]
    g.need(min(shape) > 0)
    given = g.constant(np.array(factors, np.float32))
    if g.opset < 11:
        return g.op("Resize", [x, given], shape, mode="nearest")
    mode = g.pick(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"))
    rounding = g.pick(("round_prefer_floor", "floor", "ceil", "round_prefer_ceil"))
    if g.chance(0.4):
        linear: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": mode}
        if x.rank == 4 and g.chance(0.4):
            linear |= {"mode": "cubic", "exclude_outside": g.pick((0, 1)), "cubic_coeff_a": g.pick((-0.75, -0.5))}
        return g.op(
            "Resize",
            [x, None, given] if g.opset >= 13 else [x, g.constant(np.zeros(0, np.float32)), given],
            shape,
            **linear,
        )
    attributes: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
    if g.chance(0.4) and not g.batched:
        return g.op("Resize", [x, None, None, g.ints(shape)], shape, **attributes)
    return g.op("Resize", [x, None, given], shape, **attributes) if g.opset >= 13 else g.op(
        "Resize", [x, g.constant(np.zeros(0, np.float32)), given], shape, **attributes
    )  # fmt: skip


@rule("Upsample", both(floats, full, rank(3, 4), before(10)))
def upsample(g: Graph, x: Value) -> Value:
    factors = [1.0, 1.0, *(g.pick((1.0, 2.0, 3.0)) for _ in x.shape[2:])]
    shape = [int(d * f) for d, f in zip(x.shape, factors, strict=True)]
    if g.opset < 9:
        return g.op("Upsample", [x], shape, mode="nearest", scales=factors)
    return g.op("Upsample", [x, g.constant(np.array(factors, np.float32))], shape, mode="nearest")


@rule("Expand", both(movable, full, since(8)))
def expand(g: Graph, x: Value) -> Value:
    """At run time: axes of size 1 grow, now and then new ones come in front."""
    first = _first(g)
    g.need(x.rank > first)
    shape = [g.pick((1, 2, 3)) if d == 1 and i >= first else d for i, d in enumerate(x.shape)]
    if g.chance(0.2) and not g.batched and x.rank < 5:
        shape = [2, *shape]
    given = [1 if g.chance(0.3) and len(shape) == x.rank else d for d in shape] if not g.batched else [1, *shape[1:]]
    shape = list(np.broadcast_shapes(tuple(given), x.shape))
    return g.op("Expand", [x, g.ints(given)], shape)


@rule("Tile", both(movable, full))
def tile(g: Graph, x: Value) -> Value:
    first = _first(g)
    g.need(x.rank > first)
    repeats = [1 if i < first else g.pick((1, 1, 2, 3)) for i in range(x.rank)]
    return g.op("Tile", [x, g.ints(repeats)], [d * n for d, n in zip(x.shape, repeats, strict=True)])


# -- computed shapes and constants: they fold, and meet the graph in a Reshape or an Add ------------------------------


@rule("Shape", movable, ops=("Shape", "Constant"))
def shape(g: Graph, x: Value) -> Value:
    """Reshape to the shape of the value itself."""
    s = g.op("Shape", [x], (x.rank,), dtype=INT64)
    return g.op("Reshape", [x, s], x.shape)


@rule("Size", both(movable, full))
def size(g: Graph, x: Value) -> Value:
    """x times the number of its elements."""
    g.need(not g.batched and x.is_float)
    n = g.op("Size", [x], (), dtype=INT64)
    factor = g.op("Cast", [n], (), dtype=FLOAT, to=TensorProto.FLOAT)
    return g.op("Mul", [x, factor], x.shape, size=x.size * x.count)


@rule("folded", both(floats, full), ops=("ConstantOfShape", "Range", "NonZero"))
def folded(g: Graph, x: Value) -> Value:
    """x plus a constant that a small graph computes."""
    g.need(x.rank >= 1)
    n = x.shape[-1]
    if g.chance(0.15) and g.opset >= 13:
        return _nonzero(g, x)
    form = g.pick(
        ("ConstantOfShape", "Range", "Expand", "Tile") if g.opset >= 11 else ("ConstantOfShape", "Expand", "Tile")
    )
    if form == "ConstantOfShape":
        fill = helper.make_tensor("fill", TensorProto.FLOAT, [1], [g.pick((0.5, -1.0))])
        c = g.op("ConstantOfShape", [g.ints([n])], (n,), dtype=FLOAT, value=fill)
    elif form == "Range":
        ends = [g.constant(np.float32(v)) for v in (0, n, 1)]
        c = g.op("Range", ends, (n,), dtype=FLOAT)
    elif form == "Expand":
        c = g.op("Expand", [g.constant(real(g, (1,))), g.ints([n])], (n,))
    else:
        c = g.op("Tile", [g.constant(real(g, (1,))), g.ints([n])], (n,))
    g.need(g.joined(x, c) == x.shape)
    return g.op("Add", [x, c], x.shape, size=x.size + 1)


def _nonzero(g: Graph, x: Value) -> Value:
    """Every other index of the last axis, as a mask says."""
    g.need(x.rank > _first(g) and x.shape[-1] > 0)
    mask = np.arange(x.shape[-1]) % 2 == 0
    found = g.op("NonZero", [g.constant(mask.astype(np.int64))], (1, int(mask.sum())))
    indices = g.op("Squeeze", [found, g.ints([0])], (int(mask.sum()),))
    return g.op("Gather", [x, indices], (*x.shape[:-1], int(mask.sum())), axis=x.rank - 1)
