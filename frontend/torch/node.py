"""One node of an exported graph: what the importer's vocabulary asks of it, and what torch says of its results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch.fx import Node
from xdsl.dialects.builtin import LocationAttr

from ...ir.errors import ModelError
from ...ir.locations import node_location
from .dtypes import numpy_dtype

_FRAME = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)')


@dataclass(frozen=True)
class TorchNode:
    """name: the path of the module, with the operator where the module has several; unique in the graph."""

    fx: Node
    name: str

    @property
    def op_type(self) -> str:
        return operator_name(self.fx)

    @property
    def key(self) -> str:
        """`aten.add.Tensor`."""
        return str(self.fx.target)

    @property
    def location(self) -> LocationAttr:
        return node_location(self.op_type, self.name)

    @property
    def label(self) -> str:
        """How messages call the node: with the line of the user's code."""
        return f"node '{self.name}' ({self.op_type})" + (f" at {self.line}" if self.line else "")

    @property
    def line(self) -> str:
        return source_line(self.fx)

    def error(self, what: str, hint: str = "") -> ModelError:
        return ModelError(what, where=self.label, hint=hint)

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the result, or of the first one. Raises Refusal for one that tercet does not compile."""
        return numpy_dtype(self.results[0].dtype)

    @property
    def results(self) -> Sequence[Any]:
        """The results without their values, as torch traced them."""
        value = self.fx.meta.get("val")
        return value if isinstance(value, tuple | list) else [value]

    @cached_property
    def operand_dtype(self) -> np.dtype:
        """What the first two arguments are promoted to before they are compared, say."""
        a, b = (a.meta["val"] if isinstance(a, Node) else a for a in self.fx.args[:2])
        return numpy_dtype(torch.result_type(a, b))  # pyright: ignore[reportArgumentType, reportCallIssue]


_COPIES = ("aten.clone", "aten.alias", "aten.contiguous", "aten.lift_fresh_copy")
_CASTS = ("aten.to", "aten._to_copy", "aten.type_as", "aten.detach")


def packet(node: Node) -> str:
    """`aten.add` of `aten.add.Tensor`."""
    return str(node.target).rpartition(".")[0]


def behind_copies(node: Node, *, casts: bool = False) -> Node:
    """The node that a copy is of; casts: also behind casts to the same dtype and what stops gradients."""
    while node.op == "call_function" and node.args and isinstance(inner := node.args[0], Node):
        same = casts and packet(node) in _CASTS and _traced_dtype(node) == _traced_dtype(inner)
        if packet(node) not in _COPIES and not same:
            break
        node = inner
    return node


def _traced_dtype(node: Node) -> Any:
    return getattr(node.meta.get("val"), "dtype", None)


def operator_name(node: Node) -> str:
    """`conv2d`."""
    parts = str(node.target).split(".")
    return parts[1] if len(parts) == 3 else getattr(node.target, "__name__", parts[-1])


def module_path(node: Node) -> str:
    """The module that the node was traced in, as `layer1.0.conv1`; "" for the outermost one."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(list(stack.values())))[0] if stack else ""
    return "" if path.startswith("_empty_nn_module_stack") else re.sub(r"@\d+$", "", path)


def source_line(node: Node) -> str:
    """`model.py:12` where the user's code calls the operator: the innermost frame that is not torch's own."""
    frames = [(m["file"], m["line"]) for m in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    own = [f for f in frames if not {"torch", "site-packages"} <= {*PurePath(f[0]).parts} and f[0][:1] != "<"]
    file, line = (own or frames or [("", "")])[-1]
    return f"{file}:{line}" if file else ""


def node_names(nodes: Sequence[Node]) -> dict[Node, str]:
    """A unique name for every node: the path of its module, with the operator where the module has several; repeated
    ones get a number."""
    paths = {node: module_path(node) for node in nodes}
    counts = Counter(path for node, path in paths.items() if str(node.target).count(".") == 2)
    names: dict[Node, str] = {}
    taken: set[str] = set()
    repeats: Counter[str] = Counter()
    for node, path in paths.items():
        base = path if path and counts[path] == 1 else ".".join(p for p in (path, operator_name(node)) if p)
        name = base
        while name in taken:
            repeats[base] += 1
            name = f"{base}.{repeats[base]}"
        taken.add(name)
        names[node] = name
    return names
