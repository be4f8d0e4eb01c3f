"""Whether it matters which regions of signed-binary weights are positive: what the latent weights would prefer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..quantizers.prepare import quantized_layers
from ..quantizers.signed_binary import SignedBinary
from .section import NotApplicable


@dataclass(frozen=True)
class LayerRegions:
    """regions: how many, each a whole filter or what a filter has for one input. positive: how many of them are.

    other_by_mean: regions whose latent weights have a mean of the other sign. error, best_error: the squared error of
    the signed-binary weights, over the sum of the squares of the latent ones, with the assignment as it is and with the
    best of all; both with the best scale of each filter. other_by_error: regions in which the two assignments differ.
    """

    name: str
    kind: str
    regions: int
    positive: int
    other_by_mean: int
    other_by_error: int
    error: float
    best_error: float


@dataclass(frozen=True)
class RegionSigns:
    layers: tuple[LayerRegions, ...]


def region_signs(model: nn.Module) -> RegionSigns | NotApplicable:
    layers = [
        _layer(name, layer.weight.detach(), layer.weight_quantizer)
        for name, layer in quantized_layers(model)
        if isinstance(layer.weight_quantizer, SignedBinary)
    ]
    return RegionSigns(tuple(layers)) if layers else NotApplicable("No layer has signed-binary weights.")


@torch.no_grad()
def _layer(name: str, weight: Tensor, quantizer: SignedBinary) -> LayerRegions:
    slices = quantizer.sign.shape[1] > 1
    outputs, count = weight.shape[0], weight.shape[1] if slices else 1
    regions = weight.double().reshape(outputs, count, -1)
    sign = quantizer.sign.double().reshape(-1, quantizer.sign.shape[1]).expand(outputs, count)
    limit = quantizer.threshold * regions.abs().amax((1, 2), keepdim=True)
    sums, sizes = _one_sign(regions, limit, 1), _one_sign(regions, limit, -1)
    best = _best_signs(sums, sizes)
    energy = regions.square().sum().item()
    return LayerRegions(
        name,
        "slices" if slices else "filters",
        sign.numel(),
        int((sign > 0).sum()),
        int((regions.mean(2) * sign < 0).sum()),
        int((best != sign).sum()),
        _error(sums, sizes, sign, energy),
        _error(sums, sizes, best, energy),
    )


def _one_sign(regions: Tensor, limit: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """If every region had the sign: of each, [outputs, regions], the sum of the magnitudes of weights that are not 0
    then, and their number."""
    above = regions * sign > limit
    return torch.where(above, regions * sign, 0).sum(2), above.sum(2).double()


def _error(positive: tuple[Tensor, Tensor], negative: tuple[Tensor, Tensor], sign: Tensor, energy: float) -> float:
    """With the best scale a of each filter: min over a of |w - a c|^2 is |w|^2 - (w c)^2 / (c c)."""
    sums, sizes = (torch.where(sign > 0, p, n).sum(1) for p, n in zip(positive, negative, strict=True))
    return 1 - (sums.square() / sizes.clamp(min=1)).sum().item() / energy if energy else 0.0


def _best_signs(positive: tuple[Tensor, Tensor], negative: tuple[Tensor, Tensor]) -> Tensor:
    """The signs, [outputs, regions], of the least squared error, each filter with a scale of its own.

    With a scale a, a region of sum t and size n lowers the error by 2 a t - a^2 n. For small scales the sign of the
    larger sum is better, from a = 2 (t - t') / (n - n') on the other, if it has fewer weights. So as the scale grows
    the regions change one after the other, and the best of these assignments is the best of all.
    """
    first = positive[0] >= negative[0]
    (sums, sizes), (other_sums, other_sizes) = (
        tuple(torch.where(chosen, p, n) for p, n in zip(positive, negative, strict=True)) for chosen in (first, ~first)
    )
    fewer = sizes - other_sizes
    changes = torch.where(fewer > 0, 2 * (sums - other_sums) / fewer.clamp(min=1), torch.inf)
    order = changes.argsort(1)
    at = [
        torch.cat([now.sum(1, keepdim=True), now.sum(1, keepdim=True) + (then - now).gather(1, order).cumsum(1)], 1)
        for now, then in ((sums, other_sums), (sizes, other_sizes))
    ]
    gains = at[0].square() / at[1].clamp(min=1)
    number = gains.argmax(1, keepdim=True)  # of regions that change
    changed = order.argsort(1) < number
    return torch.where(first ^ changed, 1.0, -1.0).double()
