"""A benchmark as one HTML file without external assets."""

from __future__ import annotations

from ...ir.locations import nodes_text
from ..check.bench_report import BenchReport, PeerTimes
from ..check.timing import Spread
from .page import Markup, bar, html, page, table
from .tables import seconds_text
from .text import ratio_line

BODY = """\
<p>Target {target}, batch {batch}, {threads}, {cpu}.</p>
{headlines}
<h2>Time of one call</h2>
{times}{rounds}{layers}
<p class="small">{notes}Times depend on the machine and what else it did. Both ran alternately in one process, pinned to
the same CPUs; the ratio is taken in every round, and its median and spread are what to compare.</p>"""


def bench_html(report: BenchReport) -> str:
    """The report as a page."""
    timed = [("tercet", report.time, ""), *((p.name, Spread.of(p.seconds), "peer") for p in report.peers)]
    longest = max(spread.median for _, spread, _ in timed) or 1.0
    pinned = f" pinned to CPU {', '.join(map(str, report.cpus))}" if report.cpus else ""
    body = BODY.format(
        target=html(report.target),
        batch=report.batch,
        threads=f"{report.threads} thread{'s' if report.threads != 1 else ''}{pinned}",
        cpu=html(report.cpu),
        headlines="\n".join(_headline(report, peer) for peer in report.peers),
        times=table(("", "median", "min", "max", ""), [_time_row(*row, longest) for row in timed], "<>>>|"),
        rounds="".join(map(_rounds, report.peers)),
        layers=_layers(report),
        notes="".join(f"{html(note)}. " for note in report.notes),
    )
    return page(f"{report.model}: benchmark", Markup(body))


def _headline(report: BenchReport, peer: PeerTimes) -> str:
    form = f"{peer.name} runs {peer.form}; {peer.agreement}."
    return f'<p class="headline">{html(ratio_line(report, peer))}.</p><p>{html(form)}</p>'


def _time_row(name: str, spread: Spread, kind: str, longest: float) -> list[str]:
    times = map(seconds_text, (spread.median, spread.minimum, spread.maximum))
    return [name, *times, bar(spread.median / longest, kind)]


def _rounds(peer: PeerTimes) -> str:
    r = peer.ratio
    values = [f"{value:.3f}" for value in (r.minimum, r.lower, r.median, r.upper, r.maximum)]
    title = f"Time of {html(peer.name)} over time of tercet, {len(peer.seconds)} rounds"
    return f"<h2>{title}</h2>\n{table(('min', 'quartile', 'median', 'quartile', 'max'), [values], '>>>>>')}"


def _layers(report: BenchReport) -> str:
    if not report.layers:
        return ""
    longest = max(layer.seconds for layer in report.layers) or 1.0
    rows = [
        [nodes_text(one.nodes) or one.symbol, one.engine, seconds_text(one.seconds), bar(one.seconds / longest)]
        for one in report.layers
    ]
    return f"<h2>Layers</h2>\n{table(('source nodes', 'engine', 'time', ''), rows, '<<>|')}"
