"""Tables: regular groups of inputs whose needed partial sums are built once and looked up by every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...ir.errors import InputError
from ...ir.sum_graph import SumGraph
from .search import ternary
from .sums import Sums

Codes = npt.NDArray[np.int64]

SIZES = (1, 2, 3, 4, 5, 6, 7, 8)
CANDIDATES = 48  # inputs looked at for each place of a group: more cost time and find little


@dataclass(frozen=True, eq=False)
class Group:
    """The inputs of one table, and which of their signed sums each output takes.

    A pattern of signs over the group is one number in balanced ternary, `sum of sign[i] * 3 ** i`: its negation
    negates the number, and 0 is the pattern without inputs. inputs: int32 [size]. codes: int64 [outputs].
    """

    inputs: npt.NDArray[np.int32]
    codes: Codes

    @cached_property
    def patterns(self) -> Codes:
        """The table's entries: codes up to sign, without 0, ascending."""
        found = np.unique(np.abs(self.codes))
        return found[found > 0]


@dataclass(frozen=True, eq=False)
class Tables:
    """A matrix [outputs, inputs] as groups of inputs; an output adds or subtracts one entry of each group's table."""

    outputs: int
    inputs: int
    groups: tuple[Group, ...]

    @property
    def entries(self) -> int:
        """Entries of all tables, single inputs among them."""
        return sum(len(group.patterns) for group in self.groups)

    @property
    def largest(self) -> int:
        """Entries of the largest table."""
        return max((len(group.patterns) for group in self.groups), default=0)

    @cached_property
    def lookups(self) -> int:
        """Entries that outputs take: groups that are not zero, over the outputs."""
        return sum(int(np.count_nonzero(group.codes)) for group in self.groups)

    def index_bytes(self) -> int:
        """Bytes of the index stream: one or two for each look-up."""
        return sum(int(np.count_nonzero(g.codes)) * (1 if len(g.patterns) < 128 else 2) for g in self.groups)

    @cached_property
    def graph(self) -> SumGraph:
        """The same additions as a graph: building the tables from each other, then each output's sum.

        An entry is built from its two halves, which are entries of tables of half the inputs, and so on down: the
        halves of all patterns of a group are few, so nearly every entry costs one addition.
        """
        lines: list[list[int]] = []
        rows: list[list[int]] = [[] for _ in range(self.outputs)]
        for group in self.groups:
            known: dict[tuple[int, int], int] = {}
            for code in group.patterns.tolist():
                self._entry(group.inputs.tolist(), 0, code, known, lines)
            for k in np.flatnonzero(group.codes).tolist():
                code = int(group.codes[k])
                rows[k].append(known[0, abs(code)] ^ (code < 0))
        return Sums.of_lists(self.inputs, self.outputs, rows + lines).lower()

    def _entry(
        self, inputs: Sequence[int], first: int, code: int, known: dict[tuple[int, int], int], lines: list[list[int]]
    ) -> int:
        """The operand (see Sums) of a positive code over the inputs from place `first` on; adds its line if it is new.

        known: operands by place and code, which say which sum it is whatever the width of the part.
        """
        if (first, code) not in known:
            if len(inputs) == 1:
                known[first, code] = 2 * inputs[0]
            else:
                low = len(inputs) // 2
                halves = (first, inputs[:low]), (first + low, inputs[low:])
                terms = []
                for (place, part), piece in zip(halves, _split(code, low), strict=True):
                    if piece:
                        operand = self._entry(part, place, abs(piece), known, lines)
                        terms.append(operand ^ (piece < 0))
                if len(terms) == 1:
                    known[first, code] = terms[0]
                else:
                    lines.append(terms)
                    known[first, code] = 2 * (self.inputs + len(lines) - 1)
        return known[first, code]


def build_tables(
    weights: np.ndarray, *, size: int | None = None, largest: int = 256, ordered: bool = True, seed: int = 0
) -> Tables:
    """Tables for a matrix [outputs, inputs] of -1, 0, 1, with the fewest additions among group sizes.

    size: inputs a group, 1 to 8; None tries all. largest: most entries a table may have (a group that would need more
    ends early), so that tables fit in L1. ordered: choose which inputs share a group so that patterns repeat, by
    greedy choice among a sample fixed by `seed`; otherwise neighbours do. Inputs without weights are in no group.
    Raises InputError for other weights or sizes.
    """
    if size is not None and size not in SIZES:
        raise InputError(f"groups have 1 to 8 inputs, not {size}")
    matrix = ternary(weights)
    best = None
    for one in SIZES if size is None else (size,):
        groups = tuple(_groups(matrix, one, largest, ordered, np.random.default_rng(seed)))
        tables = Tables(matrix.shape[0], matrix.shape[1], groups)
        cost = tables.lookups + tables.entries  # within a few of the additions, and quick
        if best is None or cost < best[0]:
            best = (cost, tables)
    assert best is not None
    return best[1]


def _groups(
    matrix: npt.NDArray[np.int8], size: int, largest: int, ordered: bool, random: np.random.Generator
) -> list[Group]:
    columns = np.ascontiguousarray(matrix.T).astype(np.int64)
    left = np.flatnonzero(columns.any(axis=1))
    groups = []
    while len(left):
        chosen, codes, left = [left[0]], columns[left[0]], left[1:]
        for place in range(1, size):
            sample = left[:1] if not ordered else left
            if len(sample) > CANDIDATES:
                sample = left[np.sort(random.choice(len(left), CANDIDATES, replace=False))]
            if not len(sample):
                break
            extended = codes + 3**place * columns[sample]
            distinct = _distinct(extended)
            pick = int(np.argmin(distinct))
            if distinct[pick] > largest:
                break
            chosen.append(sample[pick])
            codes = extended[pick]
            left = left[left != sample[pick]]
        groups.append(Group(np.array(chosen, dtype=np.int32), codes))
    return groups


def _distinct(codes: Codes) -> npt.NDArray[np.int64]:
    """Distinct codes up to sign, 0 left out, of each line of [lines, outputs]."""
    ordered = np.sort(np.abs(codes), axis=1)
    return np.count_nonzero(np.diff(ordered, axis=1, prepend=0), axis=1)


def _split(code: int, low: int) -> tuple[int, int]:
    """The lowest `low` digits of a balanced ternary number, and the rest."""
    unit = 3**low
    half = (unit - 1) // 2
    piece = (code + half) % unit - half
    return piece, (code - piece) // unit
