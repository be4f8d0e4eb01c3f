"""Model-local functions: inlined, after a check that this ends and stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import FunctionProto, ModelProto, NodeProto, inliner

from ...ir.errors import ModelError
from .registry import TABLE

MAX_NODES = 1_000_000


def inline_functions(model: ModelProto) -> ModelProto:
    """The model with its local functions inlined; those that carry an operator tercet knows itself (a QONNX op, say)
    stay calls. Raises ModelError for functions that call themselves or unfold to more than MAX_NODES nodes."""
    if not model.functions:
        return model
    functions: dict[tuple[str, str], FunctionProto] = {}
    for function in model.functions:
        key = (function.domain, function.name)
        if key in functions:
            raise ModelError(f"function '{function.name}' is defined twice", where="model")
        functions[key] = function
    wanted = [key for key in functions if key not in TABLE]
    sizes: dict[tuple[str, str], int] = {}
    total = sum(_unfolded(call, functions, sizes) for call in _calls(model.graph.node))
    if total > MAX_NODES:
        raise ModelError(f"its functions unfold to {total} nodes", where="model", hint=f"the limit is {MAX_NODES}")
    try:
        return inliner.inline_selected_functions(model, wanted, exclude=False)
    except Exception as error:  # the C++ library raises several types, RuntimeError among them
        raise ModelError(f"its functions cannot be inlined: {error}", where="model") from error


def _calls(nodes: Iterable[NodeProto]) -> Iterator[tuple[str, str]]:
    """(domain, operator) of every node, those in nested graphs too; protobuf itself bounds the nesting."""
    for node in nodes:
        yield node.domain, node.op_type
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _calls(graph.node)


def _unfolded(
    root: tuple[str, str], functions: dict[tuple[str, str], FunctionProto], sizes: dict[tuple[str, str], int]
) -> int:
    """The number of nodes that one call becomes. Depth first without recursion: the nesting comes from the file."""
    stack, active = [root], set()
    while stack:
        key = stack[-1]
        function = functions.get(key)
        if function is None or key in sizes:
            sizes.setdefault(key, 1)
            active.discard(key)
            stack.pop()
            continue
        calls = list(_calls(function.node))
        if key not in active:
            active.add(key)
            for call in calls:
                if call in active and call in functions and call not in sizes:
                    raise ModelError(f"function '{call[1]}' calls itself", where="model")
            stack.extend(call for call in calls if call not in sizes)
        else:
            sizes[key] = sum(sizes[call] for call in calls)
    return sizes[root]
