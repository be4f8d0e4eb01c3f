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

from ....ir.kn.kernel import KernelOp
from ....ir.kn.layout import in_layout, layout_of, satisfies, tensor_in, wanted
from ....ir.kn.requests import Dense, LayoutRequest
from ....ir.program import Program
from ....ir.rewrite import insert, retype
from ....ir.tn.movement import ReshapeOp
from ....ir.types import shape_of
from ....passes.base import GIVEN, Pass
from ....passes.grouping import build_kernel
from ....passes.properties import DENSE_MAPS, IN_KERNELS
from ..plans import Plans
from .conversions import can_write, converted

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
        kinds = (wanted_type(value, use.request, uses) for use in uses)
        for kind, _ in Counter(kind for kind in kinds if layout_of(kind)).most_common():
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
        made: dict[Attribute, SSAValue] = {}
        for use in uses:
            if satisfies(value.type, use.request):
                continue
            want = wanted_type(value, use.request, uses)
            if want not in made:
                for convert in converted(value, want):
                    convert.location = use.op.location
                    made[want] = insert(use.op, convert)
            use.op.operands[use.index] = made[want]


def wanted_type(value: SSAValue, request: LayoutRequest, uses: Sequence[Use] = ()) -> Attribute:
    """The type in which a value satisfies a request, and those of other uses that it can serve as well."""
    tensor = tensor_in(value.type)
    return in_layout(tensor, wanted(tensor, request, [use.request for use in uses]))


def _retyped(value: SSAValue, kind: Attribute) -> SSAValue:
    return retype(value, kind)  # type: ignore[arg-type]


def _reads_ahead(op: Operation) -> bool:
    return isinstance(op, KernelOp) and op.engine.data != UNIVERSAL
