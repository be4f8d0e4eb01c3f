"""A generated network: the model, inputs for it, and how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto

from .builder import FLOAT, RANGES, Graph, Value

Arrays = dict[str, np.ndarray]


@dataclass
class Network:
    """inputs: for all samples at once; a batched model takes any number along the leading axis. pairs: neighbouring
    operators (producer, consumer). engines: those to choose from, None for all. twin_of: a network of which this one is
    another way to write it."""

    name: str
    model: ModelProto
    inputs: Arrays
    pairs: list[tuple[str, str]] = field(default_factory=list)
    engines: list[str] | None = None
    twin_of: Network | None = None


def feed(g: Graph, value: Value, samples: int) -> np.ndarray:
    """Values for an input: on a grid (ties are likely), normal, or with extremes; integers over their whole range."""
    shape = (samples, *value.shape[1:]) if g.batched else value.shape
    if not value.is_float:
        lo, hi = RANGES[value.dtype.name]
        lo, hi = max(lo, -(2**20)), min(hi, 2**20)
        array = g.rng.integers(lo, hi + 1, shape)
        edge = g.rng.random(shape)
        return np.asarray(np.where(edge < 0.05, lo, np.where(edge > 0.95, hi, array))).astype(value.dtype)
    kind = g.pick(("grid", "normal", "normal", "large", "small", "zero-ish"))
    array = g.rng.standard_normal(shape) * value.size
    if g.exact or kind == "grid":
        step = 2.0 ** np.round(np.log2(max(value.size, 1e-3))) / 8
        array = np.round(array / step) * step
    elif kind in ("large", "small"):
        array = array * np.where(g.rng.random(shape) < 0.1, 1e20 if kind == "large" else 1e-42, 1)
    elif kind == "zero-ish":
        array = np.where(g.rng.random(shape) < 0.5, g.pick((0.0, -0.0)), array)
    return np.asarray(array, FLOAT)


def finish(g: Graph, name: str, outputs: Sequence[Value], samples: int) -> Network:
    inputs = {v.name: feed(g, v, samples) for v in g.inputs}
    return Network(name, g.model(outputs), inputs, list(g.pairs))
