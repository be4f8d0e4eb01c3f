"""How much depends on where the thresholds are: accuracy and density with others, without training again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from ....ir.errors import InputError
from ..quantizers.prepare import quantized_layers
from ..training.data import Batch
from ..training.measure import accuracy, density, device_of, shares
from ..training.recipe import Part
from ..training.statistics import settle
from .section import NO_LAYERS, NotApplicable
from .variants import ATTRIBUTE, movable, with_thresholds

FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LAYER_FACTORS = (0.5, 2.0)


@dataclass(frozen=True)
class Point:
    """All thresholds of weights, or of inputs, `factor` times as far from zero as trained.

    density: of what they quantize, the share that is not 0. kept: accuracy with everything else as it was trained.
    settled: after the running statistics of norms were taken anew from a batch without labels; None where there are
    none, or the first batch has one sample."""

    factor: float
    density: float
    kept: float
    settled: float | None


@dataclass(frozen=True)
class LayerPoint:
    """The thresholds of one layer's weights alone, everything else as it was trained."""

    name: str
    factor: float
    density: float
    accuracy: float


@dataclass(frozen=True)
class ThresholdSensitivity:
    """weights, inputs: one point for each factor, empty where no threshold can be moved. layers: of weights, layer by
    layer. fixed: layers whose thresholds stayed, since they cannot be moved alone."""

    weights: tuple[Point, ...]
    inputs: tuple[Point, ...]
    layers: tuple[LayerPoint, ...]
    fixed: tuple[str, ...]

    @property
    def trained(self) -> Point:
        """The point of factor 1."""
        return next(point for point in (*self.weights, *self.inputs) if point.factor == 1)


def threshold_sensitivity(
    model: nn.Module,
    test: Iterable[Batch],
    factors: Sequence[float] = FACTORS,
    layer_factors: Sequence[float] = LAYER_FACTORS,
) -> ThresholdSensitivity | NotApplicable:
    """test: gone through twice for each factor, and once for each layer and each of layer_factors. factors: of all
    thresholds; 1 is always among them.

    Raises InputError for a factor that is negative or no number.
    """
    if not all(isfinite(f) and f >= 0 for f in (*factors, *layer_factors)):
        raise InputError(f"factors of thresholds: expected numbers from 0, got {(*factors, *layer_factors)}")
    names = [name for name, _ in quantized_layers(model)]
    if not names:
        return NO_LAYERS
    moved: dict[Part, list[str]] = {"weights": movable(model, "weights"), "inputs": movable(model, "inputs")}
    if not any(moved.values()):
        return NotApplicable(
            "No quantizer of the model has thresholds of its own: those of Binary are at zero, those of LSQ and BitNet "
            "lie half a step from each value, so that they are the scale, and those of a constant sparsity follow from "
            "the weights."
        )
    weights, inputs = (
        tuple(_point(with_thresholds(model, f, part), test, f, part) for f in sorted({1.0, *factors})) if layers else ()
        for part, layers in moved.items()
    )
    layers = tuple(_layer_point(model, test, name, f) for name in moved["weights"] for f in layer_factors)
    fixed = tuple(name for name in names if name not in moved["weights"] and name not in moved["inputs"])
    return ThresholdSensitivity(weights, inputs, layers, fixed)


def _point(moved: nn.Module, test: Iterable[Batch], factor: float, part: Part) -> Point:
    first, _ = next(iter(test))
    found = density(moved) if part == "weights" else _nonzero_inputs(moved, first)
    kept = accuracy(moved, test)
    return Point(factor, found, kept, accuracy(moved, test) if settle(moved, [first]) else None)


def _layer_point(model: nn.Module, test: Iterable[Batch], name: str, factor: float) -> LayerPoint:
    moved = with_thresholds(model, factor, only=name)
    return LayerPoint(name, factor, 1 - shares(moved)[name].get(0, 0.0), accuracy(moved, test))


@torch.no_grad()
def _nonzero_inputs(model: nn.Module, batch: Tensor) -> float:
    """Of all that layers with quantized inputs read of a batch, the share that is not 0."""
    nonzero = total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal nonzero, total
        x = layer.quantized_input(inputs[0])  # type: ignore[operator]
        nonzero, total = nonzero + int((x != 0).sum()), total + x.numel()

    quantized = [layer for _, layer in quantized_layers(model) if getattr(layer, ATTRIBUTE["inputs"]) is not None]
    hooks = [layer.register_forward_pre_hook(count) for layer in quantized]
    model.eval()(batch.to(device_of(model)))
    for hook in hooks:
        hook.remove()
    return nonzero / max(total, 1)
