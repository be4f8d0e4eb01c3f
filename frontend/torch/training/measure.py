"""What is measured of a model while it is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..quantizers.prepare import quantized_layers
from .data import Batch


@torch.no_grad()
def accuracy(model: nn.Module, batches: Iterable[Batch]) -> float:
    """The share of inputs whose largest logit is the target's, in evaluation mode; the model's mode stays."""
    training, right, count = model.training, 0, 0
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    model.eval()
    try:
        for inputs, targets in batches:
            right += int((model(inputs.to(device)).argmax(1) == targets.to(device)).sum())
            count += len(targets)
    finally:
        model.train(training)
    return right / max(count, 1)


@torch.no_grad()
def shares(model: nn.Module) -> dict[str, dict[int, float]]:
    """Of each layer with quantized weights: which share of them has each code."""
    found = {}
    for name, layer in quantized_layers(model):
        if layer.weight_quantizer is not None:
            codes, counts = layer.weight_quantizer.codes(layer.weight).unique(return_counts=True)
            found[name] = {int(c): int(n) / layer.weight.numel() for c, n in zip(codes, counts, strict=True)}
    return found


@torch.no_grad()
def density(model: nn.Module) -> float:
    """The share of quantized weights that are not 0; 1 where none is quantized."""
    sizes, found = {name: layer.weight.numel() for name, layer in quantized_layers(model)}, shares(model)
    zeros = sum(sizes[name] * codes.get(0, 0.0) for name, codes in found.items())
    total = sum(sizes[name] for name in found)
    return 1 - zeros / total if total else 1.0
