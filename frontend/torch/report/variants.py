"""The same network with fewer or more zeros in its weights: copies, the model itself stays."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

from ..quantizers.prepare import quantized_layers
from ..training.recipe import Part

M = TypeVar("M", bound=nn.Module)
ATTRIBUTE: dict[Part, str] = {"weights": "weight_quantizer", "inputs": "input_quantizer"}


@torch.no_grad()
def without_zeros(model: M) -> M:
    """A copy whose zero weights have the value of their latent weight's sign. In place of quantizers of weights it has
    what they gave, so that it computes and compiles, but is not for training."""
    made = deepcopy(model)
    for _, layer in quantized_layers(made):
        if (quantizer := layer.weight_quantizer) is not None and quantizer.enabled:
            codes = quantizer.codes(layer.weight)
            filled = torch.where(codes == 0, quantizer.signs(layer.weight), codes)
            layer.weight.copy_(quantizer.values(filled, layer.weight))
            layer.weight_quantizer = None
    return made


def with_thresholds(model: M, factor: float, part: Part = "weights", only: str | None = None) -> M:
    """A copy whose thresholds are `factor` times as far from zero: of weights or of inputs, in all layers that have
    such thresholds or in one."""
    made = deepcopy(model)
    for name, layer in quantized_layers(made):
        quantizer = getattr(layer, ATTRIBUTE[part])
        if quantizer is not None and only in (None, name):
            setattr(layer, ATTRIBUTE[part], quantizer.with_thresholds(factor) or quantizer)
    return made


def movable(model: nn.Module, part: Part) -> list[str]:
    """The layers with thresholds that can be moved."""
    found = []
    for name, layer in quantized_layers(model):
        quantizer = getattr(layer, ATTRIBUTE[part])
        if quantizer is not None and quantizer.enabled and quantizer.with_thresholds(1.0) is not None:
            found.append(name)
    return found
