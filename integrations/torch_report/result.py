"""What a report found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...frontend.torch.report import (
    InputSparsity,
    NotApplicable,
    RegionSigns,
    SparsityHistory,
    ThreeValues,
    ThresholdSensitivity,
)
from .worth import SparsityWorth


@dataclass(frozen=True)
class Report:
    """An answer to each question, or why there is none.

    model: its name. layers, weights: how many are quantized. density: the share of quantized weights that are not 0.
    samples: of the test batches, 0 without. accuracy: on them.
    """

    model: str
    layers: int
    weights: int
    density: float
    samples: int
    accuracy: float | None
    thresholds: ThresholdSensitivity | NotApplicable
    training: SparsityHistory | NotApplicable
    worth: SparsityWorth | NotApplicable
    inputs: InputSparsity | NotApplicable
    values: ThreeValues | NotApplicable
    regions: RegionSigns | NotApplicable

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for json.dump; shares, seconds and bytes throughout."""
        return asdict(self)
