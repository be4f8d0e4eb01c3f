"""The loss: against targets, and against what a teacher says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax

from ....ir.errors import InputError

Loss = Callable[[Any, Any], Tensor]
"""Of a model's outputs and the targets, both as they come: tensors, or tuples, lists and dicts of them."""


def distilled(outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The cross entropy of a model's logits, [N, classes], with a teacher's, both divided by the temperature.

    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network" (2015), section 2.
    """
    probabilities = softmax(taught / temperature, 1)
    return -(probabilities * log_softmax(outputs / temperature, 1)).sum(1).mean() * temperature**2


def loss_of(
    outputs: Any, targets: Any, taught: Any, share: float, temperature: float, loss: Loss | None = None
) -> Tensor:
    """share * distillation + (1 - share) * loss. taught: the teacher's outputs, or None. loss: absent, cross entropy.

    Raises InputError for distillation of outputs that are no logits.
    """
    plain = (loss or cross_entropy)(outputs, targets)
    if taught is None:
        return plain
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        got = list(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise InputError(f"distillation compares logits, [N, classes]: got {got}", hint="train without a teacher")
    return share * distilled(outputs, taught, temperature) + (1 - share) * plain


def frozen(teacher: nn.Module) -> nn.Module:
    """The teacher in evaluation mode, without gradients."""
    return teacher.eval().requires_grad_(False)
