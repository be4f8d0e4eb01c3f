"""The pass that makes a network's weights, and on request its activations, ternary, signed-binary or few-bit.

It leaves plain constants: codes times a scale, which `classify-weights` then finds exactly, or two scales (TTQ), which
stay floats of three values. So every later pass is exact on what this one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self, TypeAlias, get_type_hints

import numpy as np

from ...ir.errors import InputError
from ...ir.losses import LayerLoss, Losses
from ...ir.program import Program
from ...ir.rewrite import erase_dead
from ..base import GIVEN, Pass
from ..properties import NO_KERNELS
from .calibrated import Calibrated
from .change import channels_of, is_subject, kept, set_weights
from .layers import WeightLayer, weight_layers
from .options import KEEP, LossyOptions
from .weights import new_weights

Data: TypeAlias = "Callable[[Program], Mapping[str, list[np.ndarray]]]"
"""Calibration data: for every input port of the program its samples, each of the port's shape, float32 or integer."""


@dataclass(frozen=True)
class Ternarize(Pass):
    """Changes weights as `wanted` says; `losses` tells afterwards what that did. data: for calibration."""

    name: ClassVar[str] = "ternarize"
    lossy: ClassVar[bool] = True
    requires: ClassVar = (NO_KERNELS,)

    wanted: LossyOptions = field(default=LossyOptions("ternary"), metadata=GIVEN)
    data: Data | None = field(default=None, metadata=GIVEN)
    _found: list[Losses] = field(default_factory=list, init=False, compare=False, repr=False, metadata=GIVEN)

    def __post_init__(self) -> None:
        if self.data is None and self.wanted.activations != KEEP:
            raise InputError(
                f"activations '{self.wanted.activations}' need calibration data",
                hint="give samples with --calibrate FILE.npz",
            )

    @property
    def losses(self) -> Losses:
        """What the last program lost; no layers before `apply`."""
        nothing = Losses(self.wanted.weights, self.wanted.per, self.wanted.activations)
        return self._found[-1] if self._found else nothing

    def options(self) -> Mapping[str, Any]:
        return asdict(self.wanted)

    def option_types(self) -> Mapping[str, Any]:
        return get_type_hints(LossyOptions)

    def defaults(self) -> Mapping[str, Any]:
        return asdict(LossyOptions("ternary"))

    def with_options(self, **options: Any) -> Self:
        return replace(self, wanted=replace(self.wanted, **options))

    def apply(self, program: Program) -> bool:
        layers = weight_layers(program, self.wanted.keep, ends=self.wanted.ends)
        if not any(is_subject(layer, self.wanted) for layer in layers):
            reasons = "; ".join(f"{layer.name}: {layer.fixed}" for layer in layers) or "it has no weights"
            raise InputError(
                f"there is nothing to change in this network ({reasons})", hint="--all-layers changes the ends too"
            )
        if self.data is None:
            found = [self._without_data(program, layer) for layer in layers]
            self._found.append(replace(self.losses, layers=tuple(found)))
        else:
            self._found.append(Calibrated(program, self.wanted, layers).run(self.data(program)))
        erase_dead(program)
        return True

    def _without_data(self, program: Program, layer: WeightLayer) -> LayerLoss:
        w = program.array(layer.op.operands[1])
        if layer.fixed or w is None or self.wanted.weights == KEEP:
            return kept(program, layer)
        made = new_weights(layer.to_rows(w), channels_of(layer, w), self.wanted)
        return set_weights(program, layer, made, self.wanted)
