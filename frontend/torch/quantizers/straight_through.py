"""How a quantizer has a gradient: the value of a step function, the derivative of a smooth one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(surrogate: Tensor, value: Tensor) -> Tensor:
    """`value` exactly, to the bit, with the gradient of `surrogate`; both of the same shape.

    Source: Y. Bengio, N. Leonard, A. Courville, "Estimating or propagating gradients through stochastic neurons"
    (2013), section 4. The usual `surrogate + (value - surrogate).detach()` rounds, and quantized values would differ
    from their levels in the last bits.
    """
    return _StraightThrough.apply(surrogate, value.detach().to(surrogate.dtype))  # type: ignore[no-any-return]


def scaled_gradient(x: Tensor, scale: float) -> Tensor:
    """x, whose gradient is multiplied by `scale`."""
    return straight_through(x * scale, x)
