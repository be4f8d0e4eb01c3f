"""How often the weights of a layer repeat, and what sharing their sums saves: what the repetition report says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerRepetition:
    """One layer with weights of {-1, 0, 1}. Adds count additions and subtractions per output vector (output pixel).

    kind: binary (no zeros), signed-binary (zeros, one sign in each row) or ternary. density: share of nonzero
    weights. patterns, distinct: kernel slices of a convolution, else columns; how many there are, and differ by
    more than sign. before: nonzeros beyond one a row, what no sharing costs. adds: with sharing, by how the weights
    are coded (passes/sum_merge/repetition.py, `codings`). bound: below this no graph of additions can say these
    weights (`information_bound` there). depth: longest path of the fewest adds. table_bytes: index stream of look-
    up tables. seconds: CPU time of all searches. engine, cycles: what computes the layer, and predicted cycles of
    one sample; measured: seconds of one sample, where a benchmark was given.
    """

    symbol: str
    nodes: tuple[str, ...]
    kind: str
    outputs: int
    inputs: int
    density: float
    patterns: int
    distinct: int
    before: int
    adds: Mapping[str, int]
    bound: int
    depth: int
    table_bytes: int
    seconds: float
    engine: str = ""
    cycles: float = 0
    measured: float | None = None

    @property
    def fewest(self) -> int:
        return min(self.adds.values())

    @property
    def reduction(self) -> float:
        """Dense multiply-accumulates per add (SumMerge's op reduction, ICS 2021, a MAC being one operation)."""
        return self.outputs * self.inputs / max(self.fewest, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dump."""
        return {**asdict(self), "fewest": self.fewest, "reduction": self.reduction}
