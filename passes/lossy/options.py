"""What a user asks of the lossy passes."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.errors import InputError
from .activations import ACTIVATIONS
from .methods import METHODS
from .regions import parse_regions
from .signs import ASSIGNMENTS, Assignment

KEEP, SIGNED_BINARY = "keep", "signed-binary"
WEIGHTS = (KEEP, *METHODS, SIGNED_BINARY)
PER = ("tensor", "channel")
FITS = ("weights", "outputs")
CORRECTIONS = ("none", "bias", "moments")


@dataclass(frozen=True)
class LossyOptions:
    """weights: one of WEIGHTS. per: what shares scales. keep: layers that stay, see `weight_layers`. ends: change the
    first and last layers too. threshold: TTQ's t, in units of the largest magnitude (default: that of least error).
    regions, assign: for signed-binary, see `parse_regions` and `ASSIGNMENTS`. activations: `keep` or one of
    ACTIVATIONS, for the inputs of changed layers and of those whose weights were few-bit before.

    With calibration data, fit: what codes and scales are fitted to; correct: what is matched to the float network for
    each output channel of a changed layer: nothing, its mean, or mean and standard deviation.
    Raises InputError for values that do not exist or do not go together.
    """

    weights: str = KEEP
    per: str = "channel"
    keep: tuple[str, ...] = ()
    ends: bool = False
    threshold: float | None = None
    regions: str = "filter"
    assign: Assignment = "free"
    activations: str = KEEP
    fit: str = "outputs"
    correct: str = "moments"

    def __post_init__(self) -> None:
        choices = (
            ("weights", self.weights, WEIGHTS),
            ("per", self.per, PER),
            ("assign", self.assign, ASSIGNMENTS),
            ("activations", self.activations, (KEEP, *ACTIVATIONS)),
            ("fit", self.fit, FITS),
            ("correct", self.correct, CORRECTIONS),
        )
        for name, value, known in choices:
            if value not in known:
                raise InputError(f"{name}: there is no '{value}'", hint=f"one of: {', '.join(known)}")
        if self.threshold is not None:
            if self.weights != "ttq":
                raise InputError("threshold: only for weights 'ttq'", hint="leave it out; others choose their own")
            if not 0 <= self.threshold < 1:
                raise InputError(f"threshold: expected a number from 0 to 1, got {self.threshold}")
        parse_regions(self.regions)
        if self.weights == KEEP and self.activations == KEEP and (self.keep or self.ends):
            raise InputError("nothing is changed, so no layer can be kept", hint="say which --weights to make")

    @property
    def lossy(self) -> bool:
        return self.weights != KEEP or self.activations != KEEP
