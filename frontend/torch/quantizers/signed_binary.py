"""Weights of which each region holds zeros and one sign."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .base import WeightQuantizer, per_filter, trained
from .straight_through import straight_through

SMALLEST = 1e-12
"""No deviation is taken for less."""
Regions = Literal["filters", "slices"]


class SignedBinary(WeightQuantizer):
    """Weights 0 and a, or 0 and -a: the sign belongs to a region, is set before training and never changes.

    Source: S. Kuhar, Y. Jain, A. Tumanov, "Signed binarization: unlocking efficiency through repetition-sparsity
    trade-off" (2023), section 4: threshold 0.05 max|W| of the filter, half of the regions of either sign.
    The gradient is the error decay estimator of H. Qin et al., "IR-Net" (2020), equations 9 to 11,
    k t (1 - tanh^2(t u)), centred on the threshold: u is the distance from it in deviations of the filter, t grows from
    0.1 to 10 while training goes on, and k = max(1 / t, 1).
    """

    latent_rate, ternary = 100.0, True
    sign: Tensor
    sharpness: Tensor
    scale: nn.Parameter

    def __init__(self, *, threshold: float = 0.05, regions: Regions = "filters", share: float = 0.5) -> None:
        """regions: whole filters, or their slices: what one filter has for one input channel. share: of the regions,
        those whose sign is positive."""
        super().__init__()
        self.threshold, self.regions, self.share = threshold, regions, share
        self.register_buffer("sharpness", torch.tensor(0.1))

    @torch.no_grad()
    def fit(self, tensor: Tensor) -> SignedBinary:
        """Regions with the largest means become positive. Of linear layers a slice would be one weight, so their
        regions are always filters."""
        slices = self.regions == "slices" and tensor.dim() > 2
        means = tensor.flatten(2).mean(2) if slices else tensor.flatten(1).mean(1)[None]
        rank = means.argsort(1).argsort(1)
        sign = torch.where(rank >= round((1 - self.share) * means.shape[1]), 1.0, -1.0)
        sign = sign.reshape(*sign.shape, *[1] * (tensor.dim() - 2)) if slices else per_filter(sign[0], tensor)
        self.register_buffer("sign", sign)
        codes = self.codes(tensor)
        size = (tensor * codes).flatten(1).sum(1) / codes.abs().flatten(1).sum(1).clamp(min=1)
        self.scale = trained(size)
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        distance, codes = self._distance(tensor)
        deviation = per_filter(tensor.detach().flatten(1).std(1, correction=0).clamp(min=SMALLEST), tensor)
        t = self.sharpness
        surrogate = torch.clamp(1 / t, min=1) * deviation * torch.tanh(t * distance / deviation) * self.sign
        return per_filter(self.scale, tensor) * straight_through(surrogate, codes)

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        return self._distance(weight)[1].to(torch.int8)

    def progress(self, fraction: float) -> None:
        self.sharpness.fill_(10 ** (2 * fraction - 1))

    def _move_thresholds(self, factor: float) -> bool:
        self.threshold *= factor
        return True

    def _distance(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """How far each weight is above the threshold of its filter, and the codes, floats."""
        limit = self.threshold * per_filter(weight.detach().abs().flatten(1).amax(1), weight)
        distance = weight * self.sign - limit
        return distance, (distance > 0).to(weight.dtype) * self.sign
