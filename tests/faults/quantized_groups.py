"""Models of quantized operators in all their forms, in groups that are compiled together."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from .quantized_cases import F32, I8, U8, Case, every, floats, integers, ms, node, scale, triples, zero

X = floats(2, 3, 4, scale=20)
IMAGE = {d: integers(d, 2, 3, 7, 6) for d in (U8, I8)}
MAP = {d: integers(d, 2, 7, 6, 3) for d in (U8, I8)}  # channels last


def _qdq(dtype: type, **attributes: int) -> Case:
    constants = {"s": scale(0.37), "z": zero(dtype, 5)}
    nodes = [ms("QuantizeLinear", "x s z", "q", **attributes), ms("DequantizeLinear", "q s z", **attributes)]
    return Case(nodes, {"x": X}, constants)


FOREIGN_QDQ = {
    "int8": _qdq(I8),
    "int16": _qdq(np.int16),
    "no_zero": Case([ms("QuantizeLinear", "x s", "q"), ms("DequantizeLinear", "q s")], {"x": X}, {"s": scale([0.4])}),
    "axis": Case(
        [ms("QuantizeLinear", "x s z", "q", axis=1), ms("DequantizeLinear", "q s z", axis=1)],
        {"x": X},
        {"s": scale([0.1, 0.5, 2]), "z": zero(np.uint16, [0, 5, -9])},
    ),
    "int4": Case(
        [ms("QuantizeLinear", "x s z", "q"), ms("DequantizeLinear", "q s z")],
        {"x": X},
        {"s": scale(3.3), "z": np.array(2).astype(ml_dtypes.int4)},
    ),
    "bias": Case(
        [ms("DequantizeLinear", "b s", "f"), node("Add", "x f")],
        {"x": X},
        {"b": integers(np.int32, 4, most=1000), "s": scale(0.01)},
    ),
}

POOL = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
XY = {d: triples(d, x=(0.113, 3), y=(0.0717, -9)) for d in (U8, I8)}

QLINEAR = {
    "add_int8": Case(
        ms("QLinearAdd", "a as az b bs bz ys yz"),
        {"a": IMAGE[I8], "b": integers(I8, 2, 3, 7, 6, seed=1)},
        triples(I8, a=(0.3, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": I8},
    ),
    "add_broadcast": Case(
        ms("QLinearAdd", "a as az b bs bz ys yz"),
        {"a": IMAGE[U8]},
        {"b": integers(U8, 3, 1, 1, seed=1)} | triples(U8, a=(0.3, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": U8},
    ),
    "mul_uint8": Case(
        ms("QLinearMul", "a as az b bs bz ys yz"),
        {"a": IMAGE[U8], "b": integers(U8, 2, 3, 1, 1, seed=1)},
        triples(U8, a=(0.3, 4), b=(0.17, -7), y=(2.41, 11)),
        {"y": U8},
    ),
    "mul_itself": Case(
        ms("QLinearMul", "a as az a as az ys yz"), {"a": IMAGE[I8]}, triples(I8, a=(0.3, 4), y=(3.3, -60)), {"y": I8}
    ),
    "pool": Case(ms("QLinearAveragePool", "x xs xz ys yz", **POOL), {"x": IMAGE[U8]}, XY[U8], {"y": U8}),
    "pool_padded": Case(
        ms("QLinearAveragePool", "x xs xz ys yz", count_include_pad=1, **POOL), {"x": IMAGE[I8]}, XY[I8], {"y": I8}
    ),
    "pool_ceil": Case(
        ms("QLinearAveragePool", "x xs xz ys yz", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
        {"x": IMAGE[U8]},
        XY[U8],
        {"y": U8},
    ),
    "pool_last": Case(
        ms("QLinearAveragePool", "x xs xz ys yz", channels_last=1, **POOL), {"x": MAP[U8]}, XY[U8], {"y": U8}
    ),
    "global": Case(ms("QLinearGlobalAveragePool", "x xs xz ys yz"), {"x": IMAGE[I8]}, XY[I8], {"y": I8}),
    "global_last": Case(
        ms("QLinearGlobalAveragePool", "x xs xz ys yz", channels_last=1), {"x": MAP[U8]}, XY[U8], {"y": U8}
    ),
    "concat": Case(
        ms("QLinearConcat", "ys yz a as az b bs bz c ys yz", axis=-1),
        {"a": integers(U8, 2, 3, seed=1), "b": integers(U8, 2, 1, seed=2), "c": integers(U8, 2, 2, seed=3)},
        triples(U8, a=(0.3, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": U8},
    ),
    "concat_one_tensor": Case(
        ms("QLinearConcat", "ys yz a as az a bs bz", axis=0),
        {"a": integers(I8, 2, 3)},
        triples(I8, a=(0.3, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": I8},
    ),
    "leaky_relu": Case(ms("QLinearLeakyRelu", "x xs xz ys yz", alpha=0.3), {"x": every(I8)}, XY[I8], {"y": I8}),
    "leaky_relu_default": Case(ms("QLinearLeakyRelu", "x xs xz ys yz"), {"x": every(U8)}, XY[U8], {"y": U8}),
    "sigmoid": Case(
        ms("QLinearSigmoid", "x xs xz ys yz"), {"x": every(U8)}, triples(U8, x=(0.11, 3), y=(1 / 256, -128)), {"y": U8}
    ),
    "sigmoid_int8": Case(
        ms("QLinearSigmoid", "x xs xz ys yz"), {"x": every(I8)}, triples(I8, x=(0.06, 2), y=(1 / 128, 0)), {"y": I8}
    ),
    "gemm_float": Case(
        ms("QGemm", "a as az b bs bz", alpha=0.7),
        {"a": integers(U8, 4, 9)},
        {"b": integers(I8, 9, 5, most=64)} | triples(U8, a=(0.1, 4)) | triples(I8, b=(0.03, 2)),
    ),
    "gemm_columns": Case(
        ms("QGemm", "a as az b bs bz c ys yz", transA=1, transB=1),
        {"a": integers(U8, 9, 4)},
        {
            "b": integers(I8, 5, 9, most=64), "bs": scale([0.1, 0.2, 0.3, 0.02, 0.01]),
            "bz": zero(I8, [0, 1, 2, 3, -9]),
            "c": integers(np.int32, 5, most=999),
        } | triples(U8, a=(0.1, 4), y=(3.1, -3)),
        {"y": U8},
    ),
    "gemm_matrix_bias": Case(
        ms("QGemm", "a as az b bs bz c ys yz"),
        {"a": integers(I8, 4, 9, most=64), "b": integers(I8, 9, 5, most=64)},
        {"c": integers(np.int32, 4, 1, most=999)} | triples(I8, a=(0.1, 4), b=(0.03, 2), y=(0.8, -3)),
        {"y": I8},
    ),
    "conv_last": Case(
        ms("QLinearConv", "x xs xz w ws wz ys yz b", channels_last=1, pads=[1, 1, 1, 1], strides=[2, 1]),
        {"x": MAP[U8]},
        {
            "w": integers(I8, 4, 3, 3, 3, most=64), "ws": scale([0.1, 0.2, 0.3, 0.02]), "wz": zero(I8, [0] * 4),
            "b": integers(np.int32, 4, most=999),
        } | triples(U8, x=(0.1, 4), y=(4.1, -3)),
        {"y": U8},
    ),
    "where": Case(
        ms("QLinearWhere", "k a as az b bs bz ys yz"),
        {"k": integers(U8, 2, 3, 1, 1, most=1) > 0, "a": IMAGE[U8]},
        {"b": integers(U8, 3, 1, 1, seed=1)} | triples(U8, a=(0.3, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": U8},
    ),
    "max_pool_last": Case(ms("NhwcMaxPool", "x", **POOL), {"x": MAP[I8]}, {}, {"y": I8}),
    "to_float": Case(
        ms("MatMulIntegerToFloat", "a b as bs az bz c"),
        {"a": integers(U8, 2, 4, 9)},
        {
            "b": integers(I8, 9, 5, most=64), "bs": scale([0.1, 0.2, 0.3, 0.02, 0.01]),
            "bz": zero(I8, [0, 1, 2, 3, -9]),
            "c": floats(5),
        } | triples(U8, a=(0.1, 4)),
    ),
    "to_float_plain": Case(
        ms("MatMulIntegerToFloat", "a b as bs"),
        {"a": integers(U8, 4, 9)},
        {"b": integers(U8, 9, 5), "as": scale(0.1), "bs": scale(0.3)},
    ),
}  # fmt: skip

PRODUCT = [
    node("DynamicQuantizeLinear", "x", "q s z"),
    node("MatMulInteger", "q w z wz", "i"),
    node("Cast", "i", "c", to=1),
    node("Mul", "s ws", "sw"),
    node("Mul", "c sw"),
]
CONVOLUTION = [
    node("DynamicQuantizeLinear", "x", "q s z"),
    node("ConvInteger", "q w z wz", "i", pads=[1, 1, 0, 2], strides=[1, 2]),
    node("Cast", "i", "c", to=1),
    node("Mul", "s ws", "sw"),
    node("Mul", "c sw", "m"),
    node("Add", "m b"),
]
COLUMNS = {"w": integers(I8, 4, 5, most=64), "wz": zero(I8, [0] * 5), "ws": scale([0.1, 0.2, 0.3, 0.02, 0.01])}
KERNELS = {"w": integers(U8, 4, 3, 3, 3), "wz": zero(U8, 3), "ws": scale(0.02), "b": floats(1, 4, 1, 1)}
DQL = node("DynamicQuantizeLinear", "x", "y s z")
DQL_OUTPUTS = {"y": U8, "s": F32, "z": U8}

DYNAMIC = {
    "matmul": Case(PRODUCT, {"x": X}, {"w": integers(I8, 4, 5, most=64), "wz": zero(I8, 0), "ws": scale(0.02)}),
    "matmul_columns": Case(PRODUCT, {"x": X}, COLUMNS),
    "conv": Case(CONVOLUTION, {"x": floats(2, 3, 5, 6)}, KERNELS),
    "fused": Case(ms("DynamicQuantizeMatMul", "x w ws wz b"), {"x": X}, COLUMNS | {"b": floats(5)}),
    "fused_plain": Case(
        ms("DynamicQuantizeMatMul", "x w ws"), {"x": X}, {"w": integers(U8, 4, 5, most=64), "ws": scale(0.02)}
    ),
    "shared": Case(
        [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "d"), node("Sub", "x d")],
        {"x": X},
        {},
    ),
}
EXTREMES = {
    "outputs": Case(DQL, {"x": X}, {}, DQL_OUTPUTS),
    "zeros": Case(DQL, {"x": np.zeros((2, 3), F32)}, {}, DQL_OUTPUTS),
    "positive": Case(DQL, {"x": np.abs(X) + 3}, {}, DQL_OUTPUTS),
    "negative": Case(DQL, {"x": -np.abs(X) - 3}, {}, DQL_OUTPUTS),
    "vector": Case(DQL, {"x": floats(9)}, {}, DQL_OUTPUTS),
    "one": Case(DQL, {"x": np.array([[-0.3]], F32)}, {}, DQL_OUTPUTS),
}

WEIGHT = {"w": integers(I8, 4, 3, 3, 3), "b": integers(np.int32, 4, most=200)}
SCALED = {"ws": scale([0.01, 0, 0.02, 0]), "bs": scale([0.001, 0, 0.002, 0])}
FLOAT_CONV = [
    node("DequantizeLinear", "w ws", "wf", axis=0),
    node("DequantizeLinear", "b bs", "bf", axis=0),
    node("Conv", "xq wf bf", "c"),
]


def _between_quantizers(bits: str, ws: np.ndarray, activation: str = "Relu") -> Case:
    """An 8-bit convolution between quantizers, its result of `bits`."""
    zero_point = np.array(0).astype(getattr(ml_dtypes, bits) if bits.endswith("4") else bits)
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"), node("DequantizeLinear", "q xs xz", "xq"), *FLOAT_CONV,
        node(activation, "c", "r"),
        node("QuantizeLinear", "r ys yz", "yq"), node("DequantizeLinear", "yq ys yz"),
    ]  # fmt: skip
    constants = {**WEIGHT, "bs": scale(0.003), "ws": ws, "ys": scale(0.11), "yz": zero_point} | triples(U8, x=(0.1, 3))
    return Case(nodes, {"x": floats(2, 3, 5, 5, scale=4)}, constants)


ODD_SCALES = {
    "float_conv": Case(FLOAT_CONV, {"xq": floats(2, 3, 5, 5)}, {**WEIGHT, **SCALED}, {"c": F32}),
    "between_8_bits": _between_quantizers("uint8", scale([0.01, 0, 0.02, 0])),
    "between_4_bits": _between_quantizers("uint4", scale([0.01, 0, 0.02, 0])),
    "all_zero": _between_quantizers("int4", scale(0), "Tanh"),
    "negative_8_bits": _between_quantizers("int8", scale([0.01, -0.01, 0.02, -0.02])),
    "negative_4_bits": _between_quantizers("int4", scale([0.01, -0.01, 0.02, 0]), "LeakyRelu"),
    "qlinear_conv": Case(
        node("QLinearConv", "x xs xz w ws wz ys yz b", pads=[1, 1, 1, 1]),
        {"x": IMAGE[U8]},
        {**WEIGHT, "ws": SCALED["ws"], "wz": zero(I8, [0] * 4)} | triples(U8, x=(0.1, 3), y=(0.4, -7)),
        {"y": U8},
    ),
    "qlinear_matmul": Case(
        node("QLinearMatMul", "x xs xz w ws wz ys yz"),
        {"x": integers(U8, 3, 4)},
        {**COLUMNS, "ws": scale([0.1, 0, 0.2, 0, 0.1])} | {"wz": zero(I8, [0, 3, 1, 0, 2])}
        | triples(U8, x=(0.1, 3), y=(0.4, -7)),
        {"y": U8},
    ),
    "gemm_column": Case(
        ms("QGemm", "x xs xz w ws wz - ys yz"),
        {"x": integers(U8, 3, 4)},
        {**COLUMNS, "ws": scale([0.1, 0, 0.2, 0, 0.1])} | triples(U8, x=(0.1, 3), y=(0.4, -7)),
        {"y": U8},
    ),
    "operand": Case(
        ms("QLinearAdd", "a as az b bs bz ys yz"),
        {"a": IMAGE[I8], "b": integers(I8, 2, 3, 7, 6, seed=1)},
        triples(I8, a=(0, 4), b=(0.17, -7), y=(0.41, 11)),
        {"y": I8},
    ),
    "runtime": Case(
        node("DequantizeLinear", "q s z", axis=1),
        {"q": IMAGE[I8], "s": scale([0.1, 0, 0.2])},
        {"z": zero(I8, [1, 2, 3])},
    ),
}  # fmt: skip

GROUPS = {"foreign": FOREIGN_QDQ, "qlinear": QLINEAR, "dynamic": DYNAMIC, "extremes": EXTREMES, "scales": ODD_SCALES}
