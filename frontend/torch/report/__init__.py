"""What can be measured of a trained network with quantized layers, beside its accuracy: one question a file."""

from .history import SparsityHistory, sparsity_over_training
from .inputs import InputSparsity, LayerInputs, input_sparsity
from .regions import LayerRegions, RegionSigns, region_signs
from .section import NotApplicable
from .shares import LayerShares, Shares, ThreeValues, three_values
from .thresholds import LayerPoint, Point, ThresholdSensitivity, threshold_sensitivity
from .variants import with_thresholds, without_zeros

__all__ = [
    "InputSparsity",
    "LayerInputs",
    "LayerPoint",
    "LayerRegions",
    "LayerShares",
    "NotApplicable",
    "Point",
    "RegionSigns",
    "Shares",
    "SparsityHistory",
    "ThreeValues",
    "ThresholdSensitivity",
    "input_sparsity",
    "region_signs",
    "sparsity_over_training",
    "three_values",
    "threshold_sensitivity",
    "with_thresholds",
    "without_zeros",
]
