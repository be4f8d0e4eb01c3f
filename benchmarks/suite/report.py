"""What was measured, as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .bars import Verdict, geometric_mean, judge, own_candidates
from .measure import OURS, Measured


def subject_table(m: Measured) -> Iterator[str]:
    """Each of tercet's candidates against each peer: the median ratio and its quartiles."""
    peers = [name for name in m.seconds if not name.startswith(OURS)]
    ours = [name for name in m.seconds if name.startswith(OURS)]
    yield f"### {m.subject}, {m.threads} thread{'s' * (m.threads > 1)}\n"
    yield row("", "us", *(f"{peer}: {1e6 * median(m.seconds[peer]):.0f} us" for peer in peers), "made of")
    yield row(*["---"] * (len(peers) + 3))
    for name in ours:
        cells = []
        for peer in peers:
            r = m.ratio(name, [peer])
            assert r is not None
            cells.append(f"{r.median:.2f} ({r.lower:.2f}-{r.upper:.2f})")
        yield row(name, f"{1e6 * median(m.seconds[name]):.0f}", *cells, m.remarks.get(name, ""))
    for name, why in m.remarks.items():
        if name not in m.seconds:
            yield f"\n{name} left out: {why}"
    yield ""


def mean_table(measured: Sequence[Measured]) -> Iterator[str]:
    """Geometric means of the median ratios over the layers that have both candidates, with their number."""
    layers = [m for m in measured if " " in m.subject]
    peers = list(dict.fromkeys(name for m in layers for name in m.seconds if not name.startswith(OURS)))
    if not peers:
        return
    yield "### Geometric means over layers (their number)\n"
    yield row("", *peers)
    yield row(*["---"] * (len(peers) + 1))
    for name in own_candidates(layers):
        cells = []
        for peer in peers:
            ratios = [r.median for m in layers if (r := m.ratio(name, [peer]))]
            cells.append(f"{geometric_mean(ratios):.2f} ({len(ratios)})" if ratios else "")
        yield row(name, *cells)
    yield ""


def bar_table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The acceptance lines beside what was measured."""
    yield "### Bars\n"
    yield row("line", "against", "on each", "measured", "mean", "measured", "")
    yield row(*["---"] * 7)
    for v in verdicts:
        ratios = ", ".join("-" if r is None else f"{r:.2f}" for r in v.ratios)
        each, mean = (f"{x:g}" if x else "" for x in (v.bar.each, v.bar.mean))
        got = "" if v.mean is None or len(v.ratios) == 1 else f"{v.mean:.2f}"
        word = {True: "met", False: "MISSED", None: "not decided"}[v.met]
        threads = f", {v.threads} threads" * (v.threads > 1)
        yield row(v.bar.name + threads, " or ".join(v.bar.theirs), each, ratios, mean, got, word)
    yield ""


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def text(measured: Sequence[Measured], about: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    head = f"tercet {about['tercet']}, target {about['target']}, {about['cpu']}, {about['rounds']} interleaved rounds"
    lines = [head, ""]
    for m in measured:
        lines += subject_table(m)
    lines += [*mean_table(measured), *bar_table(judge(measured))]
    lines.append("Ratio: a peer's time over tercet's in the same round, above 1 tercet is faster; median (quartiles).")
    return "\n".join(lines) + "\n"


def write_json(path: Path, measured: Sequence[Measured], about: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "measured": [m.to_json() for m in measured]}, indent=1) + "\n")


def read_json(paths: Sequence[Path]) -> tuple[list[Measured], dict[str, Any]]:
    """Joins the measurements of several files, the last of each subject and number of threads; `about` is the last
    file's."""
    found: dict[tuple[str, int], Measured] = {}
    about: dict[str, Any] = {}
    for path in paths:
        about = json.loads(path.read_text())
        for fields in about.pop("measured"):
            m = Measured(**fields)
            found[m.subject, m.threads] = m
    return list(found.values()), about
