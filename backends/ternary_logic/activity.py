"""How often wires change: what switches is what takes energy, in circuits of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .netlist import Netlist
from .simulate import planes_of

CHUNK = 1 << 12
"""Wires at a time."""


@dataclass(frozen=True)
class Activity:
    """Of gates that get one vector of inputs after the other. steps: from vector to vector. changes: by cell, how often
    the outputs of its gates had another digit than one vector before; wires: how many such outputs there are."""

    steps: int
    changes: Mapping[str, int]
    wires: Mapping[str, int]

    @property
    def factor(self) -> float:
        """The share of gates' outputs that change in a step."""
        return self.per_step / max(sum(self.wires.values()), 1)

    @property
    def per_step(self) -> float:
        """Changes of all gates' outputs in a step."""
        return sum(self.changes.values()) / max(self.steps, 1)


def activity(netlist: Netlist, inputs: Mapping[str, NDArray[np.integer]]) -> Activity:
    """Simulates vectors in their order. inputs: as for `simulate`, at least two vectors, which raises ValueError
    else."""
    planes, vectors = planes_of(netlist, inputs)
    if vectors < 2:
        raise ValueError(f"expected two vectors or more, got {vectors}")
    changes = np.concatenate([_changes(planes[:, i : i + CHUNK], vectors) for i in range(0, netlist.wires, CHUNK)])
    found, wires = Counter[str](), Counter[str]()
    for block in netlist.blocks:
        found[block.cell.name] += int(changes[block.outputs].sum())
        wires[block.cell.name] += block.outputs.size
    return Activity(vectors - 1, dict(sorted(found.items())), dict(sorted(wires.items())))


def _changes(planes: NDArray[np.uint64], vectors: int) -> NDArray[np.int64]:
    """How often each wire's digit differs from the one before. planes: [digits with planes, wires, words]."""
    after = planes >> np.uint64(1)
    after[..., :-1] |= planes[..., 1:] << np.uint64(63)
    differ = np.bitwise_or.reduce(planes ^ after, axis=0)
    bits = np.unpackbits(differ.view(np.uint8), axis=1, bitorder="little", count=vectors - 1)
    return bits.sum(axis=1, dtype=np.int64)
