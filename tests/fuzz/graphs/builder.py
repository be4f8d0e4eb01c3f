"""An ONNX graph that grows node by node, with the shape, the dtype and a rough size of every value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

FLOAT, INT64, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)
INT4, UINT4, INT2, UINT2 = (np.dtype(t) for t in (ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2))
RANGES = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535), "int4": (-8, 7),
    "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3), "bool": (0, 1), "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip
MOST_ELEMENTS = 4000
"""No value is larger: many small networks find more than few large ones."""

STYLES = (
    "{hint}{n}", "{hint}{n}", "{hint}{n}", "/block.{n}/{hint}/{hint}_output_0", "{hint}:{n}", "{n}", "größe {n}",
    "int{n}", "{hint}" + "_long" * 30 + "{n}", "%{n} \"{hint}\"", "a{n}*/ b", "k0{n}_x", "\N{SNOWMAN}{n}",
)  # fmt: skip
"""How values are named: as exporters do, and in ways that a C file, MLIR or a comment does not like."""

T = TypeVar("T")


class Stuck(Exception):
    """A rule finds no legal form here; what it added is taken back."""


@dataclass(frozen=True)
class Value:
    """size: about the largest magnitude. made_by: the operator, `input` or `constant`. sample: depends on an input."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    size: float = 1.0
    made_by: str = "input"
    sample: bool = True

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype == FLOAT


@dataclass
class Graph:
    """batched: the leading axis (of size 1 here) is symbolic. exact: every constant is a small multiple of a power of
    two, so that float32 sums are exact in any order."""

    rng: np.random.Generator
    opset: int
    batched: bool = False
    exact: bool = False
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    info: dict[str, Value] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0
    style: str = "{hint}{n}"

    # -- chance ---------------------------------------------------------------------------------------------------

    def pick(self, options: Sequence[T]) -> T:
        if not options:
            raise Stuck
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def integer(self, lo: int, hi: int) -> int:
        """From lo to hi, both included."""
        return int(self.rng.integers(lo, hi + 1))

    def need(self, fine: bool) -> None:
        if not fine:
            raise Stuck

    # -- values ---------------------------------------------------------------------------------------------------

    def name(self, hint: str) -> str:
        self.count += 1
        return self.style.format(hint=hint, n=self.count)

    def input(self, shape: Sequence[int], dtype: np.dtype, size: float) -> Value:
        value = Value(self.name("x"), tuple(shape), dtype, size)
        self.inputs.append(value)
        self.values.append(value)
        self.info[value.name] = value
        return value

    def constant(self, array: np.ndarray | np.generic | Sequence[Any] | float | int, dtype: Any = None) -> Value:
        """A constant: an initializer, now and then a Constant node. The same array may be shared or be there twice."""
        array = np.asarray(array, dtype)
        value = Value("", array.shape, array.dtype, _size(array), "constant", sample=False)
        if self.chance(0.5):
            for name, other in self.constants.items():
                if other.dtype == array.dtype and other.shape == array.shape and _same(other, array):
                    return replace(value, name=name)
        value = replace(value, name=self.name("c"))
        self.info[value.name] = value
        if self.chance(0.15) and array.size and array.dtype.kind in "fiu":
            tensor = numpy_helper.from_array(array, value.name)
            self.nodes.append(helper.make_node("Constant", [], [value.name], name=f"n_{value.name}", value=tensor))
            return value
        self.constants[value.name] = array
        return value

    def ints(self, values: Sequence[int]) -> Value:
        return self.constant(np.array(values, np.int64))

    def op(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        shape: Sequence[int],
        *,
        dtype: np.dtype | None = None,
        size: float | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Value:
        """A node with one output, of the first input's dtype and size unless told. Attributes that are None are left
        out."""
        return self.ops(kind, inputs, [(shape, dtype)], size=size, domain=domain, **attributes)[0]

    def ops(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[tuple[Sequence[int], np.dtype | None]],
        *,
        size: float | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> list[Value]:
        given = [v for v in inputs if v is not None]
        results = []
        for shape, dtype in outputs:
            self.need(prod(shape) <= MOST_ELEMENTS)
            result = Value(
                self.name(kind.lower()), tuple(int(d) for d in shape), dtype or given[0].dtype,
                given[0].size if size is None else min(size, 1e30), kind, any(v.sample for v in given),
            )  # fmt: skip
            self.info[result.name] = result
            results.append(result)
        kept = {key: item for key, item in attributes.items() if item is not None}
        names = ["" if v is None else v.name for v in inputs]
        while names and not names[-1]:
            names.pop()
        label = f"n_{results[0].name}" if self.chance(0.9) else self.pick(("", "same"))
        node = helper.make_node(kind, names, [r.name for r in results], name=label, domain=domain, **kept)
        self.nodes.append(node)
        if domain:
            self.domains.add(domain)
        self.pairs += [(v.made_by, kind) for v in given if v.sample]
        return results

    def keep(self, *values: Value) -> None:
        """Lets later rules build on these values."""
        self.values += [v for v in values if v.sample]

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Takes back everything when the block gets stuck, and passes that on."""
        sizes = len(self.nodes), len(self.values), len(self.pairs)
        before = dict(self.constants)
        try:
            yield
        except Stuck:
            del self.nodes[sizes[0] :], self.values[sizes[1] :], self.pairs[sizes[2] :]
            self.constants = before
            raise

    # -- partners -------------------------------------------------------------------------------------------------

    def partner(self, x: Value, fits: Callable[[Value], bool] = lambda v: True) -> Value:
        """Another value, or the same, that broadcasts with x: how joins come about."""
        found = [v for v in self.values if v.dtype == x.dtype and fits(v) and self.joined(x, v) is not None]
        others = [v for v in found if v.name != x.name]
        return self.pick(others if others and self.chance(0.9) else found)

    def joined(self, a: Value, b: Value) -> tuple[int, ...] | None:
        """The shape of a and b broadcast together; None where that is not legal."""
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return None
        aligned = all(v.rank == len(shape) for v in (a, b) if v.sample) and shape[:1] == (1,)
        return shape if prod(shape) <= MOST_ELEMENTS and (aligned or not self.batched) else None

    # -- the model ------------------------------------------------------------------------------------------------

    def model(self, outputs: Sequence[Value]) -> ModelProto:
        used = {name for node in self.nodes for name in node.input} | {v.name for v in outputs}
        initializers = [numpy_helper.from_array(a, name) for name, a in self.constants.items() if name in used]
        made = {name for node in self.nodes for name in node.output}
        inner = [self.declared(v, v.sample) for v in self.info.values() if v.name in made & used]
        graph = helper.make_graph(
            self.nodes, "fuzz", [self.declared(v, True) for v in self.inputs],
            [self.declared(v, v.sample) for v in outputs], initializers, value_info=inner,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in sorted(self.domains))]
        version = 13 if self.opset > 24 else 11 if self.opset > 22 else 10 if self.opset > 18 else 8
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)

    def declared(self, value: Value, sample: bool) -> ValueInfoProto:
        shape = ["N", *value.shape[1:]] if self.batched and sample else list(value.shape)
        return helper.make_tensor_value_info(value.name, onnx_type(value.dtype), shape)


def onnx_type(dtype: np.dtype) -> int:
    narrow = {INT4: TensorProto.INT4, UINT4: TensorProto.UINT4, INT2: 26, UINT2: 25}
    return narrow[dtype] if dtype in narrow else helper.np_dtype_to_tensor_dtype(dtype)


def _size(array: np.ndarray) -> float:
    return float(np.abs(array.astype(np.float64)).max(initial=0.0)) if array.dtype.name != "bool" else 1.0


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.tobytes() == b.tobytes()
