"""Sum merging: factor a constant ternary matrix so that its outputs share partial sums. See docs/sum-merge.md."""

from .graph import SumGraph
from .report import FactoringReport, format_reports, report
from .search import merge_sums, sign_planes
from .tables import Tables, build_tables

__all__ = [
    "FactoringReport",
    "SumGraph",
    "Tables",
    "build_tables",
    "format_reports",
    "merge_sums",
    "report",
    "sign_planes",
]
