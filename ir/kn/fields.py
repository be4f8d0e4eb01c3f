"""Attributes of integers."""

from __future__ import annotations

from typing import ClassVar, cast

from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute, ParametrizedAttribute
from xdsl.parser import AttrParser
from xdsl.printer import Printer


class IntFields(ParametrizedAttribute):
    """An attribute whose parameters are the integers FIELDS. Text: `#name<top = 1, left = 1>`."""

    FIELDS: ClassVar[tuple[str, ...]]

    def field(self, name: str) -> int:
        return cast(IntAttr, getattr(self, name)).data

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        values: list[Attribute] = []
        with parser.in_angle_brackets():
            for name in cls.FIELDS:
                if values:
                    parser.parse_punctuation(",")
                parser.parse_keyword(name)
                parser.parse_punctuation("=")
                values.append(IntAttr(parser.parse_integer(allow_boolean=False)))
        return values

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(", ".join(f"{name} = {self.field(name)}" for name in self.FIELDS))
