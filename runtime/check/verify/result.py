"""What `verify` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..compare import Difference
from .layers import LayerCheck

INTERPRETER, ONNXRUNTIME, EXPECTED = "interpreter", "onnxruntime", "expected results"


@dataclass(frozen=True)
class Check:
    """One output compared with one reference.

    subject: whose output: the artifact's, or onnxruntime's where expected results are looked at. samples: how many
    differ. ties: how many of them ties explain. top1: share of samples with the same largest element along the last
    axis, None where that has no two. allowed: whether the difference counts as no failure though it is not explained.
    """

    against: str
    output: str
    difference: Difference
    samples: int = 0
    ties: int = 0
    top1: float | None = None
    allowed: bool = False
    subject: str = "artifact"

    @property
    def ok(self) -> bool:
        return self.difference.ok or self.allowed


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`.

    meaning: whose meaning the artifact was compared with. samples: where the inputs come from. max_mismatch: as asked.
    judged: how many samples were judged step by step. ties: the first few ties in words. distance: of a lossy artifact
    from the model it was made from; "" for others. expected: the verdict on expected results; "" without any. notes:
    what else there is to say.
    """

    artifact: str
    target: str
    threads: int
    rtol: float
    samples: str
    meaning: str
    checks: tuple[Check, ...]
    layers: tuple[LayerCheck, ...] = ()
    judged: int = 0
    ties: tuple[str, ...] = ()
    distance: str = ""
    expected: str = ""
    max_mismatch: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """The exit status: nothing failed, and something was compared."""
        return self.same and all(check.ok for check in self.checks)

    @property
    def same(self) -> bool:
        """Whether the artifact computes what its model means: all checks but those with expected results."""
        checks = [check for check in self.checks if check.against != EXPECTED]
        return bool(checks) and all(part.ok for part in (*checks, *self.layers))

    @property
    def first_diverging(self) -> LayerCheck | None:
        return next((layer for layer in self.layers if not layer.ok), None)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for json.dump; infinite differences are the string "inf"."""
        first = self.first_diverging
        found = {"ok": self.ok, "same": self.same, "first_diverging": first.symbol if first else None}
        checks = [{**asdict(check), "ok": check.ok} for check in self.checks]
        return _finite(asdict(self) | found | {"checks": checks})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
