"""The passes before gates, with the options that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....passes.base import Pass
from ....passes.pipeline import graph_passes
from ....passes.sum_merge.attach import SumMerge
from ....passes.sum_merge.search import NewSearch
from ....passes.thresholds import Thresholds

THRESHOLDS = Thresholds(most_levels=255, most_choices=0)
"""A comparator for each level of up to 8 bits. Shortcuts stay additions: an adder is smaller than a table."""


SUM_MERGE = SumMerge(None, most_weights=150_000, block_weights=2048, block_rows=8, matrix_products=True)
"""Larger layers, of which finding and building shared sums takes minutes, share none."""


def gate_passes(lossy: Sequence[Pass] = (), search: NewSearch | None = None) -> list[Pass]:
    """From the imported program to operations on integers that have gates. search: finds the sums that outputs share;
    without it they share none."""
    return [*graph_passes(lossy, THRESHOLDS), replace(SUM_MERGE, search=search)]
