"""The pass that makes a network's weights, and on request its activations, ternary, signed-binary or few-bit.

It leaves plain constants: codes times a scale, which `classify-weights` then finds exactly, or two scales (TTQ), which
stay floats of three values. So every later pass is exact on what this one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, TypeAlias

import numpy as np

from ...ir.errors import InputError
from ...ir.losses import LayerLoss, Losses
from ...ir.program import Program
from ...ir.rewrite import erase_dead
from ..base import Pass
from .calibrated import Calibrated
from .change import channels_of, is_subject, kept, set_weights
from .layers import WeightLayer, weight_layers
from .options import KEEP, LossyOptions
from .weights import new_weights

Data: TypeAlias = "Callable[[Program], Mapping[str, list[np.ndarray]]]"
"""Calibration data: for every input port of the program its samples, each of the port's shape, float32 or integer."""


class Ternarize(Pass):
    """Changes weights as the options say; `losses` tells afterwards what that did. data: for calibration."""

    name: ClassVar[str] = "ternarize"
    lossy: ClassVar[bool] = True

    def __init__(self, options: LossyOptions, data: Data | None = None) -> None:
        if data is None and options.activations != KEEP:
            raise InputError(
                f"activations '{options.activations}' need calibration data",
                hint="give samples with --calibrate FILE.npz",
            )
        self.options, self.data = options, data
        self.losses = Losses(options.weights, options.per, options.activations)

    def apply(self, program: Program) -> bool:
        layers = weight_layers(program, self.options.keep, ends=self.options.ends)
        if not any(is_subject(layer, self.options) for layer in layers):
            reasons = "; ".join(f"{layer.name}: {layer.fixed}" for layer in layers) or "it has no weights"
            raise InputError(
                f"there is nothing to change in this network ({reasons})", hint="--all-layers changes the ends too"
            )
        if self.data is None:
            found = [self._without_data(program, layer) for layer in layers]
            self.losses = replace(self.losses, layers=tuple(found))
        else:
            self.losses = Calibrated(program, self.options, layers).run(self.data(program))
        erase_dead(program)
        return True

    def _without_data(self, program: Program, layer: WeightLayer) -> LayerLoss:
        w = program.array(layer.op.operands[1])
        if layer.fixed or w is None or self.options.weights == KEEP:
            return kept(program, layer)
        made = new_weights(layer.to_rows(w), channels_of(layer, w), self.options)
        return set_weights(program, layer, made, self.options)
