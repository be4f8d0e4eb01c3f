"""The factored layer: a graph of two-operand sums that computes y = W x without a multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .errors import InputError

Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

CHUNK = 1 << 23  # values at a time in to_matrix: 32 MB of int32


@dataclass(frozen=True, eq=False)
class SumGraph:
    """A directed acyclic graph of additions and subtractions over `inputs` inputs.

    Values are numbered: 0 .. inputs-1 are the inputs, inputs + i is node i. Node i is `left[i] + right[i]`, or
    `left[i] - right[i]` where `subtract[i]`; its operands have smaller numbers. Output k is the value `outputs[k]`, its
    negative where `negate[k]` (free: the sign joins the layer's scale), or 0 where `outputs[k]` is -1.

    left, right: int32 [nodes]; subtract: bool [nodes]; outputs: int32 [outputs]; negate: bool [outputs].
    Raises InputError when the arrays do not fit together.
    """

    inputs: int
    left: Ints
    right: Ints
    subtract: Flags
    outputs: Ints
    negate: Flags

    def __post_init__(self) -> None:
        nodes, own = len(self.left), self.inputs + np.arange(len(self.left))
        if self.inputs < 0 or len(self.right) != nodes or len(self.subtract) != nodes:
            raise InputError("a sum graph needs one left, right and subtract per node")
        if any(np.any((side < 0) | (side >= own)) for side in (self.left, self.right)):
            raise InputError("a node of a sum graph may only use inputs and earlier nodes")
        if len(self.negate) != len(self.outputs):
            raise InputError("a sum graph needs one sign per output")
        if np.any((self.outputs < -1) | (self.outputs >= self.inputs + nodes)):
            raise InputError("an output of a sum graph is not one of its values")

    @property
    def adds(self) -> int:
        """Additions and subtractions per evaluation."""
        return len(self.left)

    @property
    def depth(self) -> int:
        """Additions on the longest path from an input to an output."""
        return int(self.node_depths.max(initial=0))

    @cached_property
    def node_depths(self) -> Ints:
        """Additions on the longest path from an input to each node: int32 [nodes]."""
        depths = [0] * (self.inputs + self.adds)
        for node, (a, b) in enumerate(zip(self.left.tolist(), self.right.tolist(), strict=True), self.inputs):
            depths[node] = max(depths[a], depths[b]) + 1
        return np.array(depths[self.inputs :], dtype=np.int32)

    @cached_property
    def _steps(self) -> list[tuple[bool, npt.NDArray[np.intp], Ints, Ints]]:
        """(subtract, node values, left, right) of the nodes of one depth, in an order that can be evaluated."""
        kind = 2 * self.node_depths.astype(np.int64) + self.subtract
        order = np.argsort(kind, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(kind[order])) + 1) if self.adds else []
        return [(bool(self.subtract[g[0]]), g + self.inputs, self.left[g], self.right[g]) for g in groups]

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        """`W @ x` by the graph's additions alone. x: [inputs] or [inputs, columns] of any number type.

        Returns [outputs] or [outputs, columns] in the same type; the caller picks one that is wide enough.
        Raises InputError for another shape.
        """
        if x.ndim not in (1, 2) or x.shape[0] != self.inputs:
            raise InputError(f"the sum graph takes {self.inputs} inputs, not an array of shape {x.shape}")
        values = np.empty((self.inputs + self.adds, *x.shape[1:]), dtype=x.dtype)
        values[: self.inputs] = x
        for subtract, nodes, left, right in self._steps:
            values[nodes] = values[left] - values[right] if subtract else values[left] + values[right]
        y = np.zeros((len(self.outputs), *x.shape[1:]), dtype=x.dtype)
        there = self.outputs >= 0
        y[there] = values[self.outputs[there]]
        y[self.negate] = -y[self.negate]
        return y

    def to_matrix(self) -> npt.NDArray[np.int64]:
        """The weight matrix [outputs, inputs] that the graph computes.

        It is evaluated on one symbol per input in a type that nothing can leave, so this is a proof. Raises InputError
        for a graph with paths beyond counting in 63 bits, which merging never makes.
        """
        leaves = np.ones(self.inputs + self.adds)  # paths from inputs to a value: at least each coefficient's size
        for _, nodes, left, right in self._steps:
            leaves[nodes] = leaves[left] + leaves[right]
        dtype = next((t for t in (np.int16, np.int32, np.int64) if leaves.max(initial=0) < np.iinfo(t).max / 2), None)
        if dtype is None:
            raise InputError("the sum graph has coefficients beyond 64 bits")
        matrix = np.empty((len(self.outputs), self.inputs), dtype=np.int64)
        width = max(1, CHUNK // (self.inputs + self.adds + 1))
        for start in range(0, self.inputs, width):
            unit = np.zeros((self.inputs, min(width, self.inputs - start)), dtype=dtype)
            np.fill_diagonal(unit[start:], 1)
            matrix[:, start : start + width] = self.evaluate(unit)
        return matrix

    @classmethod
    def stack(cls, parts: Sequence[tuple[npt.ArrayLike, SumGraph]]) -> SumGraph:
        """Graphs over the same inputs side by side. parts: for each graph, which outputs of the whole its own are.

        Raises InputError where they have other inputs, or the outputs are not 0, 1, 2, ... each once.
        """
        inputs = parts[0][1].inputs
        rows = [np.asarray(places, np.int64) for places, _ in parts]
        own = np.concatenate(rows)
        if any(g.inputs != inputs or len(r) != len(g.outputs) for r, (_, g) in zip(rows, parts, strict=True)):
            raise InputError("graphs that are put side by side need the same inputs, and a row for each output")
        if not np.array_equal(np.sort(own), np.arange(len(own))):
            raise InputError("graphs that are put side by side need every output once")
        first, columns = 0, []
        for _, graph in parts:
            sides = graph.left, graph.right, graph.outputs
            columns.append([np.where(side >= inputs, side + first, side).astype(np.int32) for side in sides])
            first += graph.adds
        left, right, outputs = (np.concatenate(side) for side in zip(*columns, strict=True))
        subtract, negate = (np.concatenate([getattr(g, name) for _, g in parts]) for name in ("subtract", "negate"))
        order = np.argsort(own)
        return cls(inputs, left, right, subtract, outputs[order], negate[order])

    def ranges(self, lo: int, hi: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The smallest and largest number that each value can be when inputs are in lo..hi: int64 [inputs + nodes].

        Exact where no input reaches a node on two paths, as in every graph that merging makes; else a bound.
        """
        least = np.full(self.inputs + self.adds, lo, dtype=np.int64)
        most = np.full(self.inputs + self.adds, hi, dtype=np.int64)
        for subtract, nodes, left, right in self._steps:
            least[nodes] = least[left] - most[right] if subtract else least[left] + least[right]
            most[nodes] = most[left] - least[right] if subtract else most[left] + most[right]
        return least, most

    def to_array(self) -> Ints:
        """The graph as one array, for a weight store: int32 [2 + 2 * nodes + outputs].

        inputs, number of outputs, then for each node left and right, for each output its value, every one of them as
        `value * 2 + negative`; -1 for an output that is 0.
        """
        nodes = np.stack([2 * self.left, 2 * self.right + self.subtract], axis=1).reshape(-1)
        outputs = np.where(self.outputs < 0, -1, 2 * self.outputs + self.negate)
        return np.concatenate([[self.inputs, len(self.outputs)], nodes, outputs]).astype(np.int32)

    @classmethod
    def from_array(cls, array: np.ndarray) -> SumGraph:
        """The inverse of `to_array`. Raises InputError when the array is no sum graph."""
        if array.ndim != 1 or array.dtype != np.int32 or len(array) < 2 or array[:2].min() < 0:
            raise InputError("not a sum graph: expected int32 [2 + 2 * nodes + outputs]")
        inputs, outputs = map(int, array[:2])
        nodes, odd = divmod(len(array) - 2 - outputs, 2)
        left, right = array[2 : 2 + 2 * max(nodes, 0)].reshape(-1, 2).T if not odd else (array, array)
        ends = array[2 + 2 * max(nodes, 0) :]
        if nodes < 0 or odd or np.any(left & 1) or np.any(ends < -1):
            raise InputError("not a sum graph: expected left, right of every node and a value for every output")
        return cls(inputs, left >> 1, right >> 1, (right & 1) == 1, ends >> 1, (ends > 0) & ((ends & 1) == 1))

    def to_text(self) -> str:
        """One line per node and output: `t0 = x0 - x3`, `y0 = -t0`."""

        def name(value: int) -> str:
            return f"x{value}" if value < self.inputs else f"t{value - self.inputs}"

        lines = [
            f"t{i} = {name(a)} {'-' if negative else '+'} {name(b)}"
            for i, (a, b, negative) in enumerate(zip(self.left, self.right, self.subtract, strict=True))
        ]
        for k, (value, negative) in enumerate(zip(self.outputs, self.negate, strict=True)):
            lines.append(f"y{k} = " + ("0" if value < 0 else f"{'-' if negative else ''}{name(value)}"))
        return "\n".join(lines)


def filter_matrix(weights: np.ndarray, group: int = 1) -> np.ndarray:
    """Convolution weights [O, C / group, *K] as a matrix [O, C * taps]; groups become blocks on its diagonal."""
    outputs = len(weights)
    matrix = np.zeros((group, outputs // group, group, weights[0].size), np.int8)
    for g, block in enumerate(weights.reshape(group, outputs // group, -1)):
        matrix[g, :, g] = block
    return matrix.reshape(outputs, -1)
