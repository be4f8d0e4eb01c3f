"""Evaluates the constant subgraphs that exporters leave: shapes, bit widths, formulas on latent weights.

With the reference implementation of the onnx package; the size of every result is bounded before it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from onnx import helper

from ...ir.errors import ModelError
from ..values import Value
from .node import Node
from .tensors import dtype_of

FOLD_LIMIT = 2**26
"""The largest number of elements that folding one node may produce."""
FOLD_TOTAL = 2**32
"""The largest number of bytes that folding may produce in one model."""

SLOW_LIMIT = 2**20
"""The same for operators that the onnx package computes element by element in Python."""
WORK_LIMIT = 2**32
"""The largest number of multiplications of one product."""

_ELEMENTWISE = (
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd", "BitwiseNot",
    "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf",
    "Exp", "EyeLike", "Floor", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf",
    "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or",
    "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
)  # fmt: skip
_SHRINKING = (
    "ArgMax", "ArgMin", "Compress", "CumSum", "DepthToSpace", "Det", "Flatten", "GlobalAveragePool", "GlobalMaxPool",
    "Hardmax", "LayerNormalization", "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Reshape", "ScatterElements", "ScatterND", "Shape", "Size", "Slice", "Softmax", "SpaceToDepth",
    "Split", "Squeeze", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze",
)  # fmt: skip
_SLOW = frozenset(("Erf", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Unique"))


def _largest(node: Node, arrays: Sequence[np.ndarray]) -> int:
    return max(a.size for a in arrays)


def _broadcast(node: Node, arrays: Sequence[np.ndarray]) -> int:
    # Clip's bounds and CastLike's target are scalars or do not broadcast; they only make the bound larger.
    return prod(np.broadcast_shapes(*(a.shape for a in arrays)))


def _gather(node: Node, arrays: Sequence[np.ndarray]) -> int:
    data, indices = arrays
    axis = node.int("axis", 0)
    return data.size // max(data.shape[axis], 1) * indices.size


def _range(node: Node, arrays: Sequence[np.ndarray]) -> int:
    start, limit, delta = (float(a.reshape(())) for a in arrays)
    if not delta:
        raise node.error("delta is zero")
    return max(int((limit - start) / delta) + 1, 0)


def _product(node: Node, arrays: Sequence[np.ndarray]) -> int:
    """At least the elements of a matrix product; more where its multiplications would take long."""
    a, b = arrays[0], arrays[1]
    terms = max(a.shape[0 if node.op_type == "Gemm" and node.int("transA", 0) else -1], 1)
    elements = (a.size // terms) * (b.size // terms)
    return max(elements, elements * terms // (WORK_LIMIT // FOLD_LIMIT))


def _gathered(node: Node, arrays: Sequence[np.ndarray]) -> int:
    data, indices = arrays
    return indices.size if node.op_type == "GatherElements" else indices.size * max(data.size, 1)


def _one_hot(node: Node, arrays: Sequence[np.ndarray]) -> int:
    return arrays[0].size * max(int(arrays[1].reshape(())), 0)


def _padded(node: Node, arrays: Sequence[np.ndarray]) -> int:
    pads = [int(v) for v in (arrays[1].reshape(-1) if len(arrays) > 1 else node.ints("pads"))]
    grown = max(0, *pads) * 2 if pads else 0
    return prod(d + grown for d in arrays[0].shape)


_SIZES: dict[str, Callable[[Node, Sequence[np.ndarray]], int]] = {
    **dict.fromkeys(_ELEMENTWISE, _broadcast),
    "CastLike": _largest,
    **dict.fromkeys(_SHRINKING, _largest),
    "Concat": lambda node, arrays: sum(a.size for a in arrays),
    "ConstantOfShape": lambda node, arrays: prod(int(d) for d in arrays[0].reshape(-1)),
    "Expand": lambda node, arrays: prod(np.broadcast_shapes(arrays[0].shape, tuple(int(d) for d in arrays[1]))),
    "Gather": _gather,
    **dict.fromkeys(("GatherElements", "GatherND"), _gathered),
    **dict.fromkeys(("Gemm", "MatMul"), _product),
    "NonZero": lambda node, arrays: arrays[0].size * max(arrays[0].ndim, 1),
    "OneHot": _one_hot,
    "Pad": _padded,
    "Range": _range,
    "Tile": lambda node, arrays: arrays[0].size * prod(int(d) for d in arrays[1].reshape(-1)),
}
"""Standard operators without randomness or nested graphs -> the largest number of elements that they may produce."""
_KEPT = ("QuantizeLinear", "DequantizeLinear")
"""These are computed only where that is asked for: the passes look for their integers and scales."""
_SIZES.update(dict.fromkeys(_KEPT, _largest))


def is_evaluable(node: Node) -> bool:
    """True for a standard operator that `fold` computes."""
    return node.domain == "" and node.op_type in _SIZES and not node.nested


def can_fold(node: Node, values: Sequence[Value | None]) -> bool:
    """True for such an operator with at least one input, all of them constant, whose result is best a constant."""
    listed = is_evaluable(node) and node.op_type not in _KEPT
    return listed and any(values) and all(v is None or v.is_constant for v in values)


def fold(node: Node, values: Sequence[Value | None]) -> list[Value]:
    """The constant results. Raises ModelError where the operator refuses its inputs or the result is too large."""
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Cast":
        dtype_of(node.int("to"), where=node.label)  # text would take many times the memory
    arrays = [v.array for v in values if v is not None and v.array is not None]
    try:
        with np.errstate(all="ignore"):
            size = _SIZES[node.op_type](node, arrays)
            limit = SLOW_LIMIT if node.op_type in _SLOW else FOLD_LIMIT
            if size > limit:
                raise node.error(f"its constant result would have {size} elements", hint=f"the limit is {limit}")
            inputs = [name for name in dict.fromkeys(node.inputs) if name]
            outputs = [name for name in node.outputs if name]
            # the onnx package has no older DequantizeLinear
            opset = max(node.opset, 19) if node.op_type in _KEPT else node.opset
            opsets = [helper.make_opsetid("", opset)]
            function = helper.make_function("tercet", "fold", inputs, outputs, [node.proto], opsets)
            feeds = {name: v.array for name, v in zip(node.inputs, values, strict=True) if v is not None}
            results = ReferenceEvaluator(function).run(None, feeds, attributes={})
    except ModelError:
        raise
    except Exception as error:  # the reference raises whatever numpy does
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise node.error(f"cannot be computed from its constant inputs: {reason}") from error
    assert isinstance(results, list)
    return [Value.constant(name, np.asarray(result)) for name, result in zip(outputs, results, strict=True)]
