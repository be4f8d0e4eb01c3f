"""A report as one HTML file: the answers in short, then a section for each question."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...frontend.torch.report import NotApplicable
from ...runtime.report.charts import percent
from ...runtime.report.page import Markup, html, page
from .result import Report
from .sections import CSS, Section, inputs, regions, standard_error, thresholds, training, values
from .worth_section import worth

T = TypeVar("T")
WIDTH = 72  # rem


def report_html(found: Report) -> str:
    """The report as a page."""

    def asked(question: str, part: T | NotApplicable, show: Callable[[Report, T], Section]) -> tuple[str, Section]:
        if isinstance(part, NotApplicable):
            return question, Section(f"Not answered for this model. {part.reason}", Markup())
        return question, show(found, part)

    sections = [
        asked("How much depends on the thresholds?", found.thresholds, thresholds),
        asked("How sparse did the layers become while they were trained?", found.training, training),
        asked("What are zeros worth, in time and in bytes?", found.worth, worth),
        asked("How sparse are the activations?", found.inputs, inputs),
        asked("Are the three values used equally?", found.values, values),
        asked("Does it matter which signed-binary regions are positive?", found.regions, regions),
    ]
    short = "\n".join(
        f'<li><a href="#q{i}">{question}</a> {html(made.answer)}</li>' for i, (question, made) in enumerate(sections)
    )
    bodies = "\n".join(
        f'<h2 id="q{i}">{question}</h2>\n<p class="headline">{html(made.answer)}</p>\n{made.body}'
        for i, (question, made) in enumerate(sections)
    )
    body = Markup(f"<p>{html(_model(found))}</p>\n<ol>\n{short}\n</ol>\n{bodies}")
    return page(f"{found.model}: what its quantization does", body, width=WIDTH, css=CSS)


def _model(found: Report) -> str:
    """What the report is about."""
    text = f"{found.layers} layers with quantizers, {found.weights} quantized weights, {percent(found.density)} of "
    text += "them not zero. "
    if found.accuracy is not None:
        error = standard_error(found.accuracy, found.samples)
        text += f"Accuracy {percent(found.accuracy)} on {found.samples} test samples (standard error {error}). "
    return text
