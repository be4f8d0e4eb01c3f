"""A whole program as one netlist: every operation on integers in gates, every pixel on wires of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.traits import IsTerminator

from ....ir.locations import describe
from ....ir.program import Program
from ....ir.tn.constant import ConstantOp
from ....ir.types import element_of, is_float, shape_of
from ..cell import Library
from ..mapping.numbers import Form, Number
from ..netlist import Builder, Netlist, gates_of
from . import bounds, linear, movement, pool, quant  # noqa: F401  (they fill RULES)
from .coding import Coding
from .rules import RULES, Context, NotMappedError, Operand

ON_FLOATS = "it works on floats"
"""The reason against operations that need weights or activations of integers first."""


@dataclass(frozen=True)
class Unmapped:
    """An operation that stays outside of the netlist, and why."""

    operation: Operation
    reason: str

    def __str__(self) -> str:
        return f"{describe(self.operation)}: {self.reason}"


@dataclass(frozen=True)
class MappedProgram:
    """inputs, outputs: what crosses the netlist's border, by the names of its ports. gates: of each operation, by the
    names of cells. unmapped: operations outside, in order."""

    netlist: Netlist
    inputs: Mapping[str, tuple[SSAValue, Form]]
    outputs: Mapping[str, tuple[SSAValue, Form]]
    gates: Mapping[Operation, Mapping[str, int]]
    unmapped: tuple[Unmapped, ...]


def map_program(program: Program, library: Library, coding: Coding) -> MappedProgram:
    """Integers that come from outside (the program's inputs, quantizers of floats) are inputs of the netlist, those
    that are read outside (by operations on floats, or returned) its outputs.

    Raises ValueError where coding and library have other digits.
    """
    library.require(coding.name, coding.digits)
    builder = Builder(library)
    context = Context(builder, coding, program.weights)
    values: dict[SSAValue, Operand] = {}
    inputs: dict[str, tuple[SSAValue, Form]] = {}
    outputs: dict[str, tuple[SSAValue, Form]] = {}
    gates: dict[Operation, Mapping[str, int]] = {}
    unmapped = list[Unmapped]()

    def enter(value: SSAValue) -> None:
        form, name = coding.form(element_of(value)), f"x{len(inputs)}"
        values[value] = Number(builder.input(name, form.wires, *shape_of(value)), form)
        inputs[name] = value, form

    def leave(value: SSAValue) -> None:
        number = values.get(value)
        if isinstance(number, Number) and all(value is not seen for seen, _ in outputs.values()):
            outputs[name := f"y{len(outputs)}"] = value, number.form
            builder.output(name, number.nets)

    for argument in program.block.args:
        if not is_float(argument):
            enter(argument)
    for op in program.block.ops:
        if isinstance(op, ConstantOp):
            continue
        operands = [constant_of(program, v) if isinstance(v.owner, ConstantOp) else values.get(v) for v in op.operands]
        before, reason = len(builder.blocks), reason_against(op)
        if not reason:
            try:
                values[op.results[0]] = RULES[type(op)](context, op, *operands)
                gates[op] = gates_of(builder.blocks[before:])
                continue
            except NotMappedError as refusal:
                assert len(builder.blocks) == before, "refused after its first gate"
                reason = str(refusal)
        for value in op.operands:
            leave(value)
        if not op.has_trait(IsTerminator):
            unmapped.append(Unmapped(op, reason))
            for result in op.results:
                if not is_float(result):
                    enter(result)
    return MappedProgram(builder.finish(), inputs, outputs, gates, tuple(unmapped))


def constant_of(program: Program, value: SSAValue) -> np.ndarray:
    """Integers in int64, in which nothing overflows."""
    array = program.array(value)
    assert array is not None
    return array if is_float(value) else array.astype(np.int64)


def reason_against(op: Operation) -> str:
    """Why an operation has no gates, before they are tried."""
    if op.has_trait(IsTerminator):
        return "it returns"
    if any(is_float(value) for value in (*op.operands, *op.results)):
        return ON_FLOATS
    return "" if type(op) in RULES else f"{op.name} has no gates"


def encoded(mapped: MappedProgram, arrays: Mapping[SSAValue, np.ndarray]) -> dict[str, np.ndarray]:
    """The digits of the netlist's inputs. arrays: integers [*shape, vectors] by value."""
    return {name: form.encode(arrays[value]) for name, (value, form) in mapped.inputs.items()}
