"""Adder graphs: the fewest additions that a search finds for a constant ternary matrix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...ir.errors import InputError
from ...ir.sum_graph import SumGraph
from .sums import Sums

TRIALS = 2000
FOLDS = (6, 7, 5, 8, 4, 9)  # sizes that win for 32 to 512 rows, the likeliest first
DENSE_WORK = 1e8  # starts without folding look at about nonzeros ** 2 / rows pairs of entries: too many above this
STARTS_SHARE = 0.4  # of a time budget; the rest improves the best start


ROWS, COLUMNS = 0, 1
"""The sides of a matrix, as a search numbers them."""


class Search(Protocol):
    """The state of a search, which a backend implements; `lift` and `row_weight` are explained beside the moves
    (backends/c/sum_search/core.c)."""

    def fold(self, size: int) -> None: ...
    def merge(self, lift: int, row_weight: int) -> int: ...
    def improve(self, lift: int, row_weight: int, most: int, trials: int, seconds: float) -> int: ...
    def read(self, side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]: ...


NewSearch = Callable[[npt.NDArray[np.int8], int], Search]


@dataclass(frozen=True)
class Start:
    """One way to begin. flip: factor the transpose. fold: rows a group, or 1. lift in 1/64, row_weight in 1/16."""

    flip: bool
    fold: int
    lift: int
    row_weight: int


def merge_sums(
    weights: np.ndarray,
    *,
    seconds: float | None = None,
    trials: int | None = None,
    max_depth: int | None = None,
    seed: int = 0,
    search: NewSearch,
) -> SumGraph:
    """The adder graph of `weights @ x` with the fewest additions found.

    weights: [outputs, inputs] of -1, 0, 1 in any number type. seconds: CPU time to search (the graph is written out
    after that, about 5 us an addition). trials: improvement steps, default 2000 without `seconds` and no limit with it;
    without `seconds` the result depends on the weights, `trials` and `seed` alone. max_depth: longest path in
    additions, kept at the price of more of them. search: the implementation.

    The graph never has more additions than the matrix has beyond one nonzero a row. Raises InputError for other
    weights, or a max_depth below log2 of the longest row.
    """
    matrix = ternary(weights)
    plain = Sums.of_matrix(matrix)
    sums = _search(matrix, seconds, trials, seed, search)
    graph = (sums.limit_depth(max_depth) if max_depth is not None else sums).lower()
    if graph.adds <= np.maximum(np.count_nonzero(matrix, axis=1) - 1, 0).sum():
        return graph
    return plain.lower()  # a depth bound may cost more than sharing saves


def ternary(weights: np.ndarray) -> npt.NDArray[np.int8]:
    """Weights as int8 [outputs, inputs]. Raises InputError unless they are a matrix of -1, 0, 1."""
    if weights.ndim != 2 or not np.all(np.isin(weights, (-1, 0, 1))):
        raise InputError(
            "sum merging takes a matrix of -1, 0 and 1",
            hint="flatten convolution weights to [outputs, inputs] and keep scales apart, one per output",
        )
    return weights.astype(np.int8)


def sign_planes(weights: np.ndarray) -> npt.NDArray[np.int8]:
    """[2 * outputs, inputs] of 0 and 1: the places of +1, then those of -1.

    For filters with two scales (TTQ: Wp and Wn), whose output k is `Wp[k] * y[k] - Wn[k] * y[outputs + k]` for
    `y = sign_planes(weights) @ x`. One scale per filter needs no planes.
    """
    matrix = ternary(weights)
    return np.concatenate([matrix > 0, matrix < 0]).astype(np.int8)


def starts(matrix: npt.NDArray[np.int8]) -> Iterator[Start]:
    """The ways to begin that are worth a try.

    Folding takes the shorter side for its rows (both of a matrix that is nearly square). Unfolded, the best `lift` is
    a little below the share of common places where signs agree by chance, beyond which no pair would look good: about
    half when signs are mixed, all when each row has one sign.
    """
    nonzeros = np.count_nonzero(matrix)
    dense = nonzeros > 0.75 * matrix.size
    for flip in (False, True):
        rows, columns = matrix.shape[::-1] if flip else matrix.shape
        if 4 * rows > 5 * columns:
            continue
        if nonzeros**2 / max(rows, 1) < DENSE_WORK:
            yield from [Start(flip, 1, 26, 16)] if dense else [Start(flip, 1, 38, 2), Start(flip, 1, 58, 2)]
        for size in FOLDS:
            if size < max(rows, 2):
                yield Start(flip, size, 38, 16)


def _search(matrix: npt.NDArray[np.int8], seconds: float | None, trials: int | None, seed: int, new: NewSearch) -> Sums:
    begin = time.thread_time()
    best: tuple[int, Start, Search] | None = None
    for start in starts(matrix):
        if best and seconds is not None and time.thread_time() - begin > STARTS_SHARE * seconds:
            break
        search = new(np.ascontiguousarray(matrix.T) if start.flip else matrix, seed)
        if start.fold > 1:
            search.fold(start.fold)
        # costs of a matrix and its transpose differ by a constant
        cost = search.merge(start.lift, start.row_weight) + (_spread(matrix) if start.flip else 0)
        if best is None or cost < best[0]:
            best = (cost, start, search)
    if best is None:
        return Sums.of_matrix(matrix)
    _, start, search = best
    if trials is None:
        trials = TRIALS if seconds is None else 1 << 62
    left = -1.0 if seconds is None else max(seconds - (time.thread_time() - begin), 0.0)
    # measured: a folded graph wants small steps and no lift; both want column pairs before row pairs
    lift, row_weight, most = (0, 4, 3) if start.fold > 1 else (20, 0, 20)
    search.improve(lift, row_weight, most, trials, left)
    outputs, inputs = matrix.shape
    return Sums(inputs, outputs, *search.read(COLUMNS if start.flip else ROWS))


def _spread(matrix: npt.NDArray[np.int8]) -> int:
    """Additions of a graph of the matrix less those of its transpose: used inputs less used outputs."""
    return int(np.any(matrix, axis=0).sum()) - int(np.any(matrix, axis=1).sum())
