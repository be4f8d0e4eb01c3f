"""Kernels: a group of `tn` operations given to one engine, and conversions between layouts.

The meaning of a kernel is the meaning of its region; engine, schedule, layouts and offsets only say how it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from xdsl.dialects.builtin import DenseArrayBase, DictionaryAttr, IntegerAttr, LocationAttr, StringAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsolatedFromAbove, IsTerminator
from xdsl.utils.exceptions import VerifyException

from ..operation import AttributeValue, PlainOperation, fail, from_attribute, to_attribute
from .layout import bits_of, planes_of, tensor_in


def planned_offsets(op: Operation) -> tuple[int, ...]:
    """The arena byte offsets of an operation's results; empty before memory is planned."""
    offsets = op.properties.get("offsets")
    return () if offsets is None else tuple(from_attribute(offsets))


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The results of a kernel's region."""

    name = "kn.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict ($values^ `:` type($values))?"


@irdl_op_definition
class KernelOp(IRDLOperation):
    """A group of `tn` operations that one engine computes. Its meaning is that of its region.

    Operands and results are dense tensors or `!kn.map`s; the region sees plain tensors and owns its constants.
    symbol: the name of the step, in C and in reports too.
    engine: who computes it.
    schedule: the engine's choices, integers and strings: see below.
    offsets: byte offset of each result in the arena, -1 for one that is written to the caller's output buffer; absent
    before memory is planned.
    cycles: predicted, for one sample on one core.
    measured: the same as measured; only where the kernel was tuned.
    """

    name = "kn.kernel"
    maps = var_operand_def()
    symbol = prop_def(StringAttr)
    engine = prop_def(StringAttr)
    schedule = prop_def(DictionaryAttr)
    offsets = opt_prop_def(DenseArrayBase)
    cycles = opt_prop_def(IntegerAttr)
    measured = opt_prop_def(IntegerAttr)
    results_ = var_result_def()
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove())

    @classmethod
    def make(
        cls,
        symbol: str,
        engine: str,
        schedule: Mapping[str, AttributeValue],
        maps: Sequence[SSAValue],
        types: Sequence[Attribute],
        body: Block,
        *,
        at: LocationAttr | None = None,
    ) -> Self:
        properties: dict[str, Attribute] = {
            "symbol": StringAttr(symbol),
            "engine": StringAttr(engine),
            "schedule": cls.schedule_attribute(schedule),
        }
        return cls.create(operands=maps, result_types=types, properties=properties, regions=[Region(body)], location=at)

    @staticmethod
    def schedule_attribute(schedule: Mapping[str, AttributeValue]) -> DictionaryAttr:
        return DictionaryAttr({k: to_attribute(v) for k, v in schedule.items()})

    @property
    def schedule_values(self) -> dict[str, Any]:
        return {k: from_attribute(v) for k, v in self.schedule.data.items()}

    @property
    def predicted_cycles(self) -> int:
        """0 where nothing was predicted."""
        return 0 if self.cycles is None else self.cycles.value.data

    @property
    def measured_cycles(self) -> int:
        """0 where nothing was measured."""
        return 0 if self.measured is None else self.measured.value.data

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def inner(self) -> list[Operation]:
        """The region's operations without the yield."""
        return [op for op in self.block.ops if not isinstance(op, YieldOp)]

    @property
    def yielded(self) -> Sequence[SSAValue]:
        last = self.block.last_op
        return last.operands if isinstance(last, YieldOp) else ()

    def verify_(self) -> None:
        if len(self.block.args) != len(self.operands):
            raise fail(self, "region arguments", len(self.operands), len(self.block.args))
        for i, (argument, operand) in enumerate(zip(self.block.args, self.operands, strict=True)):
            if argument.type != tensor_in(operand.type):
                raise fail(self, f"region argument {i}", tensor_in(operand.type), argument.type)
        if len(self.yielded) != len(self.results):
            raise fail(self, "yielded values", len(self.results), len(self.yielded))
        for i, (value, result) in enumerate(zip(self.yielded, self.results, strict=True)):
            if value.type != tensor_in(result.type):
                raise fail(self, f"yielded value {i}", tensor_in(result.type), value.type)
        if self.offsets is not None and len(planned_offsets(self)) != len(self.results):
            raise fail(self, "offsets", f"{len(self.results)} entries", self.offsets)


@irdl_op_definition
class ConvertOp(PlainOperation):
    """The same tensor in another layout.

    symbol: the name of the step; absent before memory is planned.
    offsets: as of kn.kernel.
    """

    name = "kn.convert"
    x = operand_def()
    symbol = opt_prop_def(StringAttr)
    offsets = opt_prop_def(DenseArrayBase)
    y = result_def()

    def verify_(self) -> None:
        if tensor_in(self.x.type) != tensor_in(self.y.type):
            raise VerifyException(f"kn.convert: expected the same tensor, got {self.x.type} -> {self.y.type}")
        if not self.direct(self.x.type, self.y.type):
            raise VerifyException(
                f"kn.convert: bits along an axis that planes do not have: {self.x.type}, {self.y.type}"
            )

    @staticmethod
    def direct(x: Attribute, y: Attribute) -> bool:
        """Whether one conversion will do. Planes are maps of axis 1: bits of another axis become dense in between."""
        return not any(
            (bits := bits_of(a)) is not None and bits.field("axis") != 1 and planes_of(b) is not None
            for a, b in ((x, y), (y, x))
        )


def step_symbol(op: KernelOp | ConvertOp, index: int) -> str:
    """The name of a step in the IR, in C, its file and every report. index: of the step in its program."""
    return f"t{index:02}_convert" if op.symbol is None else op.symbol.data


OPS = [KernelOp, YieldOp, ConvertOp]
