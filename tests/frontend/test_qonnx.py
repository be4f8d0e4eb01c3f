"""The QONNX operators against the formulas of QONNX, written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from onnx import ModelProto

from tercet.frontend.onnx import import_model
from tercet.frontend.onnx.registry import QONNX_DOMAINS
from tercet.ir.errors import ModelError, UnsupportedError

from .helpers import assert_close, floats, interpreted, model, node

F32 = np.float32
GENERAL = "qonnx.custom_op.general"

Number: TypeAlias = "np.ndarray | np.float32"

ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ROUND": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + F32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - F32(0.5)),
}


def bounds(bits: int, signed: int, narrow: int) -> tuple[int, int]:
    return (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)


def quant(
    x: np.ndarray, s: Number, zp: Number, bits: int, signed: int = 1, narrow: int = 0, mode: str = "ROUND"
) -> np.ndarray:
    if bits == 1 and signed:
        return (np.where(x / s + zp >= 0, F32(1), F32(-1)) - zp) * s
    return ((ROUND[mode](np.clip(x / s + zp, *bounds(bits, signed, narrow))) - zp) * s).astype(F32)


def samples(*shape: int) -> np.ndarray:
    """Normal numbers, and on both sides of zero the ties of a scale of 0.5."""
    x = floats(*shape, scale=3)
    ties = np.arange(-16, 16, dtype=F32) * F32(0.25)
    x.reshape(-1)[: ties.size] = ties[: x.size]
    return x


def quant_model(
    x: np.ndarray, s: Any, zp: Any, bits: Any, *, domain: str = GENERAL, op_type: str = "Quant", **attributes: Any
) -> ModelProto:
    constants = {"s": np.array(s, F32), "zp": np.array(zp, F32), "b": np.array(bits, F32)}
    return model(node(op_type, "x s zp b", domain=domain, **attributes), {"x": x}, constants)


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("zp", [0.0, 1.0, -2.0])
def test_quant_ranges(bits: int, signed: int, narrow: int, zp: float) -> None:
    x = samples(4, 30)
    source = quant_model(x, 0.5, zp, bits, signed=signed, narrow=narrow)
    if bounds(bits, signed, narrow)[0] > bounds(bits, signed, narrow)[1] and not (bits == 1 and signed):
        pytest.skip("no values")
    assert_close(interpreted(source, {"x": x})["y"], quant(x, F32(0.5), F32(zp), bits, signed, narrow))


@pytest.mark.parametrize("mode", ROUND)
@pytest.mark.parametrize("zp", [0.0, 1.0])
@pytest.mark.parametrize("lower", [False, True])
def test_quant_rounding_modes(mode: str, zp: float, lower: bool) -> None:
    x = samples(4, 30)
    source = quant_model(x, 0.5, zp, 4, rounding_mode=mode.lower() if lower else mode, signed=1)
    assert_close(interpreted(source, {"x": x})["y"], quant(x, F32(0.5), F32(zp), 4, mode=mode))


@pytest.mark.parametrize("domain", QONNX_DOMAINS)
@pytest.mark.parametrize("op_type", ["Quant", "IntQuant"])
def test_quant_in_every_domain_without_opset_import(domain: str, op_type: str) -> None:
    x = samples(2, 20)
    source = quant_model(x, 0.5, 0, 3, domain=domain, op_type=op_type, signed=1, narrow=1)
    assert [o.domain for o in source.opset_import] == [""]
    assert_close(interpreted(source, {"x": x})["y"], quant(x, F32(0.5), F32(0), 3, narrow=1))


@pytest.mark.parametrize("scale_shape", [(), (1,), (3, 1), (1, 3, 1), (2, 3, 4), (1, 1, 1, 1)])
def test_quant_scale_broadcasts_as_numpy(scale_shape: tuple[int, ...]) -> None:
    x = samples(2, 3, 4)
    scale = np.abs(floats(*scale_shape, seed=4)) + F32(0.2)
    assert_close(interpreted(quant_model(x, scale, 0, 4), {"x": x})["y"], quant(x, scale, F32(0), 4))


def test_quant_zero_point_by_channel_and_fraction() -> None:
    x = samples(2, 3, 4)
    for zp in (np.array([[1], [0], [-3]], F32), np.array(0.5, F32)):
        assert_close(interpreted(quant_model(x, 0.5, zp, 4), {"x": x})["y"], quant(x, F32(0.5), zp, 4))


def test_quant_with_parameters_computed_by_subgraphs() -> None:
    """Bits from Ceil and Cast, the scale from a product, the zero point from a ConstantOfShape."""
    x = samples(2, 20)
    nodes = [
        node("Constant", "", "raw", value_float=2.6),
        node("Ceil", "raw", "bits"),
        node("Mul", "half one", "s"),
        node("ConstantOfShape", "none", "zp"),
        node("Quant", "x s zp bits", domain="onnx.brevitas", signed=1, narrow=0, rounding_mode="ROUND"),
    ]
    constants = {"half": np.array(0.5, F32), "one": np.array(1.0, F32), "none": np.zeros(0, np.int64)}
    assert_close(interpreted(model(nodes, {"x": x}, constants), {"x": x})["y"], quant(x, F32(0.5), F32(0), 3))


def test_quant_scale_computed_at_run_time() -> None:
    x, s = samples(2, 20), np.array([0.3], F32)
    feeds = {"x": x, "s": s}
    source = model(node("Quant", "x s zp b", domain=GENERAL), feeds, {"zp": np.array(0, F32), "b": np.array(4, F32)})
    assert_close(interpreted(source, feeds)["y"], quant(x, s, F32(0), 4))


def test_quant_of_a_weight_stays_an_operation() -> None:
    x = floats(2, 6)
    constants = {"w": floats(4, 6), "s": np.array(0.5, F32), "zp": np.array(0, F32), "b": np.array(2, F32)}
    nodes = [
        node("Quant", "w s zp b", "q", domain=GENERAL, signed=1, narrow=1),
        node("Transpose", "q", "t", perm=[1, 0]),
        node("MatMul", "x t"),
    ]
    source = model(nodes, {"x": x}, constants)
    assert "tn.quantize" in import_model(source).text()
    assert_close(interpreted(source, {"x": x})["y"], x @ quant(constants["w"], F32(0.5), F32(0), 2, narrow=1).T)


@pytest.mark.parametrize(
    ("bits", "error", "message"),
    [
        (2.5, ModelError, "the bit width is 2.5"),
        (0, ModelError, "the bit width is 0"),
        (64, UnsupportedError, "more than 32"),
        ([2, 4], UnsupportedError, "differs between channels"),
    ],
)
def test_quant_refuses_bit_widths(bits: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        import_model(quant_model(samples(2, 2), 0.5, 0, bits))


def test_quant_refuses_other_parameters() -> None:
    x = samples(2, 2)
    for scale, message in ((0.0, "the scale is zero"), (np.inf, "the scale is not finite")):
        with pytest.raises(ModelError, match=message):
            import_model(quant_model(x, scale, 0, 2))
    with pytest.raises(UnsupportedError, match="rounding_mode 'STOCHASTIC'"):
        import_model(quant_model(x, 1, 0, 2, rounding_mode="stochastic"))
    feeds = {"x": x, "b": np.array(2, F32)}
    constants = {"s": np.array(1, F32), "zp": np.array(0, F32)}
    source = model(node("Quant", "x s zp b", domain=GENERAL), feeds, constants)
    with pytest.raises(UnsupportedError, match="the bit width must be constant"):
        import_model(source)


@pytest.mark.parametrize("domain", QONNX_DOMAINS)
@pytest.mark.parametrize("scale_shape", [(), (3, 1)])
def test_bipolar_quant(domain: str, scale_shape: tuple[int, ...]) -> None:
    x, s = samples(3, 20), np.abs(floats(*scale_shape, seed=2))
    x[0, :2] = [0.0, -0.0]
    source = model(node("BipolarQuant", "x s", domain=domain), {"x": x}, {"s": s})
    assert "!tn.set<-1,1>" in import_model(source).text()
    assert_close(interpreted(source, {"x": x})["y"], np.where(x >= 0, F32(1), F32(-1)) * s)


@pytest.mark.parametrize("mode", [None, "FLOOR", "ROUND", "CEIL"])
@pytest.mark.parametrize("zp", [0.0, 3.0])
def test_trunc_v1(mode: str | None, zp: float) -> None:
    x = samples(3, 20)
    constants = {n: np.array(v, F32) for n, v in (("s", 0.25), ("zp", zp), ("ib", 8), ("ob", 5))}
    attributes: dict[str, Any] = {} if mode is None else {"rounding_mode": mode}
    source = model(node("Trunc", "x s zp ib ob", domain=GENERAL, **attributes), {"x": x}, constants)
    y = np.round(x / F32(0.25) + F32(zp)) / F32(2**3)
    assert_close(interpreted(source, {"x": x})["y"], (ROUND[mode or "FLOOR"](y) - F32(zp)) * F32(0.25))


@pytest.mark.parametrize("mode", [None, "ROUND"])
@pytest.mark.parametrize("zp", [0.0, 4.0, 3.0])
@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0)])
def test_trunc_v2(mode: str | None, zp: float, signed: int, narrow: int) -> None:
    x = samples(3, 20)
    scale, out_scale, out_bits = F32(0.25), F32(1.1), 3
    constants = {
        n: np.array(v, F32) for n, v in (("s", scale), ("zp", zp), ("ib", 8), ("so", out_scale), ("ob", out_bits))
    }
    attributes: dict[str, Any] = {
        "signed": signed,
        "narrow": narrow,
        **({} if mode is None else {"rounding_mode": mode}),
    }
    source = model(node("Trunc", "x s zp ib so ob", domain=GENERAL, **attributes), {"x": x}, constants)
    step = F32(2) ** np.round(np.log2(out_scale / scale))
    y = np.clip(np.round(x / scale + F32(zp)) / step, *bounds(out_bits, signed, narrow))
    want = (ROUND[mode or "FLOOR"](y) - F32(zp) / step) * out_scale
    assert_close(interpreted(source, {"x": x})["y"], want.astype(F32))


def multi_threshold(x: np.ndarray, t: np.ndarray, axis: int, scale: float, bias: float) -> np.ndarray:
    moved = np.moveaxis(x, axis, -1)
    count = (moved[..., None] >= t).sum(-1).astype(F32)
    return np.moveaxis(F32(scale) * count + F32(bias), -1, axis)


@pytest.mark.parametrize(
    ("scale", "bias", "text"),
    [
        (1.0, 0.0, "base = 0"),
        (1.0, -1.0, "base = -1"),
        (2.0, -1.0, "step = 2"),
        (0.5, -1.5, "base = -3"),
        (3.0, -1.0, "step = 3"),
        (0.3, 0.7, "tn.add"),
        (-1.0, 2.0, "base = -2"),
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
def test_multi_threshold(scale: float, bias: float, text: str, rows: int) -> None:
    x, t = samples(2, 3, 4, 5), floats(rows, 5, seed=1)  # not sorted: the meaning is a count
    source = model(node("MultiThreshold", "x t", domain=GENERAL, out_scale=scale, out_bias=bias), {"x": x}, {"t": t})
    assert text in import_model(source).text()
    assert_close(interpreted(source, {"x": x})["y"], multi_threshold(x, t, 1, scale, bias))


@pytest.mark.parametrize("domain", QONNX_DOMAINS)
@pytest.mark.parametrize("layout", ["", "NCHW", "NHWC"])
def test_multi_threshold_layouts(domain: str, layout: str) -> None:
    x, t = samples(2, 3, 4, 3), np.sort(floats(3, 5, seed=1))
    attributes: dict[str, Any] = {"data_layout": layout} if layout else {}
    source = model(node("MultiThreshold", "x t", domain=domain, out_dtype="UINT4", **attributes), {"x": x}, {"t": t})
    axis = 3 if layout == "NHWC" else 1
    assert_close(interpreted(source, {"x": x})["y"], multi_threshold(x, t, axis, 1.0, 0.0))


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3)])
def test_multi_threshold_of_other_ranks(shape: tuple[int, ...]) -> None:
    """With three axes and no layout qonnx takes the last one for channels; three rows of thresholds fit only there."""
    x, t = samples(*shape), np.sort(floats(3, 5, seed=1))
    source = model(node("MultiThreshold", "x t", domain=GENERAL), {"x": x}, {"t": t})
    axis = 1 if len(shape) == 2 else 2
    assert_close(interpreted(source, {"x": x})["y"], multi_threshold(x, t, axis, 1.0, 0.0))


def test_multi_threshold_refuses() -> None:
    x = samples(2, 3)
    for t, attributes, message in (
        (floats(2, 5), {}, "2 rows of thresholds do not fit axis 1"),
        (floats(5), {}, "expected thresholds of shape"),
        (floats(1, 5), {"out_scale": 0.0}, "out_scale 0.0"),
    ):
        with pytest.raises(ModelError, match=message):
            import_model(model(node("MultiThreshold", "x t", domain=GENERAL, **attributes), {"x": x}, {"t": t}))


def test_channels_last() -> None:
    """Conv, BatchNormalization and MaxPool of the domain qonnx.custom_op.channels_last on [N, H, W, C]."""
    domain = "qonnx.custom_op.channels_last"
    x, w = floats(1, 6, 7, 3), floats(4, 3, 3, 3, seed=1)
    names = ("scale", "bias", "mean")
    constants = {"w": w, **{n: floats(4, seed=i) for i, n in enumerate(names)}, "var": np.ones(4, F32)}
    last = [
        node("Conv", "x w", "c", domain=domain),
        node("BatchNormalization", "c scale bias mean var", "b", domain=domain),
        node("MaxPool", "b", domain=domain, kernel_shape=[2, 2]),
    ]
    first = [node(n.op_type, " ".join(n.input), " ".join(n.output)) for n in last]
    first[2].attribute.extend(last[2].attribute)
    want = interpreted(
        model(first, {"x": x.transpose(0, 3, 1, 2)}, {**constants, "w": w.transpose(0, 3, 1, 2)}),
        {"x": x.transpose(0, 3, 1, 2)},
    )["y"]
    assert_close(interpreted(model(last, {"x": x}, constants), {"x": x})["y"], want.transpose(0, 2, 3, 1))
