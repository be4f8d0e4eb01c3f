"""Named combinations of quantizers, as `prepare` takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .asymmetric import AsymmetricActivations, AsymmetricWeights
from .base import Quantizer, WeightQuantizer
from .binary import Binary
from .bitnet import AbsMaxTokens, AbsMeanWeights
from .lsq import LSQActivations, LSQWeights
from .n2uq import N2UQ
from .signed_binary import SignedBinary
from .ttq import TTQ
from .twn import TWN


@dataclass(frozen=True)
class Scheme:
    """weights, inputs: make the quantizers of one layer; None leaves them float. rprelu: ReLU becomes RPReLU."""

    weights: Callable[[], WeightQuantizer] | None = None
    inputs: Callable[[], Quantizer] | None = None
    rprelu: bool = False


SCHEMES: Mapping[str, Scheme] = {
    "float": Scheme(),
    "twn": Scheme(TWN),
    "ttq": Scheme(TTQ),
    "asymmetric": Scheme(AsymmetricWeights),
    "ternary": Scheme(AsymmetricWeights, AsymmetricActivations, rprelu=True),
    "binary": Scheme(Binary),
    "signed-binary": Scheme(SignedBinary),
    "signed-binary-slices": Scheme(lambda: SignedBinary(regions="slices")),
    "lsq4": Scheme(lambda: LSQWeights(4), lambda: LSQActivations(4)),
    "lsq2": Scheme(lambda: LSQWeights(2), lambda: LSQActivations(2)),
    "ternary-n2uq2": Scheme(AsymmetricWeights, lambda: N2UQ(2)),
    "bitnet": Scheme(AbsMeanWeights, AbsMaxTokens),
}
"""Weights alone are quantized but for ternary, lsq, ternary-n2uq2 and bitnet, which quantize what layers read, too."""
