"""Costs of one network in several libraries and codings, beside each other: as rows, sentences and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ...ir.locations import nodes_text
from .arrays import ArrayCost
from .cost import NetworkCost, Outside
from .lowering.graph import ON_FLOATS
from .yosys.network import NetworkSynthesis

NOT_MODELLED = (
    "Time and energy: no source gives a delay or an energy of these cells. Depth counts gates, slow ones as fast ones.",
    "Wires: their length, capacitance and resistance, fan-out, drivers, placement and routing. Wires are counted.",
    "Registers, clocks, control and memories: of arrays, digits of registers are counted, not their gates.",
    "Shared sums of layers of more than 150,000 weights: their channels have trees of adders of their own.",
    "Inverters that cells share: where a library counts those of a cell's inputs apart, every cell has its own.",
    "Simplification across cells: a netlist stays as it is mapped, adders among it whose carry nobody reads. Only "
    "functions of constant inputs become those of the rest.",
    "Borders: a pixel at the border of a map is counted as one inside. Constant inputs would cost less there; where "
    "maps of -1 and 1 are a bit each, which has no 0, it would be a circuit of its own.",
    "Requantization other than by comparing: each of its levels, up to 255 of 8 bits, has a comparator, though a "
    "quotient by a power of the radix is a shift. Where it is most of a circuit, the ratio is one of comparators.",
    "Operations on floats, and conversions between ternary and binary signals at the circuit's ends.",
    "The middle supply level, noise margins, variation and yield of circuits with three levels.",
    "Memory: traffic counts digits, each map and weight once an operation, not the accesses of a schedule. A trit in "
    "binary memory takes 1.6 to 2 bits; it is counted as a trit.",
)
"""What no number of a report holds. docs/ternary-logic.md has the same sentences."""

HINT = "layers on floats have no gates: --activations makes integers of what they read"
NAMES = 8
"""Of operations without gates, in a sentence."""
WITH_WEIGHTS = ("conv", "matmul")
"""Kinds of operations that --weights and --activations change."""


@dataclass(frozen=True)
class CostReport:
    """costs: of one network, by library and coding. synthesis: what Yosys makes of it, where it was asked for."""

    HEADER: ClassVar = ("operation", "kind", "coding", "pixels", "gates", "transistors", "wires", "depth", "cells")
    SIDES: ClassVar = "<<<>>>>><"
    """Of the columns: numbers to the right."""

    model: str
    costs: tuple[NetworkCost, ...]
    synthesis: NetworkSynthesis | None = None

    def best(self, *, binary: bool) -> NetworkCost | None:
        """The ternary or binary circuit with the fewest transistors."""
        found = [cost for cost in self.costs if cost.binary == binary]
        return min(found, key=lambda cost: cost.transistors, default=None)

    @property
    def has_float_layers(self) -> bool:
        """Whether layers with weights have no gates for the time being."""
        outside = (one for cost in self.costs for one in cost.outside)
        return any(one.reason == ON_FLOATS and one.name in WITH_WEIGHTS for one in outside)

    def rows(self) -> list[tuple[str, ...]]:
        """A row under HEADER for each operation and coding, and for the whole of each."""
        each = [_rows(cost) for cost in self.costs]
        alike = len({tuple((one.name, one.nodes) for one in cost.operations) for cost in self.costs}) == 1
        operations = [row for rows in (zip(*each, strict=True) if alike else each) for row in rows]
        return operations + [
            (
                "all", "", circuit_name(cost), "", f"{cost.gates:,}", f"{cost.transistors:,}", f"{cost.wires:,}",
                str(cost.depth), "",
            )
            for cost in self.costs
        ]  # fmt: skip

    def verdict(self) -> Sequence[str]:
        """Who wins, and where it turns; () without a circuit of each kind."""
        ternary, binary = self.best(binary=False), self.best(binary=True)
        if not (ternary and binary and ternary.transistors and binary.transistors):
            return ()
        found = list(_comparison(ternary, circuit_name(binary), binary.transistors))
        if self.synthesis is not None:
            for coding, transistors in self.synthesis.transistors().items():
                if transistors < binary.transistors:
                    found += _comparison(ternary, f"{coding}, the smallest circuits of Yosys and tercet", transistors)
        missing = dict.fromkeys(one for cost in self.costs for one in cost.outside if one.reason != ON_FLOATS)
        if missing:
            names = ", ".join(nodes_text(one.nodes) or one.name for one in missing)
            found.append(f"In neither are operations on integers without gates: {names}.")
        return found

    def summary(self) -> Iterator[str]:
        """What it comes to, in sentences."""
        yield from self.verdict()
        for cost in self.costs:
            area = "" if cost.area is None else f", {cost.area:,.0f} um2"
            yield (
                f"{circuit_name(cost)}: {cost.transistors:,} transistors{area}; radix times wires {cost.radix_cost:,}; "
                f"{cost.traffic:,} digits of maps and weights an inference"
            )
            if cost.changes is not None:
                each = f"{cost.changes / max(cost.gates, 1):.2f} for each gate"
                yield f"{circuit_name(cost)}: {cost.changes:,.0f} outputs of gates change an inference, {each}"
            if cost.saved:
                share = cost.saved / (cost.transistors + cost.saved)
                saved = f"{cost.saved:,} transistors, {100 * share:.0f} % of the circuit"
                yield f"{circuit_name(cost)}: shared sums save {saved}"
            yield from (_array(cost, one) for one in cost.arrays)
        yield from _left_out(self.costs[0].outside if self.costs else ())
        if self.has_float_layers:
            yield f"hint: {HINT}"
        if self.synthesis is not None:
            yield from self.synthesis.summary()

    def to_json(self) -> dict[str, Any]:
        ternary, binary = self.best(binary=False), self.best(binary=True)
        edge = break_even(ternary, binary.transistors) if ternary and binary else None
        return {
            "model": self.model, "break_even_full_adder": edge, "costs": [_json(cost) for cost in self.costs],
            "synthesis": None if self.synthesis is None else self.synthesis.to_json(),
        }  # fmt: skip


def _left_out(outside: Sequence[Outside]) -> Iterator[str]:
    """Operations without gates, a line for each reason."""
    for reason in dict.fromkeys(one.reason for one in outside):
        names = [f"{nodes_text(one.nodes)} ({one.name})" if one.nodes else one.name for one in outside
                 if one.reason == reason]  # fmt: skip
        more = f" and {len(names) - NAMES} more, which --json and --html have" if len(names) > NAMES else ""
        yield f"in no sum ({reason}): {', '.join(names[:NAMES])}{more}"


def break_even(ternary: NetworkCost, binary: int) -> float | None:
    """The transistors of a ternary full adder at which a circuit is as large as a binary one of so many, all other
    cells as they are; None without a full adder. It may be negative: then the other cells alone are larger."""
    adders, cell = ternary.full_adders, ternary.library.full_adder
    if not adders or cell is None:
        return None
    others = ternary.transistors - adders * cell.all_transistors
    return (binary - others) / adders


def _comparison(ternary: NetworkCost, name: str, binary: int) -> Iterator[str]:
    """name: of the binary circuit. binary: its transistors."""
    factor = ternary.transistors / binary
    if ternary.transistors == binary:
        yield f"Neither wins: {circuit_name(ternary)} and {name} have {binary:,} transistors each."
        return
    wins, size = ("Binary", factor) if factor > 1 else ("Ternary", 1 / factor)
    other = "ternary" if factor > 1 else "binary"
    yield (
        f"{wins} wins: the {other} circuit has {size:.2f} times as many transistors "
        f"({circuit_name(ternary)} {ternary.transistors:,}, {name} {binary:,})."
    )
    cell = ternary.library.full_adder
    if cell is None or (edge := break_even(ternary, binary)) is None:
        yield "At which full adder it turns is not known: the ternary circuit has none."
    else:
        yield (
            f"It turns at a ternary full adder of {edge:.0f} transistors, all other cells as they are; "
            f"{ternary.library.name} has {cell.all_transistors}."
            if edge > 0
            else "No full adder is small enough to turn it: the other ternary cells alone are larger."
        )


def _array(cost: NetworkCost, one: ArrayCost) -> str:
    array, forms = one.array, (one.array.inputs, one.array.weights)
    ranges = " by ".join(f"{form.low} to {form.high}" for form in forms)
    return (
        f"{circuit_name(cost)}, step by step: {array.lanes} products of {ranges} and an accumulator are "
        f"{array.netlist.transistors:,} transistors and {array.registers:,} digits of registers; {one.steps:,} steps "
        f"read {one.reads:,} digits"
    )


def circuit_name(cost: NetworkCost) -> str:
    """Its coding and library."""
    return f"{cost.coding.name}, {cost.library.name}"


def _rows(cost: NetworkCost) -> list[tuple[str, ...]]:
    return [
        (
            nodes_text(one.nodes) or one.name, one.name, circuit_name(cost),
            f"{one.copies:,}", f"{one.gates:,}", f"{one.transistors:,}", f"{one.wires:,}", str(one.depth),
            " ".join(f"{count:,} {cell}" for cell, count in one.cells.items()),
        )
        for one in cost.operations
    ]  # fmt: skip


def _json(cost: NetworkCost) -> dict[str, Any]:
    """Numbers that no source gives are null."""
    library = cost.library
    return {
        "library": library.name, "technology": library.technology, "supply": library.supply,
        "inverters": library.inverters, "digits": library.digits.name, "coding": cost.coding.name,
        "gates": cost.gates, "transistors": cost.transistors, "wires": cost.wires, "radix_cost": cost.radix_cost,
        "saved_by_shared_sums": cost.saved, "depth": cost.depth, "area": cost.area, "traffic": cost.traffic,
        "changes": cost.changes,
        "cells": dict(cost.cells),
        "sources": {name: asdict(library.cells[name].source) for name in cost.cells},
        "operations": [{**asdict(one), "gates": one.gates} for one in cost.operations],
        "outside": [asdict(one) for one in cost.outside],
        "arrays": [_array_json(one) for one in cost.arrays],
    }  # fmt: skip


def _array_json(one: ArrayCost) -> dict[str, Any]:
    array = one.array
    forms = {"inputs": array.inputs, "weights": array.weights, "sums": array.sums}
    return {
        "lanes": array.lanes,
        **{name: {"low": form.low, "high": form.high, "wires": form.wires} for name, form in forms.items()},
        "gates": array.netlist.gates, "transistors": array.netlist.transistors, "cells": array.netlist.counts,
        "depth": array.netlist.depth, "area": array.netlist.area, "registers": array.registers,
        "steps": one.steps, "reads": one.reads,
        "operations": [{**asdict(steps), "steps": steps.count} for steps in one.operations],
    }  # fmt: skip
