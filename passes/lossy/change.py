"""What is done to one layer, with or without calibration data."""

from __future__ import annotations

import numpy as np

from ...ir.losses import LayerLoss
from ...ir.program import Program
from ...ir.rewrite import constant_before, name_of
from ...ir.tn.linear import ConvOp
from .layers import CLOSED, WeightLayer
from .methods import Ternary
from .options import KEEP, SIGNED_BINARY, LossyOptions
from .statistics import snr


def is_subject(layer: WeightLayer, options: LossyOptions) -> bool:
    return (not layer.fixed and options.weights != KEEP) or reads_few_bits(layer, options)


def reads_few_bits(layer: WeightLayer, options: LossyOptions) -> bool:
    """Whether the activations that a layer reads are to be quantized: where its weights are, or become, few-bit."""
    if options.activations == KEEP or layer.fixed in CLOSED:
        return False
    return layer.few_bit or (options.weights != KEEP and not layer.fixed)


def channels_of(layer: WeightLayer, w: np.ndarray) -> int:
    return w.shape[1] if isinstance(layer.op, ConvOp) else w.shape[0]


def kept(program: Program, layer: WeightLayer) -> LayerLoss:
    w = program.array(layer.op.operands[1])
    return LayerLoss(layer.name, layer.fixed or "not asked for", 0 if w is None else w.size)


def set_weights(program: Program, layer: WeightLayer, made: Ternary, options: LossyOptions) -> LayerLoss:
    """Puts new weights in a layer, as float32 constants, and tells what they are."""
    old = layer.op.operands[1]
    w = program.array(old)
    assert w is not None
    scales = [s.astype(np.float32) for s in (made.positive, made.negative)]
    made = Ternary(made.q, scales[0], scales[1])
    values = layer.from_rows(made.values.astype(np.float32), w.shape)
    layer.op.operands[1] = constant_before(program, layer.op, f"{name_of(old)}.{options.weights}", values, old)
    used = np.unique(np.abs(values[values != 0]))
    shown = (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)
    survivors, largest = np.abs(w[values != 0]), np.abs(w).max()
    return LayerLoss(
        layer=layer.name,
        kept="",
        weights=w.size,
        zeros=float((values == 0).mean()),
        scales=shown,
        threshold=float(survivors.min() / largest) if survivors.size else 1.0,
        regions=options.regions if options.weights == SIGNED_BINARY else "",
        weight_snr=snr([w], [values]),
    )
