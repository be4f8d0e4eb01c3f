"""The repetition-sparsity report as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.locations import nodes_text
from ...ir.repetition import LayerRepetition

HEADER = (
    "layer", "weights", "K x N", "density", "distinct", "no sharing", "binary", "signed-bin.", "ternary", "bound",
    "MAC/add", "depth", "table bytes", "CPU s", "engine", "cycles", "measured",
)  # fmt: skip


def repetition_rows(layers: Sequence[LayerRepetition]) -> list[list[str]]:
    """The report as text, a row under HEADER for each layer."""
    rows = []
    for one in layers:
        adds = [str(one.adds.get(name, "-")) for name in ("binary", "signed-binary", "ternary")]
        rows.append(
            [
                nodes_text(one.nodes) or one.symbol,
                one.kind, f"{one.outputs} x {one.inputs}", f"{one.density:.2f}", f"{one.distinct} of {one.patterns}",
                str(one.before), *adds, str(one.bound), f"{one.reduction:.2f}", str(one.depth), str(one.table_bytes),
                f"{one.seconds:.1f}", one.engine, f"{one.cycles:.0f}",
                "-" if one.measured is None else f"{1e6 * one.measured:.1f} us",
            ]
        )  # fmt: skip
    return rows
