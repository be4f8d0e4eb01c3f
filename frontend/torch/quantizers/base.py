"""What all quantizers have in common. A quantizer is a module that maps a tensor to one with few values."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

Q = TypeVar("Q", bound="Quantizer")


class Quantizer(nn.Module):
    """A quantizer of weights or of activations. `forward` gives floats of the same shape, which carry gradients.

    As a module of a layer (`Conv1d`, `Conv2d`, `Linear` here), or as a parametrization of a weight of any module:
    `torch.nn.utils.parametrize.register_parametrization(conv, "weight", TTQ().fit(conv.weight))`.
    enabled: without it tensors pass as they are, for training in stages. ternary: whether its values are -1, 0 and 1
    times scales.
    """

    ternary = False

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True

    def fit(self: Q, tensor: Tensor) -> Q:
        """Sets what is trained, and its shapes, from the tensor that is to be quantized (weights; activations have no
        shapes to take). Returns itself."""
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        """The quantized tensor."""
        raise NotImplementedError

    def forward(self, tensor: Tensor) -> Tensor:
        return self.quantize(tensor) if self.enabled else tensor

    def constrain(self) -> None:
        """Moves trained parameters back where they mean something, after each step of an optimizer."""

    def progress(self, fraction: float) -> None:
        """Told how much of the training is done, from 0 to 1, before each step."""

    @torch.no_grad()
    def with_thresholds(self: Q, factor: float) -> Q | None:
        """A copy whose thresholds are `factor` times as far from zero, its trained scales as they are; None where no
        threshold can be moved alone."""
        made = deepcopy(self)
        return made if made._move_thresholds(factor) else None

    def _move_thresholds(self, factor: float) -> bool:
        """Multiplies them; False where none can be moved alone."""
        return False


class FirstBatchQuantizer(Quantizer):
    """A quantizer of activations some of whose parameters the first batch of a training sets."""

    started: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def set_first(self, value: Tensor, *parameters: nn.Parameter) -> None:
        """Gives parameters the value, in the first call of all."""
        for parameter in parameters:
            parameter.copy_(torch.where(self.started, parameter, value))
        self.started.fill_(True)


class WeightQuantizer(Quantizer):
    """A quantizer of weights, [outputs, inputs, ...]. latent_rate: by how much more than other parameters the latent
    weights should be moved by an optimizer."""

    latent_rate = 1.0

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        """The integer of each weight, int8: the quantized weights are these times a scale of the layer or filter, but
        for TTQ, whose positive and negative scales differ."""
        return self.quantize(weight).sign().to(torch.int8)

    @torch.no_grad()
    def values(self, codes: Tensor, weight: Tensor) -> Tensor:
        """The weights that codes stand for: what `quantize` gives for `weight`, had it these codes. A filter without
        any nonzero weight takes the mean scale of the others."""
        quantized, own = self.quantize(weight).flatten(1), self.codes(weight).flatten(1).int()
        least = own.abs().masked_fill(own == 0, torch.iinfo(own.dtype).max).argmin(1, keepdim=True)
        size = own.gather(1, least).squeeze(1)
        scale = quantized.gather(1, least).squeeze(1) / torch.where(size == 0, 1, size)
        known = scale[size != 0].mean() if (size != 0).any() else scale.new_tensor(1.0)
        return per_filter(torch.where(size == 0, known, scale), weight) * codes

    def signs(self, weight: Tensor) -> Tensor:
        """The sign of each weight if none became 0, int8: -1 or 1."""
        return torch.where(weight >= 0, 1, -1).to(torch.int8)


def per_filter(values: Tensor, weight: Tensor) -> Tensor:
    """A value for each filter, [outputs], as it is broadcast over the weights."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))


def trained(value: Tensor | float) -> nn.Parameter:
    """A trained parameter: a copy of a tensor, or a number in torch's default dtype."""
    return nn.Parameter(torch.as_tensor(value).detach().clone())
