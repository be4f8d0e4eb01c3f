"""Writing C text: indented lines, comments that cannot break out, C types and literals, the comment above a kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import Attribute, Operation

from ...ir.errors import IRError
from ...ir.kn.layout import layout_of, tensor_in
from ...ir.locations import source_names
from ...ir.types import Element, element_of, range_of, shape_of, storage_dtype
from .limits import INT32_MAX, INT32_MIN


class Lines:
    """C source that grows line by line; `block` indents."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def add(self, *lines: str) -> None:
        self._lines += ["    " * self._depth + line if line else "" for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head {`, what is added inside, `}`."""
        self.add(f"{head} {{" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.add("}")

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def comment(text: str) -> str:
    """A C comment. The text may come from a hostile model: nothing in it can end the comment or start a new line."""
    plain = re.sub(r"[^ -~]|\\|\?", "_", text)
    while "*/" in plain or "/*" in plain:
        plain = plain.replace("*/", "* /").replace("/*", "/ *")
    return f"/* {plain} */"


def check_symbol(symbol: str) -> str:
    """The symbol itself. Raises IRError for one that is not an identifier (it would become C code)."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", symbol):
        raise IRError(f"kernel symbol {symbol[:300]!r} is not a C identifier of at most 200 characters")
    return symbol


def storage_c(element: Attribute) -> str:
    """The C type an element is stored as: float, int8_t, uint8_t, ..."""
    dtype = storage_dtype(element)
    return "float" if dtype.kind == "f" else f"{dtype.name}_t"


def value_c(*elements: Element) -> str:
    """The C type that integer arithmetic on these elements is done in: int32_t where all fit, else int64_t; float."""
    if any(storage_dtype(e).kind == "f" for e in elements):
        return "float"
    fits = all(lo >= INT32_MIN and hi <= INT32_MAX for lo, hi in map(range_of, elements))
    return "int32_t" if fits else "int64_t"


def float_c(value: float) -> str:
    """A float literal that is exactly float32(value)."""
    single = np.float32(value)
    if math.isnan(single):
        return "NAN"
    if math.isinf(single):
        return "INFINITY" if single > 0 else "(-INFINITY)"
    text = str(single)
    text = text if "." in text or "e" in text else f"{text}.0"
    return f"{text}f" if single >= 0 and not np.signbit(single) else f"({text}f)"


def int_c(value: int) -> str:
    """An integer literal of the right width."""
    if INT32_MIN < value <= INT32_MAX:
        return str(value)
    if value == INT32_MIN:
        return "INT32_MIN"
    return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})"


def nodes_text(location: LocationAttr) -> str:
    """`conv2 (Conv) + act2 (Relu)`: the source nodes of a location."""
    return " + ".join(f"{name} ({kind})" for kind, _, name in (n.partition(":") for n in source_names(location)))


def element_text(element: Element) -> str:
    """A word for an element type: float, ternary, binary, int 0..15."""
    if storage_dtype(element).kind == "f":
        return "float"
    lo, hi = range_of(element)
    if (lo, hi) == (-1, 1):
        return "ternary" if element.name == "tn.int" else "binary"
    return f"int {lo}..{hi}"


def type_text(kind: Attribute) -> str:
    """`1x64x28x28 ternary, planes of 34x34`: a value's shape, element and layout."""
    tensor, layout = tensor_in(kind), layout_of(kind)
    shape = "x".join(map(str, shape_of(tensor))) or "scalar"
    return f"{shape} {element_text(element_of(tensor))}" + (f" in {layout.words()}" if layout else "")


def kernel_head(symbol: str) -> str:
    """The first line of a kernel's function, for kernels that are made of the functions of headers."""
    return f"TERCET_FLATTEN void {symbol}(const struct tercet_task *task)"


def kernel_comment(op: Operation, ops: list[Operation], weights: list[Attribute], engine: str) -> str:
    """The comment above a kernel: source layers, operations, constants' and results' shapes, engine."""
    nodes = nodes_text(op.location) or "no source node"
    names = ", ".join(o.name.removeprefix("tn.") for o in ops) or op.name
    read = " and ".join(type_text(v.type) for v in op.operands) or "nothing"
    written = " and ".join(type_text(v.type) for v in op.results)
    constants = f"; constants {', '.join(type_text(w) for w in weights)}" if weights else ""
    return comment(f"{nodes}: {names}; {read} -> {written}{constants}; engine {engine}")
