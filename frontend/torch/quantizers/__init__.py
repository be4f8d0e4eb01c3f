"""Quantizers for training: modules that map weights or activations to few values and have gradients."""

from .asymmetric import AsymmetricActivations, AsymmetricWeights, bi_ste
from .base import Quantizer, WeightQuantizer
from .binary import Binary
from .bitnet import AbsMaxTokens, AbsMeanWeights
from .layers import Conv1d, Conv2d, Linear, QuantizedLayer
from .lsq import LSQActivations, LSQWeights
from .n2uq import N2UQ
from .prepare import prepare, quantized_layers
from .rprelu import RPReLU
from .schemes import SCHEMES, Scheme
from .signed_binary import SignedBinary
from .ttq import TTQ
from .twn import TWN

__all__ = [
    "N2UQ",
    "SCHEMES",
    "TTQ",
    "TWN",
    "AbsMaxTokens",
    "AbsMeanWeights",
    "AsymmetricActivations",
    "AsymmetricWeights",
    "Binary",
    "Conv1d",
    "Conv2d",
    "LSQActivations",
    "LSQWeights",
    "Linear",
    "QuantizedLayer",
    "Quantizer",
    "RPReLU",
    "Scheme",
    "SignedBinary",
    "WeightQuantizer",
    "bi_ste",
    "prepare",
    "quantized_layers",
]
