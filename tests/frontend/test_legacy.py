"""Opset 6: the same networks as opset 13, with broadcasting by attributes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError

from .helpers import assert_close, floats, interpreted, model, node, onnxruntime

SHAPES = {"w": (4, 3, 3, 3), "k": (4,), "b": (4,), "m": (4,), "t": (4,), "s": (4,)}
CONSTANTS = {**{n: floats(*shape, seed=i) for i, (n, shape) in enumerate(SHAPES.items())}, "v": np.ones(4, np.float32)}
FEEDS = {"x": floats(1, 3, 6, 6)}


def old(**add: int) -> ModelProto:
    """Parameters are graph inputs too, as in the files of that time."""
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c k b m v", "n", is_test=1),
        node("Add", "n t", "a", **add),
        node("PRelu", "a s", "r"),
        node("Mul", "t t", "tt"),
        node("Sub", "r tt", "d", broadcast=1),
        node("Dropout", "d", "y", is_test=1),
    ]
    source = model(nodes, FEEDS, CONSTANTS, opset=6)
    source.ir_version = 3
    for tensor in source.graph.initializer:
        source.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    return source


@pytest.mark.parametrize("axis", [1, -3])
def test_opset_6_is_what_opset_13_says(axis: int) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c k b m v", "n"),
        node("Add", "n t1", "a"),
        node("PRelu", "a s1", "r"),
        node("Mul", "t t", "tt"),
        node("Sub", "r tt"),
    ]
    shaped = {f"{n}1": CONSTANTS[n].reshape(4, 1, 1) for n in "ts"}
    right = onnxruntime(model(nodes, FEEDS, {**CONSTANTS, **shaped}, opset=13), FEEDS)
    assert_close(interpreted(old(broadcast=1, axis=axis), FEEDS)["y"], right["y"])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"node 'Add_a' \(Add\): the shapes .* differ, and broadcast is not set"):
        import_model(old())
    for axis in (0, 4, -9):
        with pytest.raises(ModelError, match=r"node 'Add_a' \(Add\): a tensor of shape \[4\] does not fit"):
            import_model(old(broadcast=1, axis=axis))
