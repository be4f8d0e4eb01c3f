"""Layouts that engines can write, and what conversions to and from bits are predicted to cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeGuard

from xdsl.ir import Attribute, SSAValue

from ....ir.kn.bit_rows import BitRowsLayout
from ....ir.kn.bits import BitsLayout, planes_in_bits
from ....ir.kn.kernel import ConvertOp, KernelOp
from ....ir.kn.layout import layout_of, tensor_in, wanted
from ....ir.kn.requests import BitRows, Bits, Dense, LayoutRequest
from ....ir.types import element_of, shape_of
from ....ir.weights import WeightStore
from ..engine import Plan
from ..plans import Plans
from ..target import Target

COSTS = "bit_maps"
"""Their section of costs.toml. Other conversions copy bytes, which the reading kernel would do as well."""


def can_write(plan: Plan, kind: Attribute) -> bool:
    """Whether a kernel can write its result in a type, dense or laid out."""
    layout = layout_of(kind)
    return layout is None or plan.writes(layout)


def converted(value: SSAValue, want: Attribute) -> list[ConvertOp]:
    """Conversions of a value, one after the other; the last one gives the type that is wanted."""
    path: list[ConvertOp] = []
    kinds = [want] if ConvertOp.direct(value.type, want) else [tensor_in(want), want]
    for kind in kinds:
        path.append(ConvertOp.create(operands=[value], result_types=[kind]))
        value = path[-1].y
    return path


def in_bits(request: LayoutRequest) -> TypeGuard[Bits | BitRows]:
    """Whether a kernel reads a map in bits."""
    return isinstance(request, Bits | BitRows)


def unpack_cycles(kind: Attribute, target: Target) -> float:
    """Core cycles that a kernel takes longer to write bytes in place of a map in bits, of this type; of others 0."""
    if not isinstance(layout_of(kind), BitsLayout | BitRowsLayout):
        return 0.0
    return prod(shape_of(tensor_in(kind))) * target.costs[COSTS]["unpack"]


@dataclass(frozen=True)
class Side:
    """A kernel computed as a plan says, as one end of a map. plan: None for what is no kernel: inputs and results."""

    plan: Plan | None

    def writes(self, value: SSAValue, request: Bits | BitRows) -> bool:
        layout = wanted(tensor_in(value.type), request)
        return self.plan is not None and layout is not None and self.plan.writes(layout)

    def writes_bits(self, value: SSAValue) -> bool:
        """In rows, or along any axis."""
        rows = [BitRows()] if BitRowsLayout.takes(tensor_in(value.type)) else []
        return any(self.writes(value, request) for request in (*rows, *map(Bits, range(len(shape_of(value.type))))))

    def reads(self, index: int) -> LayoutRequest:
        return Dense() if self.plan is None else self.plan.reads[index]


def conversion_cycles(own: Plan, op: KernelOp, weights: WeightStore, plans: Plans) -> float:
    """Core cycles of the conversions around a kernel, were it computed as `own` says: `pack` for each bit of a map that
    is read in bits and not written so, `unpack` for each element of one that is written in bits and read otherwise."""

    def side(owner: object) -> Side:
        return Side(plans.chosen(owner, weights) if isinstance(owner, KernelOp) else None)

    found = [
        _cycles(value, side(value.owner), [own.reads[i]], plans.target)
        for i, value in enumerate(op.operands)
    ]  # fmt: skip
    for result in op.results:
        requests = [side(use.operation).reads(use.index) for use in result.uses]
        found.append(_cycles(result, Side(own), requests, plans.target))
    return sum(found)


def _cycles(value: SSAValue, writer: Side, requests: list[LayoutRequest], target: Target) -> float:
    """Conversions of one map, each made once, whoever reads it."""
    bits = planes_in_bits(element_of(value))
    if not bits:
        return 0.0
    costs, size = target.costs[COSTS], prod(shape_of(value.type))
    packed = {r for r in requests if in_bits(r) and not writer.writes(value, r)}
    cycles = len(packed) * size * bits * costs["pack"]
    if not all(in_bits(r) for r in requests) and writer.writes_bits(value):
        cycles += size * costs["unpack"]
    return cycles
