"""Changes layers in order while calibration data runs through the network: each layer sees what those before it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...ir.losses import LayerLoss, Losses
from ...ir.program import Program
from ...ir.rewrite import constant_before, insert, sole_user
from ...ir.tn.constant import ConstantOp
from ...ir.tn.linear import BatchNormOp, ConvOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp
from .activations import ACTIVATIONS, choose_quantizer
from .change import channels_of, kept, reads_few_bits, set_weights
from .correct import correction, into_batch_norm, into_bias
from .layers import WeightLayer
from .methods import Ternary
from .options import KEEP, LossyOptions
from .statistics import input_products, snr
from .walk import Both, Samples, Walk
from .weights import new_weights


class Calibrated:
    """One walk over the data."""

    def __init__(self, program: Program, options: LossyOptions, layers: Sequence[WeightLayer]) -> None:
        self.program, self.options = program, options
        self.layers: dict[Operation, WeightLayer] = {layer.op: layer for layer in layers}
        self.losses: dict[str, LayerLoss] = {}
        self.quantized: dict[SSAValue, tuple[SSAValue, Samples]] = {}
        self.norms: dict[Operation, str] = {}

    def run(self, inputs: Mapping[str, Sequence[np.ndarray]]) -> Losses:
        """Changes the program. inputs: samples by the name of the input port."""
        walk = Walk(self.program, inputs)
        outputs = walk.run(self._change)
        return Losses(
            self.options.weights,
            self.options.per,
            self.options.activations,
            walk.count,
            tuple(self.losses.values()),
            snr([y for both in outputs for y in both.plain], [y for both in outputs for y in both.lossy]),
            agreement(outputs),
        )

    def _change(self, walk: Walk, op: Operation, plain: Operation) -> Both | None:
        if plain in self.norms:
            (both,) = walk.compute(op, plain)
            self._measure(self.norms[plain], both)
            return both
        layer = self.layers.get(op)
        if layer is None:
            return None
        x = walk.operands(plain)
        read = [both.lossy for both in x]
        if reads_few_bits(layer, self.options):
            read[0] = self._quantize(walk, layer, plain, x[0])
        both = Both(walk.apply(plain, [v.plain for v in x], walk.plain)[0], [])
        w = self.program.array(layer.op.operands[1])
        if layer.fixed or w is None or self.options.weights == KEEP:
            same = all(v.plain is r for v, r in zip(x, read, strict=True))
            both.lossy = both.plain if same else walk.apply(op, read, self.program)[0]
            self.losses[layer.name] = kept(self.program, layer)
        else:
            products = input_products(layer.op, read[0], x[0].plain) if self.options.fit == "outputs" else None
            made = new_weights(layer.to_rows(w), channels_of(layer, w), self.options, products)
            self.losses[layer.name] = set_weights(self.program, layer, made, self.options)
            both.lossy = walk.apply(op, read, self.program)[0]
            if self.options.correct != "none":
                self._correct(walk, layer, plain, made, both)
        self._measure(layer.name, both)
        return both

    def _measure(self, name: str, both: Both) -> None:
        self.losses[name] = replace(self.losses[name], output_snr=snr(both.plain, both.lossy))

    def _quantize(self, walk: Walk, layer: WeightLayer, plain: Operation, x: Both) -> Samples:
        """Puts a quantizer on what a layer reads, one for all layers that read it, and gives the quantized values."""
        op, value = layer.op, layer.op.operands[0]
        if isinstance(value.owner, DequantizeOp | ConstantOp):
            return x.lossy
        source = plain.operands[0]
        if source not in self.quantized:
            made = choose_quantizer(x.lossy, ACTIVATIONS[self.options.activations])
            scale = constant_before(self.program, op, f"{layer.name}.step", np.asarray(made.step), value)
            quantize = QuantizeOp.make(value, scale, lo=made.lo, hi=made.hi, at=op)
            dequantize = DequantizeOp.make(insert(op, quantize), scale, at=op)
            samples = x.lossy
            for step in (quantize, dequantize):
                (samples,) = walk.apply(step, [samples, []], self.program)
            self.quantized[source] = insert(op, dequantize), samples
        op.operands[0], samples = self.quantized[source]
        return samples

    def _correct(self, walk: Walk, layer: WeightLayer, plain: Operation, made: Ternary, both: Both) -> None:
        """Matches moments, in the batch norm after the layer or in its scales and bias."""
        norm = sole_user(plain.results[0])
        deviation = self.options.correct == "moments"
        axis = 1 if isinstance(plain, ConvOp) else -1
        statistics = [walk.plain.array(v) for v in norm.operands[3:]] if isinstance(norm, BatchNormOp) else []
        if isinstance(norm, BatchNormOp) and all(array is not None for array in statistics):
            by = correction(both.plain, both.lossy, axis, deviation=deviation)
            lossy_norm = walk.lossy_of[norm]
            assert isinstance(lossy_norm, BatchNormOp)
            mean, var = (np.asarray(array, np.float64) for array in statistics)
            into_batch_norm(self.program, lossy_norm, mean, var, by)
            self.norms[norm] = layer.name
            return
        biased = isinstance(plain, ConvOp) and plain.bias is not None
        if biased and walk.plain.array(plain.operands[2]) is None:
            return
        by = correction(both.plain, both.lossy, axis, deviation=deviation and self.options.per == "channel")
        scaled = Ternary(made.q, made.positive * by.ratio, made.negative * by.ratio)
        found = set_weights(self.program, layer, scaled, self.options)
        self.losses[layer.name] = replace(self.losses[layer.name], scales=found.scales)
        into_bias(self.program, layer.op, by)
        shift = by.shift.reshape([-1 if i == axis % both.plain[0].ndim else 1 for i in range(both.plain[0].ndim)])
        both.lossy = [(y * by.ratio.reshape(shift.shape) + shift).astype(np.float32) for y in both.lossy]


def agreement(outputs: Sequence[Both]) -> float | None:
    """The share of samples whose largest output stays the same; None without one output of several numbers."""
    if len(outputs) != 1 or outputs[0].plain[0].size < 2:
        return None
    both = outputs[0]
    return float(np.mean([a.argmax() == b.argmax() for a, b in zip(both.plain, both.lossy, strict=True)]))
