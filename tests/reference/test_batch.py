"""Many samples at once give what they give one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from quantized_nets import Net, deep

import tercet
from tercet.backends.reference import batch, interpreter
from tercet.ir.program import Program
from tercet.ir.tn.linear import MatMulOp

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


def _moving() -> ModelProto:
    """Operations that speak of the leading axis, and outputs that are inputs or do not depend on them."""
    net = Net(4)
    flat = net.node("Reshape", "x", net.constant(np.array([0, -1])))
    cut = net.node("Slice", "x", *(net.constant(np.array([v])) for v in (1, 3, 2)))
    joined = net.node("Concat", "x", net.node("Relu", "x"), cut, axis=2)
    turned = net.node("Transpose", joined, perm=[0, 2, 1])
    picked = net.node("Gather", turned, net.constant(np.array([2, 0])), axis=1)
    dense = net.node("MatMul", flat, net.constant(net.rng.standard_normal((12, 5)).astype(np.float32)))
    soft = net.node("Softmax", dense, axis=1)
    left = net.node("MatMul", net.constant(net.rng.standard_normal((2, 3)).astype(np.float32)), "x")
    mean = net.node("ReduceMean", turned, net.constant(np.array([2])), keepdims=0)
    most = net.node("Cast", net.node("ArgMax", dense, axis=1), to=1)
    return net.model([picked, soft, mean, left, most, "x"], ["n", 3, 4], opset=18)


def _inputs(program: Program, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    return {port.name: rng.standard_normal((count, *port.shape[1:])).astype(port.dtype) for port in program.inputs}


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("make", [lambda: DIGITS, deep, _moving], ids=["digits", "deep", "moving"])
def test_bit_for_bit(make: Callable[[], ModelProto | Path], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tercet.import_model(make())
    inputs = _inputs(program, count)
    want = interpreter.run(program, inputs)
    monkeypatch.setattr(batch, "MOST_ELEMENTS", 3 * batch._largest(program))  # groups of three
    have = batch.run_batch(program, inputs)
    assert list(have) == list(want)
    for name, array in want.items():
        assert have[name].dtype == array.dtype
        assert np.array_equal(have[name], array), name


def test_samples_really_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    program = tercet.import_model(deep())
    calls: list[int] = []
    real = interpreter.evaluate

    def counted(op, operands, *rest, **more):
        calls.append(max((len(x) for x in operands if x.ndim), default=0))
        return real(op, operands, *rest, **more)

    monkeypatch.setattr(interpreter, "evaluate", counted)
    batch.run_batch(program, _inputs(program, 8))
    assert len(calls) < 2 * len(list(program.module.walk()))


def test_an_operation_in_no_table_runs_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operation added later is, until somebody has looked."""
    program = tercet.import_model(_moving())
    inputs = _inputs(program, 5)
    want = interpreter.run(program, inputs)
    monkeypatch.setattr(batch, "WIDE", ())
    monkeypatch.delitem(batch.ADAPTED, MatMulOp)
    have = batch.run_batch(program, inputs)
    assert all(np.array_equal(have[name], want[name]) for name in want)


def test_samples_that_are_mixed_run_as_the_interpreter_does() -> None:
    """Such a program is never batched; a batched one is asked all the same."""
    net = Net()
    y = net.node("ReduceMean", "x", net.constant(np.array([0])), keepdims=1)
    program = tercet.import_model(net.model(y, [1, 3], opset=18))
    assert not batch.keeps_samples_apart(program.block, [True])
