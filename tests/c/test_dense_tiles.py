"""Register tiles of dense kernels: what a step holds fits the registers, or sums would pass through memory."""

import pytest

from tercet.backends.c.dense.plan import MAX_ROWS, MAX_WIDTH, Cell, tiles
from tercet.backends.c.target import TARGETS, Target

MANY = 10_000
CELLS = [Cell("one operation", 4, ops=1, multiplies=2), Cell("two operations", 2, ops=2, multiplies=2)]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_what_a_step_holds_fits_the_registers(target: Target, cell: Cell) -> None:
    found = dict((width, rows) for rows, width in tiles(target, cell, MANY, MANY))
    assert set(found) == set(range(1, MAX_WIDTH + 1))
    for width, rows in found.items():
        assert _held(rows, width) + cell.ops <= target.registers
        assert rows == MAX_ROWS or _held(rows + 1, width) + cell.ops > target.registers, "and no row more would"


def _held(rows: int, width: int) -> int:
    """Sums, and the vectors of the shorter side."""
    return rows * width + min(rows, width)
