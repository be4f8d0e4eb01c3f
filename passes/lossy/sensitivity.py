"""Which layers to leave alone: what the whole network loses when one layer alone is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ...ir.errors import InputError
from ...ir.losses import LayerSensitivity
from ...ir.program import Program
from .calibrated import Calibrated
from .layers import weight_layers
from .options import LossyOptions


def sensitivity(
    program: Program,
    options: LossyOptions,
    inputs: Mapping[str, list[np.ndarray]],
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerSensitivity]:
    """Every layer that can be changed, the most sensitive first; first and last layers too. The program stays as it is.

    inputs: calibration samples by input name. on_layer: told each layer's name before it is tried.
    """
    found = []
    names = [layer.name for layer in weight_layers(program, options.keep, ends=True) if not layer.fixed]
    if not names:
        raise InputError("there is no layer with float weights to change", where=program.name)
    for name in names:
        on_layer(name)
        trial = program.clone()
        alone = [
            layer if layer.name == name else replace(layer, fixed=layer.fixed or "not tried", few_bit=False)
            for layer in weight_layers(trial, options.keep, ends=True)
        ]
        losses = Calibrated(trial, options, alone).run(inputs)
        (layer,) = (layer for layer in losses.layers if layer.layer == name)
        found.append(LayerSensitivity(name, layer.weights, losses.output_snr, losses.agreement, layer.weight_snr))
    return sorted(found, key=lambda row: (row.output_snr is None, row.output_snr or 0.0))
