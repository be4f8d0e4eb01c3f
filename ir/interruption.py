"""Ctrl-C and the like while a library works that calls back into Python."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_kept() -> Iterator[None]:
    """Within the block, what handlers of signals raise is not lost where a library makes an error of its own of what is
    raised in a callback: it is raised again at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised = list[BaseException]()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours: dict[signal.Signals, Any] = {}

    def keep(handler: Callable[[int, Any], object]) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                raised.append(error)
                raise

        return handle

    for number, handler in before.items():
        if callable(handler):
            ours[number] = keep(handler)
            signal.signal(number, ours[number])
    try:
        yield
    except Exception:
        if raised:
            raise raised[0].with_traceback(None) from None
        raise
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:  # else a handler has changed it
                signal.signal(number, before[number])
    if raised:
        raise raised[0].with_traceback(None)
