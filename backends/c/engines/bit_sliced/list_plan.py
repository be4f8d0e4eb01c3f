"""Lists of the bit-sliced engine: how rows lie in tiles and windows; and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from xdsl.ir import Attribute

from .....ir.kn.bit_rows import BitRowsLayout, row_bits
from .....ir.kn.layout import tensor_in
from .....ir.types import element_of
from ...bit_rows import DEFINES as BIT_ROWS
from ...bit_rows import RUN
from ...convolutions.problem import MAX_THRESHOLDS, Problem
from ...engine import Schedule
from ...refusal import Refused
from ...target import Target
from .forms import BLOCK, MAX_COUNTER, Form

NAME = "bit_sliced"
WORD = 8
"""Bytes that are written together, at most."""
DEFINES = {**BIT_ROWS, "BITS_MAX_COUNTER": MAX_COUNTER, "BITS_BLOCK": BLOCK, "BITS_STEPS": MAX_THRESHOLDS}
NUMBERS = 2**16
MOST_CLASSES = 64
CLASS_BYTES = 16  # of struct bits_run


@dataclass(frozen=True)
class ListPlan:
    """A form with a schedule. pitch: bytes of a row of output pixels."""

    form: Form
    target: Target
    pitch: int

    @property
    def problem(self) -> Problem:
        return self.form.problem

    @property
    def channels(self) -> int:
        """Output channels of one convolution group."""
        return self.problem.outputs // self.problem.group

    @property
    def chunk(self) -> int:
        """Bytes of a row that are packed together."""
        return min(self.pitch, (RUN - self.form.longest_shift) // 8)

    @property
    def unit(self) -> int:
        return math.gcd(self.pitch, 8)

    @cached_property
    def tile(self) -> int:
        """Bytes from one tile to the next: those of a vector, or of whole rows in it where that makes no more tiles,
        and so windows of fewer rows."""
        vector, whole = self.target.vector_bytes, self.target.vector_bytes // self.pitch * self.pitch
        return whole if whole and self._tiles(whole) <= self._tiles(vector) else vector

    def _tiles(self, size: int) -> float:
        """The last tile by its share of a vector."""
        whole, left = divmod(self.problem.out[0] * self.pitch, size)
        return whole + self._width(left or size) / self.target.vector_bytes - (not left)

    def _width(self, size: int) -> int:
        """Bytes of the narrowest vectors that hold `size`."""
        return next(width for width in (16, 32, 64) if width >= size)

    @property
    def last(self) -> int:
        """Bytes of the vectors of the last tile."""
        return self._width(self.problem.out[0] * self.pitch % self.tile or self.tile)

    @property
    def rows(self) -> int:
        """Of a window: those that a tile's pixels and their taps lie in."""
        begin = self.pitch - math.gcd(self.pitch, self.tile)  # at most, in the tile's first row
        return -(-(begin + self.tile) // self.pitch) + (self.form.slots - 1) * self.form.step

    @property
    def window(self) -> int:
        """Bytes of a window of one plane, with what is written after the last row in words of eight, and what a vector
        reads."""
        chunks, taps = -(-self.pitch // self.chunk), (self.form.slots - 1) * self.form.step * self.pitch
        written = self.rows * self.pitch + max(WORD - self.pitch, (chunks - 1) * self.chunk + WORD - self.pitch, 0)
        read = self.pitch - math.gcd(self.pitch, self.tile) + taps + self.target.vector_bytes
        return -(-max(written, read) // self.unit) * self.unit

    @property
    def number_window(self) -> int:
        return self.form.planes * self.window // self.unit

    @property
    def number_step(self) -> int:
        return self.form.step * self.pitch // self.unit

    @property
    def classes(self) -> int:
        return len(self.form.spans(0)) * len(self.form.spans(1))

    @property
    def steps(self) -> int:
        return self.problem.levels.steps if self.problem.levels else 0

    @property
    def thresholds(self) -> int:
        """Comparisons of every count."""
        return self.problem.levels.thresholds.shape[1] if self.problem.levels else 0

    @property
    def window_bytes(self) -> int:
        return self.form.windows * self.form.planes * self.window

    @property
    def scratch(self) -> int:
        """Bytes that bits_conv of bit_sliced.h divides."""
        vector = self.target.vector_bytes
        sizes = (
            self.window_bytes + self.form.planes * self.window + vector + self.rows * self.pitch,
            MAX_COUNTER * vector,
            self.classes * vector,
            CLASS_BYTES * vector,
            2 * (self.form.windows * self.form.slots + BLOCK + 2),
            4 * (8 * vector + RUN),
        )
        return sum(-(-size // 64) * 64 for size in sizes)

    def rows_in(self) -> bool:
        """Whether the input is read in rows of bits."""
        problem, (source, *more) = self.problem, self.form.sources
        element = element_of(problem.root.x)
        near = source.column > -RUN and source.column + source.shifts[-1] < RUN
        short = max(problem.size[1], 8 * self.pitch) <= RUN
        return problem.stride == 1 and not more and near and short and row_bits(element) == self.form.planes

    def rows_like(self, kind: Attribute) -> bool:
        """Whether a map of the output's size can lie in rows of bits as tiles do."""
        tensor = tensor_in(kind)
        return row_bits(element_of(tensor)) > 0 and BitRowsLayout.of(tensor).field("pitch") == self.pitch

    @property
    def fits(self) -> bool:
        return (self.form.windows + 1) * self.number_window < NUMBERS

    def schedule(self) -> Schedule:
        """pitch: bytes of a row of output pixels."""
        return {"pitch": self.pitch}

    def cost(self, costs: Mapping[str, float]) -> float:
        """Predicted cycles. A tile is a vector of bytes, computed in full, so only large maps fill it.

        Costs for a tile: `window` a row of a plane of windows, `add` a listed plane, `miss` more where windows leave
        the first-level cache, `compare` a comparison with one bit of a limit, `row` a row of one bit of sums, `sum` a
        pixel's sum, `output` the rest of an output.
        """
        problem, form = self.problem, self.form
        flat, tiles = form.flat, self._tiles(self.tile)
        planes = ((flat > 0).sum() + (0 if form.doubled else (flat < 0).sum())) * form.planes
        if form.doubled:
            planes += problem.group * flat.shape[1] * form.planes
        runs = math.ceil(problem.out[1] / (8 * min(self.pitch, 7))) * self.tile / self.pitch
        packed = problem.group * form.windows * form.planes * self.rows * math.ceil(self.pitch / self.chunk)
        add = costs["add"] + (costs["miss"] if self.window_bytes > self.target.l1 else 0)
        if self.steps:
            classes = len(form.spans(1)) * (1 + (len(form.spans(0)) - 1) / max(tiles, 1))
            finish = self.thresholds * form.counters * classes * costs["compare"]
        else:
            finish = runs * form.counters * costs["row"] + 8 * self.tile * costs["sum"]
        cycles = packed * costs["window"] + planes * add + problem.outputs * (finish + costs["output"])
        return float(tiles * cycles)


def list_plans(problem: Problem, bipolar: bool, target: Target) -> list[ListPlan]:
    """All plans, the cheapest first. Raises Refused where there is none."""
    form = Form(problem, bipolar)
    if len(form.spans(0)) * len(form.spans(1)) > MOST_CLASSES:
        form = Form(problem, bipolar=False)
    if form.counters > MAX_COUNTER:
        raise Refused(f"expected counts of at most {MAX_COUNTER} bits, got {form.counters}")
    if form.longest_shift > RUN - 8:
        raise Refused(f"expected taps within {RUN - 8} pixels of a row, got {form.longest_shift + 1}")
    least = -(-problem.out[1] // 8)
    found = [ListPlan(form, target, -(-least // unit) * unit) for unit in (1, 2, 4, 8)]
    fitting = [plan for plan in found if plan.fits]
    if not fitting:
        raise Refused(f"expected less than {NUMBERS} numbers of inputs, got {found[-1].form.windows}")
    return fitting[:1]
