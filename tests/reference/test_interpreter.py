"""Running whole programs: ports, batches, kernels, traces, memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from xdsl.dialects.test import Test
from xdsl.ir import Block, Operation

from tercet.backends.reference import evaluate, run
from tercet.backends.reference.meaning import MEANING
from tercet.ir.errors import InputError, IRError
from tercet.ir.kn import KN
from tercet.ir.kn.kernel import ConvertOp, KernelOp, YieldOp
from tercet.ir.kn.layout import MapType, PlanesLayout
from tercet.ir.program import Port, Program
from tercet.ir.tn import TN
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import AddOp, MulOp, ReluOp
from tercet.ir.tn.pool import ReduceMeanOp
from tercet.ir.types import BIPOLAR, TERNARY, Element, f32, int_type, tensor_type

PIXELS = tensor_type((1, 2, 3, 3), int_type(0, 255))


def affine(*, batched: bool = False) -> Program:
    """y = 3 * x + 1 on uint8 pixels."""
    program = Program.new("affine", [Port("x", PIXELS, np.dtype(np.uint8))], batched=batched)
    three, one = program.constant("three", np.array(3, np.int8)), program.constant("one", np.array(1, np.int8))
    product = MulOp.make(program.block.args[0], three.result)
    total = AddOp.make(product.result, one.result)
    program.block.add_ops([three, one, product, total])
    program.finish([("y", total.result, np.dtype(np.int32))])
    program.verify()
    return program


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_every_operation_has_a_meaning() -> None:
    apart: set[type[Operation]] = {ConstantOp, KernelOp, YieldOp}
    assert {*TN.operations, *KN.operations} - apart == set(MEANING)


def test_outputs_have_the_dtype_of_their_port() -> None:
    x = pixels(1, 2, 3, 3)
    y = run(affine(), {"x": x})["y"]
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, 3 * x.astype(np.int32) + 1)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_batched_program_computes_every_sample(n: int) -> None:
    x = pixels(n, 2, 3, 3)
    y = run(affine(batched=True), {"x": x})["y"]
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, 3 * x.astype(np.int32) + 1)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs"),
        ({"x": pixels(1, 2, 3, 3), "z": pixels(1)}, "inputs"),
        ({"x": pixels(1, 2, 3, 3).astype(np.int8)}, "dtype uint8, got int8"),
        ({"x": pixels(1, 2, 3)}, "shape"),
        ({"x": pixels(1, 2, 3, 4)}, "shape"),
        ({"x": np.array(3, np.uint8)}, "shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(batched: bool, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(affine(batched=batched), inputs)


def test_a_program_that_is_not_batched_takes_one_shape() -> None:
    with pytest.raises(InputError, match=r"shape \[1, 2, 3, 3\], got \[2, 2, 3, 3\]"):
        run(affine(), {"x": pixels(2, 2, 3, 3)})


@pytest.mark.parametrize(
    ("kind", "message"),
    [(TERNARY, r"expected values -1\.\.1, got 0\.\.2"), (BIPOLAR, r"expected the values \[-1, 1\] only")],
)
def test_inputs_outside_of_their_range_are_refused(kind: Element, message: str) -> None:
    program = Program.new("few", [Port("x", tensor_type((4,), kind), np.dtype(np.int8))])
    program.finish([("y", program.block.args[0], np.dtype(np.int8))])
    with pytest.raises(InputError, match=message):
        run(program, {"x": np.array([0, 1, 2, 0], np.int8)})
    x = np.array([-1, 1, 1, -1], np.int8)
    np.testing.assert_array_equal(run(program, {"x": x})["y"], x)


def test_batches_of_different_size_are_refused() -> None:
    kind = tensor_type((1, 3), f32)
    program = Program.new("sum", [Port(n, kind, np.dtype(np.float32)) for n in "ab"], batched=True)
    total = AddOp.make(*program.block.args)
    program.block.add_op(total)
    program.finish([("y", total.result, np.dtype(np.float32))])
    with pytest.raises(InputError, match=r"got \[2, 3\]"):
        run(program, {"a": np.zeros((2, 3), np.float32), "b": np.zeros((3, 3), np.float32)})


def test_outputs_share_no_memory_with_inputs_or_weights() -> None:
    program = Program.new("same", [Port("x", tensor_type((3,), f32), np.dtype(np.float32))])
    constant = program.constant("c", np.ones(3, np.float32))
    program.block.add_op(constant)
    program.finish([(n, v, np.dtype(np.float32)) for n, v in (("y", program.block.args[0]), ("c", constant.result))])
    x = np.zeros(3, np.float32)
    outputs = run(program, {"x": x})
    outputs["y"][:] = outputs["c"][:] = 7
    assert x.sum() == 0
    assert run(program, {"x": x})["c"].tolist() == [1, 1, 1]


def test_a_kernel_means_its_region() -> None:
    layout = PlanesLayout.of(top=0, left=0, pitch=3, size=9)
    program = Program.new("kernel", [Port("x", PIXELS, np.dtype(np.uint8))])
    body = Block(arg_types=[PIXELS])
    two = program.constant("two", np.array(2, np.int8))
    double = MulOp.make(body.args[0], two.result)
    body.add_ops([two, double, YieldOp.create(operands=[double.result])])
    kind = MapType(double.result.type, layout)
    kernel = KernelOp.make("k0", "any", {"lanes": 8}, [program.block.args[0]], [kind], body)
    convert = ConvertOp.create(operands=kernel.results, result_types=[double.result.type])
    program.block.add_ops([kernel, convert])
    program.finish([("y", convert.y, np.dtype(np.int64))])
    program.verify()
    names: list[str] = []
    x = pixels(1, 2, 3, 3)
    y = run(program, {"x": x}, trace=lambda op, _: names.append(op.name))["y"]
    np.testing.assert_array_equal(y, 2 * x.astype(np.int64))
    assert names == ["tn.mul", "kn.kernel", "kn.convert"]


def test_the_trace_sees_every_result() -> None:
    seen: dict[str, np.ndarray] = {}
    x = pixels(1, 2, 3, 3)
    run(affine(), {"x": x}, trace=lambda op, results: seen.update({op.name: results[0]}))
    np.testing.assert_array_equal(seen["tn.mul"], 3 * x.astype(np.int64))
    np.testing.assert_array_equal(seen["tn.add"], seen["tn.mul"] + 1)


def test_values_are_freed_after_their_last_use() -> None:
    program = Program.new("chain", [Port("x", tensor_type((64,), f32), np.dtype(np.float32))])
    value = program.block.args[0]
    for _ in range(5):
        op = AddOp.make(value, value)
        program.block.add_op(op)
        value = op.result
    program.finish([("y", value, np.dtype(np.float32))])
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def trace(_: Operation, results: list[np.ndarray]) -> None:
        nonlocal most
        gc.collect()
        alive.append(weakref.ref(results[0]))
        most = max(most, sum(ref() is not None for ref in alive))

    run(program, {"x": np.ones(64, np.float32)}, trace=trace)
    assert most <= 2


def test_one_operation_alone() -> None:
    op = ReduceMeanOp.make(Block(arg_types=[tensor_type((2, 3), f32)]).args[0], axes=(0, 1), keepdims=0)
    (y,) = evaluate(op, [np.ones((2, 3), np.float32)])
    assert (y.shape, y.dtype, y) == ((), np.float32, 1)


def test_an_operation_without_meaning_is_an_error() -> None:
    with pytest.raises(IRError, match="does not know this operation"):
        evaluate(next(iter(Test.operations))(), [])


def test_one_operation_takes_other_shapes_than_its_types() -> None:
    """Thresholds are derived by evaluating operations on candidates."""
    op = ReluOp.make(Block(arg_types=[tensor_type((2,), f32)]).args[0])
    assert evaluate(op, [np.array([-1, 0, 5], np.float32)])[0].tolist() == [0, 0, 5]


def test_one_operation_widens_stored_integers() -> None:
    op = AddOp.make(*Block(arg_types=[tensor_type((1,), int_type(0, 255))] * 2).args)
    (y,) = evaluate(op, [np.array([255], np.uint8)] * 2)
    assert (y.dtype, y.tolist()) == (np.int64, [510])


def test_a_meaning_that_strays_into_another_type_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANING, ReluOp, lambda op, x: x.astype(np.float64))
    op = ReluOp.make(Block(arg_types=[tensor_type((2,), f32)]).args[0])
    with pytest.raises(IRError, match="float64"):
        evaluate(op, [np.zeros(2, np.float32)])
