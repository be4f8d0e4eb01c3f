"""The factored layer: a graph of two-operand sums that computes y = W x without a multiplication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.errors import InputError

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
            raise InputError("an output of a sum graph is no value of it")

    @property
    def adds(self) -> int:
        """Additions and subtractions per evaluation."""
        return len(self.left)

    @property
    def intermediates(self) -> int:
        """Nodes that are not an output."""
        shown = np.unique(self.outputs[self.outputs >= self.inputs])
        return self.adds - len(shown)

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

    def transposed(self) -> SumGraph:
        """The graph of the transposed matrix, every arrow turned round; unused nodes are dropped.

        It has `adds + outputs - inputs` additions when every input and output is used: the transposition theorem
        (Bürgisser, Clausen, Shokrollahi: Algebraic Complexity Theory, section 13.1).
        """
        from .sums import Sums

        users: list[list[int]] = [[] for _ in range(self.inputs + self.adds)]
        for k, (value, negative) in enumerate(zip(self.outputs.tolist(), self.negate.tolist(), strict=True)):
            if value >= 0:
                users[value].append(2 * k + negative)
        triples = zip(self.left.tolist(), self.right.tolist(), self.subtract.tolist(), strict=True)
        for node, (a, b, negative) in enumerate(triples, len(self.outputs)):
            users[a].append(2 * node)
            users[b].append(2 * node + negative)
        return Sums.of_lists(inputs=len(self.outputs), outputs=self.inputs, lines=users).lower()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON."""
        arrays = {name: getattr(self, name).astype(int).tolist() for name in _ARRAYS}
        return {"inputs": self.inputs, **arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SumGraph:
        """The inverse of `to_dict`. Raises InputError when the data is no sum graph."""
        try:
            arrays = {name: np.array(data[name], dtype=np.int32).reshape(-1) for name in _ARRAYS}
            inputs = int(data["inputs"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"not a sum graph: {error}") from error
        flags = {name: arrays[name].astype(bool) for name in ("subtract", "negate")}
        return cls(inputs, arrays["left"], arrays["right"], flags["subtract"], arrays["outputs"], flags["negate"])

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


_ARRAYS = ("left", "right", "subtract", "outputs", "negate")
