"""The repetition-sparsity report as one HTML file: a plot of density against additions, and the table."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.repetition import LayerRepetition
from .page import Markup, html, page, table
from .repetition_text import HEADER, repetition_rows

BODY = """\
<p>Additions per weight against the share of weights that are not zero. On the line nothing is shared; below it, sums
are. Bars reach down to what information allows.</p>
{plot}
{rows}"""
CSS = """\
table { font-size: .85rem; width: auto; } th, td { white-space: nowrap; padding-right: .6rem; }
svg { max-width: 44rem; }
"""
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 60, 40
COLOURS = {"binary": "#2a78d6", "signed-binary": "#2ca25f", "ternary": "#d95f0e"}


def repetition_html(title: str, layers: Sequence[LayerRepetition]) -> str:
    """The report as a page."""
    body = BODY.format(plot=_plot(layers), rows=table(HEADER, repetition_rows(layers)))
    return page(f"{title}: repetition and sparsity", Markup(body), width=75, css=CSS)


def _plot(layers: Sequence[LayerRepetition]) -> str:
    """x: density 0..1. y: additions a weight, 0..1; a circle for each coding of each layer."""

    def x(density: float) -> float:
        return LEFT + density * (WIDTH - LEFT - 10)

    def y(adds: float) -> float:
        return (HEIGHT - BOTTOM) * (1 - min(adds, 1.0)) + 10 * adds

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="density against additions per weight">']
    parts.append(
        f'<path d="M{x(0)} {y(1)}V{y(0)}H{x(1)}" fill="none" stroke="currentColor"/>'
        f'<path d="M{x(0)} {y(0)}L{x(1)} {y(1)}" stroke="#888" stroke-dasharray="4 4"/>'
    )
    for tick in (0.25, 0.5, 0.75, 1.0):
        parts.append(f'<text x="{x(tick):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.0f}" text-anchor="end">{tick}</text>')
    parts.append(f'<text x="{x(0.5):.0f}" y="{HEIGHT - 6}" text-anchor="middle">density</text>')
    for i, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<circle cx="{LEFT + 20}" cy="{22 + 18 * i}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 30}" y="{26 + 18 * i}">{name} coding</text>')
    for one in layers:
        size = max(one.outputs * one.inputs, 1)
        label = html(" + ".join(one.nodes) or one.symbol)
        parts.append(
            f'<path d="M{x(one.density):.1f} {y(one.fewest / size):.1f}V{y(one.bound / size):.1f}" stroke="#888"/>'
        )
        for name, adds in one.adds.items():
            parts.append(
                f'<circle cx="{x(one.density):.1f}" cy="{y(adds / size):.1f}" r="5" fill="{COLOURS[name]}">'
                f"<title>{label}: {adds} additions, {one.before} without sharing</title></circle>"
            )
    return "\n".join([*parts, "</svg>"])
