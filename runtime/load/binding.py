"""The functions of a compiled model's library, called through ctypes. Statuses become exceptions here."""

from __future__ import annotations

import _ctypes
import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...ir.errors import ArtifactError, InputError, TercetError
from ...ir.host import scratch_folder
from ..artifact.schema import ALTERED

BAD_ARGUMENT, WRONG_CPU = 1, 4
_ERRORS: Mapping[int, type[TercetError]] = {BAD_ARGUMENT: InputError, WRONG_CPU: ArtifactError}

_addressof = ctypes.addressof
_first_byte: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer


class Library:
    """One mapped library. `close` unmaps it; no model of it may exist then."""

    def __init__(self, library: bytes, prefix: str, where: str) -> None:
        self._where = where
        self._dll = _map(library, where)
        pointer, count, status = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        self._create = self._function(f"{prefix}_create", status, pointer, status)
        self._destroy = self._function(f"{prefix}_destroy", None, pointer)
        self._run = self._function(
            f"{prefix}_run_steps", status, pointer, count, pointer, pointer, status, pointer
        )  # fmt: skip
        self.plain_run: Callable[..., int] = self._dll[f"{prefix}_run_steps"]  # converts no arguments
        self._text = self._function(f"{prefix}_status_text", ctypes.c_char_p, status)
        self._threads = self._function(f"{prefix}_threads", status, pointer)
        self._arena = self._function(f"{prefix}_arena", pointer, pointer)
        self._arena_bytes = self._function(f"{prefix}_arena_bytes", count, pointer)
        self._steps = self._function(f"{prefix}_step_count", status, pointer)
        self._target = self._function(f"{prefix}_target", ctypes.c_char_p, pointer)
        self.input_bytes = self._function(f"{prefix}_input_bytes", count, status)
        self.output_bytes = self._function(f"{prefix}_output_bytes", count, status)

    def _function(self, name: str, result: type | None, *arguments: type) -> ctypes._NamedFuncPointer:
        try:
            function = self._dll[name]
        except AttributeError as error:
            raise ArtifactError(f"the library has no function {name}", where=self._where, hint=ALTERED) from error
        function.restype, function.argtypes = result, list(arguments)
        return function

    def create(self, threads: int) -> int:
        """The address of a new model."""
        model = ctypes.c_void_p()
        self.check(self._create(ctypes.addressof(model), threads))
        return model.value or 0

    def threads(self, model: int) -> int:
        """How many threads its runs use."""
        return self._threads(model)

    def target(self, model: int) -> str:
        """The name of the target whose code it runs."""
        return (self._target(model) or b"").decode("utf-8", "replace")

    def step_count(self, model: int) -> int:
        return self._steps(model)

    def arena_bytes(self, model: int) -> int:
        return self._arena_bytes(model)

    def destroy(self, model: int) -> None:
        self._destroy(model)

    def run(
        self,
        model: int,
        batch: int,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        steps: int = -1,
        seconds: np.ndarray | None = None,
    ) -> None:
        """Runs the first `steps` steps (-1: all). Arrays are contiguous, of the stored dtypes; outputs are written.

        seconds: float64, one element per step, added to.
        """
        ins, outs = _pointers(inputs), _pointers(outputs)
        timed = seconds.ctypes.data if seconds is not None else None
        self.check(self._run(model, batch, ctypes.addressof(ins), ctypes.addressof(outs), steps, timed))

    def call(self, model: int, inputs: int, outputs: int) -> Call:
        """A run of all steps of a model with so many inputs and outputs, to be called again and again."""
        return Call(self, model, inputs, outputs)

    def arena(self, model: int, offset: int, size: int) -> np.ndarray:
        """A copy of `size` bytes of the arena as uint8."""
        if offset < 0 or size < 0 or offset + size > self.arena_bytes(model):
            raise ArtifactError(f"no bytes {offset}..{offset + size} in the arena", where=self._where, hint=ALTERED)
        copied = bytearray(ctypes.string_at(self._arena(model) + offset, size))
        return np.frombuffer(copied, np.uint8)

    def close(self) -> None:
        _ctypes.dlclose(self._dll._handle)

    def check(self, status: int) -> None:
        """Raises InputError or TercetError for a status that is not OK."""
        if status:
            text = self._text(status).decode("ascii", "replace")
            raise _ERRORS.get(status, TercetError)(text, where=self._where)


class Call:
    """A run function of C with all its arguments in place, so that a call costs next to nothing.

    The library must not be closed, nor the model destroyed, before the last run.
    """

    def __init__(self, library: Library, model: int, inputs: int, outputs: int) -> None:
        self._batch = ctypes.c_int64(1)
        self._inputs = (ctypes.c_void_p * max(inputs, 1))()
        self._outputs = (ctypes.c_void_p * max(outputs, 1))()
        arguments = ctypes.c_void_p(model), self._batch, self._inputs, self._outputs, ctypes.c_int(-1), None
        self._function: Callable[[], int] = partial(library.plain_run, *arguments)
        self._check = library.check

    def set(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """What the next runs read and write: contiguous arrays of the stored dtypes that outlive them."""
        self._batch.value = batch
        self._inputs[: len(inputs)] = [_address(array) for array in inputs]
        self._outputs[: len(outputs)] = [_address(array) for array in outputs]

    def run(self) -> None:
        if status := self._function():
            self._check(status)


def _address(array: np.ndarray) -> int:
    """Of a contiguous array's first byte. `array.ctypes` takes three times as long, but knows all arrays."""
    try:
        return _addressof(_first_byte(array))
    except (TypeError, ValueError):  # read-only, or without a byte
        return array.ctypes.data


def _pointers(arrays: Sequence[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(len(arrays), 1))(*map(_address, arrays))


def _map(library: bytes, where: str) -> ctypes.CDLL:
    """Maps a library's bytes from a private file that is gone afterwards.

    The file's name is new every time: the system's loader gives a name it has seen before the old library.
    """
    with scratch_folder() as folder:  # mode 0700
        path = folder / "model.so"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
            file.write(library)
        try:
            return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        except OSError as error:
            raise ArtifactError(
                f"the library cannot be loaded: {str(error).replace(str(path), path.name)}",
                where=where,
                hint="if the temporary folder forbids execution, set TMPDIR to one that allows it",
            ) from error
