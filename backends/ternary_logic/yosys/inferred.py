"""Verilog that says what is computed, from which Yosys makes the circuit: expressions on whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..functions import BINARY
from ..mapping.numbers import Form, signed_digits
from .behaviour import Behaviour, Largest, Levels, Output, Sum
from .recipes import TOP


@dataclass(frozen=True)
class Value:
    """A whole number on wires. bits: a name for each wire of its form."""

    form: Form
    bits: tuple[str, ...]


@dataclass
class Text:
    """A module that is being written."""

    lines: list[str] = field(default_factory=list)
    named: dict[int, str] = field(default_factory=dict)  # numbers that have a wire, by the place of their value

    def wire(self, width: int, expression: str, *, keep: bool = False) -> str:
        """A wire of a signed expression: a sum of its own with keep, which no larger one takes in."""
        name = f"w{len(self.lines)}"
        mark = "(* keep *) " if keep else ""
        self.lines.append(f"  {mark}wire signed [{width - 1}:0] {name} = {expression};")
        return name

    def count(self, bits: Sequence[str]) -> str:
        """How many of some bits are set, as a wire without a sign."""
        name, width = f"w{len(self.lines)}", len(bits).bit_length()
        self.lines.append(f"  wire [{width - 1}:0] {name} = {' + '.join(bits)};")
        return name

    def number(self, place: int, value: Value) -> str:
        """The wire of a number of any form."""
        if place not in self.named:
            form, bits = value.form, value.bits
            if form.positional:
                joined = ", ".join([*([] if form.signed else ["1'b0"]), *reversed(bits)])
                expression = f"{{{joined}}}"
            elif form.weights == (-1, 1):
                expression = f"{{{bits[0]}, {bits[0]} | {bits[1]}}}"
            else:
                expression = f"{{~{bits[0]}, 1'b1}}"
            self.named[place] = self.wire(width_of(form.low, form.high), expression)
        return self.named[place]


def width_of(low: int, high: int) -> int:
    """Bits of two's complement that hold all numbers from low to high."""
    return max(low.bit_length() if low >= 0 else (-low - 1).bit_length(), high.bit_length()) + 1


def literal(number: int) -> str:
    width = width_of(min(number, 0), max(number, 0))
    return f"-{width + 1}'sd{-number}" if number < 0 else f"{width}'sd{number}"


def whole_sum(text: Text, values: Sequence[Value], output: Sum) -> str:
    """One expression, of which Yosys makes a compressor. Bits of sign pairs and signs are counted."""
    offset, parts, counted = output.offset, list[str](), dict[int, list[str]]()
    for place, weight in zip(output.places.tolist(), output.weights.tolist(), strict=True):
        value = values[place]
        if value.form.positional:
            parts.append(_times(weight, text.number(place, value)))
            continue
        offset += weight * value.form.offset
        for bit, each in zip(value.bits, value.form.weights, strict=True):
            counted.setdefault(weight * each, []).append(bit)
    for weight, bits in sorted(counted.items(), reverse=True):
        parts.append(_times(weight, f"$signed({{1'b0, {text.count(bits)}}})"))
    parts += [_plus(offset)] if offset or not parts else []
    return text.wire(width_of(*_range(values, output)), " ".join(parts).removeprefix("+ "))


def _times(weight: int, name: str) -> str:
    factor = "" if abs(weight) == 1 else f" * {literal(abs(weight))}"
    return f"{'-' if weight < 0 else '+'} {name}{factor}"


def _plus(number: int) -> str:
    return f"{'-' if number < 0 else '+'} {literal(abs(number))}"


def _range(values: Sequence[Value], output: Sum) -> tuple[int, int]:
    low = high = output.offset
    for place, weight in zip(output.places.tolist(), output.weights.tolist(), strict=True):
        ends = [weight * values[place].form.low, weight * values[place].form.high]
        low, high = low + min(ends), high + max(ends)
    return low, high


@dataclass(frozen=True)
class Term:
    """A number in a tree of adders, or its negation."""

    name: str
    low: int
    high: int
    negative: bool


def adder_sum(text: Text, values: Sequence[Value], output: Sum) -> str:
    """A tree of adders of two numbers, each by itself, as carry chains want them: those of few bits first."""
    terms = []
    for place, weight in zip(output.places.tolist(), output.weights.tolist(), strict=True):
        name, form = text.number(place, values[place]), values[place].form
        for shift, digit in enumerate(signed_digits(BINARY, weight)):
            if digit:
                low, high = form.low << shift, form.high << shift
                shifted = f"{{{name}, {shift}'d0}}" if shift else name
                if shift:
                    shifted = text.wire(width_of(low, high), shifted)
                terms.append(Term(shifted, low, high, digit < 0))
    if output.offset or not terms:
        offset = output.offset
        terms.append(Term(text.wire(width_of(min(offset, 0), max(offset, 0)), literal(offset)), offset, offset, False))
    terms.sort(key=lambda term: term.negative)  # stable: so most pairs have one sign
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        terms = [_joined(text, a, b) for a, b in pairs] + (terms[-1:] if len(terms) % 2 else [])
    (total,) = terms
    return text.wire(width_of(*_range(values, output)), ("-" if total.negative else "") + total.name)


def _joined(text: Text, a: Term, b: Term) -> Term:
    if a.negative == b.negative:
        low, high, expression = a.low + b.low, a.high + b.high, f"{a.name} + {b.name}"
    else:
        a, b = (b, a) if a.negative else (a, b)
        low, high, expression = a.low - b.high, a.high - b.low, f"{a.name} - {b.name}"
    name = text.wire(width_of(min(low, 0), max(high, 0)), expression, keep=True)
    return Term(name, low, high, a.negative and b.negative)


def levels(text: Text, values: Sequence[Value], output: Levels) -> str:
    value = values[output.place]
    name = text.number(output.place, value)
    chosen = literal(output.values[0])
    for bound, level in zip(output.bounds, output.values[1:], strict=True):
        if bound <= value.form.low:
            chosen = literal(level)
        elif bound <= value.form.high:
            chosen = f"({name} >= {literal(bound)}) ? {literal(level)} : ({chosen})"
    return text.wire(width_of(min(*output.values, 0), max(output.values)), chosen)


def largest(text: Text, values: Sequence[Value], output: Largest) -> str:
    forms = [values[place].form for place in output.places.tolist()]
    floor = [] if output.floor is None else [output.floor]
    width = width_of(min(0, *(form.low for form in forms), *floor), max(*(form.high for form in forms), *floor, 0))
    names = [text.number(place, values[place]) for place in output.places.tolist()] + [literal(n) for n in floor]
    while len(names) > 1:
        pairs = zip(names[::2], names[1::2], strict=False)
        rest = names[-1:] if len(names) % 2 else []
        names = [text.wire(width, f"({a} > {b}) ? {a} : {b}") for a, b in pairs] + rest
    return text.wire(width, names[0])


Writer = Callable[[Text, Sequence[Value], Sum], str]
"""Writes a sum, and returns the name of its wire."""

SUMS: Mapping[str, Writer] = {"inferred": whole_sum, "inferred adders": adder_sum}
"""By what the circuits are called: one expression, or a tree of adders of two numbers."""


def forms_of(behaviour: Behaviour) -> list[str]:
    """Those of SUMS that differ: a tree of adders wants numbers in places, two of them at least."""
    sums = [output for output in behaviour.outputs if isinstance(output, Sum) and len(output.places) > 1]
    in_places = all(form.positional for form, _ in behaviour.inputs)
    return list(SUMS) if sums and in_places else ["inferred"]


def inferred(behaviour: Behaviour, form: str) -> Iterator[str]:
    """The lines of a module with the ports of the netlist: x0, x1, .. and y, the first wire of all numbers lowest."""
    text, values = Text(), list[Value]()
    ports = [(f"x{i}", kind.wires * size) for i, (kind, size) in enumerate(behaviour.inputs)]
    for (port, _), (kind, size) in zip(ports, behaviour.inputs, strict=True):
        values += [Value(kind, tuple(f"{port}[{wire * size + i}]" for wire in range(kind.wires))) for i in range(size)]
    found = [_written(text, values, output, SUMS[form]) for output in behaviour.outputs]
    rows = [_bits(text, name, behaviour.output) for name in found]
    bits = [row[wire] for wire in range(behaviour.output.wires) for row in rows]
    inputs = [f"input [{bits - 1}:0] {port}" for port, bits in ports if bits]
    yield f"module {TOP}({', '.join([*inputs, f'output [{len(bits) - 1}:0] y'])});"
    yield from text.lines
    yield f"  assign y = {{{', '.join(reversed(bits))}}};"
    yield "endmodule"


def _written(text: Text, values: Sequence[Value], output: Output, write_sum: Writer) -> str:
    if isinstance(output, Sum):
        return write_sum(text, values, output)
    return levels(text, values, output) if isinstance(output, Levels) else largest(text, values, output)


def _bits(text: Text, name: str, form: Form) -> list[str]:
    """A number's bits in a form."""
    if form.weights == (-1, 1):
        return [f"({name} < 0)", f"({name} > 0)"]
    if form.weights == (2,):
        return [f"({name} > 0)"]
    wide = text.wire(max(form.wires, 1), name)  # its sign goes on to the left
    return [f"{wide}[{wire}]" for wire in range(form.wires)]


def dot_product(form: Form, terms: int, output: Form, weights: np.ndarray | None = None) -> Iterator[str]:
    """The lines of a module that multiplies and adds up numbers from -1 to 1, as `mapping.dot.dot_product` has it:
    inputs x0 and, without fixed weights, x1. A product is written in the form of its factors.

    Raises KeyError for forms that have no product of their own.
    """
    if weights is not None:
        total = Sum(np.flatnonzero(weights), weights[weights != 0])
        yield from inferred(Behaviour(((form, terms),), (total,), output), "inferred")
        return
    text = Text()
    rows = [[f"x{i}[{wire * terms}+:{terms}]" for wire in range(form.wires)] for i in range(2)]
    for wire, expression in enumerate(PRODUCTS[form.weights](*rows)):
        text.lines.append(f"  wire [{terms - 1}:0] p{wire} = {expression};")
    values = [Value(form, tuple(f"p{wire}[{i}]" for wire in range(form.wires))) for i in range(terms)]
    bits = _bits(text, whole_sum(text, values, Sum(np.arange(terms), np.ones(terms, np.int64))), output)
    size = form.wires * terms - 1
    yield f"module {TOP}(input [{size}:0] x0, input [{size}:0] x1, output [{len(bits) - 1}:0] y);"
    yield from text.lines
    yield f"  assign y = {{{', '.join(reversed(bits))}}};"
    yield "endmodule"


def _sign_pairs(a: Sequence[str], b: Sequence[str]) -> list[str]:
    (a_neg, a_pos), (b_neg, b_pos) = a, b
    return [f"{a_pos} & {b_neg} | {a_neg} & {b_pos}", f"{a_pos} & {b_pos} | {a_neg} & {b_neg}"]


def _complements(a: Sequence[str], b: Sequence[str]) -> list[str]:
    (a_low, a_high), (b_low, b_high) = a, b
    return [f"{a_low} & {b_low}", f"{a_low} & {b_low} & ({a_high} ^ {b_high})"]


def _signs(a: Sequence[str], b: Sequence[str]) -> list[str]:
    return [f"~({a[0]} ^ {b[0]})"]


PRODUCTS = {(-1, 1): _sign_pairs, (1, -2): _complements, (2,): _signs}
"""By the weights of a form's wires."""
