"""Matrix products write bits along the last axis, convolutions read planes of axis 1: the way leads through bytes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import NATIVE, random_array
from library import Library
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.reference.interpreter import run
from tercet.ir.kn.bits import BitsLayout
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.kn.layout import MapType, bits_of, planes_of
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import TERNARY, storage_dtype, tensor_type
from tercet.passes.pipeline import run_passes

AT = node_location("Test", "both")
SHAPE, COLUMNS = (1, 3, 6, 70), 66


def network(order: tuple[str, ...]) -> Program:
    """Layers of 'product' and 'conv' one after the other, each with thresholds."""
    program = Program.new("both", [Port("x", tensor_type(SHAPE, TERNARY), storage_dtype(TERNARY))])
    rng = np.random.default_rng(1)
    x, columns = program.block.args[0], SHAPE[3]
    for i, layer in enumerate(order):
        product = layer == "product"
        shape = (columns, COLUMNS) if product else (3, 3, 3, 3)
        columns = COLUMNS if product else columns
        count = COLUMNS if product else 3
        arrays = (rng.choice((-1, 0, 1), shape).astype(np.int8), np.sort(rng.integers(-4, 5, (count, 2)), axis=1))
        constants = [program.constant(f"{n}{i}", a, at=AT) for n, a in zip(("w", "t"), arrays, strict=True)]
        geometry = {"strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "group": 1}
        kind, attributes = (MatMulOp, {}) if product else (ConvOp, geometry)
        y = kind.make_typed([x, constants[0].results[0]], None, at=AT, **attributes)
        t = ThresholdOp.make_typed(
            [y.results[0], constants[1].results[0]], None, at=AT, axis=3 if product else 1, base=-1, step=1
        )
        for op in (*constants, y, t):
            program.block.add_op(op)
        x = t.results[0]
    program.finish([("y", x, storage_dtype(TERNARY))])
    program.verify()
    return program


@pytest.mark.parametrize("order", [("product", "conv"), ("product", "product", "conv"), ("conv", "product", "conv")])
@pytest.mark.parametrize("products", ["popcount", "active_inputs"])
@pytest.mark.parametrize("convolutions", ["bit_sliced", "table"])
def test_products_and_convolutions(order: tuple[str, ...], products: str, convolutions: str) -> None:
    program = network(order)
    chosen = [e for e in ENGINES if e.name in (products, convolutions, "loops")]
    x = random_array(np.random.default_rng(0), SHAPE, TERNARY)
    want = run(program, {"x": x})["y"]
    run_passes(program, stages(NATIVE, chosen))
    seen = [op for op in program.ops if isinstance(op, KernelOp)]
    assert products in {op.engine.data for op in seen}
    (have,) = Library(program, NATIVE).run([x[None]])
    np.testing.assert_array_equal(have[0], want)


def test_no_conversion_does_both_at_once() -> None:
    program = network(("product", "conv"))
    run_passes(program, stages(NATIVE, [e for e in ENGINES if e.name in ("popcount", "bit_sliced", "loops")]))
    planes = next(v.type for op in program.ops for v in op.operands if planes_of(v.type))
    kind: Attribute = MapType(tensor_type((1, 3, 6, 66), TERNARY), BitsLayout.of(3))
    assert bits_of(kind) and not ConvertOp.direct(kind, planes) and not ConvertOp.direct(planes, kind)
    (source,) = Program.new("x", [Port("x", kind, storage_dtype(TERNARY))]).block.args  # type: ignore[arg-type]
    with pytest.raises(VerifyException, match="bits along an axis that planes do not have"):
        ConvertOp.create(operands=[source], result_types=[planes]).verify_()
