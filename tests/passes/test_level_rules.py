"""Steps that pick levels one after the other become one: the form, and the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.backends.reference.interpreter import run
from tercet.frontend.onnx import import_model
from tercet.ir.program import Port, Program
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import AddOp, ClipOp, SubOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import QuantizeOp, ThresholdOp
from tercet.ir.types import element_of, f32, int_type, is_float, range_of, tensor_type
from tercet.passes.canonicalize import Canonicalize
from tercet.passes.pipeline import graph_passes

DEMO = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
BOUNDS = [(-1.0, 1.0), (-np.inf, 1.0), (0.0, np.inf), (200.0, 300.0), (-9.0, -200.0), (2.0, 2.0)]
SPECIAL = np.array([[-np.inf, -300, -2, -1, -0.5, -0.0, 0.4, 1, 1.5, 7, 300, np.inf, np.nan]], np.float32)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_clip_of_a_quantizer_is_a_quantizer(bounds: tuple[float, float]) -> None:
    program = Program.new("clip", [Port("x", tensor_type(SPECIAL.shape, f32), np.dtype(np.float32))])
    scale = program.constant("scale", np.array(0.5, np.float32))
    quantize = QuantizeOp.make(program.block.args[0], scale.result, lo=-128, hi=127)
    clip = ClipOp.make(quantize.y, lo=bounds[0], hi=bounds[1])
    program.block.add_ops([scale, quantize, clip])
    program.finish([("y", clip.y, np.dtype(np.int64))])
    want = run(program, {"x": SPECIAL})["y"]
    assert Canonicalize().apply(program)
    program.verify()
    (only,) = (op for op in program.ops if isinstance(op, QuantizeOp | ClipOp))
    assert isinstance(only, QuantizeOp)
    assert range_of(element_of(only.y)) == tuple(int(min(max(v, bounds[0]), bounds[1])) for v in (-128, 127))
    np.testing.assert_array_equal(run(program, {"x": SPECIAL})["y"], want)


def test_a_quantizer_that_others_read_keeps_its_bounds() -> None:
    program = Program.new("shared", [Port("x", tensor_type(SPECIAL.shape, f32), np.dtype(np.float32))])
    scale = program.constant("scale", np.array(0.5, np.float32))
    quantize = QuantizeOp.make(program.block.args[0], scale.result, lo=-128, hi=127)
    clip = ClipOp.make(quantize.y, lo=-1.0, hi=1.0)
    program.block.add_ops([scale, quantize, clip])
    program.finish([("y", clip.y, np.dtype(np.int64)), ("z", quantize.y, np.dtype(np.int64))])
    Canonicalize().apply(program)
    assert ClipOp in {type(op) for op in program.ops}


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, -1, 2, -3]), st.sampled_from([1, -1, 2]), st.booleans())
def test_threshold_of_a_threshold_is_one(seed: int, inner_step: int, outer_step: int, whole: bool) -> None:
    """Thresholds that the levels never and always reach too; NaN reaches none."""
    rng = np.random.default_rng(seed)
    channels, inner_count, outer_count = rng.integers(1, 4), rng.integers(0, 5), rng.integers(0, 4)
    x = rng.integers(-9, 9, (1, channels, 50)).astype(np.int64 if whole else np.float32)
    if not whole:
        x[0, :, 0] = np.nan
    element = int_type(-9, 9) if whole else f32
    program = Program.new("levels", [Port("x", tensor_type(x.shape, element), x.dtype)])
    rows = int(channels) if rng.random() < 0.5 else 1
    first = program.constant("first", np.sort(rng.integers(-9, 9, (rows, inner_count)), axis=1).astype(x.dtype))
    second = program.constant("second", np.sort(rng.integers(-9, 9, (1, outer_count)), axis=1))
    base = int(rng.integers(-5, 5))
    inner = ThresholdOp.make(program.block.args[0], first.result, axis=1, base=base, step=inner_step)
    outer = ThresholdOp.make(inner.y, second.result, axis=-1, base=3, step=outer_step)
    program.block.add_ops([first, inner, second, outer])
    program.finish([("y", outer.y, np.dtype(np.int64))])
    want = run(program, {"x": x})["y"]
    assert Canonicalize().apply(program)
    program.verify()
    assert [type(op) for op in program.ops].count(ThresholdOp) == 1
    np.testing.assert_array_equal(run(program, {"x": x})["y"], want)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.booleans())
def test_sum_of_thresholds_that_rise_and_fall_together_is_one(seed: int, minus: bool, signs: bool, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    channels, count = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    x = rng.integers(-9, 9, (1, channels, 50)).astype(np.int64 if whole else np.float32)
    if not whole:
        x[0, :, 0] = np.nan
    step, sign = int(rng.choice([1, -1, 2])), rng.choice([-1, 1], channels).astype(np.int8)
    program = Program.new("sum", [Port("x", tensor_type(x.shape, int_type(-9, 9) if whole else f32), x.dtype)])
    results = []
    for i, n in enumerate((count, 2)):
        rows = channels if rng.random() < 0.5 else 1
        table = program.constant(f"t{i}", np.sort(rng.integers(-9, 9, (rows, n)), axis=1).astype(x.dtype))
        operands = [program.block.args[0], table.result]
        program.block.add_op(table)
        if signs:
            turn = -1 if minus and i else 1
            operands.append((constant := program.constant(f"s{i}", turn * sign)).result)
            program.block.add_op(constant)
        slope = step if signs or not (minus and i) else -step
        threshold = ThresholdOp.make(*operands, axis=1, base=int(rng.integers(-5, 5)), step=slope)
        program.block.add_op(threshold)
        results.append(threshold.y)
    join = (SubOp if minus else AddOp).make(*results)
    program.block.add_op(join)
    program.finish([("y", join.y, np.dtype(np.int64))])
    want = run(program, {"x": x})["y"]
    Canonicalize().apply(program)
    program.verify()
    assert [type(op) for op in program.ops].count(ThresholdOp) == 1
    np.testing.assert_array_equal(run(program, {"x": x})["y"], want)


def test_sum_of_thresholds_that_do_not_stays() -> None:
    """A rising and a falling one, as Equal is."""
    program = Program.new("equal", [Port("x", tensor_type((1, 9), int_type(-4, 4)), np.dtype(np.int64))])
    tables = [program.constant(f"t{i}", np.array([[i]])) for i in range(2)]
    rising, falling = (
        ThresholdOp.make(program.block.args[0], t.result, axis=-1, base=0, step=step)
        for t, step in zip(tables, (1, -1), strict=True)
    )
    join = AddOp.make(rising.y, falling.y)
    program.block.add_ops([*tables, rising, falling, join])
    program.finish([("y", join.y, np.dtype(np.int64))])
    Canonicalize().apply(program)
    assert AddOp in {type(op) for op in program.ops}
    x = np.arange(-4, 5)[None]
    np.testing.assert_array_equal(run(program, {"x": x})["y"], x == 0)


def test_the_demo_has_integer_thresholds() -> None:
    """QuantizeLinear to int8, Clip(-1, 1), DequantizeLinear, as Brevitas exports: no float between the layers."""
    program = import_model(DEMO)
    for step in graph_passes():
        step.apply(program)
    program.verify()
    kinds = [type(op) for op in program.ops]
    assert kinds.count(QuantizeOp) == 1 and kinds.count(ThresholdOp) == 5 and ClipOp not in kinds
    computing = [op for op in program.ops if not isinstance(op, ConstantOp)]
    first = next(i for i, op in enumerate(computing) if isinstance(op, QuantizeOp))
    last = max(i for i, op in enumerate(computing) if isinstance(op, ConvOp | MatMulOp))
    assert last - first > 10
    assert not [op for op in computing[first : last + 1] if is_float(op.results[0])]
