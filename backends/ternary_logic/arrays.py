"""Circuits that compute a network step by step: arrays of multipliers, an accumulator, weights from a memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from ...ir.locations import source_names
from ...ir.program import Program
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.types import element_of, int_type, is_float, range_of, shape_of
from .cell import Library
from .lowering.coding import Coding
from .mapping.adders import add_up
from .mapping.numbers import Form, Number, Terms, positional, weighted
from .mapping.products import products
from .netlist import Builder, Netlist


@dataclass(frozen=True)
class Array:
    """One step adds the sum of `lanes` products to an accumulator. netlist: inputs a and w [wires, lanes] and sum
    [wires, 1]; output y [wires, 1], the next sum."""

    lanes: int
    netlist: Netlist
    inputs: Form
    weights: Form
    sums: Form

    @property
    def registers(self) -> int:
        """Digits that are held from step to step: both operands and the accumulator."""
        return self.lanes * (self.inputs.wires + self.weights.wires) + self.sums.wires


@dataclass(frozen=True)
class Steps:
    """An operation on an array. nodes: of the source model. outputs: how many sums it has, of so many terms each."""

    nodes: tuple[str, ...]
    outputs: int
    terms: int
    lanes: int

    @property
    def count(self) -> int:
        """Steps of all sums, one after the other."""
        return self.outputs * -(-self.terms // self.lanes)


@dataclass(frozen=True)
class ArrayCost:
    """An array, and the operations of a network that it computes: those with maps and weights of its forms."""

    array: Array
    operations: tuple[Steps, ...]

    @property
    def steps(self) -> int:
        return sum(one.count for one in self.operations)

    @property
    def reads(self) -> int:
        """Digits from a memory, in which maps and weights lie: nothing but the sum is kept for the next step. Lanes
        that are idle in the last step of a sum read nothing."""
        products = sum(one.outputs * one.terms for one in self.operations)
        return products * (self.array.inputs.wires + self.array.weights.wires)


def mac_array(library: Library, inputs: Form, weights: Form, sums: Form, lanes: int) -> Array:
    """An array of so many products; its sums are known to fit their form. Raises ValueError for products that are not
    known, and where forms and library have other digits."""
    for form in (inputs, weights, sums):
        library.require(form.name, form.digits)
    builder = Builder(library)
    a = Number(builder.input("a", inputs.wires, lanes)[..., None], inputs)
    w = Number(builder.input("w", weights.wires, lanes)[..., None], weights)
    before = Number(builder.input("sum", sums.wires, 1)[..., None], sums)
    total = Terms.join([products(builder, a, w), weighted(builder, before, np.ones(1, np.int64))])
    after = add_up(builder, Terms(total.columns, total.offset, sums.low, sums.high))
    builder.output("y", after.nets)
    return Array(lanes, builder.finish(), inputs, weights, sums)


def array_costs(program: Program, library: Library, coding: Coding, lanes: int) -> tuple[ArrayCost, ...]:
    """Of a program after `gate_passes`: an array for each pair of forms that its convolutions and matrix products of
    integers have. Thresholds, pooling and additions of maps are not in it."""
    found: dict[tuple[Form, ...], list[tuple[Steps, tuple[int, int]]]] = {}
    for op in program.block.ops:
        if isinstance(op, ConvOp | MatMulOp) and _has_products(program, op):
            x, w = op.operands[:2]
            steps = _steps(op, lanes)
            whole = steps.terms % lanes == 0 and not (isinstance(op, ConvOp) and any(op.get("pads")))
            forms = _forms(program, coding, x, w, signs=whole)
            found.setdefault(forms, []).append((steps, range_of(element_of(op.results[0]))))
    made = []
    for (inputs, weights), operations in found.items():
        low, high = min(low for _, (low, _) in operations), max(high for _, (_, high) in operations)
        array = mac_array(library, inputs, weights, positional(coding.digits, low, high), lanes)
        made.append(ArrayCost(array, tuple(steps for steps, _ in operations)))
    return tuple(made)


def longest_sum(program: Program) -> int:
    """Products of the longest sum that an array would do, 0 where it would do none: more lanes never have work."""
    sums = [op for op in program.block.ops if isinstance(op, ConvOp | MatMulOp) and _has_products(program, op)]
    return max((_terms(op) for op in sums), default=0)


def _has_products(program: Program, op: ConvOp | MatMulOp) -> bool:
    """Whether it multiplies integers that are not all 0, as a convolution or of two matrices."""
    x, w = op.operands[:2]
    if any(is_float(value) or len(shape_of(value)) < 2 for value in (x, w)):
        return False
    return (0, 0) not in (range_of(element_of(x)), _range(program, w))


def _forms(program: Program, coding: Coding, x: SSAValue, w: SSAValue, *, signs: bool) -> tuple[Form, Form]:
    """Of maps and weights. signs: whether no lane ever gets a 0, of padding or as it is idle, so that those which are
    -1 and 1 alone may be a bit each."""
    maps, weights = element_of(x), program.array(w)
    if signs and coding.signs is not None and coding.form(maps) == coding.signs and weights is not None:
        if np.isin(weights, (-1, 1)).all():
            return coding.signs, coding.signs
    low, high = range_of(maps)
    return coding.form(int_type(low, high)), coding.form(int_type(*_range(program, w)))


def _range(program: Program, operand: SSAValue) -> tuple[int, int]:
    """The smallest and the largest weight; of what is computed, the range of its type."""
    weights = program.array(operand)
    return range_of(element_of(operand)) if weights is None else (int(weights.min()), int(weights.max()))


def _steps(op: ConvOp | MatMulOp, lanes: int) -> Steps:
    return Steps(tuple(source_names(op.location)), prod(shape_of(op.results[0])), _terms(op), lanes)


def _terms(op: ConvOp | MatMulOp) -> int:
    return prod(shape_of(op.w)[1:]) if isinstance(op, ConvOp) else shape_of(op.b)[-2]
