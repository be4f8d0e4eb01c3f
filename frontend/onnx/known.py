"""What is computed from constants but stays in the program: quantized weights, whose integers and scales the passes
look for, and what reads them. It is evaluated only for an operator that the program does not have, and for an operand
that has to be a constant, such as the value of a border or the scales of a Resize."""

from __future__ import annotations

from collections.abc import Mapping

from ..values import Value
from .fold import fold, is_evaluable
from .node import Node
from .qonnx_values import QONNX_VALUES, qonnx_values
from .registry import QONNX_DOMAINS


class Known:
    """Remembers nodes whose inputs are constants or outputs of such nodes. values: the importer's, by name."""

    def __init__(self, values: Mapping[str, Value | None]) -> None:
        self._values = values
        self._nodes: dict[str, Node] = {}
        self._results: dict[str, Value] = {}

    def note(self, node: Node) -> None:
        """Remembers a node that was imported as operations of the program."""
        if any(node.inputs) and (is_evaluable(node) or _is_qonnx(node)) and self.covers(node):
            self._nodes.update((name, node) for name in node.outputs if name)

    def covers(self, node: Node) -> bool:
        """True when every input of a node is a constant or can be evaluated."""
        return all(not name or name in self._nodes or self._constant(name) is not None for name in node.inputs)

    def inputs(self, node: Node) -> list[Value | None]:
        """The inputs of a covered node as constants. Raises ModelError where one cannot be computed."""
        self._evaluate([name for name in node.inputs if name])
        return [self._value(name) if name else None for name in node.inputs]

    def constant(self, value: Value) -> Value | None:
        """The constant that a value of the program is, None where it depends on the model's inputs."""
        name = next((name for name in self._nodes if self._values.get(name) is value), None)
        if name is None:
            return None
        self._evaluate([name])
        return self._value(name)

    def _evaluate(self, wanted: list[str]) -> None:
        """Computes names that are covered, and first what they are computed from."""
        while wanted:
            name = wanted[-1]
            if self._value(name) is not None:
                wanted.pop()
                continue
            source = self._nodes[name]
            missing = [other for other in source.inputs if other and self._value(other) is None]
            if missing:
                wanted += missing
                continue
            values = [self._value(other) if other else None for other in source.inputs]
            results = qonnx_values(source, values) if _is_qonnx(source) else fold(source, values)
            self._results.update(zip((o for o in source.outputs if o), results, strict=True))

    def _constant(self, name: str) -> Value | None:
        value = self._values.get(name)
        return value if value is not None and value.is_constant else None

    def _value(self, name: str) -> Value | None:
        return self._results.get(name) or self._constant(name)


def _is_qonnx(node: Node) -> bool:
    return node.op_type in QONNX_VALUES and node.domain in QONNX_DOMAINS
