"""Layouts that engines can write, and what conversions to and from bits are predicted to cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from xdsl.ir import Attribute, SSAValue

from ....ir.kn.bit_rows import BitRowsLayout
from ....ir.kn.bits import BitsLayout, planes_in_bits
from ....ir.kn.kernel import ConvertOp, KernelOp
from ....ir.kn.layout import MapType, layout_of, tensor_in
from ....ir.types import element_of, shape_of
from ....ir.weights import WeightStore
from ..engine import BitRows, Bits, Dense, Engine, Kernel, LayoutRequest, Schedule, WritesBits
from ..target import Target

COSTS = "bit_maps"
"""Their section of costs.toml. Other conversions copy bytes, which the reading kernel would do as well."""


def can_write(engine: Engine, view: Kernel, schedule: Schedule, target: Target, kind: Attribute) -> bool:
    """Whether an engine can write a kernel's result in a type, dense or laid out."""
    layout, shape = layout_of(kind), shape_of(tensor_in(kind))
    if isinstance(layout, BitsLayout | BitRowsLayout):
        return isinstance(engine, WritesBits) and engine.writes_bits(view, schedule, target, layout)
    if layout is None:
        return True
    return len(shape) == 4 and shape[0] == 1 and engine.writes_planes(view, schedule, target)


def bits_type(value: SSAValue, request: Bits | BitRows) -> MapType:
    return MapType(tensor_in(value.type), bits_layout(value, request))


def bits_layout(value: SSAValue, request: Bits | BitRows) -> BitsLayout | BitRowsLayout:
    if isinstance(request, BitRows):
        return BitRowsLayout.of(tensor_in(value.type))
    return BitsLayout.of(request.axis, request.groups)


def converted(value: SSAValue, want: Attribute) -> list[ConvertOp]:
    """Conversions of a value, one after the other; the last one gives the type that is wanted."""
    path: list[ConvertOp] = []
    kinds = [want] if ConvertOp.direct(value.type, want) else [tensor_in(want), want]
    for kind in kinds:
        path.append(ConvertOp.create(operands=[value], result_types=[kind]))
        value = path[-1].y
    return path


@dataclass(frozen=True)
class Side:
    """A kernel computed by an engine, as one end of a map. engine: None for what is no kernel: inputs and results."""

    engine: Engine | None
    view: Kernel | None
    schedule: Schedule
    target: Target

    def writes(self, value: SSAValue, request: Bits | BitRows) -> bool:
        if self.engine is None or self.view is None:
            return False
        return can_write(self.engine, self.view, self.schedule, self.target, bits_type(value, request))

    def writes_bits(self, value: SSAValue) -> bool:
        """In rows, or along any axis."""
        rows = [BitRows()] if BitRowsLayout.takes(tensor_in(value.type)) else []
        return any(self.writes(value, request) for request in (*rows, *map(Bits, range(len(shape_of(value.type))))))

    def reads(self, index: int) -> LayoutRequest:
        if self.engine is None or self.view is None:
            return Dense()
        return self.engine.reads(self.view, self.schedule, self.target)[index]


def conversion_cycles(
    own: Side, op: KernelOp, weights: WeightStore, engines: Mapping[str, Engine], target: Target
) -> float:
    """Core cycles of the conversions around a kernel, were it computed as `own` says: `pack` for each bit of a map that
    is read in bits and not written so, `unpack` for each element of one that is written in bits and read otherwise.

    engines: by name, those of the kernels before and behind.
    """

    def side(owner: object) -> Side:
        if not isinstance(owner, KernelOp):
            return Side(None, None, {}, target)
        return Side(engines[owner.engine.data], Kernel(owner, weights), owner.schedule_values, target)

    found = [
        _cycles(value, side(value.owner), [own.reads(i)], target)
        for i, value in enumerate(op.operands)
    ]  # fmt: skip
    for result in op.results:
        requests = [side(use.operation).reads(use.index) for use in result.uses]
        found.append(_cycles(result, own, requests, target))
    return sum(found)


def _cycles(value: SSAValue, writer: Side, requests: list[LayoutRequest], target: Target) -> float:
    """Conversions of one map, each made once, whoever reads it."""
    bits = planes_in_bits(element_of(value))
    if not bits:
        return 0.0
    costs, size = target.costs[COSTS], prod(shape_of(value.type))
    packed = {r for r in requests if isinstance(r, Bits | BitRows) and not writer.writes(value, r)}
    cycles = len(packed) * size * bits * costs["pack"]
    if any(not isinstance(r, Bits | BitRows) for r in requests) and writer.writes_bits(value):
        cycles += size * costs["unpack"]
    return cycles
