"""The sections of the page but for times: of each question the answer in a sentence, a chart, a table, and how it was
measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from ...frontend.torch.report import (
    InputSparsity,
    Point,
    RegionSigns,
    Shares,
    SparsityHistory,
    ThreeValues,
    ThresholdSensitivity,
)
from ...frontend.torch.report.shares import MOST_BITS
from ...runtime.report.charts import Line, line_chart, percent, sparkline, stacked_bar
from ...runtime.report.page import Markup, bar, html, table
from .result import Report

CSS = """\
table { font-size: .9rem; margin-bottom: 1rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
th { vertical-align: bottom; white-space: normal !important; } td.bar { width: 22%; }
svg { max-width: 44rem; display: block; } svg.spark { width: 124px; } svg.stack { width: 100%; max-width: 300px; }
svg.stack path { vector-effect: non-scaling-stroke; } ol a { display: block; } li { margin-bottom: .4rem; }
"""


@dataclass(frozen=True)
class Section:
    """answer: in one or two sentences."""

    answer: str
    body: Markup


def points(change: float) -> str:
    """A difference of two shares."""
    return f"{100 * change:+.1f}"


def standard_error(share: float, samples: int) -> str:
    """Of a share of so many samples."""
    return f"{100 * sqrt(share * (1 - share) / max(samples, 1)):.1f} points"


def note(text: str) -> Markup:
    return Markup(f'<p class="small">{html(text)}</p>\n')


# -- thresholds -------------------------------------------------------------------------------------------------------


def thresholds(found: Report, part: ThresholdSensitivity) -> Section:
    trained, answers, shown = part.trained, list[str](), list[Markup]()
    for kind, of in (("weights", part.weights), ("inputs", part.inputs)):
        if of:
            ends = sorted({of[0].factor: of[0], 1.0: trained, of[-1].factor: of[-1]}.items())
            answers.append(f"Thresholds of {kind} times " + ", ".join(f"{f:g}: {_reached(p)}" for f, p in ends) + ".")
            shown.append(_curve(kind, of))
    layers, said = _layers(part, trained)
    how = (
        "Nothing was trained again: a network that is trained with other thresholds adapts to them. Trained scales are "
        "kept, because they follow the loss and not the latent weights, so that no fit to these would give them; those "
        "of TWN follow its rule. What scales would change is mostly the size of a layer's results, which a batch norm "
        "takes up: 'norms settled' takes the running statistics of norms and of normalised inputs anew, from the first "
        f"test batch, without its labels. An accuracy has a standard error of "
        f"{standard_error(trained.kept, found.samples)}; differences are surer, as the samples are the same."
    )
    fixed = f" Not moved, since their thresholds follow from scales or weights: {', '.join(part.fixed)}."
    body = Markup("".join(shown) + layers + note(how + (fixed if part.fixed else "")))
    return Section(" ".join([*answers, *said]), body)


def _reached(point: Point) -> str:
    settled = "" if point.settled is None else f" ({percent(point.settled)} with norms settled)"
    return percent(point.kept) + settled


def _curve(kind: str, of: Sequence[Point]) -> Markup:
    """Chart and table of all thresholds of one kind."""
    settled = [(p.factor, p.settled) for p in of if p.settled is not None]
    lines = [
        Line("accuracy, all else as trained", [(p.factor, p.kept) for p in of]),
        *([Line("accuracy, norms settled", settled)] if settled else []),
        Line(f"{kind} that are not zero", [(p.factor, p.density) for p in of], dashed=True),
    ]
    rows = [
        [f"{p.factor:g}", percent(p.density), percent(p.kept), "" if p.settled is None else percent(p.settled)]
        for p in of
    ]
    header = ("times those trained", f"{kind} not zero", "accuracy, all else as trained", "accuracy, norms settled")
    chart = line_chart(lines, f"thresholds of {kind}, times those trained", mark=1.0)
    return Markup(f"<h3>Thresholds of {html(kind)}</h3>{chart}{table(header, rows, '<>>>')}")


def _layers(part: ThresholdSensitivity, trained: Point) -> tuple[Markup, list[str]]:
    """The table of single layers, and the sentence on the most sensitive one."""
    if not part.layers:
        return Markup(), []
    factors = sorted({p.factor for p in part.layers})
    names = list(dict.fromkeys(p.name for p in part.layers))
    at = {(p.name, p.factor): p for p in part.layers}
    most = max(abs(p.accuracy - trained.kept) for p in part.layers) or 1.0
    rows = []
    for name in names:
        row = [name]
        for f in factors:
            change = at[name, f].accuracy - trained.kept
            row += [percent(at[name, f].density), points(change), bar(abs(change) / most, "" if change < 0 else "peer")]
        rows.append(row)
    header = ["layer"]
    for f in factors:
        header += [f"times {f:g}: not zero", "accuracy, points", ""]
    worst = min(part.layers, key=lambda p: p.accuracy)
    said = (
        f"The most sensitive single layer is '{worst.name}': its thresholds times {worst.factor:g} change accuracy by "
    )
    said += f"{points(worst.accuracy - trained.kept)} points."
    title = Markup("<h3>Thresholds of one layer's weights alone, all else as trained</h3>")
    return Markup(title + table(header, rows, "<" + ">>|" * len(factors))), [said]


# -- sparsity over training -------------------------------------------------------------------------------------------


def training(found: Report, part: SparsityHistory) -> Section:
    moved = max(part.zeros, key=lambda name: max(part.zeros[name]) - min(part.zeros[name]))
    first, last = part.epochs[0], part.epochs[-1]
    answer = f"{percent(1 - part.density[0])} of the weights were zero after epoch {first}, "
    answer += f"{percent(1 - part.density[-1])} after epoch {last}. '{moved}' changed most: from "
    answer += f"{percent(part.zeros[moved][0])} to {percent(part.zeros[moved][-1])}."
    low, high = (end(map(end, part.zeros.values())) for end in (min, max))
    rows = [
        [name, *map(percent, (zeros[0], zeros[-1], min(zeros), max(zeros))), sparkline(zeros, low, high)]
        for name, zeros in part.zeros.items()
    ]
    lines = [
        Line("zeros of all quantized weights", [(e, 1 - d) for e, d in zip(part.epochs, part.density, strict=True)]),
        *([Line("test accuracy", list(zip(part.epochs, part.accuracy, strict=True)))] if part.accuracy else []),
    ]
    header = ("zeros of the weights", f"epoch {first}", f"epoch {last}", "least", "most", "all epochs, one scale")
    return Section(answer, Markup(line_chart(lines, "epoch") + table(header, rows, "<>>>><")))


# -- what layers read -------------------------------------------------------------------------------------------------


def inputs(found: Report, part: InputSparsity) -> Section:
    least, most = (end(part.layers, key=lambda layer: layer.values.zero) for end in (min, max))
    ends = [f"{percent(layer.values.zero)} ('{layer.name}')" for layer in (least, most)]
    answer = f"{percent(part.zeros)} of what quantized layers read is zero: from {' to '.join(ends)}. "
    answer += f"Of their products, {percent(part.products)} have two factors that are not zero."
    rows = [
        [
            layer.name, layer.quantizer or "float", percent(layer.values.zero), bar(layer.values.zero),
            percent(layer.weights), percent(layer.products),
        ]
        for layer in part.layers
    ]  # fmt: skip
    header = ("layer", "inputs", "zeros read", "", "weights not zero", "products left")
    how = (
        "Counted on all test batches. Inputs are what a layer computes with, after its quantizer; zeros of float "
        "inputs come from a ReLU. Products are counted one by one, without those of padding. Hardware that skips "
        "zeros of both factors computes what is left; an estimate from dense activations counts all whose weight is "
        "not zero. Energy itself is not measured."
    )
    return Section(answer, Markup(table(header, rows, "<<>|>>") + note(how)))


# -- three values -----------------------------------------------------------------------------------------------------


def values(found: Report, part: ThreeValues) -> Section:
    answers = list[str]()
    weights = [(layer.name, layer.weights) for layer in part.layers if layer.weights is not None]
    read = [(layer.name, layer.inputs) for layer in part.layers if layer.inputs is not None]
    for kind, shares in (("Weights", weights), ("Inputs", read)):
        if shares:
            name, farthest = max(shares, key=lambda one: one[1].off)
            mean = sum(s.bits for _, s in shares) / len(shares)
            answers.append(
                f"{kind} hold {mean:.2f} of at most {MOST_BITS:.2f} bits in the mean of layers; the farthest from "
                f"thirds is '{name}' with {_thirds(farthest)}."
            )
    header, rows = ["layer"], [[layer.name] for layer in part.layers]
    for kind, shares in (("weights", weights), ("inputs", read)):
        if shares:
            header += [f"{kind}: −, 0, + against thirds", "−, 0, +", "bits"]
            for row, layer in zip(rows, part.layers, strict=True):
                row += _cells(layer.weights if kind == "weights" else layer.inputs)
    how = (
        "Three values hold the most information, log2(3) = 1.58 bits, where a third of all has each; marks show the "
        "thirds. Inputs are counted on the test batches, where they are quantized to three values."
    )
    return Section(" ".join(answers), Markup(table(header, rows, "<" + "|>>" * (len(header) // 3)) + note(how)))


def _thirds(shares: Shares) -> str:
    return " / ".join(f"{100 * s:.0f}" for s in (shares.negative, shares.zero, shares.positive)) + " %"


def _cells(shares: Shares | None) -> Sequence[str]:
    if shares is None:
        return "", "", ""
    return stacked_bar((shares.negative, shares.zero, shares.positive)), _thirds(shares), f"{shares.bits:.2f}"


# -- signed-binary regions --------------------------------------------------------------------------------------------


def regions(found: Report, part: RegionSigns) -> Section:
    total = sum(layer.regions for layer in part.layers)
    by_mean, by_error = (sum(getattr(layer, f"other_by_{rule}") for layer in part.layers) for rule in ("mean", "error"))
    fixed, best = (sum(getattr(layer, e) for layer in part.layers) / len(part.layers) for e in ("error", "best_error"))
    answer = f"Of {total} regions, {by_mean} ({percent(by_mean / total)}) have latent weights whose mean has the other "
    answer += (
        f"sign, and {by_error} ({percent(by_error / total)}) would have it by the least squared error. That error "
    )
    answer += f"is {fixed:.3f} with the signs as they are and {best:.3f} with the best, in the mean of layers."
    rows = [
        [
            layer.name, layer.kind, str(layer.regions), percent(layer.positive / layer.regions),
            percent(layer.other_by_mean / layer.regions), percent(layer.other_by_error / layer.regions),
            f"{layer.error:.3f}", f"{layer.best_error:.3f}", bar(layer.error - layer.best_error),
        ]
        for layer in part.layers
    ]  # fmt: skip
    header = (
        "layer", "regions are", "regions", "positive", "other sign by mean", "other sign by error", "error",
        "of the best signs", "difference",
    )  # fmt: skip
    how = (
        "Signs are set before the training and stay. The error is the squared distance of the signed-binary weights, "
        "each filter with its best scale, from the latent ones, over the squares of these. The best signs are the best "
        "of all, whatever share of them is positive. Latent weights were trained under the fixed signs and follow "
        "them: a small difference says that the training made up for the assignment, a large one that another may be "
        "worth a training of its own."
    )
    return Section(answer, Markup(table(header, rows, "<<>>>>>>|") + note(how)))
