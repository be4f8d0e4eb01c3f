"""Shared sums of any number of operands: what the search works on, before each becomes a tree of additions."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ...ir.errors import InputError
from ...ir.sum_graph import SumGraph

Terms = list[int]


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over inputs and over each other, as compressed sparse lines.

    Line k < outputs is output k; line outputs + t is node t. A line's entries `entry[start[k]:start[k + 1]]` are
    operand * 2 + negative, where operand i < inputs is input i and inputs + t is node t. start: int64, entry: int32.
    """

    inputs: int
    outputs: int
    start: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int32]

    @classmethod
    def of_lists(cls, inputs: int, outputs: int, lines: Sequence[Sequence[int]]) -> Sums:
        start = np.cumsum([0, *map(len, lines)], dtype=np.int64)
        return cls(inputs, outputs, start, np.array([e for line in lines for e in line], dtype=np.int32))

    @classmethod
    def of_matrix(cls, weights: np.ndarray) -> Sums:
        """Nothing shared: one sum per row of a ternary matrix [outputs, inputs]."""
        rows, columns = np.nonzero(weights)
        start = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=weights.shape[0]))]).astype(np.int64)
        entry = (2 * columns + (weights[rows, columns] < 0)).astype(np.int32)
        return cls(weights.shape[1], weights.shape[0], start, entry)

    def lines(self) -> list[Terms]:
        flat, start = self.entry.tolist(), self.start.tolist()
        return [flat[a:b] for a, b in pairwise(start)]

    def limit_depth(self, depth: int) -> Sums:
        """Opens the deepest operands of each output until it fits in `depth` additions, at the price of sharing.

        Raises InputError when an output has more than 2 ** depth inputs, which no graph can add in that depth.
        """
        lines = self.lines()
        depths, room = self._depths(lines), 1 << depth
        for k in range(self.outputs):
            # deepest first; the sum fits when its leaves do: Kraft's inequality over the tree of additions
            waiting = [(-_depth_of(e, self.inputs, depths), e) for e in lines[k]]
            heapq.heapify(waiting)
            total = sum(1 << -d for d, _ in waiting)
            while total > room:
                d, entry = heapq.heappop(waiting)
                if d == 0:
                    raise InputError(f"output {k} adds {len(waiting) + 1} inputs: too many for depth {depth}")
                total -= 1 << -d
                for inner in lines[self.outputs + (entry >> 1) - self.inputs]:
                    inner_depth = _depth_of(inner, self.inputs, depths)
                    heapq.heappush(waiting, (-inner_depth, inner ^ (entry & 1)))
                    total += 1 << inner_depth
            lines[k] = [entry for _, entry in sorted(waiting)]
        return Sums.of_lists(self.inputs, self.outputs, lines)

    def lower(self) -> SumGraph:
        """Each sum as a tree of two-operand additions, shallow operands first: the least depth for this sharing."""
        lines = self.lines()
        depths = [0] * self.inputs  # by value of the graph
        left: list[int] = []
        right: list[int] = []
        subtract: list[bool] = []
        signed: list[int] = [2 * i for i in range(self.inputs)] + [-1] * (len(lines) - self.outputs)

        def add(a: int, b: int) -> int:
            """A node for two signed values; a negative first one is swapped or factored out."""
            if (a & 1, a) > (b & 1, b):
                a, b = b, a
            left.append(a >> 1)
            right.append(b >> 1)
            subtract.append(bool((a ^ b) & 1))
            depths.append(max(depths[a >> 1], depths[b >> 1]) + 1)
            return 2 * (len(depths) - 1) + (a & 1)

        def total(terms: Terms) -> int:
            values = [signed[e >> 1] ^ (e & 1) for e in terms if signed[e >> 1] >= 0]
            if len(values) <= 2:
                return add(*values) if len(values) == 2 else values[0] if values else -1
            waiting = [(depths[v >> 1], v) for v in values]
            heapq.heapify(waiting)
            while len(waiting) > 1:
                value = add(heapq.heappop(waiting)[1], heapq.heappop(waiting)[1])
                heapq.heappush(waiting, (depths[value >> 1], value))
            return waiting[0][1]

        for node in self._order(lines):
            signed[self.inputs + node] = total(lines[self.outputs + node])
        results = np.array([total(lines[k]) for k in range(self.outputs)], dtype=np.int64)
        there = results >= 0
        return SumGraph(
            self.inputs,
            np.array(left, dtype=np.int32),
            np.array(right, dtype=np.int32),
            np.array(subtract, dtype=bool),
            np.where(there, results >> 1, -1).astype(np.int32),
            there & (results % 2 == 1),
        )

    def _order(self, lines: list[Terms]) -> list[int]:
        """The nodes that outputs use, operands first."""
        seen = [False] * (len(lines) - self.outputs)
        order: list[int] = []
        for k in range(self.outputs):
            stack = [n for e in lines[k] if (n := (e >> 1) - self.inputs) >= 0]
            while stack:
                node = stack.pop()
                if node < 0:  # all its operands are in
                    order.append(~node)
                elif node < len(seen) and not seen[node]:
                    seen[node] = True
                    stack.append(~node)
                    stack.extend(n for e in lines[self.outputs + node] if (n := (e >> 1) - self.inputs) >= 0)
        return order

    def _depths(self, lines: list[Terms]) -> list[int]:
        """Additions on the longest path to each node; 0 for one that nobody uses."""
        depths = [0] * (len(lines) - self.outputs)
        for node in self._order(lines):
            leaves = sum(1 << _depth_of(e, self.inputs, depths) for e in lines[self.outputs + node])
            depths[node] = (leaves - 1).bit_length() if leaves else 0
        return depths


def _depth_of(entry: int, inputs: int, depths: list[int]) -> int:
    return depths[(entry >> 1) - inputs] if entry >> 1 >= inputs else 0


def transpose(graph: SumGraph) -> SumGraph:
    """The graph of the transposed matrix, every arrow turned round; unused nodes are dropped.

    It has `adds + outputs - inputs` additions when every input and output is used: the transposition theorem
    (Bürgisser, Clausen, Shokrollahi: Algebraic Complexity Theory, section 13.1).
    """
    users: list[list[int]] = [[] for _ in range(graph.inputs + graph.adds)]
    for k, (value, negative) in enumerate(zip(graph.outputs.tolist(), graph.negate.tolist(), strict=True)):
        if value >= 0:
            users[value].append(2 * k + negative)
    triples = zip(graph.left.tolist(), graph.right.tolist(), graph.subtract.tolist(), strict=True)
    for node, (a, b, negative) in enumerate(triples, len(graph.outputs)):
        users[a].append(2 * node)
        users[b].append(2 * node + negative)
    return Sums.of_lists(inputs=len(graph.outputs), outputs=graph.inputs, lines=users).lower()
