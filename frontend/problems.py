"""What an import could not compile, collected into one error: like things together, with their number and names."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.errors import UnsupportedError
from .source_node import SourceNode

MOST_NAMES = 5
"""So many nodes with the same problem are named, the first ones."""
EXPORT_ANOTHER_WAY = "export the model with operators or options that tercet compiles, or report these"


@dataclass(frozen=True)
class _Problem:
    """where: the node or port. shown: its name in a list. kind: the same for problems that are reported together,
    "" for one alone."""

    where: str
    shown: str
    kind: str
    reason: str


class Problems:
    """Problems in the order in which they were found. hint: what to do about them, the last one given."""

    def __init__(self) -> None:
        self._found: list[_Problem] = []
        self._hint = EXPORT_ANOTHER_WAY

    def __bool__(self) -> bool:
        return bool(self._found)

    def of_node(self, node: SourceNode, reason: str) -> None:
        shown = f"'{node.name}'" + (f" at {node.line}" if node.line else "")
        self._found.append(_Problem(node.label, shown, f"({node.op_type}): {reason}", reason))

    def of_port(self, where: str, reason: str, hint: str = "") -> None:
        self._found.append(_Problem(where, where, "", reason))
        self._hint = hint or self._hint

    def raise_if_any(self) -> None:
        """Raises UnsupportedError with a line for each kind of problem."""
        if not self._found:
            return
        groups: dict[str, list[_Problem]] = {}
        for i, problem in enumerate(self._found):
            groups.setdefault(problem.kind or str(i), []).append(problem)
        lines = [_line(group) for group in groups.values()]
        count = len(lines)
        raise UnsupportedError(
            lines[0] if count == 1 else f"{count} things are not supported:\n  " + "\n  ".join(lines), hint=self._hint
        )


def _line(group: list[_Problem]) -> str:
    first = group[0]
    if len(group) == 1:
        return f"{first.where}: {first.reason}"
    names = ", ".join(problem.shown for problem in group[:MOST_NAMES])
    more = f" and {len(group) - MOST_NAMES} more" if len(group) > MOST_NAMES else ""
    return f"{len(group)} nodes {first.kind}: {names}{more}"
