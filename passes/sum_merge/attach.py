"""Gives small convolutions with weights of {-1, 0, 1} the graph of shared sums that engines may compute them by."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np

from ...ir.errors import IRError
from ...ir.operation import symbol
from ...ir.program import Program
from ...ir.rewrite import name_of
from ...ir.sum_graph import SumGraph, filter_matrix
from ...ir.tn.linear import ConvOp
from ...ir.types import is_float
from ..base import Pass
from .search import NewSearch, merge_sums

MOST_WEIGHTS = 150_000
"""Nonzero weights of a layer that is factored. Straight-line code of more takes the C compiler long and leaves the
second-level cache: docs/sum-merge.md."""

BLOCK_WEIGHTS, BLOCK_ROWS = 2048, 8
"""Rows that share sums: so many, or more where their nonzero weights are few. Larger blocks save up to 10% of the
additions, but take longer to find and hold more sums at a time than a processor holds near: no faster as code."""

TRIALS = 1000
"""Steps of the search, not seconds: the same model gives the same artifact on every machine."""


class SumMerge(Pass):
    """Factors the weights of convolutions; the graph goes to the weight store, its name to the operation (`sums`).

    search: what finds the graphs; None where no engine computes by them or nothing can search: the pass does nothing
    then.
    """

    name: ClassVar[str] = "sum-merge"

    def __init__(self, search: NewSearch | None) -> None:
        self.search = search

    def apply(self, program: Program) -> bool:
        if self.search is None:
            return False
        changed = False
        for op in program.ops:
            if not isinstance(op, ConvOp) or is_float(op.x) or (weights := program.array(op.w)) is None:
                continue
            if not np.isin(weights, (-1, 0, 1)).all() or np.count_nonzero(weights) > MOST_WEIGHTS:
                continue
            matrix = filter_matrix(weights, op.get("group"))
            graph = merge_blocks(matrix, self.search)
            if not np.array_equal(graph.to_matrix(), matrix):
                raise IRError("sum merging changed the weights", where=name_of(op.w))
            op.properties["sums"] = symbol(program.weights.add(f"{name_of(op.w)}.sums", graph.to_array()))
            changed = True
        return changed


def merge_blocks(matrix: np.ndarray, search: NewSearch) -> SumGraph:
    """A graph of blocks of rows that share no sums. matrix: [outputs, inputs].

    Rows that look alike, up to sign, come into the same block.
    """
    first = np.take_along_axis(matrix, np.argmax(matrix != 0, axis=1)[:, None], axis=1)
    alike = np.lexsort((matrix * first).T[::-1])
    weights = np.cumsum(np.count_nonzero(matrix[alike], axis=1))
    total = max(int(weights[-1]), 1)
    count = min(-(-total // BLOCK_WEIGHTS), -(-len(matrix) // BLOCK_ROWS))
    block = (weights - 1).clip(0) * count // total
    parts = [rows for i in range(count) if len(rows := alike[block == i])]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the search is C, and lets other threads run
        graphs = pool.map(lambda rows: merge_sums(matrix[rows], trials=TRIALS, search=search), parts)
        return SumGraph.stack(list(zip(parts, graphs, strict=True)))
