"""Weights of two values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import WeightQuantizer, per_filter, trained
from .straight_through import straight_through


class Binary(WeightQuantizer):
    """Weights -a and a, with a trained scale a of each filter that starts at mean|W|.

    Source: M. Rastegari et al., "XNOR-Net" (2016), section 3.1, equation 6 for the scale at the start; the gradient is
    the identity's where |W| <= 1, as in M. Courbariaux et al., "Binarized neural networks" (2016), section 1.3.
    """

    latent_rate = 20.0
    scale: nn.Parameter

    def fit(self, tensor: Tensor) -> Binary:
        self.scale = trained(tensor.detach().abs().flatten(1).mean(1))
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        signs = torch.where(tensor >= 0, 1.0, -1.0)
        return per_filter(self.scale, tensor) * straight_through(tensor.clamp(-1, 1), signs)

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        return torch.where(weight >= 0, 1, -1).to(torch.int8)
