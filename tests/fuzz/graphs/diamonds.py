"""Diamonds and ladders: two to four paths from one value that meet again, nested; what fusion must get right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .builder import FLOAT, Graph, Stuck, Value
from .generate import apply
from .network import Network, finish
from .numbers import real, weight
from .rule import RULES

STEPS = (
    "QDQ", "QDQ", "Quant", "BipolarQuant", "MultiThreshold", "float quantizer", "Cast", "Relu", "LeakyRelu", "Clip",
    "BatchNormalization", "Sigmoid", "HardSwish", "PRelu", "Round", "Identity",
)  # fmt: skip
"""Rules that keep the shape."""
JOINS = ("Add", "Add", "Sub", "Mul", "Max", "Min", "Sum")
OPSETS = (13, 15, 17, 21)


def diamond(seed: int, index: int) -> Network:
    """Network number `index` of a seed: a root, one or two diamonds or a ladder on it, and an end."""
    rng = np.random.default_rng([seed, index, 1])
    g = Graph(rng, opset=int(rng.choice(OPSETS)), batched=bool(rng.random() < 0.5), exact=bool(rng.random() < 0.5))
    x = g.input(_shape(g), FLOAT, g.pick((1.0, 4.0)))
    if g.chance(0.5):
        x = _step(g, x)
    for _ in range(g.integer(1, 2)):
        x = g.pick((_ladder, _join_paths, _join_paths))(g, _root(g, x), 2)
    if g.chance(0.7):
        x = _step(g, x)
    outputs = [x]
    if g.chance(0.3):
        inner = [v for v in g.values if v.name in {name for node in g.nodes for name in node.output} and v is not x]
        outputs += [g.pick(inner)] if inner else []
    if x.made_by == "input":
        outputs = [g.op("Identity", [x], x.shape)]
    return finish(g, f"d{index}", list({v.name: v for v in outputs}.values()), g.integer(1, 2) if g.batched else 1)


def _shape(g: Graph) -> tuple[int, ...]:
    channels = g.pick((1, 2, 3, 4, 8))
    return g.pick(((1, channels, g.pick((1, 2, 5, 6)), g.pick((1, 3, 6))), (1, channels, 7), (1, channels)))


def _linear(g: Graph, x: Value) -> Value:
    """A convolution or matrix product that keeps the shape."""
    channels = x.shape[1]
    if x.rank == 2:
        y = g.op("MatMul", [x, weight(g, (channels, channels), axis=1)], x.shape, size=x.size * np.sqrt(channels))
    else:
        group = g.pick((1, 1, channels))
        k = g.pick((1, 3, 3))
        w = weight(g, (channels, channels // group, *(k,) * (x.rank - 2)))
        bias = g.constant(real(g, (channels,), x.size)) if g.chance(0.3) else None
        pads = (k // 2,) * 2 * (x.rank - 2)
        y = g.op("Conv", [x, w, bias], x.shape, size=x.size * np.sqrt(channels * k), group=group, pads=pads)
    g.keep(y)
    return y


def _pool(g: Graph, x: Value) -> Value:
    """A pool that keeps the shape."""
    g.need(x.rank > 2)
    n = x.rank - 2
    kind = g.pick(("MaxPool", "AveragePool"))
    y = g.op(kind, [x], x.shape, kernel_shape=(3,) * n, strides=(1,) * n, pads=(1,) * 2 * n)
    g.keep(y)
    return y


def _step(g: Graph, x: Value) -> Value:
    """One operator or quantizer that keeps shape and dtype."""
    for _ in range(10):
        rules = [name for name in STEPS if name in RULES]
        build: Callable[[Graph, Value], Value] = g.pick(
            (_linear, _linear, _pool, _by_rule(g.pick(rules)), _by_rule(g.pick(rules)))
        )
        try:
            with g.attempt():
                y = build(g, x)
                g.need(y.shape == x.shape and y.is_float)
                return y
        except Stuck:
            continue
    return x


def _by_rule(name: str) -> Callable[[Graph, Value], Value]:
    return lambda g, x: apply(g, RULES[name], x)[0]


def _root(g: Graph, x: Value) -> Value:
    """What a group of fused operators may start from: a product, a pool or anything elementwise."""
    return g.pick((_linear, _linear, _step))(g, x)


def _path(g: Graph, x: Value, depth: int) -> Value:
    """None to three steps, one of them a diamond where there is depth left."""
    for _ in range(g.integer(0, 3)):
        x = _join_paths(g, x, depth - 1) if depth > 1 and g.chance(0.25) else _step(g, x)
    return x


def _join_paths(g: Graph, x: Value, depth: int) -> Value:
    paths = [_path(g, x, depth) for _ in range(g.pick((2, 2, 2, 3, 4)))]
    y = paths[0]
    for other in paths[1:]:
        y = _join(g, y, other)
    return y


def _join(g: Graph, a: Value, b: Value) -> Value:
    kind = g.pick(JOINS)
    size = a.size * b.size if kind == "Mul" else a.size + b.size
    y = g.op(kind, [a, b] if g.chance(0.5) else [b, a], a.shape, size=size)
    g.keep(y)
    return y


def _ladder(g: Graph, x: Value, depth: int) -> Value:
    """Two rails with rungs from one to the other."""
    left, right = _step(g, x), _step(g, x)
    for _ in range(g.integer(2, 3)):
        left = _path(g, left, 1) if g.chance(0.5) else _step(g, left)
        right = _join(g, _step(g, right), left)
    return _join(g, left, right)
