"""Few-bit integers with a trained step."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from .base import FirstBatchQuantizer, WeightQuantizer, trained
from .straight_through import scaled_gradient, straight_through

SMALLEST = 1e-6
"""No step is shorter: a division by it would overflow."""


def lsq(x: Tensor, step: Tensor, least: int, most: int) -> Tensor:
    """step * round(clip(x / step, least, most)): equations 1 and 2; its gradients are equations 3 and 5."""
    scaled = (x / step).clamp(least, most)
    return step * straight_through(scaled, scaled.round())


def first_step(size: Tensor, most: int) -> Tensor:
    """The step at the start, for tensors of a mean magnitude (section 2.1)."""
    return (2 * size / sqrt(most)).clamp(min=SMALLEST)


class LSQWeights(WeightQuantizer):
    """Weights of 2 to 8 bits, signed, one trained step a layer.

    Source: S. K. Esser et al., "Learned step size quantization" (2020), sections 2 to 2.2.
    """

    def __init__(self, bits: int, *, narrow: bool = True) -> None:
        """narrow: without the smallest integer, so that the others are symmetric; 2 bits are ternary then."""
        super().__init__()
        self.bits, self.most = _checked(bits), 2 ** (bits - 1) - 1
        self.least = -self.most - (not narrow)
        self.ternary = (self.least, self.most) == (-1, 1)
        self.step = trained(1.0)

    def fit(self, tensor: Tensor) -> LSQWeights:
        self.step = trained(first_step(tensor.detach().abs().mean(), self.most))
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        step = scaled_gradient(self.step, 1 / sqrt(tensor.numel() * self.most))
        return lsq(tensor, step, self.least, self.most)

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        return (weight / self.step).clamp(self.least, self.most).round().to(torch.int8)

    @torch.no_grad()
    def constrain(self) -> None:
        self.step.clamp_(min=SMALLEST)


class LSQActivations(FirstBatchQuantizer):
    """Activations of 2 to 8 bits, one trained step a layer, which the first batch of the training sets.

    Source: as LSQWeights.
    """

    def __init__(self, bits: int, *, signed: bool = False) -> None:
        """signed: for inputs that may be negative; else negative ones become 0."""
        super().__init__()
        self.bits = _checked(bits)
        self.least, self.most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        self.step = trained(1.0)

    def quantize(self, tensor: Tensor) -> Tensor:
        if self.training:
            self.set_first(first_step(tensor.detach().abs().mean().float(), self.most), self.step)
        step = scaled_gradient(self.step, 1 / sqrt(max(tensor[0].numel(), 1) * self.most))
        return lsq(tensor, step, self.least, self.most)

    @torch.no_grad()
    def constrain(self) -> None:
        self.step.clamp_(min=SMALLEST)


def _checked(bits: int) -> int:
    if not 2 <= bits <= 8:
        raise ValueError(f"LSQ: expected 2 to 8 bits, got {bits}")
    return bits
