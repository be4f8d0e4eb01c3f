"""What sum merging did to a layer, in numbers and as a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from .graph import SumGraph
from .search import merge_sums, ternary
from .tables import build_tables

VALUE_BYTES = 4  # an operand of the graph as data: value * 2 + sign


@dataclass(frozen=True)
class FactoringReport:
    """One layer, one way to factor it. Adds count additions and subtractions per output vector (per output pixel).

    before: nonzeros beyond one a row, what no sharing costs. depth: additions on the longest path. intermediates:
    nodes that are no output. data_bytes: the graph as operands (8 bytes an add) or the tables' index stream.
    seconds: CPU time of the search.
    """

    layer: str
    method: str
    outputs: int
    inputs: int
    density: float
    before: int
    after: int
    depth: int
    intermediates: int
    data_bytes: int
    seconds: float

    @property
    def reduction(self) -> float:
        """Dense multiply-accumulates per add (SumMerge's op reduction, ICS 2021, with a MAC as one operation)."""
        return self.outputs * self.inputs / max(self.after, 1)


def report(
    layer: str, weights: np.ndarray, *, seconds: float | None = None, trials: int | None = None, seed: int = 0
) -> list[FactoringReport]:
    """A layer's weights [outputs, inputs] as tables by input and by output, and as an adder graph."""
    matrix = ternary(weights)
    found = []
    clock = time.process_time()

    def note(method: str, graph: SumGraph, data_bytes: int) -> None:
        nonlocal clock
        now = time.process_time()
        found.append(
            FactoringReport(
                layer=layer,
                method=method,
                outputs=matrix.shape[0],
                inputs=matrix.shape[1],
                density=float(np.count_nonzero(matrix)) / max(matrix.size, 1),
                before=int(np.maximum(np.count_nonzero(matrix, axis=1) - 1, 0).sum()),
                after=graph.adds,
                depth=graph.depth,
                intermediates=graph.intermediates,
                data_bytes=data_bytes,
                seconds=now - clock,
            )
        )
        clock = time.process_time()

    tables = build_tables(matrix)
    note("tables", tables.graph, tables.index_bytes())
    tables = build_tables(matrix.T)
    note("tables, transposed", tables.graph.transposed(), tables.index_bytes())
    graph = merge_sums(matrix, seconds=seconds, trials=trials, seed=seed)
    note("adder graph", graph, 2 * VALUE_BYTES * graph.adds)
    return found


def format_reports(reports: Sequence[FactoringReport]) -> str:
    """A Markdown table of reports."""
    titles = [
        "layer",
        "method",
        "K",
        "N",
        "density",
        "adds before",
        "after",
        "depth",
        "intermediates",
        "data bytes",
        "CPU s",
        "MACs per add",
    ]
    lines = [titles, ["---"] * len(titles)]
    for one in reports:
        values = [f"{v:.2f}" if isinstance(v, float) else str(v) for v in astuple(one)]
        lines.append([*values, f"{one.reduction:.2f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
