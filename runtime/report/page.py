"""What all HTML reports share: one file without external assets or scripts, and tables. Text is escaped where it
becomes HTML: whatever is no Markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ...ir.names import one_line

PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --ours: #2a78d6; --peer: #8a8f98; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: {width}rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
td.bar {{ width: 35%; }}
.bar div {{ height: .8rem; border-radius: 2px; background: var(--ours); min-width: 1px; }}
.bar .peer {{ background: var(--peer); }}
svg text {{ font-size: 12px; fill: currentColor; }}
.headline {{ font-size: 1.15rem; }} .small {{ opacity: .75; font-size: .9rem; }}
{css}</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


class Markup(str):
    """HTML as it is."""


def html(text: str) -> Markup:
    """Escaped, unless it is Markup; on one line, whatever a name holds."""
    return text if isinstance(text, Markup) else Markup(escape(one_line(text)))


def page(title: str, body: Markup, *, width: int = 60, css: str = "") -> str:
    """A whole file. width: the most that a line takes, in rem."""
    return PAGE.format(title=html(title), body=body, width=width, css=css)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], sides: str = "") -> Markup:
    """sides: for each column '>' (numbers), '|' (a bar, whose cells are Markup) or '<'."""
    classes = [{">": ' class="number"', "|": ' class="bar"'}.get(side, "") for side in sides.ljust(len(header), "<")]

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{c}>{html(cell)}</{tag}>" for cell, c in zip(cells, classes, strict=True))

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return Markup(f"<table><tr>{line(header, 'th')}</tr>\n{body}</table>\n")


def bar(share: float, kind: str = "") -> Markup:
    """The content of a bar's cell. share: of the cell's width, 0 to 1. kind: a class."""
    return Markup(f'<div class="{kind}" style="width: {100 * share:.1f}%"></div>')
