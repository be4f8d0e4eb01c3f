"""What all operations of `tn` share: one text form, attributes as Python values, types by inference."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    SymbolRefAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from .types import Tensor, contains, tensor_of

AttributeValue: TypeAlias = "int | float | str | Sequence[int] | Attribute"


def to_attribute(value: AttributeValue) -> Attribute:
    """A Python value as an attribute: int -> i64, float -> f64, str -> string, sequence of ints -> array<i64>."""
    if isinstance(value, Attribute):
        return value
    if isinstance(value, bool):
        return IntegerAttr(int(value), i64)
    if isinstance(value, int):
        return IntegerAttr(value, i64)
    if isinstance(value, float):
        return FloatAttr(value, f64)
    if isinstance(value, str):
        return StringAttr(value)
    return DenseArrayBase.from_list(i64, [int(v) for v in value])


def from_attribute(attribute: Attribute) -> Any:
    """The Python value of an attribute; the inverse of `to_attribute`. Symbols become their name."""
    if isinstance(attribute, IntegerAttr):
        return attribute.value.data
    if isinstance(attribute, FloatAttr):
        return attribute.value.data
    if isinstance(attribute, StringAttr):
        return attribute.data
    if isinstance(attribute, SymbolRefAttr):
        return attribute.string_value()
    if isinstance(attribute, DenseArrayBase):
        return tuple(attribute.get_values())
    if isinstance(attribute, ArrayAttr):
        return tuple(from_attribute(item) for item in attribute)
    return attribute


def symbol(name: str) -> SymbolRefAttr:
    return SymbolRefAttr(name)


class PlainOperation(IRDLOperation):
    """An operation with the text form of this project: `%y = tn.conv %x, %w {group = 1} : (types) -> type`."""

    DEFAULTS: ClassVar[dict[str, AttributeValue]] = {}

    def get(self, name: str) -> Any:
        """A property as a Python value; its default where the operation has none of that name."""
        if name in self.properties:
            return from_attribute(self.properties[name])
        return self.DEFAULTS.get(name)

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_operand)
        if self.properties:
            printer.print_string(" ")
            printer.print_attr_dict(dict(sorted(self.properties.items())))
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        unresolved = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        properties = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        kind = parser.parse_function_type()
        operands = parser.resolve_operands(unresolved or [], kind.inputs.data, parser.pos)
        return cls.create(operands=operands, properties=properties, result_types=kind.outputs.data)


class TensorOperation(PlainOperation):
    """An operation on tensors whose result types follow from its operands and attributes.

    A subclass declares xDSL operands and properties, and defines what is abstract: the facts that passes ask for. One
    that has a name but forgot a fact raises TypeError when it is defined, so that no fact has a silent default.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        missing = [name for name in dir(cls) if getattr(getattr(cls, name, None), "__isabstractmethod__", False)]
        if "name" in vars(cls) and missing:
            raise TypeError(f"{cls.__name__} does not define {', '.join(missing)}")

    @abstractmethod
    def infer(self) -> Sequence[Tensor]:
        """The result types that operands and attributes imply. Raises VerifyException where they do not fit."""
        raise NotImplementedError

    @abstractmethod
    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        """Why the operation does not act on every sample of a batch alone, or "" when it does.

        per_sample: for each operand, whether its leading axis (of size 1) is the batch; at least one is. That results
        keep the batch as leading axis is checked elsewhere (ir/batching.py).
        """
        raise NotImplementedError

    @classmethod
    def make(
        cls, *operands: SSAValue, at: LocationAttr | Operation | None = None, **attributes: AttributeValue
    ) -> Self:
        """Builds the operation with inferred result types.

        at: the source location, or an operation to take it from. Raises VerifyException where arguments do not fit.
        """
        return cls.make_typed(operands, None, at=at, **attributes)

    @classmethod
    def make_typed(
        cls,
        operands: Sequence[SSAValue],
        types: Sequence[Tensor] | None,
        *,
        at: LocationAttr | Operation | None = None,
        **attributes: AttributeValue,
    ) -> Self:
        """Like `make`, with result types given (tighter ranges than inferred, or kinds inference cannot know)."""
        location = at.location if isinstance(at, Operation) else at
        properties = {k: to_attribute(v) for k, v in {**cls.DEFAULTS, **attributes}.items()}
        if types is None:
            probe = cls.create(operands=operands, properties=properties, result_types=[])
            try:
                types = probe.infer()
            finally:
                probe.operands = ()
        return cls.create(operands=operands, properties=properties, result_types=list(types), location=location)

    def with_operands(self, *operands: SSAValue) -> Self:
        """The same operation on other operands, at the same location. Result types are inferred again."""
        return self.make_typed(operands, None, at=self, **self.properties)

    @property
    def result(self) -> SSAValue:
        """The only result."""
        (value,) = self.results
        return value

    def verify_(self) -> None:
        inferred = self.infer()
        if len(inferred) != len(self.results):
            raise VerifyException(f"{self.name}: expected {len(inferred)} results, got {len(self.results)}")
        for i, (want, result) in enumerate(zip(inferred, self.results, strict=True)):
            have = tensor_of(result)
            if have.get_shape() != want.get_shape():
                raise fail(self, f"result {i}: shape", list(want.get_shape()), list(have.get_shape()))
            if not contains(want.element_type, have.element_type):
                raise fail(self, f"result {i}: element", f"a part of {want.element_type}", have.element_type)


def fail(op: Operation, field: str, want: object, have: object) -> VerifyException:
    """The verifier's message, field by field: what is wanted and what is there."""
    return VerifyException(f"{op.name}: field {field}: expected {want}, got {have}")
