"""A benchmark as one HTML file without external assets."""

from __future__ import annotations

from html import escape

from ..check.bench_report import BenchReport, PeerTimes
from ..check.timing import Spread
from .tables import nodes_text, seconds_text
from .text import ratio_line

PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --ours: #2a78d6; --peer: #8a8f98; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
td.bar {{ width: 35%; }}
.bar div {{ height: .8rem; border-radius: 2px; background: var(--ours); min-width: 1px; }}
.bar .peer {{ background: var(--peer); }}
.headline {{ font-size: 1.15rem; }} .small {{ opacity: .75; font-size: .9rem; }}
</style></head><body>
<h1>{title}</h1>
<p>Target {target}, batch {batch}, {threads}, {cpu}.</p>
{headlines}
<h2>Time of one call</h2>
<table><tr><th></th><th class="number">median</th><th class="number">min</th><th class="number">max</th><th></th></tr>
{times}</table>
{rounds}{layers}
<p class="small">{notes}Times depend on the machine and what else it did. Both ran alternately in one process, pinned to
the same CPUs; the ratio is taken in every round, and its median and spread are what to compare.</p>
</body></html>
"""


def bench_html(report: BenchReport) -> str:
    """The report as a page."""
    timed = [("tercet", report.time, ""), *((p.name, Spread.of(p.seconds), "peer") for p in report.peers)]
    longest = max(spread.median for _, spread, _ in timed) or 1.0
    pinned = f" pinned to CPU {', '.join(map(str, report.cpus))}" if report.cpus else ""
    return PAGE.format(
        title=escape(f"{report.model}: benchmark"),
        target=escape(report.target),
        batch=report.batch,
        threads=f"{report.threads} thread{'s' if report.threads != 1 else ''}{pinned}",
        cpu=escape(report.cpu),
        headlines="\n".join(_headline(report, peer) for peer in report.peers),
        times="\n".join(_time_row(*row, longest) for row in timed),
        rounds="".join(map(_rounds, report.peers)),
        layers=_layers(report),
        notes="".join(f"{escape(note)}. " for note in report.notes),
    )


def _headline(report: BenchReport, peer: PeerTimes) -> str:
    form = f"{peer.name} runs {peer.form}; {peer.agreement}."
    return f'<p class="headline">{escape(ratio_line(report, peer))}.</p><p>{escape(form)}</p>'


def _time_row(name: str, spread: Spread, kind: str, longest: float) -> str:
    cells = "".join(
        f'<td class="number">{seconds_text(s)}</td>' for s in (spread.median, spread.minimum, spread.maximum)
    )
    return f"<tr><td>{escape(name)}</td>{cells}{_bar(spread.median / longest, kind)}</tr>"


def _bar(share: float, kind: str = "") -> str:
    return f'<td class="bar"><div class="{kind}" style="width: {100 * share:.1f}%"></div></td>'


def _rounds(peer: PeerTimes) -> str:
    r = peer.ratio
    cells = "".join(
        f'<td class="number">{value:.3f}</td>' for value in (r.minimum, r.lower, r.median, r.upper, r.maximum)
    )
    head = "".join(f'<th class="number">{name}</th>' for name in ("min", "quartile", "median", "quartile", "max"))
    title = f"Time of {escape(peer.name)} over time of tercet, {len(peer.seconds)} rounds"
    return f"<h2>{title}</h2>\n<table><tr>{head}</tr><tr>{cells}</tr></table>\n"


def _layers(report: BenchReport) -> str:
    if not report.layers:
        return ""
    longest = max(layer.seconds for layer in report.layers) or 1.0
    rows = "\n".join(
        f"<tr><td>{escape(nodes_text(layer.nodes) or layer.symbol)}</td><td>{escape(layer.engine)}</td>"
        f'<td class="number">{seconds_text(layer.seconds)}</td>{_bar(layer.seconds / longest)}</tr>'
        for layer in report.layers
    )
    head = '<tr><th>source nodes</th><th>engine</th><th class="number">time</th><th></th></tr>'
    return f"<h2>Layers</h2>\n<table>{head}\n{rows}</table>\n"
