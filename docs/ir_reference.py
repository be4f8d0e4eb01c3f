"""Writes docs/ir.md from the classes of the dialects: their docstrings, definitions and facts.

    .venv/bin/python docs/ir_reference.py > docs/ir.md

tests/test_docs.py holds the page to it; `pytest tests/test_docs.py --update-golden` writes it, too.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Container, Iterator, Sequence
from itertools import product
from types import ModuleType

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    f32,
)
from xdsl.ir import Block
from xdsl.irdl import BaseAttr, IRDLOperation, OpDef, OptOperandDef, OptPropertyDef, VarOperandDef, VarResultDef

from tercet.backends.c import engines
from tercet.backends.c.dense.engine import Tile
from tercet.ir import literals, types
from tercet.ir.kn import kernel, layout
from tercet.ir.operation import PlainOperation, TensorOperation, to_attribute
from tercet.ir.tn import (
    ElementwiseOp,
    MovementOp,
    constant,
    elementwise,
    functions,
    linear,
    logic,
    movement,
    pool,
    quant,
)
from tercet.ir.tn.elementwise import BinaryOp, RisingOp, UnaryOp
from tercet.ir.tn.logic import COMPARISONS

HEAD = """\
# The IR

<!-- Written by docs/ir_reference.py from the docstrings of ir/: mend those. -->

Programs are MLIR text in two dialects. `tn` is mathematics: one operation for each step, integers with exact ranges,
no layouts. `kn` says how it is computed: by which engine, in which layout, where in memory. The numpy interpreter
(`backends/reference/`) gives every operation its meaning. [README](../README.md), "Reading the IR", shows how to look
at the IR of a model, and [passes](passes.md) what each pass makes of it. An operation reads

    %y = tn.conv %x, %w, %bias {attributes} : (operand types) -> result type loc("OpType:node name")

The forms below leave out types and locations. What stands in square brackets is optional, `...` stands for any number
of values, and `=` gives an attribute's default. In italics are the facts that passes ask an operation for:

- *element-wise*: each element of the result is computed from one element of each operand. *moves elements*: each
  element of the result is an element of an operand, or a constant. *combines elements*: all others.
- *samples*: whether it keeps the samples of a batch (the leading axis) apart, or when it mixes them. An element-wise
  operation of which nothing is said keeps them apart unless it broadcasts the batch axis against another one.
- *direction*: whether the result of an element-wise operation rises or falls when an operand rises and the others are
  constant, or where it turns from one to the other. *in order*: float32 results follow it without exception.
"""

FAMILIES: Sequence[ModuleType] = (constant, linear, elementwise, functions, logic, quant, pool, movement)
GENERIC = (PlainOperation, TensorOperation, ElementwiseOp, MovementOp, BinaryOp, UnaryOp, RisingOp)
"""Bases of which the page speaks once, and not at every operation."""

WORDS = {
    DenseArrayBase: "integers",
    DictionaryAttr: "names and values",
    FloatAttr: "float",
    IntegerAttr: "integer",
    StringAttr: "string",
    SymbolRefAttr: "@array",
    literals.ValuesAttr: "elements",
}


def page() -> str:
    """The text of docs/ir.md."""
    return "\n".join([HEAD, *_types(), *_tensor_operations(), *_kernel_operations(), *_schedules()])


def _types() -> Iterator[str]:
    yield "## Types\n"
    yield "A tensor is `tensor<1x64x28x28xELEMENT>`, with the element `f32` or one of\n"
    for kind in (types.IntType, types.SetType):
        yield f"### `!{kind.name}`\n\n{markdown(kind)}"
    yield f"Small constants show their elements, `#{literals.ValuesAttr.name}`:\n\n{markdown(literals.ValuesAttr)}"


def _tensor_operations() -> Iterator[str]:
    for family in FAMILIES:
        title, _, more = (family.__doc__ or "").strip().partition("\n\n")
        yield f"## `tn`: {title[0].lower()}{title[1:].rstrip('.')}\n"
        if more:
            yield f"{escaped(more)}\n"
        for kind in family.OPS:
            yield operation(kind)
            yield f"*{'; '.join(facts(kind))}*\n"


def _kernel_operations() -> Iterator[str]:
    yield "## `kn`: kernels\n"
    for kind in kernel.OPS:
        yield operation(kind)
    yield "## `kn`: layouts\n"
    yield f"### `!{layout.MapType.name}`\n\n{markdown(layout.MapType)}"
    for kind in layout.LAYOUTS:
        yield f"### `#{kind.name}`\n\n{markdown(kind)}"


def _schedules() -> Iterator[str]:
    yield "## Schedules\n"
    yield "What `schedule` of a `kn.kernel` holds, by engine. How the engines work: [engines](engines.md).\n"
    for folder in sorted(engines.FOLDERS, key=lambda folder: folder.ENGINE.name):
        choices = sorted(choices_of(folder), key=lambda kind: kind.__name__)
        texts = [" ".join((vars(kind)["schedule"].__doc__ or "").split()) for kind in choices]
        text = re.sub(r"(\w+(?:, \w+)*):", lambda fields: f"`{fields[1]}`:", " Or ".join(texts))
        yield f"- {folder.ENGINE.name}. {escaped(text)}"
    yield ""


def choices_of(folder: ModuleType) -> set[type]:
    """The classes that give schedules in an engine's package; the engines over register tiles share one."""
    inside = [m for name, m in sys.modules.items() if f"{name}.".startswith(f"{folder.__name__}.")]
    found = {kind for m in inside for kind in vars(m).values() if isinstance(kind, type) and "schedule" in vars(kind)}
    return found or {Tile}


def operation(kind: type[IRDLOperation]) -> str:
    """The heading, form and meaning of an operation; families that have something to say about it add that."""
    names = {name for name, _ in (*definition_of(kind).operands, *definition_of(kind).properties.items())}
    texts = [markdown(base, names) for base in kind.__mro__ if base is kind or said(base)]
    return "\n".join([f"### {kind.name}\n\n    {form(kind)}\n", *texts])


def said(base: type) -> bool:
    """Whether a class says something about an operation that the facts do not."""
    return base not in GENERIC and bool(vars(base).get("__doc__")) and base.__module__.startswith("tercet.")


def form(kind: type[IRDLOperation]) -> str:
    """`y = tn.conv x, w, [bias] {group: integer, ..}`."""
    definition = definition_of(kind)
    results = [f"{name}..." if isinstance(d, VarResultDef) else name for name, d in definition.results]
    operands = [f"[{n}]" if isinstance(d, OptOperandDef) else f"{n}..." if isinstance(d, VarOperandDef) else n
                for n, d in definition.operands]  # fmt: skip
    defaults = kind.DEFAULTS if issubclass(kind, PlainOperation) else {}
    attributes = []
    for name, d in sorted(definition.properties.items()):
        word = WORDS[d.constr.attr] if isinstance(d.constr, BaseAttr) else "any"
        text = f"{name}: {word}" + (f" = {defaults[name]}" if name in defaults else "")
        attributes.append(f"[{text}]" if isinstance(d, OptPropertyDef) else text)
    left = f"{', '.join(results).replace('results_', 'results')} = " if results else ""
    braces = f"{{{', '.join(attributes)}}}" if attributes else ""
    return " ".join(filter(None, (f"{left}{kind.name}", ", ".join(operands), braces)))


def definition_of(kind: type[IRDLOperation]) -> OpDef:
    return kind.get_irdl_definition()


def facts(kind: type[TensorOperation]) -> list[str]:
    """What passes ask of the operation, in words."""
    maps, moves = issubclass(kind, ElementwiseOp), issubclass(kind, MovementOp)
    mixing = reasons(kind)
    apart = f"mixed where {' or where '.join(mixing)}" if mixing else "kept apart"
    found = ["element-wise" if maps else "moves elements" if moves else "combines elements"]
    if kind.mixes_samples is not ElementwiseOp.mixes_samples:
        found.append(f"samples: {apart}")
    return [*found, f"direction: {direction(kind)}"] if issubclass(kind, ElementwiseOp) else found


def reasons(kind: type[TensorOperation]) -> list[str]:
    """What `mixes_samples` may return: the texts among the constants and globals that its code names."""
    code, names = kind.mixes_samples.__code__, kind.mixes_samples.__globals__
    texts = [*code.co_consts, *(names.get(name) for name in code.co_names)]
    return [t for t in texts if isinstance(t, str) and " " in t and t != kind.mixes_samples.__doc__]


def direction(kind: type[ElementwiseOp]) -> str:
    """How the result moves with each operand, asked of the operation with attributes and constants of several signs."""
    turns = {tuple(op.turns()) for op in examples(kind) if isinstance(op, UnaryOp)}
    if len(turns) == 1 and (places := turns.pop()):
        return f"turns at {', '.join(f'{place:g}' for place in places)}"
    operands: dict[str, list[str]] = {}
    for place, (name, _) in enumerate(definition_of(kind).operands):
        operands.setdefault(_movement(kind, place), []).append(name)
    operands.pop("", None)
    known = [way.format(" and ".join(names)) for way, names in operands.items()]
    return ", ".join(known) + (", in order" if kind.IN_ORDER else "") if known else "not known"


def _movement(kind: type[ElementwiseOp], place: int) -> str:
    """How the result moves with an operand, {}; "" where that is not known."""
    free = [op.direction(place, None).item() for op in examples(kind)]
    fixed = [op.direction(place, np.full(1, c)).item() for op in examples(kind) for c in (-2.0, -0.5, 0.5, 2.0)]
    ways, what = (free, "attribute") if {1.0, -1.0} & {*free} else (fixed, "constant other operand")
    verbs = [verb for way, verb in ((1.0, "rises"), (-1.0, "falls")) if way in ways]
    if not verbs:
        return ""
    known = not np.isnan(ways).any()
    text = f"{' or '.join(verbs)} with {{}}"
    if not known:
        return f"{text} for some values of the {what}"
    return text if len({*ways}) == 1 else f"{text}, depending on the {what}"


def examples(kind: type[ElementwiseOp]) -> Iterator[ElementwiseOp]:
    """The operation on floats, detached, with attributes of either sign."""
    variants = []
    for name, d in definition_of(kind).properties.items():
        word = WORDS[d.constr.attr] if isinstance(d.constr, BaseAttr) else ""
        signs = {"float": (-1.0, 1.0), "integer": (-1, 1), "string": COMPARISONS}[word]
        variants.append([(name, to_attribute(v)) for v in ((kind.DEFAULTS[name],) if name in kind.DEFAULTS else signs)])
    tensor = types.tensor_type((4,), f32)
    for chosen in product(*variants):
        block = Block(arg_types=[tensor] * len(definition_of(kind).operands))
        yield kind.create(operands=block.args, properties=dict(chosen), result_types=[tensor])


def markdown(kind: type, names: Container[str] = ()) -> str:
    """A docstring as markdown: lines that describe one of the names become a list, indented ones code."""
    if not vars(kind)["__doc__"]:
        raise TypeError(f"{kind.__name__} has no docstring")
    lines = inspect.cleandoc(vars(kind)["__doc__"]).splitlines()
    found, before = list[str](), ""
    for line in lines:
        described = re.match(r"(\w+(?:, \w+)*): (?=\S)", line)
        if line.startswith("    "):
            found += [*([""] if not before.startswith("    ") else []), line]
        elif described and all(name in names for name in described[1].split(", ")):
            fields = ", ".join(f"`{name}`" for name in described[1].split(", "))
            found.append(f"- {fields}: {escaped(line[described.end() :])}")
        else:
            found += [*([""] if before.startswith("    ") and line else []), escaped(line)]
        before = line
    return "\n".join(found) + "\n"


def escaped(text: str) -> str:
    """Text outside backticks without what markdown takes for markup."""
    parts = text.split("`")
    return "`".join(re.sub(r"([*<>\\[\]|#])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))


if __name__ == "__main__":
    sys.stdout.write(page())
