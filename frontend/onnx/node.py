"""One node of an ONNX graph: a typed, read-only view of an untrusted NodeProto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto
from xdsl.dialects.builtin import LocationAttr

from ...ir.errors import ModelError
from ...ir.locations import node_location
from .tensors import decode

_KINDS: dict[int, str] = {
    AttributeProto.INT: "an integer",
    AttributeProto.INTS: "integers",
    AttributeProto.FLOAT: "a float",
    AttributeProto.FLOATS: "floats",
    AttributeProto.STRING: "a string",
    AttributeProto.TENSOR: "a tensor",
}
_NESTED = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


@dataclass(frozen=True)
class Node:
    """name is unique in the graph; domain "" is standard ONNX; opset is the version imported for the domain.

    The attribute readers raise ModelError for a wrong type, and for an absent attribute without a default.
    """

    proto: NodeProto
    name: str
    domain: str
    opset: int
    attributes: dict[str, AttributeProto]
    used: frozenset[str]
    """The outputs that another node or the graph reads."""

    @property
    def op_type(self) -> str:
        return self.proto.op_type

    @property
    def inputs(self) -> Sequence[str]:
        return self.proto.input

    @property
    def outputs(self) -> Sequence[str]:
        return self.proto.output

    @property
    def location(self) -> LocationAttr:
        return node_location(self.op_type, self.name)

    @property
    def label(self) -> str:
        """How messages call the node."""
        return f"node '{self.name}' ({self.op_type})"

    @property
    def line(self) -> str:
        return ""

    @property
    def nested(self) -> bool:
        """Carries a graph, as If, Loop and Scan do."""
        return any(a.type in _NESTED for a in self.attributes.values())

    def error(self, what: str, hint: str = "") -> ModelError:
        return ModelError(what, where=self.label, hint=hint)

    def wants(self, index: int) -> bool:
        """True when the output of that index is read."""
        return index < len(self.outputs) and self.outputs[index] in self.used

    def has(self, name: str) -> bool:
        return name in self.attributes

    def _read(self, name: str, kind: int, default: Any) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            if default is None:
                raise self.error(f"attribute '{name}' is missing")
            return default
        if attribute.type != kind:
            have = _KINDS.get(attribute.type, "something else")
            raise self.error(f"attribute '{name}': expected {_KINDS[kind]}, got {have}")
        return attribute

    def int(self, name: str, default: int | None = None) -> int:
        value = self._read(name, AttributeProto.INT, default)
        return value.i if isinstance(value, AttributeProto) else value

    def ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        value = self._read(name, AttributeProto.INTS, default)
        return tuple(value.ints if isinstance(value, AttributeProto) else value)

    def float(self, name: str, default: float | None = None) -> float:
        """The float32 attribute as a Python number, without rounding."""
        value = self._read(name, AttributeProto.FLOAT, default)
        return value.f if isinstance(value, AttributeProto) else value

    def floats(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        value = self._read(name, AttributeProto.FLOATS, default)
        return tuple(value.floats if isinstance(value, AttributeProto) else value)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._read(name, AttributeProto.STRING, default)
        if not isinstance(value, AttributeProto):
            return value
        try:
            return value.s.decode("utf-8")
        except UnicodeDecodeError:
            raise self.error(f"attribute '{name}' is not UTF-8 text") from None

    def tensor(self, name: str) -> np.ndarray:
        proto: TensorProto = self._read(name, AttributeProto.TENSOR, None).t
        return decode(proto, where=f"{self.label}, attribute '{name}'", folder=None)
