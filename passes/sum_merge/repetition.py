"""The repetition-sparsity report: what sharing sums could save in every layer of a program, and what it does save."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from xdsl.ir import Operation

from ...ir.errors import IRError
from ...ir.kn.kernel import KernelOp
from ...ir.locations import source_names
from ...ir.program import Program
from ...ir.repetition import LayerRepetition
from ...ir.sum_graph import SumGraph, filter_matrix
from ...ir.tn.linear import ConvOp, MatMulOp
from .search import NewSearch, merge_sums, sign_planes
from .tables import build_tables


def repetition(
    program: Program,
    budget: float = 1.0,
    *,
    search: NewSearch,
    measured: Mapping[str, float] | None = None,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerRepetition]:
    """The report of a program at kernel level: convolutions and products with constant weights of {-1, 0, 1}.

    budget: CPU seconds to search for each coding of each layer; one start is always completed. search: what searches.
    measured: seconds of one sample by kernel symbol. on_layer: told each layer's name before it is searched.
    """
    found = []
    for kernel in (op for op in program.ops if isinstance(op, KernelOp)):
        for op in kernel.inner:
            if (read := _weights(program, op)) is None:
                continue
            weights, group = read
            on_layer(kernel.symbol.data)
            found.append(
                analyse(
                    weights, budget, search=search, group=group, symbol=kernel.symbol.data,
                    nodes=tuple(source_names(op.location)), engine=kernel.engine.data, cycles=kernel.predicted_cycles,
                    measured=(measured or {}).get(kernel.symbol.data),
                )
            )  # fmt: skip
    return found


def _weights(program: Program, op: Operation) -> tuple[np.ndarray, int] | None:
    """The constant weights of an operation as [outputs, inputs, *kernel], and its groups; None for other operations."""
    if isinstance(op, ConvOp):
        weights, group = program.array(op.w), op.get("group")
    elif isinstance(op, MatMulOp):
        a, b = program.array(op.a), program.array(op.b)
        weights, group = (b.T if b is not None and b.ndim == 2 else a if a is not None and a.ndim == 2 else None), 1
    else:
        return None
    if weights is None or not weights.size or not np.isin(weights, (-1, 0, 1)).all():
        return None
    return weights.astype(np.int8), group


def analyse(
    weights: np.ndarray, budget: float = 1.0, *, search: NewSearch, group: int = 1, **about: Any
) -> LayerRepetition:
    """The report of one layer. weights: int [outputs, inputs / group, *kernel] of -1, 0, 1. about: other fields."""
    begin = time.thread_time()
    flat = weights.reshape(len(weights), -1)
    matrix = filter_matrix(weights, group)
    graphs = {name: (_proved(coded, budget, search), extra) for name, (coded, extra) in codings(matrix).items()}
    adds = {name: graph.adds + extra for name, (graph, extra) in graphs.items()}
    best = min(adds, key=lambda name: adds[name])
    slices = weights.reshape(-1, int(np.prod(weights.shape[2:]))) if weights[0, 0].size > 1 else flat.T
    return LayerRepetition(
        symbol=about.pop("symbol", ""),
        nodes=about.pop("nodes", ()),
        kind=kind_of(flat),
        outputs=flat.shape[0],
        inputs=flat.shape[1],
        density=float(np.count_nonzero(flat)) / flat.size,
        patterns=len(slices),
        distinct=_distinct(slices),
        before=int(np.maximum(np.count_nonzero(flat, axis=1) - 1, 0).sum()),
        adds=adds,
        bound=information_bound(flat),
        depth=graphs[best][0].depth + (graphs[best][1] > 0),
        table_bytes=build_tables(matrix, ordered=False).index_bytes(),
        seconds=time.thread_time() - begin,
        **about,
    )


def codings(matrix: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """The ways to code a matrix [outputs, inputs] for sharing: name -> what is factored, additions that come on top.

    binary (without zeros) and ternary: the weights as they are. signed-binary: the places of +1 and of -1, each a row
    of {0, 1}; an output with both is their difference, one more addition. For rows of one sign it costs nothing.
    """
    planes = sign_planes(matrix)
    used = np.asarray(planes.any(axis=1))
    both = int((used[: len(matrix)] & used[len(matrix) :]).sum())
    return {"binary" if np.all(matrix) else "ternary": (matrix, 0), "signed-binary": (planes, both)}


def kind_of(flat: np.ndarray) -> str:
    """Of weights [outputs, inputs], as in LayerRepetition."""
    if np.all(flat):
        return "binary"
    mixed = np.any(flat > 0, axis=1) & np.any(flat < 0, axis=1)
    return "ternary" if np.any(mixed) else "signed-binary"


def information_bound(flat: np.ndarray) -> int:
    """About the fewest additions that can say the weights [outputs, inputs].

    An addition names two of the values there are, and a sign; A of them say at most A * (2 log2(inputs + A) + 1) bits.
    The weights say their entropy, weight by weight, or that of zeros and a sign for each row of one sign.
    """
    _, counts = np.unique(np.abs(flat) if kind_of(flat) == "signed-binary" else flat, return_counts=True)
    shares = counts / flat.size
    bits = float(-(shares * np.log2(shares)).sum()) * flat.size
    bits += int(flat.any(axis=1).sum()) if kind_of(flat) == "signed-binary" else 0
    low, high = 0, flat.size
    while low < high:
        middle = (low + high) // 2
        if middle * (2 * np.log2(flat.shape[1] + middle) + 1) >= bits:
            high = middle
        else:
            low = middle + 1
    return low


def _proved(matrix: np.ndarray, budget: float, search: NewSearch) -> SumGraph:
    graph = merge_sums(matrix, seconds=budget, search=search)
    if not np.array_equal(graph.to_matrix(), matrix):
        raise IRError("sum merging changed the weights")
    return graph


def _distinct(lines: np.ndarray) -> int:
    """Lines that differ by more than their sign; zero counts as one."""
    first = np.take_along_axis(lines, np.argmax(lines != 0, axis=1)[:, None], axis=1)
    return len(np.unique(lines * first, axis=0))
