"""Models at the edges: too many axes, open sizes, hundreds of unsupported nodes, constants that are not finite."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import tercet
from tercet.ir.errors import InputError, ModelError, UnsupportedError

MANY = 70
"""Axes: more than numpy has."""


def node(op: str, inputs: str, outputs: str, **attributes) -> NodeProto:
    name = attributes.pop("name", f"n_{outputs}")
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


def model(
    nodes: list[NodeProto], inputs: dict[str, Any], constants: dict[str, Any] | None = None, output: str = "y"
) -> ModelProto:
    """float32 ports; a shape of None is left out."""
    graph = helper.make_graph(
        nodes, "edges",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


# -- more axes than arrays have ---------------------------------------------------------------------------------------


def _tensor(rank: int) -> TensorProto:
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * rank, float_data=[2.0])


def _of_input() -> ModelProto:
    return model([node("Relu", "x", "y")], {"x": [1] * MANY})


def _of_symbolic_input() -> ModelProto:
    return model([node("Relu", "x", "y")], {"x": ["N"] * MANY})


def _of_initializer() -> ModelProto:
    made = model([node("Mul", "x w", "y")], {"x": [1]})
    made.graph.initializer.append(_tensor(MANY))
    return made


def _of_empty_initializer() -> ModelProto:
    made = _of_initializer()
    made.graph.initializer[0].dims[3] = 0
    made.graph.initializer[0].ClearField("float_data")
    return made


def _of_attribute() -> ModelProto:
    return model([node("Constant", "", "c", value=_tensor(MANY)), node("Mul", "x c", "y")], {"x": [1]})


def _of_constant_of_shape() -> ModelProto:
    made = model([node("ConstantOfShape", "s", "c", value=_tensor(MANY)), node("Mul", "x c", "y")], {"x": [1]})
    made.graph.initializer.append(numpy_helper.from_array(np.array([1]), "s"))
    return made


def _of_reshape() -> ModelProto:
    return model([node("Reshape", "x s", "y")], {"x": [1]}, {"s": np.ones(MANY, np.int64)})


def _of_reshaped_constant() -> ModelProto:
    nodes = [node("Reshape", "c s", "d"), node("Mul", "x d", "y")]
    return model(nodes, {"x": [1]}, {"c": np.ones(1, np.float32), "s": np.ones(MANY, np.int64)})


def _of_unsqueeze() -> ModelProto:
    return model([node("Unsqueeze", "x a", "y")], {"x": [1]}, {"a": np.arange(MANY)})


def _of_unsqueezed_constant() -> ModelProto:
    nodes = [node("Unsqueeze", "c a", "d"), node("Mul", "x d", "y")]
    return model(nodes, {"x": [1]}, {"c": np.ones(1, np.float32), "a": np.arange(MANY)})


def _of_filled_shape() -> ModelProto:
    nodes = [node("ConstantOfShape", "s", "c"), node("Mul", "x c", "y")]
    return model(nodes, {"x": [1]}, {"s": np.ones(MANY, np.int64)})


def _of_value_info() -> ModelProto:
    """It is read after unsupported nodes: those are reported."""
    made = model([node("Det", "x", "d"), node("Relu", "d", "y")], {"x": [1, 2, 2]})
    made.graph.value_info.append(helper.make_tensor_value_info("d", TensorProto.FLOAT, [1] * MANY))
    return made


RANKS = {f.__name__.strip("_"): f for f in (
    _of_input, _of_symbolic_input, _of_initializer, _of_empty_initializer, _of_attribute, _of_constant_of_shape,
    _of_reshape, _of_reshaped_constant, _of_unsqueeze, _of_unsqueezed_constant, _of_filled_shape, _of_value_info,
)}  # fmt: skip


MESSAGES = {
    "of_value_info": "operator Det is not supported",
    "of_filled_shape": "maximum supported dimension",
    "of_unsqueezed_constant": "maximum supported dimension",
    "of_reshaped_constant": "maximum supported dimension",
    "of_unsqueeze": "71 axes",
}
"""Where it is not the import that counts the axes."""


@pytest.mark.parametrize("name", RANKS)
def test_too_many_axes(name: str, tmp_path: Path) -> None:
    with pytest.raises(tercet.TercetError) as caught:
        tercet.compile(RANKS[name](), tmp_path / "m.tercet")
    assert caught.value.where or "node '" in caught.value.what
    assert MESSAGES.get(name, "70 axes") in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rank", [9, 33, 64])
def test_as_many_axes_as_arrays_have(rank: int, tmp_path: Path) -> None:
    shape = [1] * (rank - 2) + [2, 3]
    made = model([node("Relu", "x", "r"), node("Mul", "r w", "y")], {"x": shape}, {"w": np.float32(2)})
    path = tercet.compile(made, tmp_path / "m.tercet", target="generic").path
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(tercet.run(path, x)["y"], 2 * np.maximum(x, 0))


# -- sizes that the model leaves open ---------------------------------------------------------------------------------


def open_model() -> ModelProto:
    """x [N, 1, height, width], z [N, 1, height, width] -> their sum, averaged."""
    shape = ["N", 1, "height", "width"]
    return model([node("Add", "x z", "s"), node("GlobalAveragePool", "s", "y")], {"x": shape, "z": shape})


def ports(made: ModelProto, **options) -> tuple[list[tuple[int, ...]], bool]:
    program = tercet.import_model(made, **options)
    return [port.shape for port in program.inputs], program.batched


def test_shapes_fix_open_sizes() -> None:
    """A size of the same name is the same in every input; the batch stays open where nothing fixes it."""
    assert ports(open_model(), shapes={"x": (-1, 1, 4, 5)}) == ([(1, 1, 4, 5)] * 2, True)
    assert ports(open_model(), shapes={"x": (-1, -1, 4, -1), "z": [-1, 1, -1, 5]}) == ([(1, 1, 4, 5)] * 2, True)
    assert ports(open_model(), shapes={"x": (3, 1, 4, 5)}) == ([(3, 1, 4, 5)] * 2, False)
    assert ports(open_model(), shapes={"x": (-1, 1, 4, 5)}, batch=2) == ([(2, 1, 4, 5)] * 2, False)
    one = model([node("Relu", "x", "y")], {"x": ["", ""]})
    assert ports(one, shapes={"": (-1, 7)}) == ([(1, 7)], True)
    shapeless = model([node("Relu", "x", "y")], {"x": None})
    assert ports(shapeless, shapes={"x": (2, 7)}) == ([(2, 7)], False)
    assert ports(shapeless, shapes={"x": (-1, 7)}) == ([(1, 7)], True)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"q": (1, 1, 4, 5)}, "there is no input 'q'"),
        ({"": (1, 1, 4, 5)}, "say which input"),
        ({"x": (1, 1, 4)}, r"expected 4 sizes for \[N, 1, height, width\], got \[1, 1, 4\]"),
        ({"x": (1, 3, 4, 5)}, r"axis 1 of \[N, 1, height, width\] is 1, and cannot be 3"),
        ({"x": (1, 1, 4, 5), "z": (1, 1, 6, 5)}, "axis 2 of .* is 4, and cannot be 6"),
        ({"x": (1, 1, 0, 5)}, "expected sizes of 1 or more .*, got 0"),
        ({"x": (1, 1, 4.5, 5)}, "expected sizes of 1 or more .*, got 4.5"),
        ({"x": "1,1,4,5"}, "expected a sequence of integers"),
        ({"x": (1, 1, 2**40, 5)}, "absurd"),
    ],
)
def test_shapes_that_do_not_fit(shapes: dict, message: str) -> None:
    with pytest.raises(InputError if message != "absurd" else ModelError, match=message):
        tercet.import_model(open_model(), shapes=shapes)


def test_open_sizes_are_named_with_what_to_write() -> None:
    with pytest.raises(UnsupportedError) as caught:
        tercet.import_model(open_model())
    text = str(caught.value)
    assert "input 'x': the size of 'height', 'width' in [N, 1, height, width] is not known" in text
    assert "--shape x=?,1,height,width" in text and "shapes={'x': (-1, 1, height, width)" in text


def test_an_artifact_keeps_its_shapes(tmp_path: Path) -> None:
    """`verify` imports the model as it was compiled."""
    onnx.save(open_model(), str(source := tmp_path / "open.onnx"))
    made = tercet.compile(source, tmp_path / "m.tercet", shapes={"x": (-1, 1, 4, 5)}, target="generic")
    assert tercet.load(made.path).manifest.options["shapes"] == ("x=-1,1,4,5",)
    assert tercet.verify(made.path, source).ok
    x = np.arange(40, dtype=np.float32).reshape(2, 1, 4, 5)
    np.testing.assert_allclose(tercet.run(made.path, {"x": x, "z": x})["y"].ravel(), [19, 59], rtol=1e-6)


# -- unsupported nodes ------------------------------------------------------------------------------------------------


def test_unsupported_nodes_are_grouped() -> None:
    names = [f"d{i}" for i in range(200)]
    nodes = [node("Det", "x", name, name=name) for name in names] + [node("NonMaxSuppression", "d0 d1", "n")]
    made = model([*nodes, node("Sum", " ".join([*names, "n"]), "y")], {"x": [1, 2, 2]})
    with pytest.raises(UnsupportedError) as caught:
        tercet.import_model(made)
    first, *lines = caught.value.what.splitlines()
    assert first == "2 things are not supported:"
    assert lines[0] == (
        "  200 nodes (Det): operator Det is not supported: 'd0', 'd1', 'd2', 'd3', 'd4' and 195 more"
    )
    assert lines[1].startswith("  node 'n_n' (NonMaxSuppression): operator NonMaxSuppression") and len(lines) == 2


def test_one_kind_of_unsupported_nodes_needs_no_list() -> None:
    made = model([node("Det", "x", "a"), node("Det", "x", "b"), node("Add", "a b", "y")], {"x": [1, 2, 2]})
    with pytest.raises(UnsupportedError) as caught:
        tercet.import_model(made)
    assert caught.value.what == "2 nodes (Det): operator Det is not supported: 'n_a', 'n_b'"


# -- numbers that are none --------------------------------------------------------------------------------------------

HUGE = np.float32(3e38)


def _batch_norm(variance: float, scale: float) -> ModelProto:
    constants = {"s": [scale, 1], "b": [0, 1], "m": [1, -1], "v": [variance, 1]}
    constants = {name: np.array(values, np.float32) for name, values in constants.items()}
    norm = node("BatchNormalization", "c s b m v", "d", epsilon=0.0)
    nodes = [node("Conv", "x w", "c"), norm, node("Relu", "d", "y")]
    return model(nodes, {"x": ["N", 1, 4, 4]}, {**constants, "w": np.ones((2, 1, 3, 3), np.float32)})


def _elementwise(op: str, constant: float) -> ModelProto:
    nodes = [node("Mul", "k k", "kk"), node(op, "x kk", "a"), node("Relu", "a", "y")]
    return model(nodes, {"x": ["N", 4]}, {"k": np.float32(constant)})


def _weights(value: float) -> ModelProto:
    weights = np.array([[value, -value, 0, 1]] * 3, np.float32).T.copy()
    return model([node("Gemm", "x w b", "y", alpha=4.0, beta=4.0)], {"x": ["N", 4]}, {"w": weights, "b": weights[0]})


def _quantized(scale: float) -> ModelProto:
    constants = {"s": np.float32(scale), "z": np.int8(0), "w": np.eye(4, dtype=np.float32)}
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d"), node("MatMul", "d w", "y")]
    return model(nodes, {"x": ["N", 4]}, constants)


NUMBERS = {
    "zero variance": _batch_norm(0.0, 1.0),
    "tiny variance": _batch_norm(1e-45, 1.0),
    "negative variance": _batch_norm(-1.0, 1.0),
    "huge scale": _batch_norm(1e-30, 3e38),
    "zero scale": _batch_norm(0.0, 0.0),
    "overflow": _elementwise("Mul", 1e30),
    "infinite": _elementwise("Add", float("inf")),
    "infinite factor": _elementwise("Mul", float("inf")),
    "division by zero": _elementwise("Div", 0.0),
    "division by a denormal": _elementwise("Div", 1e-22),
    "huge weights": _weights(float(HUGE)),
    "infinite weights": _weights(float("inf")),
    "denormal weights": _weights(1e-45),
    "huge quantizer": _quantized(3e38),
    "tiny quantizer": _quantized(1e-38),
    "denormal quantizer": _quantized(1e-45),
}


@pytest.fixture
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("warnings_are_errors")
@pytest.mark.parametrize("name", NUMBERS)
def test_no_warnings(name: str, tmp_path: Path) -> None:
    """From import to results, with inputs that are no numbers as well."""
    made = tercet.compile(NUMBERS[name], tmp_path / "m.tercet", target="generic")
    tercet.inspect(made.path)
    with tercet.load(made.path) as loaded:
        (port,) = loaded.inputs
        for value in (0.0, -1.5, float(HUGE), np.inf, np.nan):
            (y,) = loaded.run(np.full((2, *port.shape[1:]), value, np.float32)).values()
            assert len(y) == 2
    onnx.save(NUMBERS[name], str(source := tmp_path / "m.onnx"))
    tercet.inspect(source, target="generic")
    tercet.verify(made.path, source)
    tercet.bench(made.path, source=source, against=(), repeats=1)


# -- found by damaging models -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.float32(1), r"expected thresholds of shape \[channels or 1, steps\], got \[\]"),
        (np.ones(3, np.float32), r"got \[3\]"),
        (np.ones((1, 2, 3), np.float32), r"got \[1, 2, 3\]"),
        (np.ones((3, 2), np.float32), "3 rows of thresholds do not fit axis 1"),
    ],
)
def test_tables_of_thresholds(table: np.ndarray, message: str) -> None:
    made = model([node("MultiThreshold", "x t", "y", domain="qonnx.custom_op.general")], {"x": [1, 2, 4]}, {"t": table})
    made.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    with pytest.raises(ModelError, match=message) as caught:
        tercet.import_model(made)
    assert caught.value.where == "node 'n_y' (MultiThreshold)"
