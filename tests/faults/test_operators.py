"""Neighbours of the files in data/: operators, dtypes and declarations of the same kinds, against onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

import tercet
from tercet.backends.reference import interpreter
from tercet.runtime.check.ort import open_session

from .faults import check_compiled, compare

Arrays = Mapping[str, np.ndarray]
RNG = np.random.default_rng(10)


def floats(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.asarray(RNG.standard_normal(shape), dtype)


def node(op_type: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    """Names as words; "-" is one that is left out."""
    return helper.make_node(op_type, ["" if n == "-" else n for n in inputs.split()], outputs.split(), **attributes)


def network(
    nodes: list[NodeProto], feeds: Arrays, constants: Arrays | None = None, dtype: Any = np.float32, opset: int = 19
) -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "neighbour", ports, [output], initializers)
    version = 13 if opset > 22 else 10 if opset > 19 else 8
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)


def reference(model: onnx.ModelProto, feeds: Arrays) -> dict[str, np.ndarray]:
    return {name: np.asarray(a) for name, a in open_session(model, optimize=False).run(feeds).items()}


def check(model: onnx.ModelProto, feeds: Arrays, folder: Path, right: Arrays | None = None) -> None:
    """Interpreter and compiled code give what onnxruntime does."""
    right = right or reference(model, feeds)
    compare(interpreter.run(tercet.import_model(model), dict(feeds)), right)
    check_compiled(model, feeds, right, folder)


# -- binary activations -----------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "greater": [node("Greater", "z c", "t"), node("Where", "t one minus", "s")],
    "less or equal to a constant first": [node("LessOrEqual", "c z", "t"), node("Where", "t one minus", "s")],
    "two sided": [
        node("Greater", "z c", "a"),
        node("Less", "z minus", "b"),
        node("Or", "a b", "o"),
        node("Not", "o", "t"),
        node("Cast", "t", "s", to=1),
    ],
    "gate": [node("Less", "z c", "t"), node("Where", "t z c", "s")],
    "equal": [node("Equal", "z c", "t"), node("Where", "t one minus", "s")],
    "sign of sums": [node("Sign", "z", "s")],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_between_convolutions(name: str, tmp_path: Path) -> None:
    feeds = {"x": RNG.integers(-1, 2, (1, 3, 6, 6)).astype(np.int8)}
    constants = {
        "w1": RNG.integers(-1, 2, (4, 3, 3, 3)).astype(np.float32),
        "w2": RNG.integers(-1, 2, (5, 4, 3, 3)).astype(np.float32),
        "c": np.array([0, 1, -1, 2], np.float32).reshape(4, 1, 1),
        "one": np.array(1, np.float32),
        "minus": np.array(-1, np.float32),
    }
    nodes = [node("Cast", "x", "xf", to=1), node("Conv", "xf w1", "z"), *ACTIVATIONS[name], node("Conv", "s w2")]
    check(network(nodes, feeds, constants), feeds, tmp_path)


# -- Tile and Expand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "target"), [((3, 1), (2, 3, 4)), ((1, 1, 5), (1, 1)), ((), (2, 2)), ((2, 3), (2, 1)), ((1, 0), (3, 0))]
)
def test_expand(shape: tuple[int, ...], target: tuple[int, ...], tmp_path: Path) -> None:
    feeds = {"x": floats(*shape)}
    nodes = [node("Expand", "x r", "e"), node("Relu", "e")]
    check(network(nodes, feeds, {"r": np.array(target, np.int64)}), feeds, tmp_path)


@pytest.mark.parametrize(
    ("shape", "repeats"), [((2, 3), (3, 1)), ((1, 2, 2), (1, 2, 3)), ((4,), (0,)), ((2, 2), (1, 1))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_tile(shape: tuple[int, ...], repeats: tuple[int, ...], dtype: Any, tmp_path: Path) -> None:
    feeds = {"x": np.asarray(RNG.integers(0, 200, shape), dtype)}
    check(network([node("Tile", "x r")], feeds, {"r": np.array(repeats, np.int64)}, dtype), feeds, tmp_path)


def test_expand_of_a_symbolic_batch_is_refused() -> None:
    model = network([node("Expand", "x r")], {"x": floats(1, 3)}, {"r": np.array([4, 3], np.int64)})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    with pytest.raises(tercet.TercetError, match="works along the batch axis; import with batch=N"):
        tercet.import_model(model)


def test_expand_to_what_does_not_fit() -> None:
    model = network([node("Expand", "x r")], {"x": floats(2, 3)}, {"r": np.array([4, 3], np.int64)})
    with pytest.raises(tercet.TercetError, match=r"Expand_y.*\[2, 3\] does not expand to \[4, 3\]"):
        tercet.import_model(model)


# -- float16, float64, bfloat16 ---------------------------------------------------------------------------------------


def close(have: Arrays, right: Arrays, dtype: Any, relative: float) -> None:
    for name, want in right.items():
        assert have[name].dtype == dtype and have[name].shape == want.shape
        np.testing.assert_allclose(
            have[name].astype(np.float64), want.astype(np.float64), rtol=relative, atol=relative * np.abs(want).max()
        )


@pytest.mark.parametrize(("dtype", "relative"), [(np.float16, 2e-3), (np.float64, 1e-5)])
def test_network_of_another_float(dtype: Any, relative: float, tmp_path: Path) -> None:
    """Ports keep the model's dtype; the steps are float32 ones."""
    feeds = {"x": floats(2, 12, dtype=dtype)}
    constants = {
        "w": floats(12, 7, dtype=dtype),
        "b": floats(7, dtype=dtype),
        "half": np.array(0.5, dtype),
        "v": RNG.integers(-1, 2, (7, 5)).astype(dtype),
    }
    nodes = [
        node("MatMul", "x w", "a"),
        node("Add", "a b", "c"),
        node("Relu", "c", "d"),
        node("Mul", "d half", "e"),
        node("MatMul", "e v"),
    ]
    model = network(nodes, feeds, constants, dtype)
    right = reference(model, feeds)
    close(interpreter.run(tercet.import_model(model), feeds), right, dtype, relative)
    with tercet.load(tercet.compile(model, tmp_path / "m.tercet").path) as loaded:
        close(loaded.run(feeds), right, dtype, relative)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_casts_between_floats_and_integers(dtype: Any, tmp_path: Path) -> None:
    feeds = {"x": np.array([[0.25, -1.5, 3, 100.75]], dtype)}
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        node("Cast", "x", "i", to=TensorProto.INT32),
        node("Cast", "i", "f", to=to),
        node("Greater", "x zero", "g"),
        node("Cast", "g", "h", to=to),
        node("Add", "f h"),
    ]
    check(network(nodes, feeds, {"zero": np.array(0, dtype)}, dtype), feeds, tmp_path)


def test_bfloat16_inside(tmp_path: Path) -> None:
    """bfloat16 weights of a float32 network; a port of bfloat16 is float32, as numpy has none."""
    weights = floats(6, 4).astype(ml_dtypes.bfloat16)
    feeds = {"x": floats(2, 6)}
    nodes = [node("Cast", "w", "f", to=TensorProto.FLOAT), node("MatMul", "x f")]
    check(network(nodes, feeds, {"w": weights}), feeds, tmp_path, {"y": feeds["x"] @ weights.astype(np.float32)})
    short = network([node("Relu", "x")], {"x": feeds["x"].astype(ml_dtypes.bfloat16)}, dtype=ml_dtypes.bfloat16)
    program = tercet.import_model(short)
    assert [port.dtype for port in (*program.inputs, *program.outputs)] == [np.float32, np.float32]


WEIGHTS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "ternary by filter": (RNG.integers(-1, 2, (3, 2, 3, 3)), np.array([0.1, 0.37, 1.5], np.float16)),
    "int8 by tensor": (RNG.integers(-128, 128, (3, 2, 3, 3)), np.array(0.013, np.float16)),
    "powers of two": (RNG.integers(-128, 128, (3, 2, 3, 3)), np.array([0.5, 0.25, 2**-7], np.float16)),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_with_float16_scales(name: str, tmp_path: Path) -> None:
    """onnxruntime rounds each weight to float16, so do we: where that changes nothing they stay integers."""
    q, scale = WEIGHTS[name]
    feeds = {"x": floats(1, 2, 5, 5)}
    nodes = [
        node("DequantizeLinear", "q s", "h", **({"axis": 0} if scale.ndim else {})),
        node("Cast", "h", "w", to=TensorProto.FLOAT),
        node("Conv", "x w"),
    ]
    model = network(nodes, feeds, {"q": q.astype(np.int8), "s": scale})
    check(model, feeds, tmp_path)
    kinds = {op.name for op in tercet.import_model(model).ops}
    assert ("tn.dequantize" in kinds) == (name != "int8 by tensor")


# -- declarations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["element type only", "shape only", "nothing"])
def test_output_without_a_type(what: str, tmp_path: Path) -> None:
    feeds = {"x": floats(1, 4)}
    model = network(
        [node("Greater", "x z", "t"), node("Cast", "t", "y", to=TensorProto.INT32)],
        feeds,
        {"z": np.zeros((), np.float32)},
        np.int32,
    )
    right = reference(model, feeds)
    output = model.graph.output[0]
    if what == "nothing":
        output.ClearField("type")
    elif what == "element type only":
        output.type.tensor_type.ClearField("shape")
    else:
        output.type.tensor_type.elem_type = 0
    check(model, feeds, tmp_path, right)


@pytest.mark.parametrize("negative", [("input",), ("input", "output"), ("output",)])
def test_a_dimension_of_minus_one_is_the_batch(negative: tuple[str, ...], tmp_path: Path) -> None:
    feeds = {"x": floats(3, 4)}
    model = network([node("Relu", "x")], feeds)
    if "input" in negative:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    if "output" in negative:
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [-1, -1]))
    check(model, feeds, tmp_path, {"y": np.maximum(feeds["x"], 0)})
    assert tercet.import_model(model).batched == ("input" in negative)


def test_other_negative_dimensions_are_refused() -> None:
    model = network([node("Relu", "x")], {"x": floats(3, 4)})
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -2
    with pytest.raises(tercet.TercetError, match="input 'x': has a negative dimension"):
        tercet.import_model(model)


# -- Resize -----------------------------------------------------------------------------------------------------------

TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("scales", [(2, 2), (0.5, 0.6), (1.7, 2.3), (3, 0.4), (1, 2.5), (4, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_linear_resize(transform: str, scales: tuple[float, float], dtype: Any) -> None:
    feeds = {"x": floats(1, 2, 5, 6) if dtype == np.float32 else RNG.integers(0, 256, (1, 2, 5, 6)).astype(dtype)}
    nodes = [node("Resize", "x - s", mode="linear", coordinate_transformation_mode=transform)]
    model = network(nodes, feeds, {"s": np.array((1, 1, *scales), np.float32)}, dtype)
    compare(interpreter.run(tercet.import_model(model), feeds), reference(model, feeds))


@pytest.mark.parametrize("shape", [(5, 6), (1, 2, 3, 4, 5)])
def test_linear_resize_of_other_ranks(shape: tuple[int, ...]) -> None:
    feeds = {"x": floats(*shape)}
    scales = np.array([1.0] * (len(shape) - min(len(shape), 3)) + [2.0] * min(len(shape), 3), np.float32)
    model = network([node("Resize", "x - s", mode="linear")], feeds, {"s": scales})
    compare(interpreter.run(tercet.import_model(model), feeds), reference(model, feeds))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
@pytest.mark.parametrize(
    ("shape", "scales"),
    [
        ((30, 2, 5, 6), (1, 1, 1, 2.5)),
        ((30, 2, 5, 6), (1, 1, 4, 1)),
        ((20, 2, 5, 6), (1, 1, 1.7, 2.3)),
        ((40, 30), (1, 2.5)),
        ((9, 8, 10), (1, 2.5, 1.7)),
        ((9, 8, 10), (2.5, 1.7, 1.2)),
        ((5, 3, 6, 5, 4), (1, 1, 1.2, 1, 1.7)),
        ((1, 5, 6, 2), (1, 2.5, 1, 1)),
    ],
)
def test_linear_resize_of_integers(transform: str, dtype: Any, shape: tuple[int, ...], scales: tuple[float]) -> None:
    """Whole results are common, and one rounding of the sum decides whether the next smaller number comes out."""
    feeds = {"x": RNG.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)}
    nodes = [node("Resize", "x - s", mode="linear", coordinate_transformation_mode=transform)]
    model = network(nodes, feeds, {"s": np.array(scales, np.float32)}, dtype)
    if shape[0] == 1 and dtype != np.int32:
        with pytest.raises(tercet.TercetError, match="8-bit integers with channels last is not supported"):
            tercet.import_model(model)
        return
    compare(interpreter.run(tercet.import_model(model), feeds), reference(model, feeds))


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("scales", [(2, 2), (0.5, 0.6), (1.7, 2.3)])
def test_resize_between_quantizers(mode: str, scales: tuple[float, float], tmp_path: Path) -> None:
    feeds = {"x": floats(1, 2, 5, 6)}
    constants = {
        "s": np.array(0.05, np.float32),
        "t": np.array(0.07, np.float32),
        "z": np.array(3, np.uint8),
        "r": np.array((1, 1, *scales), np.float32),
    }
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Resize", "d - r", "e", mode=mode),
        node("QuantizeLinear", "e t z", "y"),
    ]
    check(network(nodes, feeds, constants, np.uint8), feeds, tmp_path)


def test_older_linear_resizes(tmp_path: Path) -> None:
    feeds, scales = {"x": floats(1, 2, 3, 4)}, np.array([1, 1, 2, 2], np.float32)
    for nodes, constants, opset in (
        ([node("Resize", "x s", mode="linear")], {"s": scales}, 10),
        ([node("Upsample", "x s", mode="linear")], {"s": scales}, 9),
        ([node("Upsample", "x", mode="linear", scales=scales.tolist())], {}, 7),
    ):
        model = network(nodes, feeds, constants, opset=opset)
        compare(interpreter.run(tercet.import_model(model), feeds), reference(model, feeds))


@pytest.mark.parametrize("attributes", [{"mode": "cubic", "antialias": 1}, {"mode": "linear", "antialias": 1}])
def test_other_resizes_are_refused(attributes: dict[str, Any]) -> None:
    model = network([node("Resize", "x - s", **attributes)], {"x": floats(1, 2, 3, 4)}, {"s": np.ones(4, np.float32)})
    with pytest.raises(tercet.TercetError, match=r"Resize_y.*not supported"):
        tercet.import_model(model)


# -- tensors without elements -----------------------------------------------------------------------------------------

S = np.array(0.5, np.float32)
EMPTY: dict[str, tuple[list[NodeProto], Arrays, Arrays]] = {
    "sum over nothing": ([node("Gemm", "x a c")], {"x": floats(2, 0)}, {"a": floats(0, 3), "c": floats(3)}),
    "no rows": ([node("MatMul", "x a")], {"x": floats(0, 4)}, {"a": floats(4, 3)}),
    "no images": ([node("Conv", "x w b")], {"x": floats(0, 2, 5, 5)}, {"w": floats(3, 2, 3, 3), "b": floats(3)}),
    "no filters": ([node("Conv", "x w")], {"x": floats(1, 2, 5, 5)}, {"w": floats(0, 2, 3, 3)}),
    "concat with nothing": ([node("Concat", "x e", axis=1)], {"x": floats(2, 3)}, {"e": floats(2, 0)}),
    "mean of nothing": ([node("ReduceMean", "x a", keepdims=0)], {"x": floats(2, 0)}, {"a": np.array([1])}),
    "pool of no images": ([node("MaxPool", "x", kernel_shape=[2, 2])], {"x": floats(0, 3, 4, 4)}, {}),
    "softmax of nothing": ([node("Softmax", "x", axis=1)], {"x": floats(2, 0)}, {}),
    "pad": ([node("Pad", "x p")], {"x": floats(2, 0)}, {"p": np.array([0, 1, 0, 2])}),
    "sign": ([node("Sign", "x")], {"x": floats(2, 0)}, {}),
    "to bool": ([node("Cast", "x", "t", to=TensorProto.BOOL), node("Cast", "t", to=1)], {"x": floats(2, 0)}, {}),
    "norm between levels": (
        [
            node("Sign", "x", "g"),
            node("BatchNormalization", "g n n n n", "b"),
            node("QuantizeLinear", "b s z", "q"),
            node("Clip", "q lo hi", "k"),
            node("DequantizeLinear", "k s z"),
        ],
        {"x": floats(2, 0)},
        {"n": floats(0), "s": S, **{k: np.array(v, np.int8) for k, v in {"z": 0, "lo": -2, "hi": 1}.items()}},
    ),
    "where": ([node("Less", "x z", "c"), node("Where", "c x z")], {"x": floats(0, 2)}, {"z": S}),
    "resize": (
        [node("Resize", "x - r", mode="linear")],
        {"x": floats(0, 2, 4, 4)},
        {"r": np.array([1, 1, 2, 2], np.float32)},
    ),
    "quantized product": (
        [
            node("QuantizeLinear", "x s", "q"),
            node("DequantizeLinear", "q s", "d"),
            node("DequantizeLinear", "w s", "wd"),
            node("MatMul", "d wd"),
        ],
        {"x": floats(3, 0)},
        {"s": S, "w": np.zeros((0, 4), np.int8)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_tensors_without_elements(name: str, tmp_path: Path) -> None:
    nodes, feeds, constants = EMPTY[name]
    model = network(nodes, feeds, constants)
    right = reference(model, feeds)
    compare(interpreter.run(tercet.import_model(model), dict(feeds)), right)
    with tercet.load(tercet.compile(model, tmp_path / "m.tercet", target="generic").path) as loaded:
        compare(loaded.run(dict(feeds)), right)
