"""Running compiled models: `load` an artifact, call `run`."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from ...ir.errors import ArtifactError, InputError
from ..artifact.artifact import Artifact
from ..artifact.layers import Layer
from ..artifact.manifest import Manifest, PortInfo
from .bound import BoundModel, bind_arrays
from .executor import Executor
from .executors import open_executor
from .tensors import InputReader

Inputs: TypeAlias = "Mapping[str, Any] | Sequence[Any] | Any"
MOST_THREADS = 1024


def load(path: str | Path, *, threads: int = 1) -> LoadedModel:
    """Loads an artifact for running on `threads` threads, the calling one among them, or one for each usable processor.

    Hashes and CPU features are checked before any of its code is mapped. Raises ArtifactError for an artifact that is
    damaged or not for this machine, InputError for a bad thread count.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads: expected an integer in 1..{MOST_THREADS}, got {threads!r}")
    if not isinstance(path, str | os.PathLike):
        hint = "tercet.compile writes one"
        raise InputError(f"expected the path of an artifact, got {type(path).__name__}", hint=hint)
    artifact = Artifact.open(path)
    return LoadedModel(artifact, open_executor(artifact, threads), threads)


def _reload(path: str, threads: int, digest: str) -> LoadedModel:
    """What a pickled model becomes."""
    model = load(path, threads=threads)
    if _digest(model.artifact) != digest:
        model.close()
        raise ArtifactError("is not the artifact that was pickled", where=path, hint="pickle the model again")
    return model


def _digest(artifact: Artifact) -> str:
    """Of the manifest, which has the hashes of all files."""
    return hashlib.sha256(artifact.manifest.to_json()).hexdigest()


def _working_directory() -> str:
    """"" where the folder that the process works in was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


class LoadedModel:
    """A compiled model, ready to run. Also a context manager. Threads may share it; runs then wait for each other.

    target: the name of the best of the artifact's targets that this CPU can run. layers: the steps for it. threads: how
    many its runs actually use: no more than there are usable processors. arena_bytes: of the working memory, for any
    batch size.

    A copy (copy.copy or copy.deepcopy) is a model of its own, with its own memory and threads: close it as well. A
    pickle holds the artifact's path and hash: where it is read, say in another process, the same artifact must be at
    that path, and is loaded.
    """

    def __init__(self, artifact: Artifact, executor: Executor, threads: int) -> None:
        self._executor: Executor | None = executor
        self._lock = threading.Lock()
        self._where = str(artifact.path)
        self._wanted = threads
        self._path = os.path.abspath(artifact.path) if _working_directory() else self._where
        self.artifact = artifact
        self.target = executor.target
        self.layers: tuple[Layer, ...] = artifact.layers_of(self.target)
        self.threads = executor.threads
        self.arena_bytes = executor.arena_bytes
        self._reader = InputReader(self.inputs, self.manifest.batched)
        self._batched = self.manifest.batched
        rest = 1 if self._batched else 0
        self._stored = [(port.shape[rest:], np.dtype(port.stored)) for port in self.outputs]
        self._results = [(port.name, np.dtype(port.dtype)) for port in self.outputs]

    @property
    def manifest(self) -> Manifest:
        return self.artifact.manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def inputs(self) -> tuple[PortInfo, ...]:
        return self.manifest.inputs

    @property
    def outputs(self) -> tuple[PortInfo, ...]:
        return self.manifest.outputs

    def run(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """The outputs by name, in the source model's dtypes.

        inputs: name -> array, or arrays in order, or one array: NumPy arrays or anything with __dlpack__ or __array__,
        in exactly the dtypes of `inputs`. In a batched model the leading axis may have any size, 0 too. Outputs are
        new NumPy arrays (which offer __dlpack__). Raises InputError for inputs that do not fit.
        """
        arrays, batch = self._reader.read(inputs)
        stored = self._new_outputs(batch)
        with self._lock:
            self._open().run(batch, arrays, stored)
        return {
            name: array if array.dtype == dtype else array.astype(dtype)
            for (name, dtype), array in zip(self._results, stored, strict=True)
        }

    def bind(self, inputs: Inputs, outputs: Inputs | None = None) -> BoundModel:
        """Binds arrays to read from and to write to: calling the result runs the model, with hardly any Python.

        inputs, outputs: as for `run`, NumPy arrays only, contiguous and of the dtype `stored` of their ports, which is
        what the C functions take; without outputs new ones are made. Both may be refilled in place between calls. In a
        batched model the leading axis may have any size, the same for all. Raises InputError for arrays that do not
        fit, outputs that cannot be written and those that share memory with another array.
        """
        batch, arrays, results = bind_arrays(self.manifest, inputs, outputs)
        with self._lock:
            call = self._open().bind(batch, list(arrays.values()), list(results.values()))
        return BoundModel(partial(self._run_bound, call), self.inputs, arrays, results)

    def _run_bound(self, call: Callable[[], None]) -> None:
        with self._lock:
            self._open()
            call()

    def run_until(self, step: int | str, inputs: Inputs) -> list[np.ndarray]:
        """The results of one step (its number or symbol) for one sample, in the dtypes they have in memory.

        Runs the steps up to and including this one; results are taken before later steps reuse their memory.
        """
        index = self._step(step)
        arrays = self._one_sample(inputs)
        with self._lock:
            return self._open().run_until(index, arrays, self._new_outputs(1))

    def results(self, inputs: Inputs) -> list[list[np.ndarray]]:
        """The results of every step for one sample, as `run_until` gives them. Runs as often as memory is reused: each
        run ends before the first step that overwrites what has not been read."""
        arrays = self._one_sample(inputs)
        with self._lock:
            return self._open().results(arrays, self._new_outputs(1))

    def _one_sample(self, inputs: Inputs) -> list[np.ndarray]:
        arrays, batch = self._reader.read(inputs)
        if batch != 1:
            raise InputError(f"expected one sample, got {batch}", hint="pass samples one by one")
        return arrays

    def profile(self, inputs: Inputs, repeats: int = 10) -> list[float]:
        """Seconds that each layer takes for these inputs, the whole batch: the median of `repeats` runs after a first
        one that is not counted."""
        if repeats < 1:
            raise InputError(f"repeats: expected at least 1, got {repeats}")
        arrays, batch = self._reader.read(inputs)
        with self._lock:
            seconds = self._open().profile(batch, arrays, self._new_outputs(batch), repeats + 1)
        return [float(s) for s in np.median(seconds[1:], axis=0)]

    def close(self) -> None:
        """Frees the model and its library. Closing twice is fine; running afterwards raises InputError."""
        with self._lock:
            executor, self._executor = self._executor, None
            if executor is not None:
                executor.close()

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, at_exit: Callable[[], bool] = sys.is_finalizing) -> None:
        if getattr(self, "_executor", None) is not None and not at_exit():  # then modules may be gone already
            self.close()

    def __copy__(self) -> LoadedModel:
        with self._lock:
            self._open()  # what is closed has no copies
            return LoadedModel(self.artifact, open_executor(self.artifact, self._wanted), self._wanted)

    def __deepcopy__(self, memo: dict[int, Any]) -> LoadedModel:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            self._open()
            return _reload, (self._path, self._wanted, _digest(self.artifact))

    def __repr__(self) -> str:
        return f"LoadedModel({self.name!r}, target {self.target}, {len(self.layers)} layers)"

    def _open(self) -> Executor:
        """The executor; asked for with the lock held, so that no other run and no close can happen."""
        if self._executor is None:
            raise InputError("the model is closed", where=self._where)
        return self._executor

    def _new_outputs(self, batch: int) -> list[np.ndarray]:
        return [np.empty((batch, *shape) if self._batched else shape, dtype) for shape, dtype in self._stored]

    def _step(self, step: int | str) -> int:
        symbols = [layer.symbol for layer in self.layers]
        if isinstance(step, str) and step in symbols:
            return symbols.index(step)
        if isinstance(step, int) and 0 <= step < len(symbols):
            return step
        raise InputError(f"there is no step {step!r}", hint=f"0..{len(symbols) - 1}, or one of {', '.join(symbols)}")
