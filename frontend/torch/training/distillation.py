"""The loss: against targets, and against what a teacher says."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax

Loss = Callable[[Tensor, Tensor], Tensor]


def distilled(outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The cross entropy of a model's logits, [N, classes], with a teacher's, both divided by the temperature.

    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network" (2015), section 2.
    """
    probabilities = softmax(taught / temperature, 1)
    return -(probabilities * log_softmax(outputs / temperature, 1)).sum(1).mean() * temperature**2


def loss_of(
    outputs: Tensor, targets: Tensor, taught: Tensor | None, share: float, temperature: float, loss: Loss | None = None
) -> Tensor:
    """share * distillation + (1 - share) * loss. taught: the teacher's outputs. loss: absent, cross entropy."""
    plain = (loss or cross_entropy)(outputs, targets)
    return plain if taught is None else share * distilled(outputs, taught, temperature) + (1 - share) * plain


def frozen(teacher: nn.Module) -> nn.Module:
    """The teacher in evaluation mode, without gradients."""
    return teacher.eval().requires_grad_(False)
