"""ReLU of integers in gates, in every coding, for ranges on each side of 0; and as an expression for Yosys."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tercet.api import import_model
from tercet.backends.reference.interpreter import evaluate
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.simulate import simulate
from tercet.backends.ternary_logic.yosys.behaviour import Largest, behaviour_of
from tercet.ir.tn.elementwise import ReluOp


def model(low: int, high: int) -> onnx.ModelProto:
    """Of integers from low to high."""
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["c"], "clip"),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    ends = [numpy_helper.from_array(np.array(end, np.int32), name) for name, end in (("low", low), ("high", high))]
    ports = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "relu", ports[:1], ports[1:], ends)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("low", "high"), [(-100, 99), (-3, 200), (-200, 3), (-1, 1), (-9, 0), (-9, -2), (2, 9)])
def test_as_interpreted(low: int, high: int, coding: str) -> None:
    program, code = import_model(model(low, high)), CODINGS[coding]
    library = read_library("nangate45-like" if code.digits == BINARY else "cntfet32-static")
    (tile,) = (each for each in tiles(program, library, code)
               if isinstance(each, Tile) and isinstance(each.operation, ReluOp))  # fmt: skip
    every = np.resize(np.arange(low, high + 1), (-(-(high - low + 1) // 4), 4))
    (want,) = evaluate(tile.part, [every])
    feeds = {"x0": tile.inputs[0].encode(every.T[:, None].reshape(1, 4, -1))}
    have = tile.output.decode(simulate(tile.netlist, feeds)["y"])
    np.testing.assert_array_equal(have[0].T, want)
    behaviour = behaviour_of(tile, program)
    assert behaviour is not None and len(behaviour.outputs) == 4
    for place, output in enumerate(behaviour.outputs):
        assert isinstance(output, Largest) and output.places.tolist() == [place] and output.floor == 0
