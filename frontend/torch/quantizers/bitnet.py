"""Ternary weights and 8-bit activations of large language models.

Source: S. Ma et al., "The era of 1-bit LLMs: all large language models are in 1.58 bits" (2024), section 2.
"""

from __future__ import annotations

from torch import Tensor

from .base import Quantizer, WeightQuantizer
from .straight_through import straight_through

SMALLEST = 1e-5
MOST = 127


class AbsMeanWeights(WeightQuantizer):
    """BitNet b1.58: weights -g, 0 and g with g = mean|W| of the layer, round(clip(W / g, -1, 1)) (equations 1 to 3).
    The gradient is the identity's."""

    ternary = True

    def quantize(self, tensor: Tensor) -> Tensor:
        scale = tensor.detach().abs().mean().clamp(min=SMALLEST)
        return straight_through(tensor, scale * (tensor / scale).clamp(-1, 1).round())


class AbsMaxTokens(Quantizer):
    """8-bit integers with a scale of each token: max|x| over the last axis becomes 127. Its gradient is 1."""

    def quantize(self, tensor: Tensor) -> Tensor:
        step = tensor.detach().abs().amax(-1, keepdim=True).clamp(min=SMALLEST) / MOST
        return straight_through(tensor, step * (tensor / step).round())
