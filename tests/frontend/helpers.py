"""Small ONNX models, and their outputs by tercet's interpreter and by onnxruntime with optimisation off."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from tercet.backends.reference.interpreter import run
from tercet.frontend.onnx import import_model
from tercet.ir.program import Program
from tercet.runtime.check.ort import open_session

Arrays = Mapping[str, np.ndarray]


def node(
    op_type: str, inputs: Sequence[str] | str, outputs: Sequence[str] | str = "y", /, **attributes: Any
) -> NodeProto:
    """Inputs and outputs as lists or as words of one string; "-" is one that is left out."""
    names = [v.split() if isinstance(v, str) else list(v) for v in (inputs, outputs)]
    read, write = ([("" if n == "-" else n) for n in part] for part in names)
    return helper.make_node(op_type, read, write, **attributes)


def model(
    nodes: Sequence[NodeProto] | NodeProto,
    feeds: Arrays,
    constants: Arrays | None = None,
    *,
    outputs: Mapping[str, Any] | None = None,
    opset: int = 17,
    domains: Sequence[str] = (),
    symbolic: bool = False,
) -> ModelProto:
    """A model whose inputs have the shapes and dtypes of `feeds`; outputs: name -> dtype, y float32 by default."""
    nodes = [nodes] if isinstance(nodes, NodeProto) else list(nodes)
    ports = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(a.dtype), ["N", *a.shape[1:]] if symbolic else a.shape
        )
        for name, a in feeds.items()
    ]
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
        for name, dtype in (outputs or {"y": np.float32}).items()
    ]
    initializers = [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", ports, results, initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=13 if opset > 22 else 10 if opset > 18 else 8)


def interpreted(source: ModelProto | Program, feeds: Arrays, **options: Any) -> dict[str, np.ndarray]:
    """The outputs of the imported program, which is verified and sent through its text first."""
    program = import_model(source, **options) if isinstance(source, ModelProto) else source
    program.verify()
    text = program.text()
    again = Program.parse(text, program.weights)
    assert again.text() == text
    return run(again, feeds)


def onnxruntime(source: ModelProto | str, feeds: Arrays) -> dict[str, np.ndarray]:
    return {name: np.asarray(y) for name, y in open_session(source, optimize=False).run(feeds).items()}


def assert_close(have: np.ndarray, want: np.ndarray, *, relative: float = 1e-5) -> None:
    """Equal shape and dtype; integers equal, floats within `relative` of the largest."""
    assert have.shape == want.shape
    assert have.dtype == want.dtype
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(have, want)
    else:
        np.testing.assert_allclose(have, want, rtol=relative, atol=relative * float(np.abs(want).max(initial=0)))


def assert_like_onnxruntime(source: ModelProto, feeds: Arrays) -> dict[str, np.ndarray]:
    have, want = interpreted(source, feeds), onnxruntime(source, feeds)
    assert list(have) == list(want)
    for name, array in want.items():
        assert_close(have[name], array)
    return have


def floats(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * scale, np.float32)


def integers(lo: int, hi: int, *shape: int, dtype: Any = np.int64, seed: int = 0) -> np.ndarray:
    """Uniform in lo..hi, both included."""
    return np.asarray(np.random.default_rng(seed).integers(lo, hi, shape, endpoint=True), dtype)
