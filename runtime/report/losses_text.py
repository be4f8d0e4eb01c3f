"""What lossy passes did, as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.losses import LayerLoss, LayerSensitivity, Losses
from .tables import table


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
