"""Walks an exported program and builds the program."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind
from torch.fx import Node
from torch.utils._pytree import tree_flatten_with_path, tree_leaves, tree_map, tree_unflatten

from ...ir.errors import ModelError, UnsupportedError
from ...ir.names import ssa_hint
from ...ir.program import Program
from ..emitter import Emitter
from ..ports import Declared, Shapes, fixed, input_ports, is_batched
from ..problems import Problems
from ..values import Refusal, Value, container
from . import ops  # noqa: F401  (fills the table)
from .batch import OpenBatch
from .dtypes import numpy_dtype, to_array
from .fold import Folder, can_fold
from .node import TorchNode, node_names
from .registry import find
from .scaled import scaled_integers
from .straight_through import straight_through

IGNORED = frozenset(("memory_format", "layout", "device", "pin_memory", "non_blocking", "copy", "generator"))
"""Arguments that say where a result lies, not what it is."""
TRAINING = "models keep no state between calls; export the module in evaluation mode: module.eval()"


@dataclass(frozen=True)
class _Unknown:
    """The result of a node that is not supported, and of all that depends on it."""


UNKNOWN = _Unknown()


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def import_exported(
    exported: ExportedProgram, *, name: str, batch: int | None = None, shapes: Shapes | None = None
) -> Program:
    """The program of an exported program, equal to it: integers exactly, floats within 1e-5 relative.

    name: of the program. batch: the size of a symbolic leading axis. Without it, a model whose inputs all have a
    symbolic leading axis becomes a program for one sample with `batched` set. shapes: of inputs, see `ports.Shapes`.

    Raises InputError where batch or shapes do not fit, ModelError for broken models, UnsupportedError listing every
    node that tercet does not compile.
    """
    return _Import(exported, name, batch, shapes or {}).run()


class _Import:
    def __init__(self, exported: ExportedProgram, name: str, batch: int | None, shapes: Shapes) -> None:
        self.exported = exported
        self.problems, self.folder = Problems(), Folder()
        self.values: dict[Node, Any] = {}
        specs = dict(zip(_placeholders(exported), exported.graph_signature.input_specs, strict=True))
        users = [node for node, spec in specs.items() if _is_input(node, spec)]
        declared = fixed([_declared(node) for node in users], shapes)
        self.batched = is_batched(declared, batch)
        ports = input_ports(declared, batch, batched=self.batched)
        self.batch = OpenBatch([node.meta["val"].shape[0] for node in users]) if self.batched else None
        self.program = Program.new(name, ports, batched=self.batched)
        for node, port, argument in zip(users, ports, self.program.block.args, strict=True):
            dtype = numpy_dtype(node.meta["val"].dtype)
            self.values[node] = Value(port.name, dtype, port.shape, ssa=argument, per_sample=True)
        self.constants = {node: spec for node, spec in specs.items() if node not in self.values}
        self.stands_for = straight_through(exported.graph.nodes)
        self.nodes = _live(exported, self.stands_for)
        names = node_names(self.nodes)
        self.named = {node: TorchNode(node, names[node]) for node in self.nodes}
        self.kept: dict[Value, Value] = {}
        """Constants that are operations of the program, for the passes -> their numbers."""
        self.emitter = Emitter(self.program, self._known)

    def run(self) -> Program:
        for fx in self.nodes:
            node = self.named[fx]
            try:
                self._bind(node, self._import(node))
            except Refusal as refusal:
                self.problems.of_node(node, str(refusal))
                self.values[fx] = UNKNOWN
            except ModelError:
                if not self.problems:
                    raise
                self.values[fx] = UNKNOWN
        outputs = [] if self.problems else self._outputs()
        self.problems.raise_if_any()
        self.program.finish(outputs)
        return self.program

    # -- ports ----------------------------------------------------------------------------------------------------

    def _constant(self, node: Node) -> Any:
        """What a placeholder that is no input stands for: a parameter, a buffer, a constant."""
        spec = self.constants[node]
        if spec.kind == InputKind.USER_INPUT:
            return getattr(spec.arg, "value", None)
        exported, target = self.exported, spec.target or node.name
        tensor = exported.state_dict.get(target) if spec.kind != InputKind.CONSTANT_TENSOR else None
        tensor = exported.constants.get(target) if tensor is None else tensor
        where = f"constant '{target}'"
        if not isinstance(tensor, torch.Tensor):
            raise UnsupportedError(f"is {type(tensor).__name__}, not a tensor", where=where)
        if tensor.layout != torch.strided:
            raise UnsupportedError("is sparse", where=where, hint="tercet compiles dense tensors only")
        try:
            array = to_array(tensor)
        except Refusal as refusal:
            raise UnsupportedError(str(refusal), where=where) from None
        if "float" in array.dtype.name and bool(np.isnan(array).any()):
            raise ModelError("holds NaN", where=where, hint="the training of this model may have diverged")
        return Value.constant(target, array)

    def _outputs(self) -> list[tuple[str, Any, np.dtype]]:
        """Raises UnsupportedError for outputs that are no tensors, and for models that change their own buffers."""
        results = list(zip(_output_arguments(self.exported), self.exported.graph_signature.output_specs, strict=True))
        for argument, spec in results:
            stays = spec.kind in (OutputKind.USER_OUTPUT, OutputKind.USER_INPUT_MUTATION)  # inputs stay as they are
            if not stays and not self._stays(argument, spec.target):
                self.problems.of_port(f"buffer '{spec.target}'", "a call changes it", TRAINING)
        nodes = [argument for argument, spec in results if spec.kind == OutputKind.USER_OUTPUT]
        names, found = _unique(_output_names(self.exported, len(nodes))), []
        for name, node in zip(names, nodes, strict=True):
            value = self._value(node) if isinstance(node, Node) else None
            if not isinstance(value, Value):
                self.problems.of_port(f"output '{name}'", "it is no tensor")
                continue
            if self.batched and not value.per_sample:
                hint = "give the batch as --batch N (batch=N)"
                self.problems.of_port(f"output '{name}'", "does not depend on the input", hint)
                continue
            if self.nodes:
                self.emitter.node = self.named[self.nodes[-1]]
            found.append((name, self.emitter.ssa(value), container(value.dtype)))
        return found

    def _stays(self, argument: Any, target: str | None) -> bool:
        """Whether a call gives a buffer the values that it has, as where Brevitas clamps binary weights in each."""
        after = self._value(argument)
        before = next((self._value(node) for node, spec in self.constants.items() if spec.target == target), None)
        if not isinstance(before, Value) or before.array is None or after.array is None:
            return False
        return np.array_equal(before.array, after.array)

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _value(self, node: Node) -> Any:
        node = self.stands_for.get(node, node)
        if node not in self.values:
            self.values[node] = self._constant(node)
        return self.values[node]

    def _argument(self, argument: Any) -> Any:
        """A node's argument as the import functions take it."""
        if isinstance(argument, Node):
            return self._value(argument)
        if isinstance(argument, list | tuple):
            return [self._argument(a) for a in argument]
        return argument

    def _import(self, node: TorchNode) -> Any:
        """The result of a node. Raises Refusal when it is not supported."""
        target = node.fx.target
        args = [self._argument(a) for a in node.fx.args]
        kwargs = {name: self._argument(a) for name, a in node.fx.kwargs.items()}
        flat = tree_leaves((args, kwargs))
        python = _python_function(target)
        function = find(node.key)
        known = UNKNOWN not in flat
        folds = known and can_fold(target) and all(map(self._is_constant, flat))
        if function is not None:  # what is kept for the passes stays as long as it can
            folds = folds and not any(isinstance(a, Value) and a in self.kept for a in flat)
        if python is None and function is None and not folds:
            raise Refusal(f"operator {_shown(node)} is not supported")
        if not known:
            return UNKNOWN
        if target is operator.getitem:
            return self._item(*args)
        if python is not None:
            return python(*args, **kwargs)
        if self.batch is not None:
            self.batch.check_sizes(node.fx)
            constants = [n for n in node.fx.all_input_nodes if self._is_constant(self._value(n))]
            self.batch.check_constants(node.fx, constants)
        self.emitter.node = node
        if folds:
            return self._folded(node, args, kwargs)
        assert function is not None
        plain = {name: _own(a) for name, a in kwargs.items() if name not in IGNORED}
        return function(self.emitter, node, *map(_own, args), **plain)

    def _is_constant(self, argument: Any) -> bool:
        return not isinstance(argument, Value) or argument.is_constant or argument in self.kept

    def _known(self, value: Value) -> Value | None:
        return self.kept.get(value)

    def _folded(self, node: TorchNode, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        args, kwargs = tree_map(lambda a: self.kept.get(a, a) if isinstance(a, Value) else a, (args, kwargs))
        result = self.folder.fold(node, args, kwargs)
        scaled = scaled_integers(self.emitter, node.key, args)
        if scaled is None or not isinstance(result, Value):
            return result
        self.kept[scaled] = result
        return scaled

    @staticmethod
    def _item(parts: Sequence[Any], index: int) -> Any:
        if parts[index] is None:
            raise Refusal(f"result {index} of this operator is not supported")
        return parts[index]

    def _bind(self, node: TorchNode, result: Any) -> None:
        """Enters a result after a comparison with what torch says of it."""
        parts = result if isinstance(result, list | tuple) else [result]
        for part, meant in zip(parts, node.results, strict=False):
            if isinstance(part, Value) and isinstance(meant, torch.Tensor):
                self._check(node, part, meant)
            if isinstance(part, Value) and part.ssa is not None and part.ssa.name_hint is None:
                part.ssa.name_hint = ssa_hint(node.name)
        self.values[node.fx] = result

    def _check(self, node: TorchNode, have: Value, meant: torch.Tensor) -> None:
        """Raises ModelError for another shape or dtype, Refusal where the samples of a batch are mixed."""
        fits = len(have.shape) == meant.ndim and all(
            a == b for a, b in zip(have.shape, meant.shape, strict=True) if isinstance(b, int)
        )
        if not fits or have.dtype != numpy_dtype(meant.dtype):
            said = f"{numpy_dtype(meant.dtype).name}{list(meant.shape)}"
            raise node.error(f"its result is {have.dtype.name}{list(have.shape)}, but the model says {said}")
        if self.batch is not None:
            self.batch.check_result(have, meant)


# -- what the exported program says -----------------------------------------------------------------------------------


def _placeholders(exported: ExportedProgram) -> list[Node]:
    return [node for node in exported.graph.nodes if node.op == "placeholder"]


def _is_input(node: Node, spec: InputSpec) -> bool:
    return spec.kind == InputKind.USER_INPUT and isinstance(node.meta.get("val"), torch.Tensor)


def _declared(node: Node) -> Declared:
    tensor = node.meta["val"]
    dims = tuple(d if isinstance(d, int) else str(d) for d in tensor.shape)
    try:
        return Declared(node.name, numpy_dtype(tensor.dtype), dims)
    except Refusal as refusal:
        raise UnsupportedError(str(refusal), where=f"input '{node.name}'") from None


def _output_arguments(exported: ExportedProgram) -> Sequence[Any]:
    (output,) = (node for node in exported.graph.nodes if node.op == "output")
    return output.args[0]  # pyright: ignore[reportReturnType]


def _output_names(exported: ExportedProgram, count: int) -> list[str]:
    """`output` for the only one; else the path to it in what the module returns: `output_0`, or its key."""
    spec = exported.call_spec.out_spec
    tree = tree_unflatten(range(count), spec) if spec is not None and spec.num_leaves == count else tuple(range(count))
    paths = [path for path, _ in tree_flatten_with_path(tree)[0]]
    words = [["output", *(_word(step) for step in path)] for path in paths]
    if count == 1:
        words = [word if isinstance(path[-1:], tuple) and _named(path) else ["output"]
                 for word, path in zip(words, paths, strict=True)]  # fmt: skip
    return ["_".join(word[1:] if _named(path) else word) for word, path in zip(words, paths, strict=True)]


def _unique(names: Sequence[str]) -> list[str]:
    """Repeated names get a number: the keys `a_b` and `a`, `b` are two outputs."""
    found: list[str] = []
    for name in names:
        other = (f"{name}_{i}" for i in range(1, len(names) + 1))
        found.append(name if name not in found else next(n for n in other if n not in found and n not in names))
    return found


def _word(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step))))


def _named(path: Sequence[Any]) -> bool:
    """True for a path that begins with a name."""
    return bool(path) and isinstance(getattr(path[0], "key", getattr(path[0], "name", None)), str)


def _live(exported: ExportedProgram, stands_for: Mapping[Node, Node]) -> list[Node]:
    """The calls that an output depends on, in order; raises UnsupportedError where nothing is computed."""
    wanted = [a for a in _output_arguments(exported) if isinstance(a, Node)]
    seen: set[Node] = set()
    while wanted:
        node = stands_for.get(node := wanted.pop(), node)
        if node not in seen:
            seen.add(node)
            wanted.extend(node.all_input_nodes)
    return [n for n in exported.graph.nodes if n in seen and n.op not in ("placeholder", "output")]


# -- arguments --------------------------------------------------------------------------------------------------------


def _own(argument: Any) -> Any:
    """dtypes as numpy's."""
    return tree_map(lambda a: numpy_dtype(a) if isinstance(a, torch.dtype) else a, argument)


def _python_function(target: Any) -> Callable[..., Any] | None:
    """Arithmetic on sizes."""
    return target if target in SIZE_FUNCTIONS else _SYMBOLIC.get(target)


SIZE_FUNCTIONS = frozenset((
    operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv, operator.truediv, operator.mod,
    operator.neg, operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.and_,
    operator.or_, math.floor, math.ceil, math.trunc,
))  # fmt: skip
_SYMBOLIC = {
    torch.ops.aten.sym_size.int: lambda x, axis: x.shape[axis],
    torch.sym_max: max,
    torch.sym_min: min,
    torch.sym_int: int,
    torch.sym_float: float,
    torch.sym_not: operator.not_,
}


def _shown(node: TorchNode) -> str:
    return node.key.removesuffix(".default")
