"""Small models with quantized operators, beside those of `data/`: onnxruntime with optimisation off has the results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

import numpy as np
import onnx
from onnx import NodeProto, compose, helper, numpy_helper

from tercet.runtime.check.ort import open_session

F32, U8, I8 = np.float32, np.uint8, np.int8
OPSET, IR_VERSION = 21, 10
Arrays = Mapping[str, np.ndarray]


def node(op_type: str, inputs: str, outputs: str = "y", /, *, domain: str = "", **attributes: Any) -> NodeProto:
    """Inputs and outputs as words; "-" is one that is left out."""
    names = ["" if word == "-" else word for word in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), domain=domain, **attributes)


def ms(op_type: str, inputs: str, outputs: str = "y", /, **attributes: Any) -> NodeProto:
    return node(op_type, inputs, outputs, domain="com.microsoft", **attributes)


@dataclass(frozen=True)
class Case:
    """nodes: one or several. outputs: name -> dtype; the only one is y of float32 unless said."""

    nodes: NodeProto | Sequence[NodeProto]
    feeds: Arrays
    constants: Arrays
    outputs: Mapping[str, Any] | None = None

    def model(self, *, symbolic: bool = False) -> onnx.ModelProto:
        """symbolic: the leading axis of the inputs is N."""
        nodes = [self.nodes] if isinstance(self.nodes, NodeProto) else list(self.nodes)
        inputs = [
            helper.make_tensor_value_info(name, _type(a.dtype), ["N", *a.shape[1:]] if symbolic else a.shape)
            for name, a in self.feeds.items()
        ]
        outputs = [
            helper.make_tensor_value_info(name, _type(dtype), None)
            for name, dtype in (self.outputs or {"y": F32}).items()
        ]
        constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in self.constants.items()]
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        graph = helper.make_graph(nodes, "case", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _type(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def bundle(cases: Mapping[str, Case]) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """All cases as one model, and its inputs: many graphs share one compilation."""
    parts = [compose.add_prefix(case.model(), f"{name}.").graph for name, case in cases.items()]
    whole = next(iter(cases.values())).model()
    whole.graph.CopyFrom(helper.make_graph([], "bundle", [], []))
    for part in parts:
        for field in ("node", "input", "output", "initializer"):
            getattr(whole.graph, field).extend(getattr(part, field))
    return whole, {f"{name}.{key}": a for name, case in cases.items() for key, a in case.feeds.items()}


def onnxruntime(model: onnx.ModelProto, feeds: Arrays) -> dict[str, np.ndarray]:
    return {name: np.asarray(y) for name, y in open_session(model, optimize=False).run(feeds).items()}


def floats(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * scale, F32)


def integers(dtype: Any, *shape: int, seed: int = 0, most: int | None = None) -> np.ndarray:
    """Uniform in the range of dtype, or in -most..most."""
    lo, hi = (np.iinfo(dtype).min, np.iinfo(dtype).max) if most is None else (-most, most)
    return np.random.default_rng(seed).integers(lo, hi, shape, endpoint=True).astype(dtype)


def every(dtype: Any) -> np.ndarray:
    """All values of 8 bits, [4, 64]."""
    return np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype).reshape(4, 64)


def scale(value: float | Sequence[Any]) -> np.ndarray:
    return np.array(value, F32)


def zero(dtype: Any, value: int | Sequence[int]) -> np.ndarray:
    """A zero point; counted from the middle of dtype's range."""
    middle = (int(np.iinfo(dtype).min) + int(np.iinfo(dtype).max) + 1) // 2
    return (np.array(value, np.int64) + middle).astype(dtype)


def triples(dtype: Any, **scales: tuple[float, int]) -> dict[str, np.ndarray]:
    """`x=(0.1, 3)` as the constants xs and xz."""
    made = {}
    for name, (size, offset) in scales.items():
        made |= {f"{name}s": scale(size), f"{name}z": zero(dtype, offset)}
    return made
