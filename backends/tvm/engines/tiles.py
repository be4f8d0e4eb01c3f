"""The schedule that engines share: a tile of outputs and of vectors of pixels in registers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..package import s_tir


@dataclass(frozen=True)
class Registers:
    """outputs: channels of a tile. vectors: of pixels, each of so many lanes."""

    outputs: int
    vectors: int
    lanes: int

    @property
    def pixels(self) -> int:
        return self.vectors * self.lanes

    def for_outputs(self, count: int) -> Registers:
        """With as many outputs as divide so many."""
        return replace(self, outputs=max(n for n in range(1, self.outputs + 1) if count % n == 0))


def in_registers(module: Any, tile: Registers, accumulators: int) -> Any:
    """Schedules the blocks `acc`, a reduction [outputs, pixels] into so many buffers, and `y`, which reads them: tiles
    of pixels, in them tiles of outputs, in them the terms one after the other, with all sums in registers."""
    schedule = s_tir.Schedule(module)
    acc, result = schedule.get_sblock("acc"), schedule.get_sblock("y")
    outputs, pixels = schedule.get_loops(result)
    outer_pixels, vectors, lanes = schedule.split(pixels, [None, tile.vectors, tile.lanes])
    outer_outputs, inner_outputs = schedule.split(outputs, [None, tile.outputs])
    schedule.reorder(outer_pixels, outer_outputs, inner_outputs, vectors, lanes)
    _unrolled(schedule, result)
    schedule.compute_at(acc, outer_outputs, preserve_unit_loops=True)
    *_, out, pixel, term = schedule.get_loops(acc)
    vectors, lanes = schedule.split(pixel, [tile.vectors, tile.lanes])
    schedule.reorder(term, out, vectors, lanes)
    _unrolled(schedule, acc)
    for i in range(accumulators):
        schedule.set_scope(acc, i, "local")
    _unrolled(schedule, schedule.decompose_reduction(acc, term))
    return schedule.mod


def in_vectors(schedule: Any, name: str, lanes: int, results: int) -> Any:
    """Schedules a reduction of one axis into so many buffers: of the last axis as many elements at a time as are a
    vector, the terms one after the other. Returns the loop over the terms."""
    block = schedule.get_sblock(name)
    *_, elements, term = schedule.get_loops(block)
    vectors, inner = schedule.split(elements, [None, lanes])
    schedule.reorder(vectors, term, inner)
    schedule.vectorize(inner)
    for i in range(results):
        schedule.cache_write(block, i, "local")
    schedule.decompose_reduction(block, term)
    return term


def _unrolled(schedule: Any, block: Any) -> None:
    *_, outputs, vectors, lanes = schedule.get_loops(block)
    schedule.vectorize(lanes)
    schedule.unroll(vectors)
    schedule.unroll(outputs)
