"""All ways to write the bounds of an activation end in the same integer threshold; and no rule changes a number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import ClipOp, MaxOp, MinOp, ReluOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from tercet.ir.types import int_type, is_float, tensor_type
from tercet.passes.canonicalize import Canonicalize
from tercet.passes.pipeline import graph_passes
from tercet.passes.recover_quantizers import RecoverQuantizers

CHANNELS = 3
SPECIAL = np.array(
    [[-np.inf, -300, -7, -2, -1, -0.75, -0.5, -0.25, -0.0, 0.0, 0.25, 0.5, 0.75, 1, 1.5, 2, 7, 300, np.inf, np.nan]],
    np.float32,
)


class Chain:
    """A program that is written operation by operation, each on the result of the one before."""

    def __init__(self, port: Port) -> None:
        self.program = Program.new("bounds", [port])
        self.value: SSAValue = self.program.block.args[0]

    def constant(self, array: object, dtype: type = np.float32) -> SSAValue:
        op = self.program.constant("c", np.asarray(array, dtype))
        self.program.block.add_op(op)
        return op.results[0]

    def then(self, kind, *constants: SSAValue, **attributes) -> Chain:
        op = kind.make(self.value, *constants, **attributes)
        self.program.block.add_op(op)
        self.value = op.results[0]
        return self

    def conv(self) -> Chain:
        rng = np.random.default_rng(0)
        w = self.constant(rng.integers(-1, 2, (CHANNELS, CHANNELS, 1, 1)), np.int8)
        return self.then(ConvOp, w, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)

    def float_weights(self) -> Chain:
        """A convolution with the weights that a dequantize gives."""
        w = self.constant(np.random.default_rng(1).integers(-1, 2, (CHANNELS, CHANNELS, 1, 1)), np.int8)
        op = DequantizeOp.make(w, self.constant(0.25))
        self.program.block.add_op(op)
        return self.then(ConvOp, op.result, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)

    def done(self) -> Program:
        self.program.finish([("y", self.value, np.dtype(np.float32 if is_float(self.value) else np.int64))])
        self.program.verify()
        return self.program


def quantize(c: Chain, lo: int = -128, hi: int = 127) -> Chain:
    return c.then(QuantizeOp, c.constant(0.5), lo=lo, hi=hi)


def dequantize(c: Chain) -> Chain:
    return c.then(DequantizeOp, c.constant(0.5))


KINDS = {
    "clip after": lambda c: dequantize(quantize(c).then(ClipOp, lo=-1.0, hi=1.0)),
    "clip before": lambda c: dequantize(quantize(c.then(ClipOp, lo=-0.5, hi=0.5))),
    "relu before": lambda c: dequantize(quantize(c.then(ReluOp), 0, 255).then(ClipOp, lo=0.0, hi=1.0)),
    "relu before signed": lambda c: dequantize(quantize(c.then(ReluOp), -1, 1)),
    "nested": lambda c: dequantize(quantize(c.then(ClipOp, lo=-6.0, hi=6.0).then(ClipOp, lo=-0.5, hi=0.5))),
    "relu6": lambda c: dequantize(quantize(c.then(ReluOp).then(ClipOp, lo=-9.0, hi=1.0), 0, 255)),
    "before and after": lambda c: dequantize(quantize(c.then(ClipOp, lo=-2.0, hi=0.5)).then(ClipOp, lo=-1.0, hi=9.0)),
    "max and min": lambda c: dequantize(quantize(c.then(MaxOp, c.constant(-0.5)).then(MinOp, c.constant(0.5)))),
    "max and min after": lambda c: dequantize(
        quantize(c).then(MaxOp, c.constant(-1, np.int64)).then(MinOp, c.constant(1, np.int64))
    ),
    "one bound for each channel": lambda c: dequantize(
        quantize(c.then(MinOp, c.constant([[[0.5]]] * CHANNELS)).then(MaxOp, c.constant([[[-0.5]]] * CHANNELS)))
    ),
    "after dequantize": lambda c: dequantize(quantize(c)).then(ClipOp, lo=-0.5, hi=0.5),
    "quantized twice": lambda c: dequantize(quantize(dequantize(quantize(c)).then(ClipOp, lo=-0.5, hi=0.5))),
    "channels' own bounds, few levels": lambda c: dequantize(
        quantize(c.then(MinOp, c.constant([[[0.5]], [[0.1]], [[9]]])), -1, 1)
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_write_it_ends_in_integers(kind: str) -> None:
    x = Port("x", tensor_type((1, CHANNELS, 4, 4), int_type(-9, 9)), np.dtype(np.int8))
    sums = Chain(x).conv()
    scaled = sums.then(DequantizeOp, sums.constant([[[0.3]], [[0.7]], [[0.2]]]))
    program = KINDS[kind](scaled).float_weights().done()
    inputs = {"x": np.random.default_rng(2).integers(-9, 10, (1, CHANNELS, 4, 4)).astype(np.int8)}
    want = run(program, inputs)["y"]
    for step in graph_passes():
        step.apply(program)
        program.drop_unused_weights()
        program.verify()
    computing = [type(op) for op in program.ops if not isinstance(op, ConstantOp)]
    assert computing == [ConvOp, ThresholdOp, ConvOp, DequantizeOp], program.text()
    np.testing.assert_array_equal(run(program, inputs)["y"], want)


LOWER, UPPER = st.sampled_from([-np.inf, -1.0, -0.5, 0.0, 0.3, 1.0]), st.sampled_from([-0.5, 0.5, 1.0, np.inf])
STEPS = st.one_of(
    st.just(("relu",)),
    st.tuples(st.just("clip"), LOWER, UPPER),
    st.tuples(st.sampled_from(["max", "min"]), st.sampled_from([-1.0, -0.5, 0.5, 1.0])),
    st.tuples(st.just("quantize"), st.sampled_from([-128, -1, 0, 1]), st.sampled_from([1, 3, 127])),
)


@given(st.lists(STEPS, min_size=1, max_size=6))
def test_chains_of_bounds_keep_every_value(steps: list[tuple]) -> None:
    """NaN, infinities and ties too; a quantizer is followed by its dequantize."""
    c = Chain(Port("x", tensor_type(SPECIAL.shape, f32), np.dtype(np.float32)))
    for step in steps:
        match step:
            case ("relu",):
                c.then(ReluOp)
            case ("clip", lo, hi):
                c.then(ClipOp, lo=lo, hi=hi)
            case ("max", bound):
                c.then(MaxOp, c.constant(bound))
            case ("min", bound):
                c.then(MinOp, c.constant(bound))
            case ("quantize", lo, hi):
                dequantize(quantize(c, lo, hi))
    program = c.done()
    want = run(program, {"x": SPECIAL})["y"]
    for step in (Canonicalize(), RecoverQuantizers(), Canonicalize()):
        step.apply(program)
        program.verify()
        np.testing.assert_array_equal(run(program, {"x": SPECIAL})["y"], want)


@pytest.mark.parametrize("kind", [MaxOp, MinOp])
@pytest.mark.parametrize("bound", [-300.0, -4.0, -0.3, 0.0, 0.3, 4.0, 300.0])
@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-1, 0), (2, 3), (-3, -2), (0, 0)])
def test_a_bound_beyond_all_levels(lo: int, hi: int, bound: float, kind: type) -> None:
    """It is the result then, though no level is: max(0 or 1, 4.0)."""
    c = Chain(Port("x", tensor_type(SPECIAL.shape, f32), np.dtype(np.float32)))
    dequantize(quantize(c, lo, hi))
    program = c.then(kind, c.constant(bound)).done()
    want = run(program, {"x": SPECIAL})["y"]
    for step in graph_passes():
        step.apply(program)
        program.verify()
        np.testing.assert_array_equal(run(program, {"x": SPECIAL})["y"], want)
