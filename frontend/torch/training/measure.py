"""What is measured of a model while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..quantizers.prepare import quantized_layers
from .data import Batch
from .distillation import Loss

Metric = Callable[[Iterable[tuple[Any, Any]]], float]
"""A number for all test data, from the outputs and the targets of each batch."""


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters are; the CPU where it has none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@torch.no_grad()
def predictions(model: nn.Module, batches: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
    """A model's outputs of each batch and its targets, on the CPU, without gradients. The model is in evaluation mode
    meanwhile, and then again in the one before."""
    training, device = model.training, device_of(model)
    model.eval()
    try:
        for inputs, targets in batches:
            yield tree_map(torch.Tensor.cpu, (model(inputs.to(device)), targets))
    finally:
        model.train(training)


def accuracy(model: nn.Module, batches: Iterable[Batch]) -> float:
    """The share of inputs whose largest logit is the target's, in evaluation mode; the model's mode stays."""
    return _share_right(predictions(model, batches))


def metric_of(loss: Loss | None, metric: Metric | None) -> tuple[str, Metric]:
    """What a run measures on its test data, and the name of it: the metric itself; without one the accuracy, or, of a
    loss that is no classification's, its mean over the batches."""
    if metric is not None:
        return getattr(metric, "__name__", "metric"), metric
    return ("accuracy", _share_right) if loss is None else ("loss", _mean_of(loss))


def _share_right(found: Iterable[tuple[Any, Any]]) -> float:
    right, count = 0, 0
    for logits, targets in found:
        right += int((logits.argmax(1) == targets).sum())
        count += len(targets)
    return right / max(count, 1)


def _mean_of(loss: Loss) -> Metric:
    def mean(found: Iterable[tuple[Any, Any]]) -> float:
        values = [loss(outputs, targets).item() for outputs, targets in found]
        return sum(values) / max(len(values), 1)

    return mean


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
