"""Every elementwise operation of `tn`, so that tests need no list of them."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import FloatAttr

from tercet.ir.operation import from_attribute
from tercet.ir.tn import OPS
from tercet.ir.tn.elementwise import BinaryOp, UnaryOp

UNARY = [op for op in OPS if issubclass(op, UnaryOp)]
BINARY = [op for op in OPS if issubclass(op, BinaryOp)]
NUMBERS = {"lo": -1.0, "hi": 2.0}


def attributes(kind: type[UnaryOp] | type[BinaryOp]) -> dict[str, Any]:
    """Attributes that an operation can be made with."""
    made: dict[str, Any] = dict(kind.DEFAULTS)
    for name, definition in kind.get_irdl_definition().properties.items():
        if name not in made and getattr(definition.constr, "attr", None) is FloatAttr:
            made[name] = NUMBERS.get(name, 0.25)
    return {name: from_attribute(v) if hasattr(v, "name") else v for name, v in made.items()}
