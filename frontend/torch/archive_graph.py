"""The graph of an archive, as JSON, reduced to what torch may be trusted to rebuild.

torch evaluates expressions for sizes as Python, imports modules that it finds named, and writes names of values into
source code that it runs. So every text that it would treat so has to have the form that torch itself writes; what is
not needed is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ...ir.errors import ModelError, UnsupportedError
from .exported import EXPORT_AGAIN

NAMESPACES = ("aten", "quantized_decomposed", "prims", "torchao")
_OPERATOR = re.compile(rf"torch\.ops\.({'|'.join(NAMESPACES)})\.(\w+)\.(\w+)")
_OUTSIDE = ("from_file", "_print")
"""Operators that reach beyond tensors."""
_SIZE_FUNCTION = re.compile(
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|math\.(floor|ceil|trunc)|torch\.sym_(max|min|int|float|not)"
)
_SYMBOL = re.compile(r"[su]\d+")
_WORD = re.compile(
    "Symbol|Integer|Add|Mul|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|CeilToInt|FloorToInt|IntTrueDiv|ToFloat"
    "|TruncToInt|TruncToFloat|positive|nonnegative|integer|True|False"
)  # powers of large numbers would take for ever
_TOKEN = re.compile(rf"(?P<word>[A-Za-z_]\w*)|'{_SYMBOL.pattern}'|-?\d{{1,19}}|[(),= ]")
MAX_EXPRESSION = 1000
_TREES = frozenset(("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"))
_NESTED = ("as_graph", "as_custom_obj", "as_operator")


def checked_graph(graph: Any, where: str) -> dict[str, Any]:
    """The graph for `torch._export.serde`. Raises ModelError for what torch does not write, UnsupportedError that lists
    operators that are not torch's own, or reach beyond tensors."""
    try:
        return _Checked(where).program(graph)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ModelError(f"its graph is broken: {error!r}"[:300], where=where, hint=EXPORT_AGAIN) from error


class _Checked:
    def __init__(self, where: str) -> None:
        self._where = where
        self._unknown: dict[str, None] = {}

    def program(self, graph: Any) -> dict[str, Any]:
        module = graph["graph_module"]
        ranges = {self._symbol(name): limits for name, limits in graph["range_constraints"].items()}
        checked = {
            **{key: self._value(graph[key]) for key in ("opset_version", "schema_version")},
            "verifiers": [name for name in graph.get("verifiers", ()) if name in ("ATEN", "TRAINING")],
            "torch_version": str(graph.get("torch_version", "")),
            "guards_code": [],  # Python
            "range_constraints": self._value(ranges),
            "graph_module": {
                "graph": self._value(module["graph"]),
                "signature": self._value(module["signature"]),
                "module_call_graph": [self._call(c) for c in module["module_call_graph"] if c["fqn"] == ""],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
        }
        if self._unknown:
            names = ", ".join(self._unknown)
            raise UnsupportedError(
                f"the archive has operators that are not read from files: {names}", where=self._where, hint=EXPORT_AGAIN
            )
        return checked

    def _value(self, value: Any, key: str = "") -> Any:
        """A value with everything in it."""
        if isinstance(value, dict):
            if key == "device":
                return {"type": "cpu", "index": None}
            if key == "metadata":
                kept = ("stack_trace", "nn_module_stack")
                return {name: text for name, text in value.items() if name in kept and isinstance(text, str)}
            if key.endswith("_values"):
                return {self._name(name): self._value(inner) for name, inner in value.items()}
            return {str(name): self._value(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner, key) for inner in value]
        check = _TEXTS.get(key)
        return check(self, value) if check is not None and value is not None else value

    # -- texts ----------------------------------------------------------------------------------------------------

    def _refuse(self, what: str, text: object) -> ModelError:
        return ModelError(f"{what}: {str(text)[:100]!r}", where=self._where, hint=EXPORT_AGAIN)

    def _name(self, text: Any) -> str:
        if not isinstance(text, str) or (text and not text.isidentifier()):
            raise self._refuse("the name of a value is no identifier", text)
        return text

    def _symbol(self, text: Any) -> str:
        if not _SYMBOL.fullmatch(text):
            raise self._refuse("the name of a size is not one that torch gives", text)
        return text

    def _target(self, text: Any) -> str:
        if not isinstance(text, str):
            raise self._refuse("an operator has no name", text)
        found = _OPERATOR.fullmatch(text)
        if not (_computes(*found.groups()) if found else _SIZE_FUNCTION.fullmatch(text)):
            self._unknown[text.removeprefix("torch.ops.")[:100]] = None
        return text

    def _expression(self, text: Any) -> str:
        """A size as torch writes it: `Mul(Integer(2), Symbol('s31', positive=True, integer=True))`."""
        at = 0
        while isinstance(text, str) and at < len(text) <= MAX_EXPRESSION:
            found = _TOKEN.match(text, at)
            word = found and found["word"]
            if found is None or (word and not _WORD.fullmatch(word)):
                raise self._refuse("the expression of a size is not one that torch writes", text)
            at = found.end()
        if not isinstance(text, str) or at != len(text):
            raise self._refuse("the expression of a size is not one that torch writes", text)
        return text

    def _nothing(self, _: Any) -> Any:
        raise ModelError("it has values that are no tensors or numbers", where=self._where, hint=EXPORT_AGAIN)

    # -- what goes in and comes out -------------------------------------------------------------------------------

    def _call(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """How the module is called."""
        given = entry.get("signature")
        if given is None:
            return {"fqn": "", "signature": None}
        names = given.get("forward_arg_names")
        signature = {
            "inputs": self._value(given["inputs"]),
            "outputs": self._value(given["outputs"]),
            "in_spec": self._tree(given["in_spec"]),
            "out_spec": self._tree(given["out_spec"]),
            "forward_arg_names": None if names is None else [self._name(name) for name in names],
        }
        return {"fqn": "", "signature": signature}

    def _tree(self, text: str) -> str:
        """A nesting of tuples, lists and dicts."""
        protocol, root = json.loads(text)
        waiting = [root]
        while waiting:
            node = waiting.pop()
            waiting.extend(node["children_spec"])
            if node["type"] not in _TREES and node["type"] is not None:
                what = f"its inputs or outputs are of the type {node['type']}"
                hint = "only tuples, lists and dicts of tensors are read from an archive"
                raise UnsupportedError(what, where=self._where, hint=hint)
            if "__enum__" in str(node["context"]):
                raise self._refuse("a key of its inputs or outputs is no text", node["context"])
        return json.dumps([protocol, root])


def _computes(namespace: str, name: str, overload: str) -> bool:
    """True for an operator on tensors. `torch.ops.aten` also has functions of TorchScript, such as `aten.save`, which
    tracing would run."""
    full = f"{namespace}::{name}" if overload == "default" else f"{namespace}::{name}.{overload}"
    return name not in _OUTSIDE and full in _known()


@cache
def _known() -> frozenset[str]:
    import torch.ao.quantization.fx._decomposed

    return frozenset(torch._C._dispatch_get_all_op_names())


_TEXTS: dict[str, Callable[[_Checked, Any], Any]] = {
    "name": _Checked._name,
    "as_name": _Checked._name,
    "graph_name": _Checked._name,
    "expr_str": _Checked._expression,
    "target": _Checked._target,
}
_TEXTS.update(dict.fromkeys(_NESTED, _Checked._nothing))
