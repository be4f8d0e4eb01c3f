"""A question that a model gives no answer to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotApplicable:
    """reason: why, as a sentence."""

    reason: str


NO_LAYERS = NotApplicable("The model has no layers with quantizers: tercet.torch.prepare puts them in.")
NO_WEIGHTS = NotApplicable("The weights of no layer are quantized.")
NO_TEST = NotApplicable("No test batches were given.")
