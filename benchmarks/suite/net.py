"""Networks with random weights whose batch norms are set from expected means and variances of the activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .graph import Graph
from .weights import int8_per_filter

EPSILON = 1e-5


@dataclass(frozen=True)
class Value:
    """A tensor: its name, its channels, and what to expect of an element: the mean and the mean square."""

    name: str
    channels: int
    mean: float
    square: float


class Net:
    """A graph under construction, and what its tensors are expected to hold."""

    def __init__(self, name: str, seed: int, *, standard: bool = False) -> None:
        self.g, self.rng = Graph(name, standard=standard), np.random.default_rng(seed)

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """Float weights for which unit inputs give outputs of about unit size."""
        return (self.rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)

    def conv_norm(
        self,
        x: Value,
        name: str,
        w: np.ndarray,
        stride: int = 1,
        *,
        size: float = 1.0,
        weight: str = "",
        groups: int = 1,
    ) -> Value:
        """Conv and batch norm; the outputs have standard deviation `size`. weight: the tensor that holds w already."""
        weight = weight or self.g.constant(f"{name}_weight", w)
        y = self.g.conv(x.name, weight, f"{name}_conv", kernel=w.shape[2], stride=stride, groups=groups)
        arrays = self.norm(x, w, size)
        operands = [self.g.constant(f"{name}_{what}", array) for what, array in arrays.items()]
        y = self.g.node("BatchNormalization", [y, *operands], f"{name}_norm", epsilon=EPSILON)
        return Value(y, len(w), 0.0, 1.01 * size**2)

    def norm(self, x: Value, w: np.ndarray, size: float) -> dict[str, np.ndarray]:
        """The batch norm's float32 arrays for conv(x, w): scale, bias, mean, variance."""
        filters = w.reshape(len(w), -1).astype(np.float64)
        mean = filters.sum(1) * x.mean
        variance = np.maximum((filters**2).sum(1) * (x.square - x.mean**2), EPSILON)
        scale, bias = self.rng.uniform(0.9, 1.1, len(w)) * size, self.rng.normal(size=len(w)) * 0.1 * size
        named = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
        return {what: array.astype(np.float32) for what, array in named.items()}

    def relu(self, x: Value, name: str) -> Value:
        """max(0, x), with the moments of a normal value."""
        size = math.sqrt(x.square - x.mean**2)
        t = x.mean / size
        below, density = 0.5 * (1 + math.erf(t / math.sqrt(2))), math.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        mean, square = x.mean * below + size * density, x.square * below + x.mean * size * density
        return Value(self.g.node("Relu", [x.name], name), x.channels, mean, square)

    def add(self, a: Value, b: Value, name: str) -> Value:
        y = self.g.node("Add", [a.name, b.name], name)
        return Value(y, a.channels, a.mean + b.mean, a.square + b.square + 2 * a.mean * b.mean)

    def conv_int8(self, x: Value, name: str, w: np.ndarray, stride: int = 1, *, groups: int = 1) -> Value:
        """A convolution with int8 weights for each filter, its batch norm folded into weights and bias."""
        n = self.norm(x, w, 1.0)
        k = n["scale"] / np.sqrt(n["variance"] + EPSILON)
        weight = self.g.quantized_constant(f"{name}_weight", *int8_per_filter(w * k.reshape(-1, 1, 1, 1)))
        bias = self.g.constant(f"{name}_bias", (n["bias"] - n["mean"] * k).astype(np.float32))
        y = self.g.conv(x.name, weight, f"{name}_conv", kernel=w.shape[2], stride=stride, bias=bias, groups=groups)
        return Value(y, len(w), 0.0, 1.01)

    def uint8(self, x: Value, name: str, zero: int) -> Value:
        """x as uint8 up to four times its size, and back. zero: the zero point, 0 for what is never negative."""
        limit = 4 * math.sqrt(x.square)
        y = self.g.quantize(x.name, name, limit / (255 - zero), np.array(zero, np.uint8))
        return Value(y, x.channels, x.mean, x.square)
