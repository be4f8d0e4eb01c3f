"""The ONNX graph under construction, and how it holds the tensors of a program.

Floats are float32. Integers whose range float32 holds exactly are float32 too: onnxruntime has fast kernels of every
operator for those, and each form makes sure that no sum on the way leaves the exact range. All others are int64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from xdsl.ir import SSAValue

from ...ir.program import Program
from ...ir.types import Element, element_of, is_float, range_of, tensor_of

OPSET = 20
EXACT = 1 << 24
"""Float32 holds every integer up to this magnitude."""
EXACT_DOUBLE = 1 << 53
FLOAT, DOUBLE, INT64, BOOL = (np.dtype(t) for t in ("float32", "float64", "int64", "bool"))


@dataclass(frozen=True)
class Tensor:
    """A tensor of the ONNX graph: its name and the dtype that holds it."""

    name: str
    dtype: np.dtype


Operand = Tensor | np.ndarray
"""Arrays become initializers."""


def largest(element: Element) -> int:
    """The largest magnitude of an integer element."""
    return max(map(abs, range_of(element)))


def holds(value: SSAValue) -> np.dtype:
    """The dtype in which the graph holds a value of the program."""
    return FLOAT if is_float(tensor_of(value)) or largest(element_of(value)) <= EXACT else INT64


class Graph:
    """Nodes and initializers. `node`: the name of the source node whose form is being written, for new names."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.node = "constant"
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.domains = {"": OPSET}
        self.quantized: dict[str, Any] = {}  # of tensors by name, what a dialect's quantize leaves for its dequantize
        self._names: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """The name itself, or with a number where it is taken."""
        self._names[name] += 1
        count = self._names[name]
        return name if count == 1 else self.unique(f"{name}.{count - 1}")

    def op(self, kind: str, *operands: Operand | None, dtype: np.dtype | None = None, **attributes: Any) -> Tensor:
        """One node with one result, of the first operand's dtype unless told. None leaves an operand out."""
        return self.ops(kind, *operands, dtypes=(dtype,), **attributes)[0]

    def ops(
        self, kind: str, *operands: Operand | None, dtypes: Sequence[np.dtype | None], **attributes: Any
    ) -> list[Tensor]:
        """One node; dtypes: of its results, None for the first operand's."""
        given = [v if v is None or isinstance(v, Tensor) else self.constant(np.asarray(v)) for v in operands]
        first = next(v for v in given if v is not None).dtype
        name = self.unique(self.node)
        if (domain := attributes.get("domain", "")) not in self.domains:
            self.domains[domain] = 1
        results = [Tensor(self.unique(f"{name}:{i}"), dtype or first) for i, dtype in enumerate(dtypes)]
        inputs = ["" if v is None else v.name for v in given]
        while not inputs[-1]:  # onnxruntime's fusions take no empty name for what is left out
            inputs.pop()
        self.nodes.append(helper.make_node(kind, inputs, [r.name for r in results], name=name, **attributes))
        return results

    def integers(self, array: np.ndarray, kind: int, name: str = "") -> Tensor:
        """An initializer of a small integer type of ONNX, TensorProto.INT4 say."""
        made = Tensor(self.unique(name or f"{self.node}.constant"), helper.tensor_dtype_to_np_dtype(kind))
        self.initializers.append(helper.make_tensor(made.name, kind, array.shape, array.reshape(-1).tolist()))
        return made

    def prune(self, outputs: Collection[str]) -> None:
        """Drops nodes and initializers that nothing reads and that are no outputs."""
        read, kept = set(outputs), list[NodeProto]()
        for node in reversed(self.nodes):
            if read.intersection(node.output):
                kept.append(node)
                read.update(node.input)
        self.nodes = kept[::-1]
        self.initializers = [tensor for tensor in self.initializers if tensor.name in read]

    def constant(self, array: np.ndarray, name: str = "") -> Tensor:
        made = Tensor(self.unique(name or f"{self.node}.constant"), array.dtype)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), made.name))
        return made

    def cast(self, tensor: Tensor, dtype: np.dtype) -> Tensor:
        """Where both dtypes hold the values: a Cast, or nothing."""
        if tensor.dtype == dtype:
            return tensor
        return self.op("Cast", tensor, dtype=dtype, to=helper.np_dtype_to_tensor_dtype(dtype))

    def known(self, value: SSAValue) -> np.ndarray | None:
        """The array of a constant of the program, in the dtype that the graph holds it in."""
        array = self.program.array(value)
        return None if array is None else array.astype(holds(value))

    def together(self, operands: Sequence[Tensor], *values: SSAValue) -> list[Tensor]:
        """Operands in one dtype that also holds all of `values`."""
        wide = INT64 if INT64 in (*(t.dtype for t in operands), *(holds(v) for v in values)) else FLOAT
        return [self.cast(t, wide) for t in operands]


def port(name: str, shape: Sequence[int], dtype: np.dtype, *, batched: bool) -> ValueInfoProto:
    """A port as the model declares it; the leading axis of a batched one is `batch`."""
    sizes: list[int | str] = ["batch", *shape[1:]] if batched else list(shape)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), sizes)
