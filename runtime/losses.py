"""`losses.json`: what lossy passes did to the network of an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ..ir.losses import LayerLoss, LayerSensitivity, Losses
from . import schema
from .manifest import MOST_JSON_BYTES
from .schema import array, integer, number, optional, record, text
from .tables import table

LOSSES = "losses.json"


def losses_to_json(losses: Losses) -> bytes:
    return schema.dump_json(asdict(losses))


def losses_from_json(data: bytes, where: str = LOSSES) -> Losses:
    """Reads and checks losses.json. Raises ArtifactError naming the field."""
    return _LOSSES(schema.parse_json(data, where, MOST_JSON_BYTES), where)


def losses_text(losses: Losses) -> str:
    """One line a layer, and one for the network."""
    header = ("layer", "weights", "zeros", "scales", "weight SNR", "output SNR", "")
    rows = [_row(layer) for layer in losses.layers]
    return f"{losses_summary(losses)}\n{table(header, rows, '<>>>>>')}\n"


def losses_summary(losses: Losses) -> str:
    """What was asked for, and what it did to the whole network."""
    changed = [layer for layer in losses.layers if not layer.kept]
    text = f"lossy: {losses.method} weights, scales per {losses.per}, in {len(changed)} of {len(losses.layers)} layers"
    if losses.activations != "keep":
        text += f", {losses.activations} activations"
    if not losses.samples:
        return f"{text}; no calibration data, so errors of outputs were not measured"
    text += f"; output SNR {_decibel(losses.output_snr) or 'infinite'} on {losses.samples} calibration samples"
    return (
        text if losses.agreement is None else f"{text}, {100 * losses.agreement:.1f} % of them with the same top class"
    )


def sensitivity_text(found: Sequence[LayerSensitivity]) -> str:
    """One line a layer, in the order given."""
    rows = [
        [row.layer, str(row.weights), _decibel(row.weight_snr), _decibel(row.output_snr), _percent(row.agreement)]
        for row in found
    ]
    return table(("changed layer", "weights", "weight SNR", "output SNR", "same top class"), rows, "<>>>>")


def _row(layer: LayerLoss) -> Sequence[str]:
    output = _decibel(layer.output_snr)
    if layer.kept:
        return [layer.layer, str(layer.weights), "", "", "", output, layer.kept]
    scales = " to ".join(f"{scale:.3g}" for scale in sorted(set(layer.scales)))
    regions = f"regions {layer.regions}" if layer.regions else ""
    zeros = f"{100 * layer.zeros:.1f} %"
    return [layer.layer, str(layer.weights), zeros, scales, _decibel(layer.weight_snr), output, regions]


def _decibel(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} dB"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


_LAYER = record(
    LayerLoss,
    layer=text(),
    kept=text(),
    weights=integer(0),
    zeros=number,
    scales=array(number, 2),
    threshold=number,
    regions=text(100),
    weight_snr=optional(number),
    output_snr=optional(number),
)
_LOSSES = record(
    Losses,
    method=text(100),
    per=text(100),
    activations=text(100),
    samples=integer(0),
    layers=array(_LAYER, 1_000_000),
    output_snr=optional(number),
    agreement=optional(number),
)
