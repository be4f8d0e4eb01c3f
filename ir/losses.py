"""What lossy passes did to a program: one record a layer, and one for the whole network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerLoss:
    """A layer with weights. kept: why its weights are as they were, "" where they were changed.

    weights: how many; zeros: share of them that are 0 now. regions: signed-binary regions as text, "" without.
    weight_snr, output_snr: 10 log10(sum of squares / sum of squared differences) in decibel, of the weights and of the
    layer's result in the lossy network against the float network on the calibration data; None where it was not
    measured or nothing differs. threshold: the smallest |w| that did not become 0, in units of max |w|.
    """

    layer: str
    kept: str
    weights: int
    zeros: float = 0.0
    scales: tuple[float, ...] = ()
    threshold: float = 0.0
    regions: str = ""
    weight_snr: float | None = None
    output_snr: float | None = None


@dataclass(frozen=True)
class Losses:
    """method, per, activations: as asked. samples: of calibration data. output_snr: of the network's outputs, as for
    layers. agreement: share of the calibration samples for which the largest output is the float network's; None where
    there is no such output."""

    method: str
    per: str
    activations: str = "keep"
    samples: int = 0
    layers: tuple[LayerLoss, ...] = ()
    output_snr: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class LayerSensitivity:
    """output_snr: decibel, of the network's outputs when this layer alone is changed (None: no difference). agreement:
    share of the samples whose top class stays, None where the output has none."""

    layer: str
    weights: int
    output_snr: float | None
    agreement: float | None
    weight_snr: float | None
