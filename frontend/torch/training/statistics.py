"""Running statistics of a trained model, taken anew.

Quantized weights near a threshold keep changing sides until the last step, and averages that were kept meanwhile belong
to none of the networks passed through: Nagel et al., "Overcoming oscillations in quantization-aware training" (2022),
who take them again from training data when the weights are final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..quantizers.asymmetric import AsymmetricActivations
from .measure import device_of


@torch.no_grad()
def settle(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    called: Callable[[Tensor], Any] | None = None,
    mean: Callable[[Tensor], Tensor] = lambda statistic: statistic,
) -> bool:
    """Takes the statistics of batch norms and of normalised activations anew, in place: the mean over batches of each
    one's own, with the model in evaluation mode otherwise. The model is in evaluation mode after it.

    batches: inputs alone, no labels are needed; those of one sample are left out. called: what runs the model, where it
    is compiled or wrapped. mean: of a statistic over several processes. False where there was nothing to take: no such
    module, or no batch of two samples.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    inputs = [m for m in model.modules() if isinstance(m, AsymmetricActivations) and m.enabled]
    statistics = [s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None]
    statistics += [s for quantizer in inputs for s in (quantizer.mean, quantizer.deviation)]
    sums, count = [torch.zeros_like(s) for s in statistics], 0
    momentum, run = [norm.momentum for norm in norms], model if called is None else called
    model.eval()
    for module in (*norms, *inputs):
        module.train()
    for norm in norms:
        norm.momentum = 1.0  # so that they hold what the last batch has
    try:
        for batch in batches if statistics else ():
            if len(batch) < 2:
                continue
            for quantizer in inputs:
                quantizer.batches.zero_()
            run(batch.to(device_of(model)))
            count += 1
            for total, statistic in zip(sums, statistics, strict=True):
                total += statistic
    finally:
        for norm, before in zip(norms, momentum, strict=True):
            norm.momentum = before
        model.eval()
    for total, statistic in zip(sums, statistics, strict=True):
        if count:
            statistic.copy_(mean(total / count))
    return count > 0
