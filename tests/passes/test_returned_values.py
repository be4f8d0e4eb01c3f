"""A returned value may become another one of a tighter type: the program's signature follows. And what is no
quantizer stays as it is. Both were found by random networks."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import ClipOp, DivOp, RoundOp
from tercet.ir.tn.linear import MatMulOp
from tercet.ir.tn.movement import ReshapeOp, SliceOp
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from tercet.ir.types import element_of, int_type, range_of, tensor_type
from tercet.passes.pipeline import graph_passes


class Net:
    """A program with one input x, float32 [1, 4] unless told."""

    def __init__(self, element: object = f32) -> None:
        dtype = np.dtype(np.float32 if element is f32 else np.int8)
        self.program = Program.new("net", [Port("x", tensor_type((1, 4), element), dtype)])  # type: ignore[arg-type]
        self.x: SSAValue = self.program.block.args[0]

    def constant(self, array: object) -> SSAValue:
        op = self.program.constant("c", np.asarray(array))
        self.program.block.add_op(op)
        return op.result

    def add(self, kind: type, *operands: SSAValue, **attributes: object) -> SSAValue:
        op = kind.make(*operands, **attributes)  # type: ignore[attr-defined]
        self.program.block.add_op(op)
        return op.results[0]

    def check(self, y: SSAValue, x: np.ndarray, dtype: object = np.int8) -> Program:
        """Runs the graph passes; the program is sound after each and keeps its result."""
        self.program.finish([("y", y, np.dtype(dtype))])  # type: ignore[arg-type]
        want = run(self.program, {"x": x})["y"]
        for step in graph_passes():
            step.apply(self.program)
            self.program.verify()
            np.testing.assert_array_equal(run(self.program, {"x": x})["y"], want, err_msg=step.name)
        return self.program


X = np.array([[-3, 0.25, 1.5, 9]], np.float32)
LEVELS = {"lo": 0, "hi": 1}


def requantized(net: Net) -> SSAValue:
    """quantize(q * s, s) is q, whose range is smaller than the quantizer's."""
    s = net.constant(np.float32(0.5))
    q = net.add(DequantizeOp, net.add(QuantizeOp, net.x, s, **LEVELS), s)
    return net.add(QuantizeOp, q, s, lo=-128, hi=127)


def moved(net: Net) -> SSAValue:
    """The same after a movement."""
    return net.add(SliceOp, requantized(net), starts=(0, 1), sizes=(1, 2), steps=(1, 1))


def pooled(net: Net) -> SSAValue:
    """The same after a pool of integers."""
    x = net.add(ReshapeOp, requantized(net), shape=(1, 1, 4))
    return net.add(MaxPoolOp, x, kernel=(2,), strides=(1,), pads=(0, 0), dilations=(1,))


def weights_of_zero(net: Net) -> SSAValue:
    """A product with weights of 0 has one value."""
    s = net.constant(np.float32(0.5))
    q = net.add(QuantizeOp, net.x, s, lo=-128, hi=127)
    y = net.add(DequantizeOp, net.add(MatMulOp, q, net.constant(np.zeros((4, 3), np.int8))), s)
    return net.add(QuantizeOp, y, s, lo=-128, hi=127)


@pytest.mark.parametrize("build", [requantized, moved, pooled, weights_of_zero])
def test_the_signature_follows_a_tighter_value(build) -> None:  # type: ignore[no-untyped-def]
    net = Net()
    program = net.check(build(net), X)
    lo, hi = range_of(element_of(program.returned.operands[0]))
    assert lo >= -1 and hi <= 1


def test_the_signature_follows_a_constant() -> None:
    net = Net(int_type(-128, 127))
    y = net.add(
        ThresholdOp, net.constant(np.ones((1, 4), np.int8)), net.constant(np.array([[0]])), axis=1, base=0, step=1
    )
    program = net.check(y, np.zeros((1, 4), np.int8))
    assert range_of(element_of(program.returned.operands[0])) == (1, 1)


@pytest.mark.parametrize("rounds_first", [False, True])
@pytest.mark.parametrize("divided", [False, True])
def test_crossed_bounds_are_no_quantizer(rounds_first: bool, divided: bool) -> None:
    """Clip to 1..-1 gives -1 everywhere."""
    net = Net()
    y = net.add(DivOp, net.x, net.constant(np.float32(0.5))) if divided else net.x
    for kind in (RoundOp, ClipOp) if rounds_first else (ClipOp, RoundOp):
        y = net.add(kind, y, mode="round") if kind is RoundOp else net.add(kind, y, lo=1.0, hi=-1.0)
    program = net.check(y, X, np.float32)
    assert not any(isinstance(op, QuantizeOp) for op in program.ops)
    np.testing.assert_array_equal(run(program, {"x": X})["y"], np.full((1, 4), -1, np.float32))
