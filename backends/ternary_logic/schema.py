"""The fields of a cell library's file, and the check of a table against them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...ir.errors import InputError
from .formats.keywords import VERILOG


@dataclass(frozen=True)
class Field:
    """expected: said in messages, and what `fits` decides."""

    expected: str
    fits: Callable[[Any], bool]
    required: bool = True


def _text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and value.isprintable()


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(str.isidentifier, value))


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**6


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e9


COUNT = "a whole number, 0 or more"
NUMBER = "a number, 0 or more"
TABLE = "a table whose names are identifiers"
POLICIES = ("separate", "included")

LIBRARY = {
    "name": Field("a text", _text),
    "title": Field("a text", _text),
    "digits": Field("a text", _text),
    "technology": Field("a text", _text),
    "inverters": Field(" or ".join(POLICIES), lambda value: value in POLICIES),
    "supply": Field(NUMBER, _number, required=False),
    "extends": Field("the name of a library", _text, required=False),
    "drops": Field("a list of names of cells", _names, required=False),
    "sources": Field(TABLE, _table),
    "cells": Field(TABLE, _table),
}
SOURCE = {
    "citation": Field("a text", _text),
    "verified": Field("true or false", lambda value: isinstance(value, bool)),
    "note": Field("a text", _text, required=False),
}
CELL = {
    "outputs": Field("a table of texts", lambda value: _table(value) and all(map(_text, value.values()))),
    "transistors": Field(COUNT, _count),
    "inverters": Field(COUNT, _count, required=False),
    "source": Field("the name of a source", _text),
    "delay": Field(NUMBER, _number, required=False),
    "energy": Field(NUMBER, _number, required=False),
    "area": Field(NUMBER, _number, required=False),
    "built": Field("a list of texts", _names, required=False),
}


def checked(data: object, fields: Mapping[str, Field], where: str) -> dict[str, Any]:
    """A copy of a table that has the fields it needs, each of its kind, and no other. Raises InputError."""
    if not isinstance(data, dict):
        raise InputError(f"expected a table, got {type(data).__name__}", where=where)
    if unknown := [name for name in data if name not in fields]:
        raise InputError(f"unknown field '{unknown[0]}'", where=where, hint=f"have: {', '.join(fields)}")
    for name, each in fields.items():
        if name not in data:
            if each.required:
                raise InputError(f"field '{name}' is missing: {each.expected}", where=where)
        elif not each.fits(data[name]):
            raise InputError(f"{name}: expected {each.expected}, got {data[name]!r}", where=where)
    return dict(data)


def check_names(names: Iterable[str], where: str, taken: Collection[str] = ()) -> None:
    """Raises InputError for names of cells or outputs that Verilog does not allow. taken: names of other things."""
    for name in names:
        if not name.isascii() or name in VERILOG or name in taken:
            reason = "is not ASCII" if not name.isascii() else "is taken" if name in taken else "is a word of Verilog"
            raise InputError(f"name '{name}': {reason}", where=where, hint="choose another name")
