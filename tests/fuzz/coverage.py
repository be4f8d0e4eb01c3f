"""What a run covered, as text: pairs of neighbouring operators, and engine x operation x class of ranges."""

from __future__ import annotations

from collections import Counter, defaultdict

from .oracle import CLASSES
from .session import State


def summary(state: State) -> str:
    """The counts of a run: tables for a closing note."""
    c = state.counts
    operators = sorted({name for pair in state.pairs for name in pair.split(" > ")})
    lines = [
        f"seed {state.seed}: {state.done} networks, {state.seconds:.0f} s of CPU",
        f"compiled and compared {c['compared']} times; with onnxruntime {c['onnxruntime']}, with a twin {c['twins']}; "
        f"refused {sum(state.refused.values())}; elements explained as ties {c['explained']}; "
        f"failures {len(state.failures)}",
        f"{len(operators)} operators, {len(state.pairs)} pairs of neighbours",
        "",
        *_table(state.engines),
    ]
    if state.refused:
        lines += ["", "refused:", *(f"  {n:5} {what}" for what, n in state.refused.most_common())]
    return "\n".join(lines)


def pair_table(state: State) -> str:
    """One line for each operator: how often each other one reads its result."""
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for pair, n in state.pairs.items():
        first, second = pair.split(" > ")
        after[first][second] += n
    return "\n".join(
        f"{first}: " + ", ".join(f"{name} {n}" for name, n in counts.most_common())
        for first, counts in sorted(after.items())
    )


def _table(engines: Counter[str]) -> list[str]:
    """Engine and operation by class of range of the first operand."""
    classes = [*CLASSES, "64-bit", "float"]
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, n in engines.items():
        engine, operation, kind = key.split(" ")[:3]
        rows[engine, operation][kind] += n
    if not rows:
        return []
    lines = [f"{'engine':14} {'operation':17}" + "".join(f"{name:>8}" for name in classes)]
    for (engine, operation), counts in sorted(rows.items()):
        lines.append(f"{engine:14} {operation:17}" + "".join(f"{counts[name] or '':>8}" for name in classes))
    return lines
