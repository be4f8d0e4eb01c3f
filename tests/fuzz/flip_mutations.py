"""Damage to bytes and to the fields of a protobuf message: what a mutation does follows from its random generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from typing import Any, cast

from google.protobuf.message import Message

BYTES = (0x00, 0x01, 0x02, 0x08, 0x7F, 0x80, 0xFE, 0xFF)
"""Ends of ranges, and what begins, continues or ends a protobuf number."""
NUMBERS = (0, 1, 2, 3, 5, 8, 16, 63, 64, 65, 419, 2**16, 2**20, 2**28, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 3e38, float("inf"), float("-inf"), float("nan"))
LONGEST = 70
"""So many copies are made of one element of a list: more than numpy has axes."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of single bytes or of stretches."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if out:
            rng.choice(_BYTE_CHANGES)(out, rng)
    return bytes(out)


def _flip(out: bytearray, rng: random.Random) -> None:
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)


def _replace(out: bytearray, rng: random.Random) -> None:
    out[rng.randrange(len(out))] = rng.choice((rng.choice(BYTES), rng.randrange(256)))


def _insert(out: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(out) + 1)
    out[at:at] = bytes(rng.choice((rng.choice(BYTES), rng.randrange(256))) for _ in range(rng.choice((1, 2, 8))))


def _delete(out: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(out))
    del out[at : at + rng.choice((1, 1, 2, 8, 64))]


def _truncate(out: bytearray, rng: random.Random) -> None:
    del out[rng.randrange(len(out)) :]


def _repeat(out: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(out))
    out[at:at] = out[at : at + rng.choice((2, 8, 64))] * rng.choice((1, 2, 40))


_BYTE_CHANGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip, _flip, _replace, _replace, _insert, _delete, _truncate, _repeat,
)  # fmt: skip


def mutate_fields(message: Message, rng: random.Random) -> None:
    """One to three changes of fields, in place: other numbers and names, and elements removed, repeated and swapped."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_fields(message))
        if not places:
            return
        owner, field, value = rng.choice(places)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            _change_list(cast(Any, value), field, message, rng)
        elif field.type == field.TYPE_MESSAGE:
            owner.ClearField(field.name)
        else:
            _assign(owner, field, _other(field, value, message, rng))


def _fields(message: Message) -> Iterator[tuple[Message, Any, Any]]:
    for field, value in message.ListFields():
        yield message, field, value
        if field.type == field.TYPE_MESSAGE:
            for part in value if isinstance(value, Sequence) else [value]:
                yield from _fields(part)


def _change_list(values: Any, field: Any, message: Message, rng: random.Random) -> None:
    action, at = rng.randrange(4), rng.randrange(len(values))
    if action == 0:
        del values[at]
    elif action == 1:
        copies = [values[at]] * rng.choice((1, 1, 2, LONGEST))
        values.extend(copies)
    elif field.type == field.TYPE_MESSAGE:
        _swap_messages(values, at, rng.randrange(len(values)))
    else:
        _assign_item(values, at, _other(field, values[at], message, rng))


def _swap_messages(values: Any, a: int, b: int) -> None:
    kept = type(values[a])()
    kept.CopyFrom(values[a])
    values[a].CopyFrom(values[b])
    values[b].CopyFrom(kept)


def _assign(owner: Message, field: Any, value: object) -> None:
    try:
        setattr(owner, field.name, value)
    except (ValueError, TypeError, OverflowError):  # outside the field's type
        owner.ClearField(field.name)


def _assign_item(values: MutableSequence[Any], at: int, value: object) -> None:
    try:
        values[at] = value
    except (ValueError, TypeError, OverflowError):
        del values[at]


def _other(field: Any, value: Any, message: Message, rng: random.Random) -> object:
    """Another value of a field: of a text, one that another field has, so that names still mean something."""
    if isinstance(value, str):
        return rng.choice([text for _, _, text in _fields(message) if isinstance(text, str)] + ["", value + "x"])
    if isinstance(value, bytes):
        return damaged(value, rng)
    if isinstance(value, float):
        return rng.choice(FLOATS)
    number = int(value)
    return rng.choice((rng.choice(NUMBERS), -rng.choice(NUMBERS), number + 1, number - 1, -number, rng.randrange(30)))
