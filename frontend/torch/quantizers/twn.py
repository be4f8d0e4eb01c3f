"""Ternary weights with a fixed rule."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import WeightQuantizer, per_filter
from .straight_through import straight_through

SHARE = 0.7  # section 2.2: of the mean magnitude, the best threshold for normal and for uniform weights, about


class TWN(WeightQuantizer):
    """Ternary weight networks: threshold 0.7 mean|W|, scale the mean of |W| above it, for a layer or each filter.

    Source: F. Li, B. Liu, "Ternary weight networks" (2016), equations 3, 5 and 6. The gradient goes through the
    ternarization as through an identity (section 2.3), and not into threshold and scale, which follow the weights.
    """

    ternary = True

    def __init__(self, *, filters: bool = False, share: float = SHARE) -> None:
        """filters: a threshold and a scale for each filter, not for the layer. share: of the mean magnitude, the
        threshold."""
        super().__init__()
        self.filters, self.share = filters, share

    def quantize(self, tensor: Tensor) -> Tensor:
        size = tensor.detach().abs().flatten(1) if self.filters else tensor.detach().abs().reshape(1, -1)
        mean = size.mean(1, keepdim=True)
        above = size > self.share * mean
        scale = torch.where(above, size, 0).sum(1) / above.sum(1).clamp(min=1)
        threshold, scale = (per_filter(v.flatten(), tensor) for v in (self.share * mean, scale))
        codes = (tensor > threshold).to(tensor.dtype) - (tensor < -threshold).to(tensor.dtype)
        return straight_through(tensor, scale * codes)

    def _move_thresholds(self, factor: float) -> bool:
        """The scale follows: it is the mean of what is above the threshold."""
        self.share *= factor
        return True
