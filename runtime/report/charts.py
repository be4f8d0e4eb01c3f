"""Small charts as SVG. Each has a table beside it that says the same in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .page import Markup, html

COLOURS = ("#2a78d6", "#d95f0e", "#2ca25f", "#8a6bd1", "#8a8f98")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 280, 64, 12, 12, 40
LEGEND = 18


@dataclass(frozen=True)
class Line:
    """Points of ascending x. dashed: for what is of another kind."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def line_chart(
    lines: Sequence[Line], x_label: str, *, mark: float | None = None, mark_text: str = "", top: float = 1.0,
    y_text: Callable[[float], str] = percent,
) -> Markup:  # fmt: skip
    """y: shares, from 0 to 1, shown as percent; or numbers from 0 to `top`, shown as y_text says. mark: an x that gets
    a vertical line, with a text beside it. A line of one point is a circle; where there are others it has no tick."""
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(xs)
    span, upper = (high - low) or 1.0, TOP + LEGEND * len(lines)
    height = HEIGHT + LEGEND * len(lines)
    bottom = height - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (x - low) / span * (WIDTH - LEFT - RIGHT), bottom + (upper - bottom) * y / top

    names = ", ".join(line.name for line in lines)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html(f"{names} by {x_label}")}">']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(low, share * top)
        parts.append(f'<path d="M{x:.0f} {y:.1f}H{WIDTH - RIGHT}" stroke="#8884"/>')
        parts.append(f'<text x="{x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{y_text(share * top)}</text>')
    ticks = {x for line in lines if len(line.points) > 1 for x, _ in line.points}
    for tick in _thinned(sorted(ticks or xs)):
        x, y = at(tick, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.0f}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{height - 6}" text-anchor="middle">{html(x_label)}</text>')
    if mark is not None:
        x, y = at(mark, 0)
        parts.append(f'<path d="M{x:.1f} {y:.1f}V{upper}" stroke="currentColor" stroke-dasharray="2 4"/>')
        if mark_text:
            parts.append(f'<text x="{x + 5:.1f}" y="{upper + 12}">{html(mark_text)}</text>')
    for i, line in enumerate(lines):
        colour, dash = COLOURS[i % len(COLOURS)], ' stroke-dasharray="6 4"' if line.dashed else ""
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in line.points))
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for point in line.points:
            x, y = at(*point)
            title = html(f"{line.name}, {point[0]:g}: {y_text(point[1])}")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{title}</title></circle>')
        y = TOP + LEGEND * i
        parts.append(f'<path d="M{LEFT} {y}h22" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{LEFT + 28}" y="{y + 4}">{html(line.name)}</text>')
    return Markup("\n".join([*parts, "</svg>"]))


def _thinned(ticks: Sequence[float], most: int = 12) -> Sequence[float]:
    """So few that their numbers do not run into each other."""
    return ticks[:: -(-len(ticks) // most)]


def sparkline(values: Sequence[float], low: float, high: float) -> Markup:
    """The course of a number, on a scale that all lines of a table share."""
    span, step = (high - low) or 1.0, 118 / max(len(values) - 1, 1)
    points = [(1 + i * step, 21 - 20 * (value - low) / span) for i, value in enumerate(values)]
    path = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    (x, y) = points[-1]
    return Markup(
        f'<svg class="spark" viewBox="0 0 124 22" role="img" aria-label="from {values[0]:.3f} to {values[-1]:.3f}">'
        f'<path d="M{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{COLOURS[0]}"/></svg>'
    )


def stacked_bar(shares: Sequence[float]) -> Markup:
    """Shares that add up to 1, side by side; marks where equal ones would end."""
    parts, start = ['<svg class="stack" viewBox="0 0 300 16" role="img" aria-label="shares">'], 0.0
    for share, colour in zip(shares, (COLOURS[1], "#8a8f9866", COLOURS[0]), strict=False):
        parts.append(f'<path d="M{300 * start:.1f} 2h{300 * share:.1f}v12h-{300 * share:.1f}z" fill="{colour}"/>')
        start += share
    for i in range(1, len(shares)):
        parts.append(f'<path d="M{300 * i / len(shares):.1f} 0v16" stroke="currentColor"/>')
    return Markup("".join([*parts, "</svg>"]))
