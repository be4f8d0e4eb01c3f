"""The structure of a model: names that are defined once and before use, no cycles, and nodes in an order to walk."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from ...ir.errors import ModelError, UnsupportedError
from ..ports import Declared, check_rank, checked_dims
from .node import Node
from .tensors import decode, dtype_of


@dataclass(frozen=True)
class Source:
    """A checked model: live nodes in topological order, its ports, and the initializers as arrays."""

    name: str
    nodes: list[Node]
    inputs: list[Declared]
    outputs: list[Declared]
    constants: dict[str, np.ndarray]
    graph: GraphProto
    """The graph as it was checked."""


def checked_source(proto: ModelProto, opsets: dict[str, int], folder: Path | None, name: str) -> Source:
    """Checks the graph and decodes its initializers.

    Raises ModelError: no nodes or outputs, values defined twice or never, cycles, broken declarations, tensors or
    attributes. Raises UnsupportedError: sparse initializers, inputs that are no tensors.
    """
    graph = proto.graph
    if not graph.node:
        raise ModelError("the graph has no nodes", where="model", hint="the file may be damaged")
    if not graph.output:
        raise ModelError("the graph has no outputs", where="model")
    if graph.sparse_initializer:
        first = graph.sparse_initializer[0].values.name
        raise UnsupportedError("the model has sparse initializers", where=f"initializer '{first}'")
    constants = _initializers(graph, folder)
    inputs = [declared(info, "input") for info in graph.input if info.name not in constants]
    outputs = [declared(info, "output") for info in graph.output]
    for kind, names in (("input", [i.name for i in graph.input]), ("output", [o.name for o in outputs])):
        if (twice := _first_repeated(names)) is not None:
            raise ModelError(f"the graph has two {kind}s of that name", where=f"{kind} '{twice}'")
    producers = _producers(graph, {*constants, *(i.name for i in inputs)})
    known = {*constants, *(i.name for i in inputs), *producers}
    for output in outputs:
        if output.name not in known:
            raise ModelError("no node computes this output of the graph", where=f"output '{output.name}'")
    order = _sorted(graph, producers, known)
    needed = {o.name for o in outputs}
    live: set[int] = set()
    for index in reversed(order):
        if needed.intersection(graph.node[index].output):
            live.add(index)
            needed.update(graph.node[index].input)
    if not live:
        raise ModelError("no node computes an output of the graph", where="model")
    used = frozenset(needed - {""})
    names = _node_names(graph.node)
    nodes = [_node(graph.node[i], names[i], opsets, used) for i in order if i in live]
    return Source(name, nodes, inputs, outputs, constants, graph)


def _first_repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _initializers(graph: GraphProto, folder: Path | None) -> dict[str, np.ndarray]:
    constants: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        where = f"initializer '{tensor.name}'"
        if not tensor.name:
            raise ModelError("an initializer has no name", where="model")
        if tensor.name in constants:
            raise ModelError("is defined twice", where=where)
        constants[tensor.name] = decode(tensor, where=where, folder=folder)
    return constants


def declared(info: ValueInfoProto, kind: str) -> Declared:
    """The declaration of a value; a dimension of -1 is one without a name. An output may lack a type.

    Raises ModelError for a broken one, UnsupportedError for what is no tensor.
    """
    where = f"{kind} '{info.name}'"
    if not info.name:
        raise ModelError(f"an {kind} of the graph has no name", where="model")
    which = info.type.WhichOneof("value")
    if kind == "output" and (which is None or (which == "tensor_type" and not info.type.tensor_type.elem_type)):
        return Declared(info.name, np.dtype(np.float32), None, typed=False)
    if which != "tensor_type":
        if which is None:
            raise ModelError("has no type", where=where)
        what = which.removesuffix("_type").replace("_", " ")
        raise UnsupportedError(f"is a {what}, not a tensor", where=where, hint="tercet compiles dense tensors only")
    tensor = info.type.tensor_type
    dims = None
    if tensor.HasField("shape"):
        dims = tuple(
            d.dim_value if d.HasField("dim_value") and d.dim_value != -1 else d.dim_param for d in tensor.shape.dim
        )
        check_rank(len(dims), where=where)
        checked_dims([d for d in dims if isinstance(d, int)], where=where)
    return Declared(info.name, dtype_of(tensor.elem_type, where=where), dims)


def _producers(graph: GraphProto, defined: set[str]) -> dict[str, int]:
    """The index of the node that computes each name. Raises ModelError for a name with two definitions."""
    producers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        if not node.op_type:
            raise ModelError("has no operator type", where=f"node '{node.name}'")
        for name in node.output:
            if not name:
                continue
            if name in producers or name in defined:
                other = (
                    "an input or initializer" if name in defined else f"a {graph.node[producers[name]].op_type} node"
                )
                raise ModelError(
                    f"value '{name}' is defined twice: by {other} and by this node",
                    where=f"node '{node.name or name}' ({node.op_type})",
                )
            producers[name] = index
    return producers


def _sorted(graph: GraphProto, producers: dict[str, int], known: set[str]) -> list[int]:
    """Node indices so that every value is computed before its use, else in file order.

    Raises ModelError for an input that nothing defines and for a cycle, naming a node of it.
    """
    waits: list[set[int]] = []
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            if name and name not in known:
                raise ModelError(
                    f"reads '{name}', which nothing defines",
                    where=f"node '{node.name or _default_name(node)}' ({node.op_type})",
                )
        waits.append({producers[name] for name in node.input if name in producers})
        for other in waits[-1]:
            readers.setdefault(other, []).append(index)
    missing = [len(w) for w in waits]
    ready = [i for i, count in enumerate(missing) if not count]  # ascending, so it is a heap
    order: list[int] = []
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers.get(order[-1], ()):
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(waits):
        index = _on_cycle(waits, {i for i, count in enumerate(missing) if count})
        node = graph.node[index]
        raise ModelError("is part of a cycle", where=f"node '{node.name or _default_name(node)}' ({node.op_type})")
    return order


def _on_cycle(waits: list[set[int]], stuck: set[int]) -> int:
    """A node of a cycle: following inputs inside the stuck ones must come back."""
    seen: set[int] = set()
    index = min(stuck)
    while index not in seen:
        seen.add(index)
        index = min(waits[index] & stuck)
    return index


def _default_name(node: NodeProto) -> str:
    return f"{node.op_type}_{next((name for name in node.output if name), '')}"


def _node_names(nodes: Iterable[NodeProto]) -> list[str]:
    """A unique name for every node: its own, or operator and first output; repeated ones get a number."""
    names: dict[str, None] = {}
    repeats: Counter[str] = Counter()
    for node in nodes:
        name = base = node.name or _default_name(node)
        while name in names:
            repeats[base] += 1
            name = f"{base}.{repeats[base]}"
        names[name] = None
    return list(names)


def _node(proto: NodeProto, name: str, opsets: dict[str, int], used: frozenset[str]) -> Node:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    attributes: dict[str, AttributeProto] = {}
    for attribute in proto.attribute:
        where = f"node '{name}' ({proto.op_type})"
        if attribute.name in attributes:
            raise ModelError(f"attribute '{attribute.name}' is given twice", where=where)
        if attribute.ref_attr_name:
            raise ModelError(f"attribute '{attribute.name}' refers to a function's attribute", where=where)
        for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
            _check_attribute_tensor(tensor, f"{where}, attribute '{attribute.name}'")
        attributes[attribute.name] = attribute
    return Node(proto, name, domain, opsets.get(domain, opsets[""]), attributes, used)


def _check_attribute_tensor(tensor: TensorProto, where: str) -> None:
    """Everything that reads attributes later, the reference of the onnx package too, may then trust them."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise ModelError("has external data", where=where, hint="external data is for initializers only")
    if tensor.data_type != TensorProto.STRING:
        decode(tensor, where=where, folder=None)
