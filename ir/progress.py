"""How far long work has come, for whoever listens: a pass says it without knowing of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T", covariant=True)

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("tercet_progress", default=None)


class Countable(Iterable[T], Sized, Protocol[T]):
    """What has a length and can be gone through."""


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Within the block, `listener` is told what is being done, such as `merging sums, 3 of 12`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted(what: str, items: Countable[T]) -> Iterator[T]:
    """The items, while the listener is told which one it is."""
    total = len(items)
    for number, item in enumerate(items, 1):
        tell(f"{what}, {number} of {total}")
        yield item


def tell(what: str) -> None:
    """What is being done, to the listener if there is one."""
    if listener := _listener.get():
        listener(what)
