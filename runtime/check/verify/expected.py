"""Results that came with the inputs: do the artifact and the model itself give them, and whose is the difference?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..compare import Difference, difference, wrong_elements
from .judge import differing
from .remarks import top1
from .result import EXPECTED, Check


def compare_expected(
    have: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    whose: str,
    moved: Mapping[str, np.ndarray],
    rtol: float,
    max_mismatch: float,
) -> tuple[list[Check], str]:
    """A check of the artifact's outputs and one of the model's own (`others`, as `whose` runs it), and the verdict.

    Elements in which the artifact agrees with the model itself, and samples (`moved`, for each output) in which a tie
    went another way, are no difference of the artifact. It fails where there are others, or where more than a share of
    max_mismatch of all elements differ from the expected results, whoever's difference that is.
    """
    checks: list[Check] = []
    verdicts = []
    for name, array in expected.items():
        y, want = have[name], _like(array, have[name])
        found = difference(y, want, rtol)
        if found.problem:
            checks.append(Check(EXPECTED, name, found))
            verdicts.append(f"the expected results for {name} have another {found.problem}")
            continue
        wrong = wrong_elements(y, want, rtol)
        alone = wrong.copy()
        other = others.get(name)
        comparable = other is not None and other.shape == want.shape
        if other is not None and comparable:
            alone &= wrong_elements(y, other, rtol) & ~wrong_elements(other, want, rtol)
        alone[moved[name]] = False
        share = float(wrong.mean()) if wrong.size else 0.0
        allowed = share <= max_mismatch and not alone.any()
        checks.append(_check(name, y, want, found, rtol, allowed=allowed))
        if other is not None and comparable:
            theirs = difference(other, want, rtol)
            checks.append(_check(name, other, want, theirs, rtol, allowed=True, subject=whose))
        verdicts.append(_verdict(name, wrong, int(alone.sum()), whose, share, max_mismatch))
    return checks, "; ".join(verdicts)


def _check(
    name: str,
    y: np.ndarray,
    want: np.ndarray,
    found: Difference,
    rtol: float,
    *,
    allowed: bool,
    subject: str = "artifact",
) -> Check:
    return Check(
        EXPECTED, name, found, len(differing(y, want, rtol)), 0, top1(y, want), allowed and not found.ok, subject
    )  # fmt: skip


def _verdict(name: str, wrong: np.ndarray, alone: int, whose: str, share: float, max_mismatch: float) -> str:
    total = int(wrong.sum())
    if not total:
        return f"{name} is what was expected"
    text = f"{total} of {wrong.size} elements of {name} differ from the expected results"
    if not alone:
        text += f"; the model itself, run by {whose}, differs in the same ones or ties explain them: "
        text += "this is a difference of the export, not of the artifact"
    else:
        text += f"; {alone} of them where the model itself, run by {whose}, gives what was expected: "
        text += "this is a difference of the artifact"
    limit = "within" if share <= max_mismatch else "more than"
    return f"{text}; {100 * share:.3g} % is {limit} the {100 * max_mismatch:.3g} % of --max-mismatch"


def _like(expected: np.ndarray, have: np.ndarray) -> np.ndarray:
    """Expected results in the shape of the outputs where only axes of size 1 or flattening separate them."""
    same = expected.size == have.size and len(expected) == len(have)
    return expected.reshape(have.shape) if same else expected
