"""The results of inspect and bench as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.locations import nodes_text
from ..artifact.layers import Candidate
from ..check.bench_report import BenchReport, LayerTime, PeerTimes
from ..check.timing import Spread
from .inspection import Inspection, LayerRow
from .losses_text import losses_text
from .tables import pairs, seconds_text, table


def inspection_text(found: Inspection) -> str:
    """Summary, one line a step, and the passes."""
    rows = [_layer_line(row) for row in found.layers]
    header = ("step", "engine", "source nodes", "output", "weights", "bits/w", "bytes", "cycles", "measured")
    parts = [pairs(found.summary), "", table(header, rows, "<<<<<>>>>")]
    schedules = [f"  {row.symbol} {row.engine}: {_schedule(row)}" for row in found.layers if row.schedule]
    parts += ["", "schedules", *schedules] if schedules else []
    if found.losses is not None:
        parts += ["", losses_text(found.losses).rstrip()]
    parts += ["", f"IR after each pass (--after, --diff): {', '.join(found.passes)}"]
    return "\n".join(parts) + "\n"


def _layer_line(row: LayerRow) -> list[str]:
    weights = f"{row.weight_count} {row.weights}" if row.weight_count else ""
    nodes = nodes_text(row.nodes) or f"({', '.join(row.ops)})"
    stored = "" if not row.stored_bytes else str(row.stored_bytes)
    return [
        row.symbol, row.engine, nodes, "; ".join(row.outputs), weights, bits_text(row), stored,
        cycles_text(row.cycles), cycles_text(row.measured),
    ]  # fmt: skip


def _schedule(row: LayerRow) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(row.schedule.items()))


def why_text(rows: Sequence[LayerRow]) -> str:
    """For each step what every engine says of it; the choice is marked."""
    parts = list[str]()
    for row in rows:
        lines = [_candidate_line(row, candidate) for candidate in row.candidates]
        header = ("", "engine", "schedule", "predicted", "measured", "why not")
        parts += [f"{row.symbol}: {nodes_text(row.nodes) or ', '.join(row.ops)} -> {'; '.join(row.outputs)}"]
        parts += [table(header, lines, "<<<>><", width=100) if lines else _without_candidates(row), ""]
    return "\n".join(parts)


def _without_candidates(row: LayerRow) -> str:
    if row.engine == "convert":
        return "a conversion: no engine computes it"
    return f"engine {row.engine}; the backend keeps no list of what else was possible"


def _candidate_line(row: LayerRow, candidate: Candidate) -> list[str]:
    chosen = (candidate.engine, candidate.schedule) == (row.engine, row.schedule)
    schedule = ", ".join(f"{key} {value}" for key, value in sorted(candidate.schedule.items()))
    return [
        "*" if chosen else "", candidate.engine, schedule, cycles_text(candidate.cycles),
        cycles_text(candidate.measured), candidate.refusal,
    ]  # fmt: skip


def bench_text(report: BenchReport) -> str:
    """Times, ratios and layers."""
    pinned = f"pinned to CPU {', '.join(map(str, report.cpus))}" if report.cpus else "not pinned"
    lines = [
        f"{report.model}: target {report.target}, batch {report.batch}, "
        f"{report.threads} thread{'s' if report.threads != 1 else ''} {pinned}, {report.cpu}",
        "",
        table(("", "median", "min", "max"), _time_rows(report), "<>>>", width=60),
        "",
        f"constants {report.stored_bytes} bytes in the artifact, arena {report.arena_bytes} bytes",
    ]
    for peer in report.peers:
        lines += ["", ratio_line(report, peer), f"  {peer.name} runs {peer.form}; {peer.agreement}"]
    if report.layers:
        lines += ["", layer_times(report)]
    lines += [f"  note: {note}" for note in report.notes]
    lines += ["", "Times depend on this machine and what else it does; the ratios come from interleaved rounds."]
    return "\n".join(lines) + "\n"


def ratio_line(report: BenchReport, peer: PeerTimes) -> str:
    """The one sentence of a benchmark: the median of the rounds' ratios with its spread."""
    r = peer.ratio
    word, spread = ("faster", r) if r.median >= 1 else ("slower", _inverse(r))
    return (
        f"{report.model} is {spread.median:.2f}x {word} than {peer.name} "
        f"(median of {len(peer.seconds)} rounds; quartiles {spread.lower:.2f} to {spread.upper:.2f}, "
        f"all {spread.minimum:.2f} to {spread.maximum:.2f})"
    )


def _inverse(r: Spread) -> Spread:
    return Spread(1 / r.maximum, 1 / r.upper, 1 / r.median, 1 / r.lower, 1 / r.minimum)


def _time_rows(report: BenchReport) -> Sequence[Sequence[str]]:
    timed = [("tercet", report.time), *((peer.name, Spread.of(peer.seconds)) for peer in report.peers)]
    return [[n, *map(seconds_text, (t.median, t.minimum, t.maximum))] for n, t in timed]


def layer_times(report: BenchReport) -> str:
    """One line a step: its median time, its share of all, cycles as predicted and as measured by tuning."""
    total = sum(layer.seconds for layer in report.layers) or 1.0
    rows = [
        [layer.symbol, layer.engine, nodes_text(layer.nodes), bits_text(layer),
         seconds_text(layer.seconds), f"{100 * layer.seconds / total:.1f} %", cycles_text(layer.cycles),
         cycles_text(layer.tuned)]
        for layer in report.layers
    ]  # fmt: skip
    rows.append(["all steps", "", "", "", seconds_text(total), "", "", ""])
    return table(("step", "engine", "source nodes", "bits/w", "time", "share", "cycles", "measured"), rows, "<<<>>>>>")


def cycles_text(cycles: float) -> str:
    return f"{cycles:.0f}" if cycles else ""


def bits_text(layer: LayerRow | LayerTime) -> str:
    if layer.weights_in_code:
        return "code"
    return "" if layer.bits_per_weight is None else f"{layer.bits_per_weight:.2f}"
