"""Ternary weights and activations with two trained thresholds each.

Source: "Revisiting ternary neural networks towards asymmetric thresholds and uniform distribution" (2023): normalising
equation 9 (which prints a factor Z too much), probabilities equation 7, values equation 8.
Read of equation 7: p- = clip(z / (2 dn), 0, 1), since dn < 0; as printed it is 0 for every negative z.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Quantizer, WeightQuantizer, trained
from .straight_through import straight_through

UNIFORM = 0.5 / 0.43
"""Brings the third of a normal distribution that is nearest to its mean, 0.43 deviations, between -0.5 and 0.5."""
LEAST = 0.02
"""No threshold comes nearer to 0: its sign, and a division by it, would be lost."""
SMALLEST = 1e-12
"""No deviation is taken for less."""
MOMENTUM = 0.1
"""The share of a batch in the averages for evaluation."""


def bi_ste(z: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """-1 where z <= lower, 1 where z >= upper, else 0; lower < 0 < upper, scalars. Shape and dtype of z.

    These are the values of the stochastic ternarization where its probability is at least one half. The gradient is
    that of its expectation, clip(z / (2 upper), 0, 1) - clip(z / (2 lower), 0, 1), for z and both thresholds.
    """
    expected = (z / (2 * upper)).clamp(0, 1) - (z / (2 * lower)).clamp(0, 1)
    passed = (z > lower).to(z.dtype) + (z >= upper).to(z.dtype)  # thresholds that all rise: passes make one of them
    return straight_through(expected, passed - 1)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of all elements."""
    deviation, mean = torch.std_mean(x, correction=0)
    return mean, deviation


def _normalised(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Elements that are all alike become 0."""
    return (x - mean) / deviation.clamp(min=SMALLEST)


class _Thresholds(nn.Module):
    """gamma, and the thresholds for what is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.upper, self.lower = trained(1.0), trained(0.5), trained(-0.5)

    def forward(self, z: Tensor) -> Tensor:
        return bi_ste(self.gamma * UNIFORM * z, self.upper, self.lower)

    @torch.no_grad()
    def constrain(self) -> None:
        self.upper.clamp_(min=LEAST)
        self.lower.clamp_(max=-LEAST)

    def move(self, factor: float) -> None:
        """Multiplies both."""
        self.upper.mul_(factor)
        self.lower.mul_(factor)


class AsymmetricWeights(WeightQuantizer):
    """Weights -a, 0 and a: normalised by the mean and deviation of the layer, through which gradients go, and compared
    with two trained thresholds; the scale a is trained too."""

    ternary = True

    def __init__(self) -> None:
        super().__init__()
        self.thresholds, self.scale = _Thresholds(), trained(1.0)

    @torch.no_grad()
    def fit(self, tensor: Tensor) -> AsymmetricWeights:
        """The scale at the start is the one of the least squared error."""
        codes, centred = self.codes(tensor), tensor - tensor.mean()
        self.scale = trained((centred * codes).sum() / codes.abs().sum().clamp(min=1))
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        return self.scale * self._ternary(tensor)

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        return self._ternary(weight).to(torch.int8)

    def signs(self, weight: Tensor) -> Tensor:
        return super().signs(weight - weight.mean())

    def constrain(self) -> None:
        self.thresholds.constrain()

    def _move_thresholds(self, factor: float) -> bool:
        self.thresholds.move(factor)
        return True

    def _ternary(self, weight: Tensor) -> Tensor:
        return self.thresholds(_normalised(weight, *_statistics(weight)))


class AsymmetricActivations(Quantizer):
    """Activations -1, 0 and 1: normalised by the mean and deviation of the whole layer and compared with two trained
    thresholds. Training takes those of the batch, which count as constants for the gradient, and averages them for
    evaluation, as a batch norm does. A batch norm or scale behind the next layer takes up the size of the values."""

    ternary = True
    mean: Tensor
    deviation: Tensor
    batches: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.thresholds = _Thresholds()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("batches", torch.zeros(()))

    def quantize(self, tensor: Tensor) -> Tensor:
        mean, deviation = self._of_batch(tensor) if self.training else (self.mean, self.deviation)
        return self.thresholds(_normalised(tensor, mean, deviation))

    @torch.no_grad()
    def _of_batch(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = _statistics(tensor.to(self.mean.dtype))
        share = torch.where(self.batches == 0, 1.0, MOMENTUM).to(self.mean.dtype)
        self.mean.lerp_(mean, share)
        self.deviation.lerp_(deviation, share)
        self.batches += 1
        return mean, deviation

    def constrain(self) -> None:
        self.thresholds.constrain()

    def _move_thresholds(self, factor: float) -> bool:
        self.thresholds.move(factor)
        return True

    @torch.no_grad()
    def levels(self) -> tuple[float, float]:
        """Between which activations become 0: gamma, mean and deviation folded into the two thresholds."""
        step = self.deviation / (self.thresholds.gamma * UNIFORM)
        lower, upper = (float(self.mean + step * t) for t in (self.thresholds.lower, self.thresholds.upper))
        return lower, upper
