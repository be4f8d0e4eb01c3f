"""What a cell library is: cells, what each computes and needs, and who says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .functions import Digits, Function, adder

PINS = "abcdef"


@dataclass(frozen=True)
class Source:
    """Where numbers come from. verified: whether they were counted again from the circuits themselves."""

    citation: str
    verified: bool
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A gate, as a library has it.

    outputs: what each output computes from the inputs, which are called a, b, c and so on. transistors: without the
    inverters of its inputs, where the library counts those apart. delay (ps), energy (fJ a transition), area (um2):
    None where no source gives the number. built: other cells that do the same, a line "y, z = CELL a b" each.
    """

    name: str
    outputs: Mapping[str, Function]
    transistors: int
    source: Source
    inverters: int = 0
    delay: float | None = None
    energy: float | None = None
    area: float | None = None
    built: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.transistors))

    @property
    def inputs(self) -> int:
        return next(iter(self.outputs.values())).inputs

    @property
    def pins(self) -> Sequence[str]:
        """The names of the inputs."""
        return PINS[: self.inputs]

    @property
    def functions(self) -> tuple[Function, ...]:
        return tuple(self.outputs.values())

    @property
    def all_transistors(self) -> int:
        """With the inverters of its inputs, shared with no other cell."""
        return self.transistors + self.inverters


@dataclass(frozen=True)
class Library:
    """inverters: `separate` where cells count the inverters of their inputs apart, `included` where not. supply: volts,
    None where the source does not say."""

    name: str
    title: str
    digits: Digits
    technology: str
    inverters: str
    supply: float | None
    cells: Mapping[str, Cell] = field(repr=False)

    def find(self, *functions: Function) -> Cell | None:
        """The cell with the fewest transistors that computes exactly these outputs; None where there is none."""
        fits = [cell for cell in self.cells.values() if cell.functions == functions]
        return min(fits, key=lambda cell: cell.all_transistors, default=None)

    def require(self, name: str, digits: Digits) -> None:
        """Raises ValueError for what is to be built of other digits than the cells have."""
        if digits != self.digits:
            raise ValueError(f"{name} needs {digits.name} cells, {self.name} has {self.digits.name}")

    @property
    def full_adder(self) -> Cell | None:
        """The smallest cell that is one, whatever its name."""
        return self.find(*adder(self.digits, 3))

    @property
    def carry(self) -> range | None:
        """The carries of cells with three inputs and an output `carry`: -1 to 1 of balanced digits, 0 to 1 or 0 to 2 of
        others."""
        adders = [cell.outputs["carry"] for cell in self.cells.values() if "carry" in cell.outputs and cell.inputs == 3]
        return range(min(adders[0].table), max(adders[0].table) + 1) if adders else None

    def __hash__(self) -> int:
        return hash(self.name)
