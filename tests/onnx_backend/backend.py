"""tercet as a backend of `onnx.backend.test`.

A node test feeds everything at run time, shapes and axes too: Reshape's `shape`, Slice's `starts`, Clip's `min`. In a
model that tercet compiles these are constants, as in every exported network. So a model is imported only when its
inputs are known, and the inputs that an operator needs as constants (`CONSTANT_INPUTS`) become initializers that hold
the test's own data. All other inputs stay inputs of the program.

The ports of a program hold 4- and 2-bit integers in int8 and uint8, as numpy has no smaller ones; the harness converts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from tercet.backends.reference import run
from tercet.frontend.onnx import import_model

CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "ConstantOfShape": (0,),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "Pow": (1,),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    **{f"Reduce{of}": (1,) for of in "L1 L2 LogSum LogSumExp Max Mean Min Sum SumSquare".split()},  # noqa: SIM905
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
"""For each operator the indices of the inputs that must be constant: shapes, axes, counts, bounds, scales."""


class Interpreted(Backend):
    """The reference interpreter on the imported program."""

    constant_inputs: ClassVar[Mapping[str, tuple[int, ...]]] = CONSTANT_INPUTS

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        return Prepared(cls, model)

    @classmethod
    def compute(cls, model: ModelProto, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The outputs of a model by name. Raises whatever the importer and the interpreter raise."""
        return run(import_model(model), feeds)


class Compiled(Interpreted):
    """The compiled artifact. Weights are constants too: kernels are generated for them."""

    constant_inputs: ClassVar[Mapping[str, tuple[int, ...]]] = {
        **CONSTANT_INPUTS,
        "BatchNormalization": (1, 2, 3, 4),
        "Conv": (1, 2),
        "ConvInteger": (1, 2, 3),
        "Gemm": (1, 2),
        "MatMulInteger": (1, 2, 3),
        "PRelu": (1,),
        "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
        "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    }

    @classmethod
    def compute(cls, model: ModelProto, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        import tercet  # late: the interpreter's tests need no C backend

        with tempfile.TemporaryDirectory() as folder:
            artifact = Path(folder) / "model.tercet"
            tercet.compile(model, artifact)
            with tercet.load(artifact) as loaded:
                return loaded.run(dict(feeds))


class Prepared(BackendRep):
    """A model that waits for its inputs."""

    def __init__(self, backend: type[Interpreted], model: ModelProto) -> None:
        self.backend, self.model = backend, model

    def run(self, inputs: Sequence[np.ndarray], **kwargs: Any) -> tuple[np.ndarray, ...]:
        """The outputs in the model's order, for an array for each input in the model's order."""
        given = {i.name for i in self.model.graph.initializer}
        names = [i.name for i in self.model.graph.input if i.name not in given]
        model, feeds = with_constants(self.model, dict(zip(names, inputs, strict=True)), self.backend.constant_inputs)
        outputs = self.backend.compute(model, {name: np.asarray(a, _held(a.dtype)) for name, a in feeds.items()})
        return tuple(_as_declared(outputs[output.name], output) for output in model.graph.output)


_HELD = {name: np.dtype(name.rstrip("42") + "8") for name in ("int4", "int2", "uint4", "uint2")}


def _held(dtype: np.dtype) -> np.dtype:
    """The dtype that a port has for a tensor of this one."""
    return _HELD.get(dtype.name, dtype)


def _as_declared(array: np.ndarray, output: ValueInfoProto) -> np.ndarray:
    """A 4- or 2-bit output in the dtype that the model declares; all others as they are."""
    declared = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    if array.dtype != _held(declared) or declared == array.dtype:
        return array
    narrow = array.astype(declared)
    np.testing.assert_array_equal(narrow.astype(array.dtype), array)
    return narrow


def with_constants(
    model: ModelProto, feeds: dict[str, np.ndarray], indices: Mapping[str, tuple[int, ...]]
) -> tuple[ModelProto, dict[str, np.ndarray]]:
    """The model with the inputs at these indices of its nodes turned into initializers, and the feeds that remain."""
    constant = {name for node in model.graph.node for name in _inputs_at(node, indices.get(node.op_type, ()))}
    constant &= set(feeds)
    changed = ModelProto()
    changed.CopyFrom(model)
    del changed.graph.input[:]
    changed.graph.input.extend(i for i in model.graph.input if i.name not in constant)
    changed.graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in sorted(constant))
    return changed, {name: array for name, array in feeds.items() if name not in constant}


def _inputs_at(node: NodeProto, indices: Sequence[int]) -> list[str]:
    return [node.input[i] for i in indices if i < len(node.input) and node.input[i]]
