"""The section on what zeros are worth in time and in bytes."""

from __future__ import annotations

from ...runtime.check.timing import Spread
from ...runtime.report.charts import percent
from ...runtime.report.page import Markup, table
from ...runtime.report.tables import seconds_text
from .result import Report
from .sections import Section, note
from .worth import LayerTime, SparsityWorth, Variant

SMALL = 0.005
"""Of a ratio: no difference that its two decimals show."""


def worth(found: Report, part: SparsityWorth) -> Section:
    bare = part.others[0]
    answer = _sentence(bare.label, bare, part.trained)
    for other in part.others[1:]:
        answer += f" {_sentence(f'with {other.label}', other, part.trained)}"
    measured = part.trained.accuracy is not None
    rows = [_row(v, measured, timed=v is not part.trained) for v in (part.trained, *part.others)]
    header = ["network", "weights not zero", *(["accuracy, norms settled"] if measured else []), "time of a call"]
    header += ["a call, over trained", "all steps, over trained", "library, bytes", "artifact, bytes"]
    whole = table(header, rows, "<" + ">" * (len(header) - 1))
    return Section(answer, Markup(whole + _layers(part) + note(_how(part))))


def _row(network: Variant, measured: bool, timed: bool) -> list[str]:
    """measured: with its accuracy. timed: over the trained network."""
    right = [percent(network.accuracy)] if measured and network.accuracy is not None else []
    ratios = [_spread(network.ratio), _spread(network.steps_ratio)] if timed else ["", ""]
    sizes = [_bytes(network.library_bytes), _bytes(network.artifact_bytes)]
    return [network.label, percent(network.density), *right, seconds_text(network.seconds.median), *ratios, *sizes]


def _sentence(name: str, other: Variant, trained: Variant) -> str:
    r = other.steps_ratio
    spread = f"quartiles {r.lower:.2f} to {r.upper:.2f}"
    time = f"{r.median:.2f} times as long ({spread})"
    if r.lower <= 1 <= r.upper or abs(r.median - 1) < SMALL:
        time = f"as long, as far as can be told (median {r.median:.2f}, {spread})"
    bytes_ratio = other.library_bytes / trained.library_bytes
    return f"The network {name} takes {time}; its library has {bytes_ratio:.2f} times the bytes."


def _spread(ratio: Spread) -> str:
    return f"{ratio.median:.2f} ({ratio.lower:.2f}–{ratio.upper:.2f})"


def _bytes(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _layers(part: SparsityWorth) -> Markup:
    if not part.trained.layers:
        return note("No step of the compiled network could be told to be one of the layers.")
    found = [{layer.name: layer for layer in v.layers} for v in part.others]
    rows = []
    for layer in part.trained.layers:
        row = [layer.name, percent(layer.density), layer.engine, _stored(layer), percent(layer.share)]
        for others in found:
            row += _beside(layer, others.get(layer.name))
        rows.append(row)
    rows.append(["all steps of the network", "", "", "", "100.0 %"])
    for v in part.others:
        rows[-1] += [_spread(v.steps_ratio), ""]
    header = ["layer", "weights not zero", "engine", "bytes", "of the time"]
    for v in part.others:
        header += [f"{v.label}: time over trained", "bytes"]
    title = Markup("<h3>Layer by layer</h3>")
    return Markup(title + table(header, rows, "<><>>" + ">>" * len(part.others)))


def _beside(trained: LayerTime, other: LayerTime | None) -> list[str]:
    """Time and bytes of a layer of another network; its engine where that is another one."""
    if other is None:
        return ["", ""]
    engine = "" if other.engine == trained.engine else f", {other.engine}"
    return [f"{_spread(other.ratio)}{engine}", _stored(other)]


def _stored(layer: LayerTime) -> str:
    return f"{_bytes(layer.stored_bytes)} ({'code' if layer.bits is None else f'{layer.bits:.2f}'})"


def _how(part: SparsityWorth) -> str:
    pinned = f"pinned to CPU {', '.join(map(str, part.cpus))}" if part.cpus else "not pinned"
    threads = f"{part.threads} thread{'s' if part.threads != 1 else ''}"
    return (
        f"{part.cpu}, target {part.target}, {threads}, {pinned}; the networks took turns in {part.rounds} rounds, and "
        "a ratio is taken in every round: its median and, in brackets, its quartiles are what to compare; absolute "
        "times depend on the machine and what else it did. Steps are timed one by one, each as a median of five runs, "
        "which other work disturbs less than a call. 'Without zeros' gives each zero weight the value of its latent "
        "weight's sign. Accuracies are with the statistics of norms taken anew from the first test batch, and without "
        "training again. Bytes of a layer are its constants, in brackets the bits of a weight; 'code' where "
        "the code holds the weights, which the library's bytes count. As float32 the quantized weights take "
        f"{_bytes(part.float_bytes)} bytes. An artifact also holds the IR and the C source."
    )
