"""The activation function of ternary and binary networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import trained

SLOPE = 0.25


class RPReLU(nn.Module):
    """y = f(x - shift_in) + shift_out, f(u) = u where u > 0, else slope * u; all three trained for each channel.

    Source: Z. Liu et al., "ReActNet" (2020), equation 5. x: [N, channels, ...] or [N, channels].
    """

    def __init__(self, channels: int, slope: float = SLOPE) -> None:
        super().__init__()
        self.shift_in, self.shift_out = trained(torch.zeros(channels)), trained(torch.zeros(channels))
        self.slope = trained(torch.full((channels,), slope))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.dim() - 2))
        return nn.functional.prelu(x - self.shift_in.reshape(shape), self.slope) + self.shift_out.reshape(shape)
