"""Chooses the layout of every feature map over the whole program, and inserts the conversions that remain.

A map is written in bits when its producer can and most consumers want that, or in channel planes when it can and some
consumer wants those; the border of planes is the union of what the consumers ask for. Everything else is dense, and
every conversion is an operation that can be seen and timed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from ....ir.kn.bit_rows import BitRowsLayout
from ....ir.kn.bits import BitsLayout
from ....ir.kn.kernel import KernelOp
from ....ir.kn.layout import Layout, MapType, PlanesLayout, layout_of, tensor_in
from ....ir.program import Program
from ....ir.rewrite import insert, retype
from ....ir.tn.movement import ReshapeOp
from ....ir.types import shape_of
from ....passes.base import GIVEN, Pass
from ....passes.properties import DENSE_MAPS, IN_KERNELS
from ..engine import AnyLayout, BitRows, Bits, Dense, LayoutRequest, Planes
from ..plans import Plans
from .conversions import bits_layout, bits_type, can_write, converted
from .select_engines import build_kernel

UNIVERSAL = "loops"
"""The engine that reads and writes dense maps element by element, never beyond their end."""


@dataclass(frozen=True)
class Use:
    """One kernel operand and the layout its engine wants there."""

    op: Operation
    index: int
    request: LayoutRequest


@dataclass(frozen=True)
class AssignLayouts(Pass):
    """Gives kernel results their layouts and inserts kn.convert."""

    name: ClassVar[str] = "assign-layouts"
    requires: ClassVar = (IN_KERNELS, DENSE_MAPS)
    ensures: ClassVar = (IN_KERNELS,)

    plans: Plans = field(compare=False, metadata=GIVEN)

    def apply(self, program: Program) -> bool:
        for argument in list(program.block.args):
            self._assign_input(program, argument)
        values = [r for op in program.ops if isinstance(op, KernelOp) for r in op.results]
        for value in values:
            self._assign(program, value)
        return bool(values)

    def _assign(self, program: Program, value: SSAValue) -> None:
        """Decides the layout of a kernel's result and converts for the uses that need another."""
        uses = self._uses(program, value)
        wants = Counter(wanted(value, u.request, uses) for u in uses if isinstance(u.request, Bits | BitRows | Planes))
        for kind, _ in wants.most_common():
            if self._writes(program, value, kind):
                value = _retyped(value, kind)
                break
        self._convert(value, uses)

    def _assign_input(self, program: Program, argument: BlockArgument) -> None:
        """Inputs are dense and end where the caller says: engines that read past the end get a copy."""
        uses = self._uses(program, argument)
        self._convert(argument, uses)
        careful = [u for u in uses if isinstance(u.request, Dense) and _reads_ahead(u.op)]
        if careful:
            copy = ReshapeOp.make(argument, shape=shape_of(argument))
            kernel = build_kernel([copy], f"stage_{argument.name_hint or argument.index}", UNIVERSAL)
            copy.erase()
            insert(careful[0].op, kernel)
            for use in careful:
                use.op.operands[use.index] = kernel.results[0]

    def _uses(self, program: Program, value: SSAValue) -> list[Use]:
        uses = []
        order = {op: i for i, op in enumerate(program.block.ops)}
        for use in sorted(value.uses, key=lambda u: (order[u.operation], u.index)):
            request: LayoutRequest = Dense()
            if isinstance(use.operation, KernelOp):
                request = self.plans.chosen(use.operation, program.weights).reads[use.index]
            uses.append(Use(use.operation, use.index, request))
        return uses

    def _writes(self, program: Program, value: SSAValue, kind: Attribute) -> bool:
        return isinstance(value.owner, KernelOp) and can_write(self.plans.chosen(value.owner, program.weights), kind)

    def _convert(self, value: SSAValue, uses: list[Use]) -> None:
        """One conversion per layout that some use wants and the value does not have."""
        have = layout_of(value.type)
        made: dict[Attribute, SSAValue] = {}
        for use in uses:
            if satisfies(have, use.request, value):
                continue
            want = wanted(value, use.request, uses)
            if want not in made:
                for convert in converted(value, want):
                    convert.location = use.op.location
                    made[want] = insert(use.op, convert)
            use.op.operands[use.index] = made[want]


def wanted(value: SSAValue, request: LayoutRequest, uses: Sequence[Use]) -> Attribute:
    """The type in which a value satisfies a request, which is one of `uses`."""
    if isinstance(request, Planes):
        return merged(value, uses, request.stride)
    return bits_type(value, request) if isinstance(request, Bits | BitRows) else tensor_in(value.type)


def merged(value: SSAValue, uses: Sequence[Use], stride: int) -> MapType:
    """The planes layout with the largest border that the uses with this stride ask for."""
    asked = [u.request for u in uses if isinstance(u.request, Planes) and u.request.stride == stride]
    top, left, bottom, right = (max(getattr(w, side) for w in asked) for side in ("top", "left", "bottom", "right"))
    tensor = tensor_in(value.type)
    _, _, height, width = shape_of(tensor)
    pitch, rows = -(-(left + width + right) // stride), -(-(top + height + bottom) // stride)
    layout = PlanesLayout.of(
        top=top,
        left=left,
        pitch=pitch,
        size=max(pitch * rows, 1) * stride**2,
        stride=stride,
        zero=int(any(w.zero for w in asked)),
    )
    return MapType(tensor, layout)


def satisfies(have: Layout | None, request: LayoutRequest, value: SSAValue) -> bool:
    """Whether a value in a layout (None: dense) can be read by a use with this request."""
    if isinstance(request, Bits | BitRows) or isinstance(have, BitsLayout | BitRowsLayout):
        return isinstance(request, Bits | BitRows) and have == bits_layout(value, request)
    if isinstance(request, AnyLayout):
        return True
    if isinstance(request, Dense) or have is None:
        return isinstance(request, Dense) and have is None
    _, _, height, width = shape_of(tensor_in(value.type))
    s = have.field("stride")
    rows = have.field("size") // s**2 // have.field("pitch") * s
    columns = have.field("pitch") * s
    return (
        s == request.stride
        and have.field("top") >= request.top
        and have.field("left") >= request.left
        and rows - have.field("top") - height >= request.bottom
        and columns - have.field("left") - width >= request.right
        and (have.field("zero") == 1 or not request.zero)
    )


def _retyped(value: SSAValue, kind: Attribute) -> SSAValue:
    return retype(value, kind)  # type: ignore[arg-type]


def _reads_ahead(op: Operation) -> bool:
    return isinstance(op, KernelOp) and op.engine.data != UNIVERSAL
