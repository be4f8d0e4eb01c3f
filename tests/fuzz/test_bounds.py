"""The bounds hold what the interpreter computes, are points where arithmetic is exact, and leave room at ties only."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tercet.backends.reference.interpreter import run
from tercet.backends.reference.meaning import MEANING
from tercet.driver.source import import_model
from tercet.ir.errors import UnsupportedError
from tercet.ir.program import Program

from .bounds import RULES, bounds
from .graphs.generate import network
from .oracle import Broken, _Bounds, compare, tolerance


def test_every_operation_has_a_rule() -> None:
    assert sorted(op.name for op in set(MEANING) - set(RULES)) == []


def test_they_hold_what_the_interpreter_computes() -> None:
    for index in range(60):
        made = network(11, index)
        try:
            program = import_model(made.model)
        except UnsupportedError:
            continue
        found = bounds(program, made.inputs)
        for name, have in run(program, made.inputs).items():
            y, slack = have.astype(np.float64), tolerance(have)
            inside = (found[name].lo - slack <= y) & (y <= found[name].hi + slack) | np.isnan(y)
            assert inside.all(), (made.name, name)


def quantizer(scale: float, weight: list[float]) -> Program:
    """QuantizeLinear of x [1, n] @ weight [n, 1]."""
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    nodes = [product, helper.make_node("QuantizeLinear", ["y", "s", "z"], ["q"])]
    constants = {"w": np.array(weight, np.float32)[:, None], "s": np.float32(scale), "z": np.int8(0)}
    ports = [helper.make_tensor_value_info("x", 1, [1, len(weight)]), helper.make_tensor_value_info("q", 3, [1, 1])]
    graph = helper.make_graph(
        nodes, "g", ports[:1], ports[1:],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )  # fmt: skip
    return import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


@pytest.mark.parametrize(
    ("scale", "x", "interval"),
    [
        (0.5, [0.25, 0.5, 0.5], (2, 2)),  # 1.25 / 0.5 = 2.5 exactly: half to even, in any order
        (0.5, [0.25, 0.5, 0.25], (2, 2)),
        (0.1, [0.05, 0.1, 0.1], (2, 3)),  # 0.25 / 0.1: float32 decides
        (0.1, [0.05, 0.1, 0.11], (3, 3)),
    ],
)
def test_room_at_ties_only(scale: float, x: list[float], interval: tuple[int, int]) -> None:
    program = quantizer(scale, [1.0] * len(x))
    found = bounds(program, {"x": np.array([x], np.float32)})["q"]
    assert (found.lo.item(), found.hi.item()) == interval


def test_one_step_off_is_wrong_where_there_is_no_tie() -> None:
    program, inputs = quantizer(0.5, [1.0, 1.0]), {"x": np.array([[0.25, 1.0]], np.float32)}
    right = run(program, inputs)
    assert compare("a", right, right, _Bounds(program, inputs)) == 0
    with pytest.raises(Broken, match="another value"):
        compare("a", {"q": right["q"] + np.int8(1)}, right, _Bounds(program, inputs))


def test_one_step_off_is_explained_at_a_tie() -> None:
    program, inputs = quantizer(0.1, [1.0, 1.0]), {"x": np.array([[0.05, 0.2]], np.float32)}
    want = run(program, inputs)
    other = {"q": np.array([[5 - int(want["q"].item())]], np.int8)}
    assert compare("a", other, want, _Bounds(program, inputs)) == 1
