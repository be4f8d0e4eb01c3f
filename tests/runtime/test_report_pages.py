"""What HTML reports are made of: everything that is not markup is text, and charts have their points where they say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.runtime.report.charts import BOTTOM, HEIGHT, LEFT, LEGEND, RIGHT, WIDTH, Line, line_chart, sparkline
from tercet.runtime.report.charts import stacked_bar as stacked
from tercet.runtime.report.page import Markup, bar, html, page, table


class Parsed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.text = list[str](), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
def test_any_text_is_text(name: str, other: str) -> None:
    """Whatever a name holds, the page has the tags of one without it, and one line for it."""
    plain, hostile = (page(a, table((a, b), [(b, bar(0.5))])) for a, b in (("", ""), (name, other)))
    assert Parsed(hostile).tags == Parsed(plain).tags and hostile.count("\n") == plain.count("\n")


def test_markup_stays() -> None:
    assert html(Markup("<b>&amp;</b>")) == "<b>&amp;</b>" and html("<b>") == "&lt;b&gt;"
    assert html("a\nb\u202e") == "a\\nb\\u202e"
    made = table(("name", "size", ""), [("<x>", "3", bar(0.25, "peer"))], "<>|")
    assert '<th class="number">size</th>' in made and '<td class="number">3</td>' in made and "&lt;x&gt;" in made
    assert '<td class="bar"><div class="peer" style="width: 25.0%"></div></td>' in made
    with pytest.raises(ValueError):
        table(("one",), [("one", "two")])


def test_a_page_may_load_nothing() -> None:
    made = page("t", Markup("<p>x</p>"), width=33, css="p { color: red; }\n")
    assert "default-src 'none'" in made and "max-width: 33rem" in made and "p { color: red; }" in made
    assert not set(Parsed(made).tags) & {"script", "link", "img"}


def circles(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("circle")]


def test_line_chart() -> None:
    """The first x is at the left, the last at the right; 0 is at the bottom and 1 at the top of the grid."""
    lines = [Line("one <&>", [(1.0, 0.0), (2.0, 0.5), (3.0, 1.0)]), Line("two", [(2.0, 0.25)], dashed=True)]
    made = line_chart(lines, "epoch", mark=2.0)
    bottom, top = HEIGHT + 2 * LEGEND - BOTTOM, min(y for _, y in circles(made))
    middle = (LEFT + WIDTH - RIGHT) / 2
    want = [(LEFT, bottom), (middle, (bottom + top) / 2), (WIDTH - RIGHT, top), (middle, bottom + (top - bottom) / 4)]
    assert circles(made) == [pytest.approx(point, abs=0.06) for point in want]
    titles = [element.text for element in ElementTree.fromstring(made).iter("title")]
    assert titles[1] == "one <&>, 2: 50.0 %" and "one &lt;&amp;&gt;" in made
    assert len(circles(line_chart([Line("point", [(5.0, 0.5)])], "x"))) == 1


def test_many_ticks_are_thinned() -> None:
    made = line_chart([Line("long", [(float(x), 0.5) for x in range(300)])], "epoch")
    ticks = re.findall(r'text-anchor="middle">(\d+)<', made)
    assert 2 < len(ticks) <= 12 and ticks[0] == "0"


def test_sparklines_share_a_scale() -> None:
    low, high = circles(sparkline([0.2, 0.2], 0.2, 0.8)), circles(sparkline([0.2, 0.8], 0.2, 0.8))
    assert low[0][1] == 21 and high[0][1] == 1 and low[0][0] == high[0][0]
    assert len(circles(sparkline([0.5], 0.5, 0.5))) == 1


def test_stacked_bar() -> None:
    paths = [p.attrib["d"] for p in ElementTree.fromstring(stacked((0.2, 0.5, 0.3))).iter("path")]
    assert paths[:3] == ["M0.0 2h60.0v12h-60.0z", "M60.0 2h150.0v12h-150.0z", "M210.0 2h90.0v12h-90.0z"]
    assert paths[3:] == ["M100.0 0v16", "M200.0 0v16"]
