"""What a network costs in gates, as one HTML file: ternary against binary, with every number's source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10

from ..backends.ternary_logic.cost import NetworkCost, OperationCost
from ..backends.ternary_logic.report import HINT, NOT_MODELLED, CostReport, break_even, circuit_name
from ..ir.locations import nodes_text
from ..runtime.report.charts import Line, line_chart, percent
from ..runtime.report.page import Markup, bar, html, page, table

CSS = """\
table { font-size: .9rem; margin-bottom: 1rem; width: auto; min-width: 60%; } th { vertical-align: bottom; }
th.number { white-space: normal; max-width: 9rem; }
td.bar { min-width: 14rem; } svg { max-width: 44rem; display: block; } .bar div + div { margin-top: 2px; }
"""
WIDTH = 78  # rem


def cost_html(found: CostReport) -> str:
    """The report as a page. What no source gives is blank."""
    ternary, binary = found.best(binary=False), found.best(binary=True)
    sections = [
        ("The circuits", _circuits(found)),
        ("Operation by operation", _operations(ternary, binary)),
        ("At which full adder it turns", _turning(found, binary)),
        ("Where the transistors are", Markup("".join(map(_cells, found.costs)))),
        ("Step by step, with weights from a memory", _arrays(found)),
        ("What Yosys makes of it", _yosys(found)),
        ("Memory traffic of an inference", _traffic(ternary, binary)),
        ("What zeros save in circuits that share no sums", _zeros(found)),
        ("In no sum", _outside(found)),
        ("Sources of the cells", Markup("".join(map(_sources, _by_library(found))))),
        ("What is not modelled", _list(NOT_MODELLED)),
    ]
    verdict = "\n".join(f'<p class="headline">{html(sentence)}</p>' for sentence in found.verdict())
    body = "\n".join(f"<h2>{title}</h2>\n{section}" for title, section in sections if section)
    return page(f"{found.model}: what it costs in gates", Markup(f"{verdict}\n{body}"), width=WIDTH, css=CSS)


def _list(sentences: Sequence[str]) -> Markup:
    return Markup("<ul>\n" + "\n".join(f"<li>{html(each)}</li>" for each in sentences) + "\n</ul>\n")


def _note(text: str) -> Markup:
    return Markup(f'<p class="small">{html(text)}</p>\n')


def _number(value: float | None, form: str = ",.0f") -> str:
    """Blank for what is not known."""
    return "" if value is None else format(value, form)


# -- the whole --------------------------------------------------------------------------------------------------------


def _circuits(found: CostReport) -> Markup:
    binary = found.best(binary=True)
    rows = [
        [
            cost.coding.name, cost.library.name, _number(cost.gates), _number(cost.transistors),
            _number(cost.transistors / binary.transistors if binary and binary.transistors else None, ".2f"),
            _number(None if cost.binary or not binary else break_even(cost, binary.transistors), ".0f"),
            _full_adder(cost),
            _number(cost.wires), _number(cost.radix_cost), str(cost.depth), _number(cost.area), _number(cost.changes),
        ]
        for cost in found.costs
    ]  # fmt: skip
    header = (
        "coding", "library", "gates", "transistors", "times the best binary", "even at a full adder of", "it has",
        "wires", "radix times wires", "gates in a row", "area, um2", "outputs of gates that change an inference",
    )  # fmt: skip
    return Markup(table(header, rows, "<<>>>>>>>>>>") + _note(
        "Every pixel has gates of its own and weights are fixed: this is the network unrolled. A coding says how "
        "integers lie on wires: numbers of -1, 0 and 1 are one trit (ternary), two bits ({neg, pos}), or two's "
        "complement; others are balanced ternary places, or two's complement in both binary codings. Gates in a row "
        "are the longest paths of all operations, one after the other. Outputs that change are counted from samples, "
        "which --inputs gives. Blank: no source gives it."
    ))  # fmt: skip


def _full_adder(cost: NetworkCost) -> str:
    cell = cost.library.full_adder
    return "" if cell is None else str(cell.all_transistors)


# -- operations -------------------------------------------------------------------------------------------------------


def _name(one: OperationCost) -> str:
    return nodes_text(one.nodes) or one.name


def _beside(
    first: NetworkCost | None, second: NetworkCost | None
) -> Iterator[tuple[OperationCost | None, OperationCost | None]]:
    """Operations of two circuits in pairs; alone where the other circuit does not map it, or needs no gates."""
    rest = list(second.operations) if second else []
    for one in first.operations if first else ():
        same = next((i for i, other in enumerate(rest) if (other.name, other.nodes) == (one.name, one.nodes)), None)
        for _ in range(same or 0):
            yield None, rest.pop(0)
        yield one, None if same is None else rest.pop(0)
    yield from ((None, other) for other in rest)


def _operations(ternary: NetworkCost | None, binary: NetworkCost | None) -> Markup:
    pairs = list(_beside(ternary, binary))
    most = max((one.transistors for pair in pairs for one in pair if one), default=0) or 1
    rows = []
    for pair in pairs:
        one = pair[0] or pair[1]
        assert one is not None
        sizes = [None if each is None else each.transistors for each in pair]
        ratio = sizes[0] / sizes[1] if sizes[0] and sizes[1] else None
        bars = "".join(bar((size or 0) / most, kind) for size, kind in zip(sizes, ("", "peer"), strict=True))
        depths = [_number(None if each is None else each.depth) for each in pair]
        numbers = [*map(_number, sizes), _number(ratio, ".2f")]
        rows.append([_name(one), one.name, f"{one.copies:,}", *numbers, Markup(bars), *depths])
    total = [None if cost is None else cost.transistors for cost in (ternary, binary)]
    whole = total[0] / total[1] if total[0] and total[1] else None
    rows.append(["all", "", "", *map(_number, total), _number(whole, ".2f"), "", "", ""])
    header = ["operation", "kind", "pixels", "ternary, transistors", "binary, transistors", "ratio", ""]
    header += ["ternary, gates in a row", "binary"]
    names = [f"{kind}: {circuit_name(cost)}" for kind, cost in (("Ternary", ternary), ("Binary", binary)) if cost]
    return Markup(table(header, rows, "<<>>>>|>>") + _note(
        f"{'; '.join(names)}: of each kind the circuit with the fewest transistors. Upper bars are ternary, lower ones "
        "binary."
    ))  # fmt: skip


# -- break-even -------------------------------------------------------------------------------------------------------


def _turning(found: CostReport, binary: NetworkCost | None) -> Markup:
    ternary = found.best(binary=False)
    edge = break_even(ternary, binary.transistors) if ternary and binary else None
    if ternary is None or binary is None or edge is None:
        return _note("Not shown: it needs a ternary circuit with full adders, and a binary circuit.")
    curves = [cost for cost in found.costs if not cost.binary and cost.full_adders]
    widest = max(edge, *map(_size, curves)) * 1.1
    step = _nice(widest / 10)
    xs = [step * i for i in range(int(widest / step) + 2)]
    lines = [
        Line(f"{circuit_name(ternary)}, by its full adder", [(x, _with_adder(ternary, x)) for x in xs]),
        Line(f"{circuit_name(binary)}, as it is", [(x, binary.transistors) for x in xs], dashed=True),
        *(Line(f"{circuit_name(cost)}, as it is", [(_size(cost), cost.transistors)]) for cost in curves),
    ]
    top = _top(max(y for line in lines for _, y in line.points))
    met = edge if edge > 0 else None
    chart = line_chart(
        lines, "transistors of a ternary full adder", mark=met, mark_text=f"even at {edge:.1f}", top=top, y_text=_short
    )
    rows = [
        [
            circuit_name(cost), f"{cost.full_adders:,}", _full_adder(cost), _number(cost.transistors),
            _number(_with_adder(cost, 0)), _number(break_even(cost, binary.transistors), ".1f"),
        ]
        for cost in curves
    ]  # fmt: skip
    header = (
        "circuit", "full adders", "transistors of each", "transistors of all", "of them in other cells", "even at",
    )  # fmt: skip
    return Markup(chart + table(header, rows, "<>>>>>") + _note(
        "Transistors of the whole network if a ternary full adder had so many, all other cells as they are: other "
        "cells + full adders x size. Even at (binary - other cells) / full adders; a number below 0 says that other "
        "ternary cells alone are larger than the binary circuit."
    ))  # fmt: skip


def _size(cost: NetworkCost) -> int:
    """Transistors of a full adder; 0 without one."""
    cell = cost.library.full_adder
    return 0 if cell is None else cell.all_transistors


def _with_adder(cost: NetworkCost, size: float) -> float:
    """Transistors of the whole, were a full adder of that size."""
    return cost.transistors + cost.full_adders * (size - _size(cost))


def _nice(value: float) -> float:
    """The next number of 1, 2 or 5 and zeros."""
    power = 10.0 ** int(log10(value)) if value >= 1 else 0.1
    return next(power * factor for factor in (1, 2, 5, 10, 20, 50, 100) if power * factor >= value)


def _top(value: float) -> float:
    """A number above whose quarters are short to write."""
    unit = 10.0 ** int(log10(max(value / 4, 1)))
    return 4 * unit * -(-value // (4 * unit))


def _short(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


# -- cells, memory, zeros ---------------------------------------------------------------------------------------------


def _cells(cost: NetworkCost) -> Markup:
    sizes = {name: count * cost.library.cells[name].all_transistors for name, count in cost.cells.items()}
    rows = [
        [
            name, f"{cost.cells[name]:,}", str(cost.library.cells[name].all_transistors), _number(size),
            percent(size / (cost.transistors or 1)), bar(size / (cost.transistors or 1), "peer" if cost.binary else ""),
        ]
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]  # fmt: skip
    header = ("cell", "gates", "transistors of each", "transistors", "share", "")
    return Markup(f"<h3>{html(circuit_name(cost))}</h3>{table(header, rows, '<>>>>|')}")


def _arrays(found: CostReport) -> Markup:
    rows = [
        [
            circuit_name(cost), str(one.array.lanes),
            *(f"{form.low} to {form.high}" for form in (one.array.inputs, one.array.weights)),
            *map(_number, (one.array.netlist.transistors, one.array.registers, one.steps, one.reads)),
        ]
        for cost in found.costs for one in cost.arrays
    ]  # fmt: skip
    header = ("circuit", "products a step", "maps", "weights", "transistors", "digits of registers", "steps",
              "digits read")  # fmt: skip
    return Markup(table(header, rows, "<>>>>>>>")) if rows else Markup()


def _yosys(found: CostReport) -> Markup:
    if found.synthesis is None:
        return Markup()
    rows = [[*row] for row in found.synthesis.rows()]
    return Markup(table(found.synthesis.HEADER, rows, found.synthesis.SIDES) + _list([*found.synthesis.summary()]))


def _traffic(ternary: NetworkCost | None, binary: NetworkCost | None) -> Markup:
    rows, totals = [], [0] * 6
    for pair in _beside(ternary, binary):
        one = pair[0] or pair[1]
        assert one is not None
        digits = [None if each is None else (each.inputs, each.weights, each.outputs) for each in pair]
        numbers = [number for three in digits for number in (three or (None, None, None))]
        totals = [total + (number or 0) for total, number in zip(totals, numbers, strict=True)]
        rows.append([_name(one), one.name, *map(_number, numbers)])
    rows.append(["all", "", *(_number(total if has else None) for total, has in
                              zip(totals, [ternary] * 3 + [binary] * 3, strict=True))])  # fmt: skip
    header = ("operation", "kind", *(f"{what}, {unit}" for unit in ("trits", "bits") for what in
                                     ("maps read", "constants", "maps written")))  # fmt: skip
    said = ""
    if ternary and binary and ternary.traffic:
        said = (
            f"{ternary.traffic:,} trits against {binary.traffic:,} bits, {binary.traffic / ternary.traffic:.2f} bits "
            "for each trit; log2(3) = 1.58 is what a trit holds. "
        )
    return Markup(table(header, rows, "<<>>>>>>") + _note(
        f"{said}Digits that are moved where maps and constants lie in a memory and every operation reads and writes "
        "each once, numbers as wide as on the wires. In the unrolled circuits weights are fixed and take no memory."
    ))  # fmt: skip


def _zeros(found: CostReport) -> Markup:
    first = found.costs[0]
    by_name = [{(one.name, one.nodes): one.zeros_save for one in cost.operations} for cost in found.costs]
    rows = []
    for one in first.operations:
        if one.factors:
            saved = [saves.get((one.name, one.nodes)) for saves in by_name]
            shares = percent(one.zeros / one.factors)
            rows.append([_name(one), f"{one.factors:,}", f"{one.zeros:,}", shares, *map(_number, saved)])
    if not rows:
        return Markup()
    share = percent(first.zeros / first.factors)
    rows.append(
        ["all", f"{first.factors:,}", f"{first.zeros:,}", share, *(_number(cost.zeros_save) for cost in found.costs)]
    )
    names = [f"{circuit_name(cost)}: transistors" for cost in found.costs]
    header = ("operation", "weights", "of them 0", "share", *names)
    return Markup(table(header, rows, "<" + ">" * (len(header) - 1)) + _note(
        "The same network without zeros would be another network, which was not made. This is an estimate, for sums "
        "that are not shared: a weight that is not 0 gives a sum a digit more for each wire of its input, and each "
        "digit more takes a full adder. So it is zeros x wires of an input x full adder x pixels. Of a few terms the "
        "first two or three share one, so that rows with few weights save less; longer sums, and inverters of negative "
        "weights, come on top. Where outputs share sums, zeros save less, or cost: "
        "rows without zeros are more alike. Zeros in activations save nothing here: their gates are there."
    ))  # fmt: skip


# -- where numbers come from ------------------------------------------------------------------------------------------


def _outside(found: CostReport) -> Markup:
    outside = {(one.name, one.nodes, one.reason): one for cost in found.costs for one in cost.outside}
    if not outside:
        return _note("No operation of the network is left out.")
    rows = [[nodes_text(one.nodes) or one.name, one.name, one.reason] for one in outside.values()]
    hint = f" {HINT[0].upper()}{HINT[1:]}." if found.has_float_layers else ""
    note = _note(f"They are in no number above.{hint}")
    return Markup(table(("operation", "kind", "why it has no gates"), rows) + note)


def _by_library(found: CostReport) -> Sequence[NetworkCost]:
    """One circuit of each library."""
    return list({cost.library.name: cost for cost in found.costs}.values())


def _sources(cost: NetworkCost) -> Markup:
    library = cost.library
    rows = []
    for cell in library.cells.values():
        source = cell.source
        note = f"{source.citation} {source.note}".strip()
        rows.append(
            [
                cell.name, str(cell.transistors), str(cell.inverters or ""), _number(cell.delay, "g"),
                _number(cell.energy, "g"), _number(cell.area, "g"), "yes" if source.verified else "no", note,
            ]
        )  # fmt: skip
    header = ("cell", "transistors", "of input inverters", "delay, ps", "energy, fJ", "area, um2")
    header += ("counted again", "source")
    supply = "" if library.supply is None else f", {library.supply:g} V"
    carry = library.carry
    carries = "" if carry is None else f"; carries of the full adder {carry[0]} to {carry[-1]}"
    inverters = "counted apart" if library.inverters == "separate" else "included"
    about = f"{library.title}; {library.technology}{supply}; {library.digits.name} digits{carries}; "
    about += f"inverters of a cell's inputs are {inverters}."
    return Markup(f"<h3>{html(library.name)}</h3>{_note(about)}{table(header, rows, '<>>>>><<')}")
