"""Replays: the imported model goes on with what the other side computed, and says which differences ties explain."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.runtime.check.verify.replay import Known, Reference

X = np.array([0.1, 0.7, 0.9, 0.3, 0.6, 0.23, 0.77], np.float32).reshape(1, 1, 1, 7)
"""Its mean is rounded, in float32."""


def reference(scale: np.float32) -> Reference:
    """x [1, 1, 1, 7] -> average -> quantize -> dequantize -> times 3."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"], name="average"),
        helper.make_node("QuantizeLinear", ["mean", "scale"], ["level"], name="quantize"),
        helper.make_node("DequantizeLinear", ["level", "scale"], ["float"], name="dequantize"),
        helper.make_node("Mul", ["float", "three"], ["y"], name="times"),
    ]
    graph = helper.make_graph(
        nodes, "rounding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])],
        [numpy_helper.from_array(np.array(v), name) for name, v in (("scale", scale), ("three", np.float32(3)))],
    )  # fmt: skip
    return Reference(tercet.import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])))


def tried(below: int, steps: int) -> tuple[bool, int]:
    """Whether a replay explains the other side, and how many ties it counts. The interpreter's mean is so many floats
    below a tie of levels 2 and 3, the other side's so many steps above that."""
    mean = np.float32(X.mean())
    scale = np.float32(_above(mean, below) / np.float32(2.5))
    assert np.rint(mean / scale) == 2 and float(mean) != X.astype(np.float64).mean()
    theirs = _above(mean, steps)
    level = np.rint(theirs / scale)
    assert level == 3
    known = [Known(frozenset({"GlobalAveragePool:average"}), np.full((1, 1, 1, 1), theirs))]
    outputs = {"y": np.full((1, 1, 1, 1), level * scale * np.float32(3), np.float32)}
    found = reference(scale).replay({"x": X}, known, outputs, rtol=1e-5)
    return "y" in found.right, found.ties.count + found.ties.open


def _above(x: np.float32, steps: int) -> np.float32:
    return (x.view(np.int32) + np.int32(steps)).view(np.float32)


def test_a_float_that_rounding_moved_over_a_boundary_is_a_tie() -> None:
    """The mean itself is right: only what comes next tells that it was another float."""
    assert tried(0, 1) == (True, 1)


def test_a_float_that_is_further_off_explains_nothing() -> None:
    assert tried(1000, 2000) == (False, 0)
