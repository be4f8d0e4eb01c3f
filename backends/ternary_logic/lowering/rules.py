"""The table from operation class to gates, filled by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Operation

from ....ir.operation import TensorOperation
from ....ir.sum_graph import SumGraph
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.types import element_of
from ....ir.weights import WeightStore
from ..mapping.adders import add_up
from ..mapping.choices import levels
from ..mapping.numbers import Form, Number, Terms, positional, weighted
from ..mapping.thresholds import at_least
from ..netlist import Builder, Nets
from .coding import Coding

Operand: TypeAlias = "Number | np.ndarray"
"""A map on wires, [wires, *shape], or a constant."""


class NotMappedError(Exception):
    """An operation has no form in gates; raised before its first one. The text says why."""


class Context:
    """Where gates go, and how numbers lie on wires. weights: of the program, among them the graphs of sum-merge;
    without them no sums are shared."""

    def __init__(self, builder: Builder, coding: Coding, weights: WeightStore | None = None) -> None:
        self.builder, self.coding, self.weights = builder, coding, weights

    def graph_of(self, op: ConvOp | MatMulOp) -> SumGraph | None:
        """The additions that the pass sum-merge found for an operation with weights, where sums are shared."""
        name = op.get("sums")
        return None if self.weights is None or name is None else SumGraph.from_array(self.weights[name])

    def form_of(self, op: Operation) -> Form:
        """The form of an operation's result."""
        return self.coding.form(element_of(op.results[0]))

    def number(self, sums: Terms, form: Form) -> Number:
        """A sum in a form that holds it. Places beyond those that the sum needs are constants, or copies of the highest
        bit of two's complement; a form without places is found by comparing."""
        low, high = max(sums.low, form.low), min(sums.high, form.high)
        total = add_up(self.builder, Terms(sums.columns, sums.offset, low, high))
        if form == total.form:
            return total
        if not form.positional:
            values = [value for value in range(form.low, form.high + 1) if form.holds(value)]
            answers = [self.at_least(total, value) for value in values[1:]]
            return levels(self.builder, answers, values, form, total.nets.shape[1:])
        more = form.wires - total.form.wires
        zero = self.builder.constant(0)
        filler = total.nets[-1] if total.form.signed else np.broadcast_to(zero, total.nets.shape[1:])
        return Number(np.concatenate([total.nets, *[filler[None]] * more]), form)

    def at_least(self, number: Number, bound: int) -> Nets:
        """Whether numbers are a bound or more."""
        (answer,) = at_least(self.builder, Number(number.nets[:, None], number.form), np.array([bound]))
        return answer

    def border(self, form: Form, number: int) -> Nets:
        """The constant wires of a padding, [wires]. Raises NotMappedError for a number that the form cannot hold."""
        return self._constant(form, np.array(number), f"a border of {number} around {form.name}")

    def on_wires(self, operands: Sequence[Operand], form: Form) -> list[Number]:
        """Operands in a form: constants become constant wires. Raises NotMappedError, before any gate, for a constant
        that the form cannot hold."""
        what = f"a constant among numbers as {form.name} from {form.low} to {form.high} that is none of them"
        constants = {i: Number(self._constant(form, x, what), form) for i, x in enumerate(operands)
                     if not isinstance(x, Number)}  # fmt: skip
        return [self._in_form(x, form) if isinstance(x, Number) else constants[i] for i, x in enumerate(operands)]

    def _constant(self, form: Form, numbers: np.ndarray, what: str) -> Nets:
        try:
            return self.builder.constant(form.encode(numbers))
        except ValueError as error:
            raise NotMappedError(what) from error

    def in_places(self, number: Number) -> Number:
        """A number as digits of places."""
        form = number.form
        return self._in_form(number, positional(form.digits, form.low, form.high))

    def _in_form(self, number: Number, form: Form) -> Number:
        if number.form == form:
            return number
        return self.number(weighted(self.builder, _one_term(number), np.ones(1, np.int64)), form)


def _one_term(number: Number) -> Number:
    return Number(number.nets[:, None], number.form)


Rule: TypeAlias = Callable[..., Number]
"""Called with the context, the operation and its operands. Raises NotMappedError."""

RULES: dict[type[Operation], Rule] = {}


def gates_of(*kinds: type[TensorOperation]) -> Callable[[Rule], Any]:
    """Registers a function as the gates of operation classes."""

    def register(rule: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = rule
        return rule

    return register


def constant(operand: Operand, what: str) -> np.ndarray:
    """A constant operand. Raises NotMappedError for a map."""
    if isinstance(operand, Number):
        raise NotMappedError(f"{what} that is computed")
    return operand


def on_wires(operand: Operand, what: str) -> Number:
    """A map. Raises NotMappedError for a constant."""
    if not isinstance(operand, Number):
        raise NotMappedError(f"{what} that is constant")
    return operand
