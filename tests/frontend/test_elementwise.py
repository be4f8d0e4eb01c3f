"""Arithmetic, activations, casts and matrix products against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError, UnsupportedError
from tercet.ir.tn.elementwise import CastOp
from tercet.ir.types import element_of, int_type

from .helpers import assert_like_onnxruntime, floats, integers, interpreted, model, node


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3, 4), (3, 1)), ((1,), (2, 1, 3)), ((), (2, 2))])
def test_binary(op_type: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    feeds = {"a": floats(*shapes[0]), "b": floats(*shapes[1], seed=1)}
    assert_like_onnxruntime(model(node(op_type, "a b"), feeds), feeds)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, np.uint8, np.int16, np.uint16, np.uint32])
def test_integers_wrap(op_type: str, dtype: Any) -> None:
    info = np.iinfo(dtype)
    a = np.array([info.min, info.max, info.max, 7, 1], dtype)
    b = np.array([info.max, info.max, 1, 3, info.min], dtype)
    want = getattr(np, {"Add": "add", "Sub": "subtract", "Mul": "multiply"}[op_type])(a, b)
    feeds = {"a": a, "b": b}
    np.testing.assert_array_equal(
        interpreted(model(node(op_type, "a b"), feeds, outputs={"y": dtype}), feeds)["y"], want
    )


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integer_division_truncates(dtype: Any) -> None:
    feeds = {"a": integers(-50, 50, 40, dtype=dtype), "b": np.resize(np.array([-7, 3, 2, -1, 5], dtype), 40)}
    assert_like_onnxruntime(model(node("Div", "a b"), feeds, outputs={"y": dtype}), feeds)


def test_no_cast_where_the_range_fits() -> None:
    feeds = {"a": integers(0, 255, 4, dtype=np.uint8)}
    nodes = [node("Cast", "a", "wide", to=6), node("Mul", "wide three"), node("Add", "wide big", "z")]
    constants = {"three": np.array(3, np.int32), "big": np.array(2**31 - 1, np.int32)}
    source = model(nodes, feeds, constants, outputs={"y": np.int32, "z": np.int32})
    program = import_model(source)
    assert sum(isinstance(op, CastOp) for op in program.ops) == 1  # only the sum can leave int32
    assert_like_onnxruntime(source, feeds)


UNARY: dict[str, dict[str, Any]] = {
    "Abs": {},
    "Elu": {"alpha": 0.6},
    "Erf": {},
    "Exp": {},
    "Gelu": {"approximate": "tanh"},
    "Log": {},
    "Mish": {},
    "Neg": {},
    "Reciprocal": {},
    "Selu": {"alpha": 1.5, "gamma": 0.9},
    "Softplus": {},
    "Sqrt": {},
    "Relu": {},
    "LeakyRelu": {"alpha": 0.3},
    "Sigmoid": {},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "Tanh": {},
    "Round": {},
    "Ceil": {},
    "Floor": {},
    "Identity": {},
    "Dropout": {},
}


@pytest.mark.parametrize("op_type", UNARY)
@pytest.mark.parametrize("defaults", [True, False])
def test_unary(op_type: str, defaults: bool) -> None:
    feeds = {"x": np.concatenate([floats(3, 40, scale=4), np.array([[0.5, 1.5, -0.5, -2.5] * 10], np.float32)])}
    if op_type in ("Log", "Sqrt"):
        feeds["x"] = np.abs(feeds["x"])
    attributes = {} if defaults else UNARY[op_type]
    assert_like_onnxruntime(model(node(op_type, "x", **attributes), feeds, opset=20), feeds)


@pytest.mark.parametrize("op_type", ["Abs", "Neg"])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_magnitude_and_sign_of_integers(op_type: str, dtype: Any) -> None:
    """Exact, with exact ranges; the lowest number wraps."""
    info = np.iinfo(dtype)
    feeds = {"x": np.array([info.min, info.min + 1, -3, 0, 7, info.max], dtype)}
    source = model(node(op_type, "x"), feeds, outputs={"y": dtype})
    assert_like_onnxruntime(source, feeds)
    nodes = [node("Clip", "x lo hi", "c"), node(op_type, "c")]
    source = model(nodes, feeds, {"lo": np.array(-5, dtype), "hi": np.array(2, dtype)}, outputs={"y": dtype})
    kind = import_model(source).outputs[0].type
    assert element_of(kind) == (int_type(0, 5) if op_type == "Abs" else int_type(-2, 5))


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, 1.7, [1, 2, 0.25, -2]])
def test_power(exponent: float | list[float]) -> None:
    feeds = {"x": np.abs(floats(3, 4)) + np.float32(0.1)}
    assert_like_onnxruntime(model(node("Pow", "x e"), feeds, {"e": np.array(exponent, np.float32)}), feeds)
    feeds["e"] = np.broadcast_to(np.array(exponent, np.float32), (3, 4)).copy()
    assert_like_onnxruntime(model(node("Pow", "x e"), feeds), feeds)


def test_squares_are_products() -> None:
    feeds = {"x": floats(3, 4)}
    program = import_model(model(node("Pow", "x e"), feeds, {"e": np.array([2], np.int64)}))
    assert [op.name for op in program.ops] == ["tn.mul"]


@pytest.mark.parametrize("exponent", [0, 1, 5, 31, [0, 1, 2, 3, 62]])
def test_power_of_integers(exponent: int | list[int]) -> None:
    feeds = {"x": np.array([-7, -1, 0, 2, 3], np.int64)}
    source = model(node("Pow", "x e"), feeds, {"e": np.array(exponent)}, outputs={"y": np.int64})
    np.testing.assert_array_equal(interpreted(source, feeds)["y"], feeds["x"] ** np.array(exponent))


@pytest.mark.parametrize("exponent", [-1, 64, 0.5])
def test_powers_of_integers_that_are_refused(exponent: float) -> None:
    feeds = {"x": integers(-3, 3, 4)}
    with pytest.raises(UnsupportedError, match="power of integers other than 0 to 63"):
        import_model(model(node("Pow", "x e"), feeds, {"e": np.array(exponent)}, outputs={"y": np.int64}))


@pytest.mark.parametrize("slope", [(), (3, 1, 1), (2, 3, 4, 4), (4,)])
def test_prelu(slope: tuple[int, ...]) -> None:
    feeds = {"x": floats(2, 3, 4, 4)}
    assert_like_onnxruntime(model(node("PRelu", "x s"), feeds, {"s": floats(*slope, seed=1)}), feeds)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_softmax(op_type: str, axis: int, opset: int) -> None:
    """Before opset 13 all axes from `axis` on count as one."""
    if opset == 11 and axis == -1:
        axis = 2
    feeds = {"x": floats(2, 3, 4)}
    assert_like_onnxruntime(model(node(op_type, "x", axis=axis), feeds, opset=opset), feeds)
    assert_like_onnxruntime(model(node(op_type, "x"), feeds, opset=opset), feeds)


def test_log_softmax_of_large_numbers_is_finite() -> None:
    feeds = {"x": np.array([[1000.0, -1000.0, 999.0]], np.float32)}
    assert np.isfinite(assert_like_onnxruntime(model(node("LogSoftmax", "x"), feeds), feeds)["y"]).all()


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 4, 3, 6), (2, 2, 2, 3, 4)])
def test_instance_normalization(shape: tuple[int, ...]) -> None:
    feeds = {"x": floats(*shape, scale=3)}
    constants = {"s": floats(shape[1], seed=1), "b": floats(shape[1], seed=2)}
    for extra in ({}, {"epsilon": 0.1}):
        assert_like_onnxruntime(model(node("InstanceNormalization", "x s b", **extra), feeds, constants), feeds)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("inputs", ["x s", "x s b"])
def test_layer_normalization(axis: int, inputs: str) -> None:
    feeds = {"x": floats(2, 3, 4, scale=3)}
    constants = {"s": floats(*(2, 3, 4)[axis:], seed=1), "b": floats(*(2, 3, 4)[axis:], seed=2)}
    nodes = node("LayerNormalization", inputs, "y mean inverse", axis=axis, epsilon=1e-3)
    outputs = {"y": np.float32, "mean": np.float32, "inverse": np.float32}
    assert_like_onnxruntime(model(nodes, feeds, constants, outputs=outputs), feeds)


@pytest.mark.parametrize("op_type", ["InstanceNormalization", "LayerNormalization", "LogSoftmax"])
def test_normalization_keeps_samples_apart(op_type: str) -> None:
    feeds, constants = {"x": floats(3, 4, 5)}, {"s": floats(4), "b": floats(4, seed=1)}
    if op_type == "LayerNormalization":
        constants = {"s": floats(5), "b": floats(5, seed=1)}
    inputs = "x" if op_type == "LogSoftmax" else "x s b"
    source = model(node(op_type, inputs), feeds, constants, symbolic=True)
    assert import_model(source).batched
    assert_like_onnxruntime(source, feeds)


def test_clip_by_attributes() -> None:
    feeds = {"x": floats(50, scale=3)}
    assert_like_onnxruntime(model(node("Clip", "x", min=-1.0, max=2.0), feeds, opset=10), feeds)
    assert_like_onnxruntime(model(node("Clip", "x", max=0.5), feeds, opset=7), feeds)


@pytest.mark.parametrize("inputs", ["x lo hi", "x lo", "x - hi", "x"])
@pytest.mark.parametrize("runtime", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64])
def test_clip_by_inputs(inputs: str, runtime: bool, dtype: Any) -> None:
    x = {"x": integers(-9, 9, 20, dtype=dtype)}
    bounds = {n: np.array(v, dtype) for n, v in (("lo", -2), ("hi", 5)) if n in inputs}
    feeds = {**x, **bounds} if runtime else x
    source = model(node("Clip", inputs), feeds, {} if runtime else bounds, outputs={"y": dtype}, opset=13)
    assert_like_onnxruntime(source, feeds)


def test_clip_of_wide_integers_is_exact() -> None:
    feeds = {"x": np.array([2**62, -(2**62), 5], np.int64)}
    hi = np.array(2**60 + 1, np.int64)
    y = interpreted(model(node("Clip", "x - hi"), feeds, {"hi": hi}, outputs={"y": np.int64}), feeds)["y"]
    assert y.tolist() == [2**60 + 1, -(2**62), 5]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (np.float32, np.int32),
        (np.float32, np.int8),
        (np.float32, np.bool_),
        (np.int64, np.int32),
        (np.int32, np.uint8),
        (np.int32, np.int16),
        (np.int64, np.float32),
        (np.int32, np.bool_),
        (np.bool_, np.float32),
        (np.bool_, np.int64),
        (np.uint8, np.int32),
    ],
)
def test_cast(source: Any, target: Any) -> None:
    from onnx import helper

    x = (floats(30, scale=40) if source == np.float32 else integers(-300, 300, 30)).astype(source)
    x[:3] = 0
    feeds = {"x": x}
    to = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    assert_like_onnxruntime(model(node("Cast", "x", to=to), feeds, outputs={"y": target}), feeds)


GEMM: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, ...] | None, dict[str, Any]]] = {
    "plain": ((3, 4), (4, 5), (5,), {}),
    "no bias": ((3, 4), (4, 5), None, {}),
    "transposed": ((4, 3), (5, 4), (3, 5), {"transA": 1, "transB": 1}),
    "scaled": ((3, 4), (4, 5), (3, 1), {"alpha": 0.5, "beta": 0.25}),
    "scalar": ((3, 4), (4, 5), (), {"beta": 2.0}),
    "no beta": ((3, 4), (4, 5), (5,), {"beta": 0.0}),
}


@pytest.mark.parametrize("case", GEMM)
@pytest.mark.parametrize("runtime", [False, True])
def test_gemm(case: str, runtime: bool) -> None:
    a, b, c, attributes = GEMM[case]
    rest = {"b": floats(*b, seed=1), **({"c": floats(*c, seed=2)} if c is not None else {})}
    feeds = {"a": floats(*a), **(rest if runtime else {})}
    gemm = node("Gemm", "a b" if c is None else "a b c", **attributes)
    assert_like_onnxruntime(model(gemm, feeds, {} if runtime else rest), feeds)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((4,), (4, 2)), ((2, 1, 3, 4), (5, 4, 2))])
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    feeds = {"a": floats(*shapes[0]), "b": floats(*shapes[1], seed=1)}
    assert_like_onnxruntime(model(node("MatMul", "a b"), feeds), feeds)


def test_matmul_of_integers_wraps() -> None:
    feeds = {"a": integers(-(2**31), 2**31 - 1, 3, 4, dtype=np.int32), "b": integers(-9, 9, 4, 2, dtype=np.int32)}
    assert_like_onnxruntime(model(node("MatMul", "a b"), feeds, outputs={"y": np.int32}), feeds)


def test_dtypes_must_agree() -> None:
    feeds = {"a": floats(2), "b": integers(0, 1, 2)}
    with pytest.raises(ModelError, match=r"node 'Add_y' \(Add\): operands have the dtypes float32 and int64"):
        import_model(model(node("Add", "a b"), feeds))


EINSUMS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "ij,kj->ki": ((2, 3), (4, 3)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "bhid,bhjd->bhij": ((2, 3, 4, 5), (2, 3, 6, 5)),
    "bihd,bjhd->bhij": ((2, 4, 3, 5), (2, 6, 3, 5)),
    "bhij,bjhd->bihd": ((2, 3, 4, 6), (2, 6, 3, 5)),
    "nchw,oc->nohw": ((2, 3, 4, 5), (6, 3)),
    "oc,nchw->nohw": ((6, 3), (2, 3, 4, 5)),
    "bxd,de->bxe": ((2, 3, 4), (4, 5)),
    "bij,ijk->bk": ((2, 3, 4), (3, 4, 5)),
    "i,i->": ((4,), (4,)),
    "i,j->ij": ((3,), (4,)),
    "ij,ij->ij": ((3, 4), (3, 4)),
    "ij,kl->ik": ((2, 3), (4, 5)),
    "...ij,...jk->...ik": ((2, 3, 4, 5), (2, 3, 5, 6)),
    "...j,jk->...k": ((2, 3, 4), (4, 5)),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_einsum(equation: str) -> None:
    a, b = EINSUMS[equation]
    feeds = {"a": floats(*a), "b": floats(*b, seed=1)}
    assert_like_onnxruntime(model(node("Einsum", "a b", equation=equation), feeds), feeds)
    whole = {"a": integers(-9, 9, *a, dtype=np.int32), "b": integers(-9, 9, *b, dtype=np.int32, seed=1)}
    source = model(node("Einsum", "a b", equation=equation), whole, outputs={"y": np.int32})
    assert_like_onnxruntime(source, whole)


@pytest.mark.parametrize("equation", ["ij->ji", "ijk->ki", "ij->", "ijk", "kji"])
def test_einsum_of_one(equation: str) -> None:
    feeds = {"x": floats(*(2, 3, 4)[: len(equation.split("-")[0])])}
    assert_like_onnxruntime(model(node("Einsum", "x", equation=equation), feeds), feeds)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bxd,de->bxe", ((3, 2, 4), (4, 5))),
        ("de,bxd->bxe", ((4, 5), (3, 2, 4))),
        ("oc,nchw->nohw", ((6, 3), (3, 3, 2, 2))),
    ],
)
def test_einsum_keeps_samples_apart(equation: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    arrays = {"a": floats(*shapes[0]), "b": floats(*shapes[1], seed=1)}
    name = max(arrays, key=lambda n: arrays[n].ndim)
    feeds, constants = {name: arrays.pop(name)}, arrays
    source = model(node("Einsum", "a b", equation=equation), feeds, constants, symbolic=True)
    assert import_model(source).batched
    assert_like_onnxruntime(source, feeds)


@pytest.mark.parametrize(
    ("equation", "error", "message"),
    [
        ("ii,ij->ij", UnsupportedError, "diagonal"),
        ("ij,jk,kl->il", ModelError, "is for 3 operands"),
        ("ij,kj->iz", ModelError, "unknown or repeated axes"),
        ("ij;jk", ModelError, "not a sum of products"),
        ("ijk,jk->ik", ModelError, "another rank than 2"),
        ("ij,ik->jk", ModelError, "differ"),
    ],
)
def test_einsums_that_are_refused(equation: str, error: type[Exception], message: str) -> None:
    feeds = {"a": floats(3, 3), "b": floats(4, 3)}
    with pytest.raises(error, match=message):
        import_model(model(node("Einsum", "a b", equation=equation), feeds))
