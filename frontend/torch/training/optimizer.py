"""The optimizer of a recipe: parameters in groups, and the learning rate of each step."""

from __future__ import annotations

from math import cos, pi

import torch
from torch import nn

from ..quantizers.prepare import quantized_layers
from .recipe import Recipe, Stage


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with a group for each kind of parameter, whose key `factor` multiplies the rate.

    Latent weights move by their quantizer's latent_rate, with as much less decay, so that the product of both is the
    same for all; biases, norms, scales and thresholds do not decay.
    """
    latent = {
        layer.weight: layer.weight_quantizer.latent_rate
        for _, layer in quantized_layers(model)
        if layer.weight_quantizer is not None
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        factor = latent.get(parameter, 1.0)
        decay = recipe.weight_decay / factor if parameter.dim() > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    settings = [
        {"params": parameters, "weight_decay": decay, "factor": factor}
        for (factor, decay), parameters in groups.items()
    ]
    return torch.optim.SGD(settings, lr=recipe.stages[0].rate, momentum=recipe.momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def rate_at(step: int, total: int, stage: Stage, recipe: Recipe) -> float:
    """The learning rate of a step of a stage of `total` steps."""
    if step < recipe.warmup:
        return stage.rate * (step + 1) / recipe.warmup
    if recipe.decay == "steps":
        return stage.rate * 0.1 ** ((step >= total // 2) + (step >= total * 3 // 4))
    return stage.rate * 0.5 * (1 + cos(pi * (step - recipe.warmup) / max(total - recipe.warmup, 1)))
