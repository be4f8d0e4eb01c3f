"""Gives small layers with weights of {-1, 0, 1} the graph of shared sums that they may be computed by."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ...ir.errors import InputError, IRError
from ...ir.operation import symbol
from ...ir.program import Program
from ...ir.progress import counted
from ...ir.rewrite import name_of
from ...ir.sum_graph import SumGraph, filter_matrix
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.types import is_float, shape_of
from ..base import GIVEN, Pass
from ..properties import NO_KERNELS
from .search import NewSearch, merge_sums


@dataclass(frozen=True)
class SumMerge(Pass):
    """Factors the weights of convolutions; the graph goes to the weight store, its name to the operation (`sums`).

    matrix_products: those with constant matrices as well, which no engine computes by such graphs.

    search: what finds the graphs; None where no engine computes by them or nothing can search: the pass does nothing
    then. most_weights: nonzero weights of a layer that is factored. block_rows: rows that share sums, or more where
    their nonzero weights are fewer than block_weights. trials: steps of the search, not seconds: the same model gives
    the same artifact on every machine.
    """

    name: ClassVar[str] = "sum-merge"
    requires: ClassVar = (NO_KERNELS,)

    search: NewSearch | None = field(metadata=GIVEN)
    most_weights: int = 150_000
    block_weights: int = 2048
    block_rows: int = 8
    trials: int = 1000
    matrix_products: bool = False

    def __post_init__(self) -> None:
        if self.block_weights < 1 or self.block_rows < 1:
            size = min(self.block_weights, self.block_rows)
            raise InputError(f"pass '{self.name}': expected blocks of 1 or more, got {size}")

    def apply(self, program: Program) -> bool:
        if self.search is None:
            return False
        changed = False
        kinds = (ConvOp, MatMulOp) if self.matrix_products else (ConvOp,)
        layers = [op for op in program.ops if isinstance(op, kinds) and not is_float(op.operands[0])]
        for op in counted("merging sums: layer", layers):
            weights = op.operands[1]
            matrix = _matrix(op, program.array(weights))
            if matrix is None or not np.isin(matrix, (-1, 0, 1)).all():
                continue
            if np.count_nonzero(matrix) > self.most_weights:
                continue
            graph = self.merge_blocks(matrix)
            if not np.array_equal(graph.to_matrix(), matrix):
                raise IRError("sum merging changed the weights", where=name_of(weights))
            op.properties["sums"] = symbol(program.weights.add(f"{name_of(weights)}.sums", graph.to_array()))
            changed = True
        return changed

    def merge_blocks(self, matrix: np.ndarray) -> SumGraph:
        """A graph of blocks of rows that share no sums. matrix: [outputs, inputs].

        Rows that look alike, up to sign, come into the same block.
        """
        search = self.search
        assert search is not None
        first = np.take_along_axis(matrix, np.argmax(matrix != 0, axis=1)[:, None], axis=1)
        alike = np.lexsort((matrix * first).T[::-1])
        weights = np.cumsum(np.count_nonzero(matrix[alike], axis=1))
        total = max(int(weights[-1]), 1)
        count = min(-(-total // self.block_weights), -(-len(matrix) // self.block_rows))
        block = (weights - 1).clip(0) * count // total
        parts = [rows for i in range(count) if len(rows := alike[block == i])]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the search is C, and lets other threads run
            graphs = pool.map(lambda rows: merge_sums(matrix[rows], trials=self.trials, search=search), parts)
            return SumGraph.stack(list(zip(parts, graphs, strict=True)))


def _matrix(op: ConvOp | MatMulOp, weights: np.ndarray | None) -> np.ndarray | None:
    """What a layer's outputs sum up, [outputs, inputs]; None where it has no constant filters or matrix."""
    if weights is None or isinstance(op, ConvOp):
        return None if weights is None else filter_matrix(weights, op.get("group"))
    return weights.T if weights.ndim == 2 and len(shape_of(op.y)) > 1 else None
