"""Which share of weights and of inputs has each of three values, against a third each.

A third each is what "Revisiting ternary neural networks towards asymmetric thresholds and uniform distribution" (2023)
aims at, section 3.3: three values hold the most information, log2(3) bits, where all are equally frequent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from torch import nn

from ..quantizers.prepare import quantized_layers
from ..training.measure import shares
from .section import NotApplicable

MOST_BITS = log2(3)


@dataclass(frozen=True)
class Shares:
    """Of all values: those below zero, zeros, those above. Together 1."""

    negative: float
    zero: float
    positive: float

    @property
    def bits(self) -> float:
        """The entropy of a value, at most MOST_BITS."""
        return -sum(p * log2(p) for p in (self.negative, self.zero, self.positive) if p > 0)

    @property
    def off(self) -> float:
        """How far the share that is farthest from a third is from it."""
        return max(abs(p - 1 / 3) for p in (self.negative, self.zero, self.positive))


@dataclass(frozen=True)
class LayerShares:
    """weights, inputs: None where they do not have three values, or are not known."""

    name: str
    weights: Shares | None
    inputs: Shares | None


@dataclass(frozen=True)
class ThreeValues:
    layers: tuple[LayerShares, ...]


def three_values(model: nn.Module, inputs: Mapping[str, Shares]) -> ThreeValues | NotApplicable:
    """inputs: of layers, by name, as far as they were measured."""
    weights, found = shares(model), []
    for name, layer in quantized_layers(model):
        of_weights = of_inputs = None
        if layer.weight_quantizer is not None and layer.weight_quantizer.ternary:
            of_weights = Shares(*(weights[name].get(code, 0.0) for code in (-1, 0, 1)))
        if layer.input_quantizer is not None and layer.input_quantizer.ternary:
            of_inputs = inputs.get(name)
        if of_weights is not None or of_inputs is not None:
            found.append(LayerShares(name, of_weights, of_inputs))
    if not found:
        return NotApplicable("No layer has weights or inputs of the three values -1, 0 and 1.")
    return ThreeValues(tuple(found))
