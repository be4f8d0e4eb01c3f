"""What Yosys makes of a network: one output and one pixel of every operation, and what that says about the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ....ir.locations import nodes_text, source_names
from ....ir.program import Program
from ..cell import Library
from ..lowering.coding import Coding
from ..lowering.tiles import Tile, tiles
from .behaviour import Behaviour, behaviour_of
from .explicit import cone, explicit
from .inferred import forms_of, inferred
from .recipes import CellCount, Count, LutCount, Recipe, StandardCells
from .runs import PROBE, Run, Synthesizer, best, forms_text

MAPPED = "mapped"
"""The form of tercet's own netlist, as it is counted without Yosys."""


@dataclass(frozen=True)
class Whole:
    """An operation, every pixel with gates of its own. form: of the best circuit. how: what its number is made of."""

    count: Count
    form: str
    how: str


@dataclass(frozen=True)
class OperationSynthesis:
    """nodes: of the source model. recipe: what is made. copies: pixels of the operation. outputs: of a pixel. output:
    runs on one output alone, the one with as many terms as the mean one; pixel: runs on all of them. whole: None where
    nothing came to an end."""

    name: str
    nodes: tuple[str, ...]
    coding: str
    recipe: str
    copies: int
    outputs: int
    output: tuple[Run, ...]
    pixel: tuple[Run, ...]
    whole: Whole | None


@dataclass(frozen=True)
class NetworkSynthesis:
    """limit: seconds for each run. operations: by coding, and by recipe."""

    HEADER: ClassVar = ("operation", "coding", "made", "pixels", "one output", "a pixel", "whole", "in", "of")
    SIDES: ClassVar = "<<<><<><<"

    yosys: str
    limit: float
    operations: tuple[OperationSynthesis, ...]

    def groups(self) -> Mapping[tuple[str, str], Sequence[OperationSynthesis]]:
        """The operations of a coding and recipe."""
        found: dict[tuple[str, str], list[OperationSynthesis]] = {}
        for one in self.operations:
            found.setdefault((one.coding, one.recipe), []).append(one)
        return found

    def transistors(self) -> Mapping[str, int]:
        """Of the smallest circuits of all operations, by coding; of those alone in which each operation's are known."""
        found = dict[str, int]()
        for (coding, _), operations in self.groups().items():
            counts = [one.whole.count for one in operations if one.whole is not None]
            each = [count.transistors for count in counts if isinstance(count, CellCount)]
            known = [transistors for transistors in each if transistors is not None]
            if operations and len(known) == len(operations):
                found[coding] = sum(known)
        return found

    def rows(self) -> list[tuple[str, ...]]:
        """A row under HEADER for each operation, coding and recipe."""
        return [
            (
                nodes_text(one.nodes) or one.name, one.coding, one.recipe,
                f"{one.copies:,}", _runs(one.output), _runs(one.pixel),
                f"{one.whole.count.size:,}" if one.whole else "", one.whole.count.unit if one.whole else "",
                one.whole.form if one.whole else "nothing",
            )
            for one in self.operations
        ]  # fmt: skip

    def summary(self) -> Iterator[str]:
        """Sums of the best circuits, and what they are extrapolated from."""
        yield f"{self.yosys.split(' (')[0]}, at most {self.limit:g} s a run. What came of it:"
        for (coding, recipe), operations in self.groups().items():
            known = [one.whole for one in operations if one.whole is not None]
            forms = {form: sum(whole.form == form for whole in known) for form in sorted({w.form for w in known})}
            ours = ", ".join(f"{form} {count}" for form, count in forms.items())
            made = f"{_total([whole.count for whole in known])} (operations by form: {ours})" if known else "nothing"
            yield f"{coding}, {recipe}: {made}"
            if missing := [" + ".join(one.nodes) or one.name for one in operations if one.whole is None]:
                yield f"  in no sum, as nothing came to an end: {', '.join(missing)}"
            ways = sorted({whole.how for whole in known if whole.form != MAPPED})
            yield from (f"  extrapolated: {way}" for way in ways[:3])
            if len(ways) > 3:
                yield f"  and likewise {len(ways) - 3} more; --json has each"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _runs(runs: Sequence[Run]) -> str:
    return ", ".join(f"{form} {text}" for form, text in forms_text(runs).items())


def _total(counts: Sequence[Count]) -> str:
    luts = [count for count in counts if isinstance(count, LutCount)]
    cells = [count for count in counts if isinstance(count, CellCount)]
    if luts:
        carries, flip_flops = sum(count.carries for count in luts), sum(count.flip_flops for count in luts)
        return f"{sum(count.luts for count in luts):,} LUTs, {carries:,} carry cells, {flip_flops:,} flip-flops"
    total = f"{sum(sum(count.cells.values()) for count in cells):,} cells"
    transistors, areas = [count.transistors for count in cells], [count.area for count in cells]
    if None not in transistors:
        total += f", {sum(n for n in transistors if n):,} transistors"
    return total if None in areas else f"{total}, area {sum(n for n in areas if n):,.0f}"


def synthesise_network(
    program: Program, library: Library, codings: Sequence[Coding], recipes: Sequence[Recipe],
    synthesizer: Synthesizer, on_operation: Callable[[str], None] = lambda name: None,
) -> NetworkSynthesis:  # fmt: skip
    """Of a program after `gate_passes`: each operation that has gates, in the binary codings.

    Raises InputError for a liberty file that does not do, and ToolchainError where Yosys fails.
    """
    for recipe in recipes:
        if isinstance(recipe, StandardCells):
            synthesizer.check(recipe)
    found = list[OperationSynthesis]()
    for coding in codings:
        for tile in tiles(program, library, coding):
            if isinstance(tile, Tile) and tile.netlist.gates:
                nodes = tuple(source_names(tile.operation.location))
                name = tile.operation.name.removeprefix("tn.")
                on_operation(" + ".join(nodes) or name)
                behaviour = behaviour_of(tile, program)
                found += [
                    OperationSynthesis(name, nodes, coding.name, *operation(tile, behaviour, recipe, synthesizer))
                    for recipe in recipes
                ]
    return NetworkSynthesis(synthesizer.yosys.version, synthesizer.limit, tuple(found))


def operation(
    tile: Tile, behaviour: Behaviour | None, recipe: Recipe, synthesizer: Synthesizer
) -> tuple[str, int, int, tuple[Run, ...], tuple[Run, ...], Whole | None]:
    """The last fields of an OperationSynthesis."""
    nets = tile.netlist.outputs["y"].reshape(tile.output.wires, -1)
    outputs = nets.shape[1]
    chosen = outputs // 2 if behaviour is None else behaviour.middle
    alone = cone(tile.netlist, "y", nets[:, chosen])
    one = [synthesizer.run(recipe, "explicit", explicit(alone, recipe.adders))]
    forms = [] if behaviour is None else forms_of(behaviour)
    if behaviour is not None:
        one += [synthesizer.run(recipe, form, inferred(behaviour.some([chosen]), form)) for form in forms]
    start = synthesizer.run(recipe, "probe", [PROBE]).seconds
    pixel = list[Run]()
    for run in one:
        reason = _too_long(run, outputs, start, synthesizer.limit)
        if outputs == 1 or reason:
            pixel.append(Run(run.form, None, reason, 0.0) if reason else run)
        elif run.form == "explicit":
            pixel.append(synthesizer.run(recipe, run.form, explicit(tile.netlist, recipe.adders)))
        elif behaviour is not None:
            pixel.append(synthesizer.run(recipe, run.form, inferred(behaviour, run.form)))
    whole = _whole(tile, outputs, one, pixel, recipe)
    return recipe.name, tile.copies, outputs, tuple(one), tuple(pixel), whole


def _too_long(run: Run, outputs: int, start: float, limit: float) -> str:
    """Why a pixel is not worth a try; "" where it is."""
    if run.count is None:
        return "not tried, as one output ran out of time"
    work = max(run.seconds - 1.5 * start, 0.0)  # a start varies: what takes little longer counts as nothing
    return f"not tried: {outputs} outputs of {work:.1f} s each" if outputs * work > limit else ""


def _whole(tile: Tile, outputs: int, one: Sequence[Run], pixel: Sequence[Run], recipe: Recipe) -> Whole | None:
    """The best of what came to an end: circuits of a pixel, or, where none did, of one output. tercet's own netlist is
    beside them where its cells are the recipe's."""
    found = list[Whole]()
    if (run := best(pixel)) is not None and run.count is not None:
        how = f"{tile.copies:,} times a pixel that was synthesised"
        found.append(Whole(run.count.times(tile.copies), run.form, how))
    elif (run := best(one)) is not None and run.count is not None:
        how = f"{tile.copies:,} pixels of {outputs:,} outputs, of which one was synthesised, so none share anything"
        found.append(Whole(run.count.times(tile.copies * outputs), run.form, how))
    netlist = tile.netlist
    if isinstance(recipe, StandardCells) and netlist.counts.keys() <= recipe.liberty.transistors.keys():
        own = CellCount(netlist.counts, netlist.transistors, netlist.area).times(tile.copies)
        found.append(Whole(own, MAPPED, f"{tile.copies:,} times a pixel as tercet maps it"))
    return min(found, key=lambda whole: whole.count.size, default=None)
