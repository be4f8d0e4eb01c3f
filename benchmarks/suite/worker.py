"""Peers run in processes of their own, one for each library: some read their environment only when imported."""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from .clock import Clock, LeftOut
from .layers import LAYERS

MODULES = {"onnxruntime": "ort", "openvino": "ov", "onednn": "onednn"}
PEERS = (
    "onednn int8", "onednn fp32", "onnxruntime int8", "onnxruntime fp32", "onnxruntime 2-bit",
    "onnxruntime dynamic int8", "openvino int8", "openvino fp32", "openvino binary",
)  # fmt: skip
"""LIBRARY FORM"""


class Worker:
    """The process of one library. It waits, asleep, while others are measured."""

    def __init__(self, library: str, threads: int, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, library, threads), daemon=True)
        before = dict(os.environ)
        os.environ.update({"OMP_NUM_THREADS": str(threads), **environment})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        other.close()

    def open(self, subject: str, form: str) -> Clock:
        """The clock of a layer, by its name, or of the network (""). Raises LeftOut."""
        self._ask("open", subject, form)
        return lambda calls: self._ask("time", form, calls)

    def forget(self) -> None:
        """Frees what was opened."""
        with suppress(LeftOut):
            self._ask("forget")

    def close(self) -> None:
        self._process.terminate()
        self._process.join()

    def _ask(self, *message: Any) -> Any:
        try:
            self._pipe.send(message)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LeftOut("its process died") from error
        if isinstance(answer, LeftOut):
            raise answer
        return answer


def _serve(pipe: Connection, library: str, threads: int) -> None:
    module = importlib.import_module(f"{__package__}.peers.{MODULES[library]}")
    clocks: dict[str, Clock] = {}
    while True:
        try:
            verb, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            if verb == "open":
                subject, form = arguments
                clocks[form] = _open(module, subject, form, threads)
                pipe.send(None)
            elif verb == "time":
                form, calls = arguments
                pipe.send(clocks[form](calls))
            else:
                clocks.clear()
                pipe.send(None)
        except LeftOut as error:
            pipe.send(error)
        except Exception as error:  # one peer's failure must not end the others' measurement
            pipe.send(LeftOut(f"{type(error).__name__}: {str(error).strip()[:200]}"))


def _open(module: Any, subject: str, form: str, threads: int) -> Clock:
    if subject:
        return module.LAYERS[form](LAYERS[subject], threads)
    if form not in module.NETWORKS:
        raise LeftOut("for layers only")
    return module.NETWORKS[form](threads)
