"""Ternary weights with two trained scales."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import WeightQuantizer, trained
from .straight_through import straight_through


class TTQ(WeightQuantizer):
    """Trained ternary quantization: values -Wn, 0 and Wp, both scales of the layer trained.

    Source: C. Zhu, S. Han, H. Mao, W. J. Dally, "Trained ternary quantization" (2017): values equation 6, threshold
    t * max|W| equation 9, gradients of the scales equation 7 (the sum over the weights that have the scale), of the
    latent weights equation 8 (the gradient times Wp, 1 or Wn, by region).
    Scales start near 1, in the ratio of the mean magnitudes: with the magnitudes themselves, which are small, latent
    weights would hardly move. A batch norm behind the layer takes up the common factor.
    """

    latent_rate, ternary = 10.0, True

    def __init__(self, *, threshold: float = 0.05, sparsity: float | None = None) -> None:
        """threshold: t, of the largest magnitude. sparsity: instead of it, the share of weights that are 0, kept for
        each layer (section 4, "constant sparsity")."""
        super().__init__()
        if not 0 <= threshold < 1 or not (sparsity is None or 0 <= sparsity < 1):
            raise ValueError(f"TTQ: expected a share from 0 to below 1, got {threshold=}, {sparsity=}")
        self.threshold, self.sparsity = threshold, sparsity
        self.positive, self.negative = trained(1.0), trained(1.0)

    def fit(self, tensor: Tensor) -> TTQ:
        weight = tensor.detach()
        positive, negative = self._regions(weight)
        means = [weight[r].abs().mean() if r.any() else weight.new_tensor(1.0) for r in (positive, negative)]
        both = weight[positive | negative].abs().mean() if (positive | negative).any() else weight.new_tensor(1.0)
        self.positive, self.negative = (trained(mean / both) for mean in means)
        return self

    def quantize(self, tensor: Tensor) -> Tensor:
        regions = self._regions(tensor.detach())
        positive, negative = (region.to(tensor.dtype) for region in regions)
        scaled = self.positive * positive - self.negative * negative
        rate = torch.where(regions[0], self.positive, torch.where(regions[1], self.negative, 1.0)).detach()
        return straight_through(scaled + tensor * rate, scaled)

    @torch.no_grad()
    def values(self, codes: Tensor, weight: Tensor) -> Tensor:
        return torch.where(codes > 0, self.positive, self.negative) * codes

    def _move_thresholds(self, factor: float) -> bool:
        """Of a constant sparsity the threshold follows, and cannot be moved."""
        self.threshold *= factor
        return self.sparsity is None

    def _regions(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Which weights become Wp, and which -Wn, bool."""
        if self.sparsity is None:
            limit = self.threshold * weight.abs().max()
        else:
            size = weight.abs().flatten()
            zeros = round(self.sparsity * size.numel())
            limit = size.kthvalue(zeros).values if zeros else size.new_tensor(0.0)
        return weight > limit, weight < -limit
