"""Activations with trained thresholds of any distance and levels of equal distance."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import FirstBatchQuantizer, trained
from .lsq import SMALLEST, first_step
from .straight_through import straight_through


class N2UQ(FirstBatchQuantizer):
    """Activations 0, 1, .. 2^bits - 1 times a trained scale: as many as thresholds are passed. What is compiled are
    the thresholds, folded into the integer sums before, and the integers.

    Source: Z. Liu et al., "Nonuniform-to-uniform quantization" (2022), section 3.2. Intervals of trained lengths a_i
    follow each other from a trained start; the threshold is the middle of an interval. The gradient is that of the
    expectation of the stochastic quantizer, sum_i clip((x - start_i) / a_i, 0, 1) (G-STE, equations 9 to 11).
    The first batch of the training sets lengths and scale, equal ones, as LSQ would.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if not 1 <= bits <= 4:
            raise ValueError(f"N2UQ: expected 1 to 4 bits, got {bits}")
        self.bits, self.most = bits, 2**bits - 1
        self.start, self.scale = trained(0.0), trained(1.0)
        self.lengths = trained(torch.ones(self.most))

    def quantize(self, tensor: Tensor) -> Tensor:
        if self.training:
            step = first_step(tensor.detach().abs().mean().float(), self.most)
            self.set_first(step, self.lengths, self.scale)
        begins = self.start + self.lengths.cumsum(0) - self.lengths
        surrogate, passed = torch.zeros_like(tensor), torch.zeros_like(tensor)
        for begin, length in zip(begins.unbind(), self.lengths.unbind(), strict=True):
            surrogate = surrogate + ((tensor - begin) / length).clamp(0, 1)
            passed = passed + (tensor >= begin + length / 2).to(tensor.dtype)
        return self.scale * straight_through(surrogate, passed)

    @torch.no_grad()
    def constrain(self) -> None:
        self.lengths.clamp_(min=SMALLEST)

    @torch.no_grad()
    def _move_thresholds(self, factor: float) -> bool:
        self.start.mul_(factor)
        self.lengths.mul_(factor)
        return True

    @torch.no_grad()
    def thresholds(self) -> Tensor:
        """Ascending, float32 [2^bits - 1]."""
        return self.start + self.lengths.cumsum(0) - self.lengths / 2
