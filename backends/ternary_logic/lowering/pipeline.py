"""The passes before gates, with the options that suit them."""

from __future__ import annotations

from collections.abc import Sequence

from ....passes.base import Pass
from ....passes.pipeline import graph_passes
from ....passes.thresholds import Thresholds

THRESHOLDS = Thresholds(most_levels=255, most_choices=0)
"""A comparator for each level of up to 8 bits. Shortcuts stay additions: an adder is smaller than a table."""


def gate_passes(lossy: Sequence[Pass] = ()) -> list[Pass]:
    """From the imported program to operations on integers that have gates."""
    return graph_passes(lossy, THRESHOLDS)
