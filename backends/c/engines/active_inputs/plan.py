"""Choices of the engine for active inputs: the width of a block of outputs, chunks of channels; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from .....ir.kn.bits import planes_in_bits
from ...bit_products.problem import Problem
from ...engine import Schedule
from ...scratch import Scratch
from ...target import Target
from .forms import Form

NAME = "active_inputs"
BLOCK, SPARE, RUN, ITEMS = 16, 32, 32, 64
"""Planes that are added together; items after a list that may be written; outputs whose sums are taken from the
counters together; items of a list beside its channels: its head, padding, spare ones."""
DEFINES = {"ACTIVE_BLOCK": BLOCK, "ACTIVE_SPARE": SPARE, "ACTIVE_RUN": RUN}
MOST_PIXELS, COUNTER_BYTES = 256, 256 * 1024
"""Pixels of a band, at most, and bytes of their counters."""
PLACES = 1 << 16
"""Words that the places of a list, of 16 bits, can reach."""
ACTIVE = {1: 1 / 2, 2: 2 / 3}
"""The share of inputs that are expected to be active, by the bits of an activation."""
CANDIDATES = 4


@dataclass(frozen=True)
class Plan:
    """A form with a schedule. bytes: of a vector, 64 outputs for every 8. words: of a chunk of channels."""

    form: Form
    target: Target
    bytes: int
    words: int

    @property
    def problem(self) -> Problem:
        return self.form.problem

    @property
    def lanes(self) -> int:
        """Outputs of a block."""
        return 8 * self.bytes

    @property
    def blocks(self) -> int:
        return -(-self.problem.outputs // self.lanes)

    @property
    def chunks(self) -> int:
        return -(-self.problem.words // self.words)

    @property
    def step(self) -> int:
        """Words of the weights of an input."""
        return self.form.planes * self.bytes // 8

    @property
    def items(self) -> int:
        """Room for one list."""
        return 64 * self.words + ITEMS

    @property
    def counter_bytes(self) -> int:
        """Of a pixel and a block: the bits of a count and, of two bits a weight, a second plane of ones."""
        return (self.form.counters + (self.form.planes == 2)) * self.bytes

    @property
    def most(self) -> int:
        """Pixels of a band."""
        most = max(1, min(MOST_PIXELS, COUNTER_BYTES // self.counter_bytes))
        return min(prod(self.problem.out), most)

    @property
    def box(self) -> int:
        """Inputs that a band sees, at most."""
        p = self.problem
        rows = min(p.out[0], (self.most - 1) // p.out[1] + 2)
        columns = self.most if p.out[0] == 1 else p.out[1]
        seen = [(count - 1) * s + (k - 1) * d + 1 for count, s, k, d in
                zip((rows, columns), p.strides, p.kernel, p.dilations, strict=True)]  # fmt: skip
        return min(p.size[0], seen[0]) * (min(p.size[1], seen[1]) if p.out[0] == 1 else p.size[1])

    @cached_property
    def scratch(self) -> Scratch:
        """The parts that active_layer names."""
        levels, staged = self.problem.levels, self.problem.levels is None and not self.problem.rows
        words = 0
        if levels is not None:
            words = -(-self.problem.outputs // 64) * planes_in_bits(levels.element)
        return Scratch.of(
            counters=self.most * self.counter_bytes,
            lists=self.box * self.chunks * self.items * 2,
            differences=self.box * 4,
            starting=self.most * 4,
            sums=RUN * (self.most + SPARE) * 4 + SPARE * 4 if staged else 0,
            bits=self.most * words * 8,
        )

    def schedule(self) -> Schedule:
        """bytes: of a vector, which holds a bit of 8 outputs in each. words: of 64 channels each, in a chunk."""
        return {"bytes": self.bytes, "words": self.words}

    # -- cost -----------------------------------------------------------------------------------------------------

    def cost(self, costs: Mapping[str, float]) -> float:
        """One sample. Each plane of weights of an active input takes a full adder: `add` for a whole vector, at least
        `issue`, and `miss` more where the weights of a tap leave L1; each call of it, a tap and pixel, `call` and each
        of its counters `load`; a threshold `level` a counter, or a sum for an epilogue `value`; an input `list`;
        weights of active inputs outside L2 `byte`."""
        p, form = self.problem, self.form
        pairs = p.images * prod(sum(s.count * (s.end - s.begin) for s in p.spans(axis)) for axis in (0, 1))
        inputs, outputs = p.images * prod(p.size), p.images * prod(p.out)
        planes = p.channels * ACTIVE[p.planes] * form.planes + self.chunks * p.planes * BLOCK / 2
        plane = max(costs["issue"], costs["add"] * self.bytes / self.target.vector_bytes)
        tap = self.words * 64 * self.step * 8
        if tap > self.target.l1:
            plane += costs["miss"]
        cycles = pairs * (planes * plane + self.chunks * (costs["call"] + form.counters * costs["load"]))
        if p.levels is not None:
            cycles += outputs * p.levels.thresholds[0].size * form.counters * costs["level"]
        cycles *= self.blocks
        if p.levels is None:
            cycles += outputs * p.outputs * costs["value"]
        cycles += inputs * p.channels * costs["list"]
        weights = self.blocks * (p.channels + self.chunks) * prod(p.kernel) * self.step * 8
        if weights > self.target.l2 // 2:
            bands = p.images * -(-prod(p.out) // self.most)
            cycles = max(cycles, bands * weights * ACTIVE[p.planes] * costs["byte"])
        return cycles + costs["kernel"]


def plans(form: Form, target: Target) -> list[Plan]:
    """The best widths and chunks, as predicted; the widest of equals, whose weights are longer runs."""
    sizes = {
        (width, min(-(-form.problem.words // parts), PLACES // (form.planes * width * 8) - 1))
        for width in (16, 32, 64)
        if width <= target.vector_bytes
        for parts in (1, 2, 4, 8)
    }
    found = [Plan(form, target, width, words) for width, words in sorted(sizes, reverse=True)]
    return sorted(found, key=lambda plan: plan.cost(target.costs[NAME]))[:CANDIDATES]
