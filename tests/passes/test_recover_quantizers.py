"""Quantizers move before max pools where that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, MulOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.ir.types import int_type, is_float, tensor_type
from tercet.passes.recover_quantizers import RecoverQuantizers
from tercet.passes.thresholds import Thresholds


@pytest.mark.parametrize(("factor", "moves"), [(1.0, True), (-1.0, False)], ids=["rising steps", "falling step"])
def test_rising_steps_and_quantizer_go_before_a_pool(factor: float, moves: bool) -> None:
    program = Program.new("pool", [Port("x", tensor_type((1, 3, 6, 6), f32), np.dtype(np.float32))])
    block, rng = program.block, np.random.default_rng(0)

    def constant(name: str, array: np.ndarray) -> SSAValue:
        op = program.constant(name, array.astype(np.float32))
        block.add_op(op)
        return op.results[0]

    def add(op: Operation) -> SSAValue:
        block.add_op(op)
        return op.results[0]

    y = add(MaxPoolOp.make(block.args[0], kernel=(3, 3), strides=(2, 2), pads=(1,) * 4, dilations=(1, 1)))
    y = add(AddOp.make(y, constant("shift", rng.normal(size=(3, 1, 1)))))
    y = add(MulOp.make(y, constant("factor", np.full((1, 3, 1, 1), factor))))
    y = add(QuantizeOp.make(y, constant("scale", np.full((), 0.5)), lo=-1, hi=1))
    program.finish([("y", y, np.dtype(np.int8))])
    program.verify()
    feeds = {"x": rng.normal(size=(1, 3, 6, 6)).astype(np.float32)}
    want = run(program, feeds)["y"]
    RecoverQuantizers().apply(program)
    program.verify()
    kinds = [type(op) for op in program.ops]
    assert (kinds.index(QuantizeOp) < kinds.index(MaxPoolOp)) == moves
    np.testing.assert_array_equal(run(program, feeds)["y"], want)


@pytest.mark.parametrize(("bits", "integer"), [(31, True), (32, False)])
@pytest.mark.parametrize("kind", ["matmul", "conv"])
def test_sums_that_may_leave_64_bits_stay_floats(kind: str, bits: int, integer: bool) -> None:
    """The sum of two products of 32-bit integers may be 2^63, which wraps; a float does not."""
    lowest = -(2 ** (bits - 1))
    element = int_type(lowest, -lowest - 1)
    shapes = ((1, 2), (2, 1)) if kind == "matmul" else ((1, 2, 1, 1), (1, 2, 1, 1))
    ports = [
        Port(name, tensor_type(shape, element), np.dtype(np.int32))
        for name, shape in zip("ab", shapes, strict=True)
    ]  # fmt: skip
    program = Program.new("wide", ports)
    scale = program.constant("scale", np.array(1, np.float32))
    floats = [DequantizeOp.make(x, scale.results[0]) for x in program.block.args]
    if kind == "matmul":
        product = MatMulOp.make(*(op.results[0] for op in floats))
    else:
        window = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1}
        product = ConvOp.make(*(op.results[0] for op in floats), **window)
    program.block.add_ops([scale, *floats, product])
    program.finish([("y", product.results[0], np.dtype(np.float32))])
    feeds = {name: np.full(shape, lowest, np.int32) for name, shape in zip("ab", shapes, strict=True)}
    want = run(program, feeds)["y"]
    RecoverQuantizers().apply(program)
    program.verify()
    assert [is_float(op.results[0]) for op in program.ops if isinstance(op, MatMulOp | ConvOp)] == [not integer]
    np.testing.assert_array_equal(run(program, feeds)["y"], want)
    assert (want == 2 * float(lowest) ** 2).all()


def test_accumulators_of_64_bits_have_no_thresholds() -> None:
    program = Program.new("wide", [Port("x", tensor_type((1, 3), int_type(-(2**63), 2**63 - 1)), np.dtype(np.int64))])
    scale = program.constant("scale", np.array(2.0**40, np.float32))
    x = DequantizeOp.make(program.block.args[0], scale.results[0])
    q = QuantizeOp.make(x.results[0], scale.results[0], lo=-1, hi=1)
    program.block.add_ops([scale, x, q])
    program.finish([("y", q.results[0], np.dtype(np.int8))])
    Thresholds().apply(program)
    program.verify()
    assert any(isinstance(op, QuantizeOp) for op in program.ops)
    assert run(program, {"x": np.array([[-(2**63), 0, 2**63 - 1]])})["y"].tolist() == [[-1, 0, 1]]
