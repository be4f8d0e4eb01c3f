"""What a pass is: a value with options, and with what it needs and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar, Self, get_type_hints

from ..ir.program import Program
from ..ir.rewrite import Rules, apply_rules
from .properties import Property

GIVEN = {"given": True}
"""Metadata of a field that the compiler fills in (the target, a search, ..), not a text."""


@dataclass(frozen=True)
class Pass(ABC):
    """A transformation of a program in place. Exact unless `lossy`: the interpreter's integers stay bit for bit.

    The fields that are not GIVEN are its options. requires, ensures: what must be true of a program before it, and
    what is true after it.
    """

    name: ClassVar[str]
    lossy: ClassVar[bool] = False
    requires: ClassVar[tuple[Property, ...]] = ()
    ensures: ClassVar[tuple[Property, ...]] = ()

    @abstractmethod
    def apply(self, program: Program) -> bool:
        """Transforms the program. Returns whether anything changed."""

    def options(self) -> Mapping[str, Any]:
        """The options and their values, in order."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.metadata.get("given")}

    def option_types(self) -> Mapping[str, Any]:
        """The options and their types."""
        hints = get_type_hints(type(self))
        return {name: hints[name] for name in self.options()}

    def defaults(self) -> Mapping[str, Any]:
        """What the options are where nobody says otherwise."""
        return {f.name: f.default for f in fields(self) if f.default is not MISSING and not f.metadata.get("given")}

    def with_options(self, **options: Any) -> Self:
        """The same pass with other options."""
        return replace(self, **options)

    def does_the_same(self, other: Pass) -> bool:
        """Whether both do the same to every program: what is GIVEN counts too, which `==` may leave out."""
        return type(self) is type(other) and all(getattr(self, f.name) == getattr(other, f.name) for f in fields(self))

    def __str__(self) -> str:
        """As a pipeline's text names it (`pipeline_text.py`): `thresholds{most-levels=7}`."""
        defaults = self.defaults()
        words = [
            word
            for name, value in self.options().items()
            if value != defaults.get(name)
            for word in _words(name, value)
        ]
        return f"{self.name}{{{','.join(words)}}}" if words else self.name


def _words(name: str, value: Any) -> list[str]:
    """An option as text; one that is a tuple is named once for each element, a true one has no value."""
    name = name.replace("_", "-")
    if value is True:
        return [name]
    values = value if isinstance(value, tuple) else (value,)
    return [f"{name}={str(one).lower() if isinstance(one, bool) else one}" for one in values]


@dataclass(frozen=True)
class RewritePass(Pass):
    """A pass that is nothing but rules."""

    @abstractmethod
    def rules(self) -> Rules:
        """What is rewritten, by kind of operation."""

    def apply(self, program: Program) -> bool:
        return apply_rules(program, self.rules())
