"""The result of verify as plain text for a terminal."""

from __future__ import annotations

from ...ir.locations import nodes_text
from ...ir.names import one_line
from ..check.verify.result import EXPECTED, ONNXRUNTIME, Check, Verification
from .tables import table


def verification_text(found: Verification) -> str:
    """One line a check, the layers when they were compared, and the verdicts."""
    head = f"{found.artifact} (target {found.target}, {found.threads} thread{'s' if found.threads != 1 else ''})"
    lines = [f"{head} on {found.samples}"]
    width = max((len(_names(check)) for check in found.checks), default=0)
    lines += [f"  {_mark(check)}  {_names(check):<{width}}  {_text(check)}" for check in found.checks]
    if found.layers:
        rows = [
            ["ok" if layer.ok else "FAILED", layer.symbol, layer.engine, nodes_text(layer.nodes), layer.difference.text]
            for layer in found.layers
        ]
        lines += ["", table(("", "step", "engine", "source nodes", "interpreter, on the step's own inputs"), rows)]
    if (first := found.first_diverging) is not None:
        lines += ["", f"first diverging layer: {first.symbol} ({one_line(', '.join(first.nodes)) or 'no source node'})"]
    lines += [f"  tie: {one_line(tie)}" for tie in found.ties]
    lines += [f"  note: {one_line(note)}" for note in found.notes]
    return "\n".join([*lines, *_verdicts(found)]) + "\n"


def _names(check: Check) -> str:
    return check.against if check.subject == "artifact" else f"{check.against}, {check.subject}"


def _mark(check: Check) -> str:
    if check.subject != "artifact" or (check.against == ONNXRUNTIME and check.allowed):
        return "ok    " if check.difference.ok else "differ"
    return "ok    " if check.ok else "FAILED"


def _text(check: Check) -> str:
    parts = [f"{one_line(check.output)}: {check.difference.text}"]
    if check.samples:
        parts.append(f"in {check.samples} sample{'s' if check.samples != 1 else ''}")
        if check.ties:
            parts.append(f"{check.ties} of them explained by ties")
    if check.top1 is not None and check.samples:
        parts.append(f"same top-1 in {100 * check.top1:.2f} %")
    return ", ".join(parts)


def _verdicts(found: Verification) -> list[str]:
    how = f"integers exactly, floats within {found.rtol:g} of the largest magnitude"
    ties = sum(check.ties for check in found.checks)
    if found.same:
        but = ", but for float32 ties" if ties else ""
        lines = [f"the artifact computes what the model means{but}: {found.meaning} ({how})"]
    else:
        lines = [f"the artifact DIFFERS from the model: {found.meaning} ({how})"]
    if found.distance:
        lines.append(f"distance to the model before its lossy passes: {one_line(found.distance)}")
    if found.expected:
        bad = any(check.against == EXPECTED and not check.ok for check in found.checks)
        lines.append(f"{'FAILED: ' if bad else ''}expected results: {one_line(found.expected)}")
    return lines
