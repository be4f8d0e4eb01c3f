"""Walks a checked ONNX graph and builds the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import ModelProto
from xdsl.ir import SSAValue

from ...ir.errors import ModelError
from ...ir.names import ssa_hint
from ...ir.program import Program
from ..emitter import Emitter
from ..ports import Declared, Shapes, fixed, input_ports, is_batched
from ..problems import Problems
from ..values import Refusal, Value, container
from . import ops  # noqa: F401  (fills the table)
from .fold import FOLD_TOTAL, can_fold, fold, is_evaluable
from .graph import Source
from .guess import Guesses
from .known import Known
from .legacy import aligned, is_legacy
from .load import load
from .node import Node
from .registry import TABLE


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def import_model(
    model: ModelProto | str | Path,
    *,
    name: str | None = None,
    batch: int | None = None,
    shapes: Shapes | None = None,
) -> Program:
    """The program of an ONNX, QDQ or QONNX model, equal to it: integers exactly, floats within 1e-5 relative.

    name: of the program; absent: the file's or graph's. batch: the size of a symbolic leading axis. Without it, a model
    whose inputs all have a symbolic leading axis becomes a program for one sample with `batched` set. shapes: of
    inputs, see `ports.Shapes`.

    Raises InputError where the file cannot be read or batch does not fit, ModelError for broken or hostile models,
    UnsupportedError listing every node that tercet does not compile.
    """
    source = load(model)
    source = replace(source, inputs=fixed(source.inputs, shapes or {}))
    return _Import(source, name or source.name, batch).run()


class _Import:
    def __init__(self, source: Source, name: str, batch: int | None) -> None:
        self.source = source
        self.problems = Problems()
        self.folded = 0
        self.batched = is_batched(source.inputs, batch)
        ports = input_ports(source.inputs, batch, batched=self.batched)
        self.program = Program.new(name, ports, batched=self.batched)
        self.values: dict[str, Value | None] = {
            key: Value.constant(key, array) for key, array in source.constants.items()
        }
        """Every name seen so far; None where a node that is not supported left its shape unknown."""
        for declared, port, argument in zip(source.inputs, ports, self.program.block.args, strict=True):
            self.values[declared.name] = Value(declared.name, declared.dtype, port.shape, ssa=argument, per_sample=True)
        self.known = Known(self.values)
        self.emitter = Emitter(self.program, self.known.constant)
        self.guesses = Guesses(source.graph, 1 if self.batched else batch)

    def run(self) -> Program:
        for node in self.source.nodes:
            try:
                self._bind(node, self._import(node))
            except Refusal as refusal:
                self.problems.of_node(node, str(refusal))
                self._bind(node, self.guesses.outputs(node))
            except ModelError:
                # Behind an unsupported node this may come from a guessed shape; the list of problems says more.
                if not self.problems:
                    raise
                self._bind(node, [None] * len(node.outputs))
        outputs = [] if self.problems else [self._output(declared) for declared in self.source.outputs]
        self.problems.raise_if_any()
        self.program.finish(outputs)
        return self.program

    def _output(self, declared: Declared) -> tuple[str, SSAValue, np.dtype]:
        value = self.values[declared.name]
        assert value is not None
        where = f"output '{declared.name}'"
        if declared.typed and value.dtype != declared.dtype:
            raise ModelError(f"is declared as {declared.dtype.name}, but computed as {value.dtype.name}", where=where)
        if self.batched and not value.per_sample:
            self.problems.of_port(where, "does not depend on the input", "give the batch as --batch N (batch=N)")
        self.emitter.node = self.source.nodes[-1]
        return declared.name, self.emitter.ssa(value), container(value.dtype)

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _import(self, node: Node) -> Sequence[Value | None]:
        """The outputs of a node. Raises Refusal when it is not supported."""
        if node.nested:
            raise Refusal("operators with nested graphs are not supported")
        inputs = [self.values[name] if name else None for name in node.inputs]
        entry = TABLE.get((node.domain, node.op_type))
        unknown = any(name and value is None for name, value in zip(node.inputs, inputs, strict=True))
        if not unknown and can_fold(node, inputs) and not is_legacy(node):
            return self._fold(node, inputs)
        at_once = entry is None or entry.folds
        if at_once and not unknown and is_evaluable(node) and any(inputs) and self.known.covers(node):
            return self._fold(node, self.known.inputs(node))
        if entry is None:
            raise Refusal(f"operator {node.domain + '.' if node.domain else ''}{node.op_type} is not supported")
        if unknown:
            return self.guesses.outputs(node)
        while len(inputs) > entry.at_least and inputs[-1] is None:
            inputs.pop()
        count = len(inputs)
        if count < entry.at_least or (entry.at_most is not None and count > entry.at_most):
            raise node.error(f"expected {entry.arity} inputs, got {count}")
        if any(value is None for value in inputs[: entry.at_least]):
            raise node.error("a required input is left out")
        self.emitter.node = node
        if is_legacy(node):
            inputs = aligned(self.emitter, node, inputs)
        result = entry.function(self.emitter, node, *inputs)
        self.known.note(node)
        return [result] if isinstance(result, Value) else list(result)

    def _fold(self, node: Node, inputs: Sequence[Value | None]) -> list[Value]:
        results = fold(node, inputs)
        self.folded += sum(value.array.nbytes for value in results if value.array is not None)
        if self.folded > FOLD_TOTAL:
            raise node.error(f"the constants of the model take more than {FOLD_TOTAL} bytes when computed")
        return results

    def _bind(self, node: Node, results: Sequence[Value | None]) -> None:
        for i, name in enumerate(node.outputs):
            if not name:
                continue
            value = results[i] if i < len(results) else None
            if value is None and not self.problems and node.wants(i):
                raise node.error(f"has no output {i}, which '{name}' stands for")
            if value is not None and value.array is not None:
                value = Value(name, value.dtype, value.shape, value.array, value.ssa, value.per_sample)
            elif value is not None and value.ssa is not None and value.ssa.name_hint is None:
                value.ssa.name_hint = ssa_hint(name)
            self.values[name] = value
