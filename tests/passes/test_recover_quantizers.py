"""Quantizers move before max pools where that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, MulOp
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.tn.quant import QuantizeOp
from tercet.ir.types import tensor_type
from tercet.passes.recover_quantizers import RecoverQuantizers


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
