"""Reading untrusted JSON into typed values. A check takes a value and where it stands, and returns it or raises."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NoReturn, TypeAlias, TypeVar

from ...ir.errors import ArtifactError

T = TypeVar("T")
Check: TypeAlias = Callable[[object, str], T]
ALTERED = "the artifact was altered or not written by tercet; compile the model again"


def refuse(want: str, have: object, where: str) -> NoReturn:
    text = repr(have)
    raise ArtifactError(
        f"expected {want}, got {text if len(text) <= 80 else text[:77] + '...'}", where=where, hint=ALTERED
    )


def parse_json(data: bytes, where: str, limit: int) -> object:
    """The value of a JSON document of at most `limit` bytes: UTF-8, no repeated keys, no NaN or infinities."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in items}) != len(items):
            raise ValueError("an object repeats a key")
        return dict(items)

    def constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is not JSON")

    if len(data) > limit:
        raise ArtifactError(f"{len(data)} bytes of JSON, at most {limit} are read", where=where, hint=ALTERED)
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and numbers of absurd length
        raise ArtifactError(f"not valid JSON: {error}", where=where, hint=ALTERED) from error


def dump_json(value: object) -> bytes:
    """Canonical JSON: sorted keys, ASCII, one final newline."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def text(limit: int = 1000) -> Check[str]:
    def check(value: object, where: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            refuse(f"a string of at most {limit} characters", value, where)
        return value

    return check


def matching(matches: Callable[[str], object], want: str, limit: int = 1000) -> Check[str]:
    """A string for which `matches` is true; `want` describes it."""

    def check(value: object, where: str) -> str:
        if not isinstance(value, str) or len(value) > limit or not matches(value):
            refuse(want, value, where)
        return value

    return check


def integer(lo: int = -(2**63), hi: int = 2**63 - 1) -> Check[int]:
    def check(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lo <= value <= hi:
            refuse(f"an integer in {lo}..{hi}", value, where)
        return value

    return check


def number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse("a number", value, where)
    return float(value)


def boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        refuse("true or false", value, where)
    return value


def scalar(value: object, where: str) -> int | float | str | bool | None:
    if value is not None and not isinstance(value, int | float | str | bool):
        refuse("a string, number, boolean or null", value, where)
    return value


def either(*checks: Check[Any]) -> Check[Any]:
    """The first check that does not refuse; the last one's complaint otherwise."""

    def check(value: object, where: str) -> Any:
        for attempt in checks[:-1]:
            try:
                return attempt(value, where)
            except ArtifactError:
                continue
        return checks[-1](value, where)

    return check


def optional(inner: Check[T]) -> Check[T | None]:
    return lambda value, where: None if value is None else inner(value, where)


def array(inner: Check[T], limit: int) -> Check[tuple[T, ...]]:
    def check(value: object, where: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or len(value) > limit:
            refuse(f"an array of at most {limit} values", value, where)
        return tuple(inner(item, f"{where}[{i}]") for i, item in enumerate(value))

    return check


def mapping(inner: Check[T], limit: int) -> Check[dict[str, T]]:
    def check(value: object, where: str) -> dict[str, T]:
        if not isinstance(value, dict) or len(value) > limit:
            refuse(f"an object of at most {limit} fields", value, where)
        return {str(key): inner(item, f"{where}.{key}") for key, item in value.items()}

    return check


def record(kind: type[T], **checks: Check[Any]) -> Check[T]:
    """An object with exactly the fields of a dataclass, as that dataclass."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    assert sorted(names) == sorted(checks), f"{kind.__name__}: checks and fields differ"

    def check(value: object, where: str) -> T:
        if not isinstance(value, dict):
            refuse(f"an object with the fields {', '.join(names)}", value, where)
        if missing := [name for name in names if name not in value]:
            raise ArtifactError(f"field '{missing[0]}' is missing", where=where, hint=ALTERED)
        if unknown := sorted(set(value) - set(names)):
            raise ArtifactError(f"unknown field '{unknown[0]}'", where=where, hint=ALTERED)
        return kind(**{name: checks[name](value[name], f"{where}.{name}") for name in names})

    return check
