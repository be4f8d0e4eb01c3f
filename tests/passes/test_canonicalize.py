"""What does nothing goes, and what does something stays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from tercet.backends.reference.interpreter import run
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import CastOp
from tercet.ir.tn.quant import DequantizeOp
from tercet.ir.types import Element, int_type, storage_dtype, tensor_type
from tercet.passes.canonicalize import Canonicalize

AT = node_location("Test", "there and back")
SHAPE = (2, 3)


@pytest.mark.parametrize(
    ("x", "scale", "y", "goes"),
    [
        (int_type(-1, 1), 1.0, int_type(-128, 127), True),
        (int_type(-1, 1), np.ones((2, 1)), int_type(-1, 1), True),
        (int_type(-(2**24), 2**24), 1.0, int_type(-(2**31), 2**31 - 1), True),
        (int_type(0, 2**24 + 1), 1.0, int_type(-(2**31), 2**31 - 1), False),  # 2^24 + 1 is no float
        (int_type(0, 200), 1.0, int_type(-128, 127), False),
        (int_type(-1, 1), 0.5, int_type(-128, 127), False),
        (int_type(-1, 1), [[1.0], [2.0]], int_type(-128, 127), False),
        (int_type(-1, 1), np.ones((4, 1, 1)), int_type(-128, 127), False),  # broadcasts
    ],
)
def test_integers_to_floats_and_back(x: Element, scale: ArrayLike, y: Element, goes: bool) -> None:
    program = Program.new("cast", [Port("x", tensor_type(SHAPE, x), storage_dtype(x))])
    constant = program.constant("scale", np.asarray(scale, np.float32), at=AT)
    floats = DequantizeOp.make_typed([program.block.args[0], constant.results[0]], None, at=AT)
    kind = tensor_type(np.broadcast_shapes(SHAPE, np.shape(scale)), y)
    back = CastOp.make_typed([floats.results[0]], [kind], at=AT)
    for op in (constant, floats, back):
        program.block.add_op(op)
    program.finish([("y", back.results[0], storage_dtype(y))])
    program.verify()
    feeds = {"x": np.array([[x.lo.data, x.hi.data, 0], [1, 0, x.hi.data - 1]], storage_dtype(x))}  # type: ignore[union-attr]
    want = run(program, feeds)["y"]
    Canonicalize().apply(program)
    program.verify()
    assert goes == (not any(isinstance(op, CastOp) for op in program.ops))
    np.testing.assert_array_equal(run(program, feeds)["y"], want)
