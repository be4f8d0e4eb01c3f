"""Pipelines as text: `canonicalize,fold-constants{everything},thresholds{most-levels=7}`.

Passes in order, each with its options in braces. An option is `name=value`, `name` alone for one that is true or false;
one that holds several values is named once for each. What is not said is the pass's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import inf
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ..ir.errors import InputError
from .base import Pass

_PASS = re.compile(r"\s*(?P<name>[A-Za-z0-9_-]+)\s*(?:\{(?P<options>[^{}]*)\})?\s*(?P<end>,|$)")


def pipeline_text(passes: Sequence[Pass]) -> str:
    """Passes and their options, as `parse_pipeline` reads them."""
    return ",".join(map(str, passes))


def parse_pipeline(text: str, known: Mapping[str, Pass]) -> list[Pass]:
    """The passes that a text names. known: for each name, the pass with its default options. Raises InputError."""
    found, at = [], 0
    while at < len(text) or not found:
        match = _PASS.match(text, at)
        if match is None or (match["end"] and match.end() == len(text)):
            raise InputError(
                f"pipeline: cannot read '{text[at:]}'",
                hint="a pipeline looks like 'canonicalize,thresholds{most-levels=7}'",
            )
        if match["name"] not in known:
            raise InputError(f"there is no pass '{match['name']}'", hint=f"passes: {', '.join(known)}")
        found.append(_with_options(known[match["name"]], match["options"] or ""))
        at = match.end()
    return found


def _with_options(step: Pass, text: str) -> Pass:
    types, options = step.option_types(), dict[str, Any]()
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = word.partition("=")
        field = name.replace("-", "_")
        if field not in types:
            names = ", ".join(known.replace("_", "-") for known in types) or "none"
            raise InputError(f"pass '{step.name}' has no option '{name}'", hint=f"options: {names}")
        read = _read(types[field], value if equals else None)
        if read is None:
            raise InputError(f"pass '{step.name}': option '{name}': expected {_kind(types[field])}, got '{value}'")
        several = isinstance(read, tuple)
        if field in options and not several:
            raise InputError(f"pass '{step.name}': option '{name}' is given twice")
        options[field] = (*options.get(field, ()), *read) if several else read
    return step.with_options(**options) if options else step


def _read(kind: Any, value: str | None) -> Any:
    """A value of a type from its text; None where it is none. value None: the name stood alone."""
    if kind is bool:
        return {None: True, "true": True, "false": False}.get(value)
    if value is None:
        return None
    if get_origin(kind) in (Union, UnionType):
        return next((read for one in get_args(kind) if (read := _read(one, value)) is not None), None)
    if get_origin(kind) is tuple:
        return (value,)
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else None
    if kind is str:
        return value
    try:
        number = kind(value) if kind in (int, float) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < inf else None  # they are counts, sizes and shares


def _kind(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return {int: "a whole number of 0 or more", float: "a number of 0 or more"}.get(kind, "a value")
