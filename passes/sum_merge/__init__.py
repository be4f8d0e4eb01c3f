"""Sum merging: factor a constant ternary matrix so that its outputs share partial sums. See docs/sum-merge.md."""

from ...ir.sum_graph import SumGraph, filter_matrix
from .attach import SumMerge
from .repetition import analyse, repetition
from .search import merge_sums, sign_planes
from .tables import Tables, build_tables

__all__ = [
    "SumGraph",
    "SumMerge",
    "Tables",
    "analyse",
    "build_tables",
    "filter_matrix",
    "merge_sums",
    "repetition",
    "sign_planes",
]
