"""The one exception family of tercet: what is wrong, where, and what to do about it."""

from __future__ import annotations

from functools import partial
from typing import Any

from .names import one_line, shortened


class TercetError(Exception):
    """Base of every error that tercet raises on purpose.

    what: one sentence on what is wrong.
    where: the source node, file or field it was found at; may be empty.
    hint: what the user can do; may be empty.
    Lines of more than 1000 characters are shortened: they quote what was read.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = shortened(what), shortened(where), shortened(hint)
        text = f"{one_line(self.where)}: {self.what}" if where else self.what
        super().__init__(f"{text}\n  hint: {self.hint}" if hint else text)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied whole, so that it can cross processes."""
        return partial(type(self), self.what, where=self.where, hint=self.hint), (), self.__dict__


class ModelError(TercetError):
    """A source model is broken, hostile or self-contradictory."""


class UnsupportedError(TercetError):
    """A source model is sound but uses something tercet does not compile. Lists every such node at once."""


class IRError(TercetError):
    """A program breaks a rule of the dialect, or its text cannot be parsed."""


class ToolchainError(TercetError):
    """The C compiler is missing or refused generated code."""


class ArtifactError(TercetError):
    """An artifact is damaged, hostile, of an unknown version or for another CPU."""


class InputError(TercetError):
    """An argument, input tensor, option or file given by the user does not fit."""
