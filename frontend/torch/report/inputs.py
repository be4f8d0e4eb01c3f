"""What quantized layers read: how much of it is zero, and how many products are left when zeros of weights and inputs
are both skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ..quantizers.layers import QuantizedLayer
from ..quantizers.prepare import quantized_layers
from ..training.data import Batch
from ..training.measure import accuracy
from .section import NO_LAYERS, NotApplicable
from .shares import Shares


@dataclass(frozen=True)
class LayerInputs:
    """values: by sign, what the layer reads after its quantizer. quantizer: its class, "" where inputs stay float.
    weights: the share of nonzero weights. products: of a dense layer's, the share with two nonzero factors; zeros of
    the padding count neither here nor there."""

    name: str
    quantizer: str
    values: Shares
    weights: float
    products: float


@dataclass(frozen=True)
class InputSparsity:
    """zeros, products: of all layers together, weighted by their sizes. samples: how many the test batches held.
    accuracy: on them."""

    layers: tuple[LayerInputs, ...]
    zeros: float
    products: float
    samples: int
    accuracy: float


@dataclass
class _Counts:
    negative: int = 0
    zero: int = 0
    positive: int = 0
    products: int = 0
    dense: int = 0
    weights: Tensor = field(default_factory=lambda: torch.empty(0))


def input_sparsity(model: nn.Module, test: Iterable[Batch]) -> InputSparsity | NotApplicable:
    """Counts on the test batches, in evaluation mode."""
    found = dict(quantized_layers(model))
    counts = {name: _Counts(weights=layer.quantized_weight().detach() != 0) for name, layer in found.items()}
    if not counts:
        return NO_LAYERS
    samples = 0

    def counted() -> Iterable[Batch]:
        nonlocal samples
        for batch in test:
            samples += len(batch[1])
            yield batch

    hooks = [layer.register_forward_pre_hook(partial(_count, counts[name])) for name, layer in found.items()]
    try:
        right = accuracy(model, counted())
    finally:
        for hook in hooks:
            hook.remove()
    layers = tuple(_layer(name, layer, counts[name]) for name, layer in found.items() if counts[name].dense)
    if not layers:
        return NotApplicable("The test batches did not reach any layer with quantizers.")
    zeros = sum(c.zero for c in counts.values()) / sum(c.negative + c.zero + c.positive for c in counts.values())
    products = sum(c.products for c in counts.values()) / sum(c.dense for c in counts.values())
    return InputSparsity(layers, zeros, products, samples, right)


@torch.no_grad()
def _count(counts: _Counts, layer: QuantizedLayer, inputs: tuple[Tensor, ...]) -> None:
    x = layer.quantized_input(inputs[0].detach())
    counts.negative += int((x < 0).sum())
    counts.positive += int((x > 0).sum())
    counts.zero += int((x == 0).sum())
    counts.products += _products(layer, x != 0, counts.weights)
    counts.dense += _products(layer, torch.ones_like(x), torch.ones_like(counts.weights))


def _products(layer: QuantizedLayer, x: Tensor, weights: Tensor) -> int:
    """How many products of a layer have two factors that are 1. Each output's number is exact in float32."""
    x, weights = x.float(), weights.to(x.device).float()
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        sums = layer._conv_forward(x, weights, None)
    else:
        sums = nn.functional.linear(x, weights)
    return int(sums.double().sum())


def _layer(name: str, layer: QuantizedLayer, counts: _Counts) -> LayerInputs:
    values = (counts.negative, counts.zero, counts.positive)
    quantizer = "" if layer.input_quantizer is None else type(layer.input_quantizer).__name__
    density = int(counts.weights.sum()) / counts.weights.numel()
    return LayerInputs(
        name, quantizer, Shares(*(n / sum(values) for n in values)), density, counts.products / counts.dense
    )
