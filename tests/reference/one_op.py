"""Runs one operation in the interpreter, and one node in onnxruntime, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import settings
from hypothesis import strategies as st
from xdsl.ir import Block

from tercet.backends.reference import evaluate
from tercet.ir.operation import TensorOperation
from tercet.ir.types import Element, SetType, contains, element_of, element_of_array, tensor_of, tensor_type, values_of

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

OPSET = 21

Array: TypeAlias = "np.ndarray | np.generic"


def inside(array: Array) -> np.ndarray:
    return np.asarray(array, np.float32 if array.dtype.kind == "f" else np.int64)


def compute(
    kind: type[TensorOperation], *arrays: Array, result: Element | None = None, **attributes: Any
) -> list[np.ndarray]:
    """The results of one operation. Checks that integers lie in the inferred (or given) result type."""
    block = Block(arg_types=[tensor_type(a.shape, element_of_array(np.asarray(a))) for a in arrays])
    types = None if result is None else [tensor_type(arrays[0].shape, result)]
    op = kind.make_typed(block.args, types, **attributes)
    block.add_op(op)
    op.verify()
    results = evaluate(op, [inside(a) for a in arrays])
    for value, y in zip(op.results, results, strict=True):
        assert y.shape == tensor_of(value).get_shape()
        if y.size:
            element = element_of(value)
            fits = (
                np.isin(y, values_of(element)).all()
                if isinstance(element, SetType)
                else contains(element, element_of_array(y))
            )
            assert fits, (value.type, y.min(), y.max())
    return results


def compute_one(kind: type[TensorOperation], *arrays: Array, **attributes: Any) -> np.ndarray:
    (y,) = compute(kind, *arrays, **attributes)
    return y


def onnx_node(kind: str, *arrays: Array | None, outputs: int = 1, **attributes: Any) -> list[np.ndarray]:
    """The outputs of one ONNX node, by onnxruntime without graph optimisation. None is an absent input."""
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    node = onnx.helper.make_node(kind, names, [f"y{i}" for i in range(outputs)], **attributes)
    feeds = {n: np.asarray(a) for n, a in zip(names, arrays, strict=True) if a is not None}
    inputs = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    results = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = onnx.helper.make_graph([node], "g", inputs, results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return cast(list[np.ndarray], session.run(None, feeds))


def close(have: np.ndarray, want: np.ndarray, *, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    assert have.shape == want.shape
    assert have.dtype == np.float32
    np.testing.assert_allclose(have, want, rtol=rtol, atol=atol)


def equal(have: np.ndarray, want: npt.ArrayLike) -> None:
    assert have.dtype == np.int64
    np.testing.assert_array_equal(have, want, strict=False)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def floats(seed: int, shape: Sequence[int]) -> np.ndarray:
    return rng(seed).standard_normal(shape).astype(np.float32)


def integers(seed: int, shape: Sequence[int], lo: int = -128, hi: int = 127) -> np.ndarray:
    return rng(seed).integers(lo, hi, shape, dtype=np.int64, endpoint=True)


def examples(share: int) -> settings:
    """A share of the examples of hypothesis' profile, which is larger at night."""
    return settings(max_examples=settings().max_examples // share)


seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(0, 5), min_size=0, max_size=4).map(tuple)
full_shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def broadcast_pair(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast: some axes 1, some leading axes missing."""
    whole = draw(st.lists(st.integers(0, 4), max_size=4))
    pair = []
    for _ in range(2):
        kept = [1 if draw(st.booleans()) and draw(st.booleans()) else d for d in whole]
        pair.append(tuple(kept[draw(st.integers(0, len(kept))) :]))
    return pair[0], pair[1]
