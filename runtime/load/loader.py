"""Running compiled models: `load` an artifact, call `run`."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from ...ir.errors import ArtifactError, InputError
from ..artifact.artifact import Artifact
from ..artifact.layers import Layer
from ..artifact.manifest import Manifest, PortInfo
from ..artifact.schema import ALTERED
from .binding import Call, Library
from .bound import BoundModel, bind_arrays
from .cpu import check_library, check_target
from .tensors import InputReader

Inputs: TypeAlias = "Mapping[str, Any] | Sequence[Any] | Any"
MOST_THREADS = 1024


def load(path: str | Path, *, threads: int = 1) -> LoadedModel:
    """Loads an artifact for running on `threads` threads, the calling one among them, or one for each usable processor.

    Hashes and CPU features are checked before any of its code is mapped. Raises ArtifactError for an artifact that is
    damaged or not for this machine, InputError for a bad thread count.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads: want an integer in 1..{MOST_THREADS}, have {threads!r}")
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"want the path of an artifact, have {type(path).__name__}", hint="tercet.compile writes one")
    artifact = Artifact.open(path)
    check_target(artifact.manifest.target, str(path))
    code = artifact.read(artifact.manifest.library)
    check_library(code, str(path))
    return LoadedModel(artifact, Library(code, artifact.manifest.prefix, str(path)), threads)


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

    threads: how many its runs really use: no more than there are usable processors.

    A copy (copy.copy or copy.deepcopy) is a model of its own, with its own memory and threads: close it as well. A
    pickle holds the artifact's path and hash: where it is read, in another process say, the same artifact must lie
    there, and is loaded.
    """

    def __init__(self, artifact: Artifact, library: Library, threads: int) -> None:
        self._model = 0
        self._lock = threading.Lock()
        self._library = library
        self._where = str(artifact.path)
        self._wanted = threads
        self._path = os.path.abspath(artifact.path) if _working_directory() else self._where
        self.artifact = artifact
        self.layers: tuple[Layer, ...] = artifact.layers
        try:
            self._check_library()
            self._model = library.create(threads)
        except BaseException:
            library.close()
            raise
        self.threads = library.threads(self._model)
        self._reader = InputReader(self.inputs, self.manifest.batched)
        self._call = library.call(self._model, len(self.inputs), len(self.outputs))
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

    @property
    def arena_bytes(self) -> int:
        """Of the working memory, whatever the batch."""
        return self._library.arena_bytes

    def run(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """The outputs by name, in the source model's dtypes.

        inputs: name -> array, or arrays in order, or one array: NumPy arrays or anything with __dlpack__ or __array__,
        in exactly the dtypes of `inputs`. In a batched model the leading axis may have any size, 0 too. Outputs are
        new NumPy arrays (which offer __dlpack__). Raises InputError for inputs that do not fit.
        """
        arrays, batch = self._reader.read(inputs)
        stored = self._new_outputs(batch)
        with self._lock:
            self._check_open()
            self._call.set(batch, arrays, stored)
            self._call.run()
        return {
            name: array if array.dtype == dtype else array.astype(dtype)
            for (name, dtype), array in zip(self._results, stored, strict=True)
        }

    def bind(self, inputs: Inputs, outputs: Inputs | None = None) -> BoundModel:
        """The model with arrays to read from and to write to: calling what it returns runs it, with next to no Python.

        inputs, outputs: as for `run`, NumPy arrays only, contiguous and of the dtype `stored` of their ports, which is
        what the C functions take; without outputs new ones are made. Both may be refilled in place between calls. In a
        batched model the leading axis may have any size, the same for all. Raises InputError for arrays that do not
        fit, outputs that cannot be written and those that share memory with another array.
        """
        with self._running() as model:
            batch, arrays, results = bind_arrays(self.manifest, inputs, outputs)
            call = self._library.call(model, len(arrays), len(results))
            call.set(batch, list(arrays.values()), list(results.values()))
        return BoundModel(partial(self._run_bound, call), self.inputs, arrays, results)

    def _run_bound(self, call: Call) -> None:
        with self._lock:
            self._check_open()
            call.run()

    def run_until(self, step: int | str, inputs: Inputs) -> list[np.ndarray]:
        """The results of one step (its number or symbol) for one sample, in the dtypes they have in memory.

        Runs the steps up to and with this one; results are taken before later steps reuse their memory.
        """
        index = self._step(step)
        with self._running() as model:
            arrays, batch = self._reader.read(inputs)
            if batch != 1:
                raise InputError(f"want one sample, have {batch}", hint="pass samples one by one")
            stored = self._new_outputs(1)
            self._library.run(model, 1, arrays, stored, steps=index + 1)
            return self._results_of(self.layers[index], model, stored)

    def results(self, inputs: Inputs) -> list[list[np.ndarray]]:
        """The results of every step for one sample, as `run_until` gives them. Runs as often as memory is reused: each
        run ends before the first step that overwrites what has not been read."""
        found: list[list[np.ndarray] | None] = [None] * len(self.layers)
        with self._running() as model:
            arrays, batch = self._reader.read(inputs)
            if batch != 1:
                raise InputError(f"want one sample, have {batch}", hint="pass samples one by one")
            stored = self._new_outputs(1)
            places = [self._places(layer) for layer in self.layers]
            for last in reversed(range(len(self.layers))):
                if found[last] is None:
                    self._library.run(model, 1, arrays, stored, steps=last + 1)
                    written: list[tuple[int, int]] = []
                    for i in reversed(range(last + 1)):
                        kept = not any(a < d and c < b for a, b in places[i] for c, d in written)
                        if found[i] is None and kept:
                            found[i] = [y.copy() for y in self._results_of(self.layers[i], model, stored)]
                        written += places[i]
        return [results for results in found if results is not None]

    def profile(self, inputs: Inputs, repeats: int = 10) -> list[float]:
        """Seconds that each layer takes for these inputs, the whole batch: the median of `repeats` runs after a first
        one that is not counted."""
        if repeats < 1:
            raise InputError(f"repeats: want at least 1, have {repeats}")
        seconds = np.zeros((repeats + 1, len(self.layers)))
        with self._running() as model:
            arrays, batch = self._reader.read(inputs)
            stored = self._new_outputs(batch)
            for row in seconds:
                self._library.run(model, batch, arrays, stored, seconds=row)
        return [float(s) for s in np.median(seconds[1:], axis=0)]

    def close(self) -> None:
        """Frees the model and its library. Closing twice is fine; running afterwards raises InputError."""
        with self._lock:
            model, self._model = self._model, 0
            if model:
                self._library.destroy(model)
                self._library.close()

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_model", 0):
            self.close()

    def __copy__(self) -> LoadedModel:
        with self._running():  # what is closed has no copies
            code = self.artifact.read(self.manifest.library)
        return LoadedModel(self.artifact, Library(code, self.manifest.prefix, self._where), self._wanted)

    def __deepcopy__(self, memo: dict[int, Any]) -> LoadedModel:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._running():
            return _reload, (self._path, self._wanted, _digest(self.artifact))

    def __repr__(self) -> str:
        return f"LoadedModel({self.name!r}, target {self.manifest.target.name}, {len(self.layers)} layers)"

    @contextmanager
    def _running(self) -> Iterator[int]:
        """The model's address while no other run and no close can happen."""
        with self._lock:
            self._check_open()
            yield self._model

    def _check_open(self) -> None:
        if not self._model:
            raise InputError("the model is closed", where=self._where)

    def _new_outputs(self, batch: int) -> list[np.ndarray]:
        return [np.empty((batch, *shape) if self._batched else shape, dtype) for shape, dtype in self._stored]

    def _check_library(self) -> None:
        """The library must agree with the manifest on every size, or memory would be overrun."""
        sides = (
            ("input", self.inputs, self._library.input_bytes),
            ("output", self.outputs, self._library.output_bytes),
        )
        for side, ports, bytes_of in sides:
            have = [bytes_of(i) for i in range(len(ports) + 1)]
            if have != [*(port.bytes for port in ports), -1]:
                raise ArtifactError(
                    f"the library's {side}s differ from the manifest's", where=self._where, hint=ALTERED
                )
        if self._library.step_count != len(self.layers):
            raise ArtifactError("the library's steps differ from layers.json", where=self._where, hint=ALTERED)

    def _step(self, step: int | str) -> int:
        symbols = [layer.symbol for layer in self.layers]
        if isinstance(step, str) and step in symbols:
            return symbols.index(step)
        if isinstance(step, int) and 0 <= step < len(symbols):
            return step
        raise InputError(f"there is no step {step!r}", hint=f"0..{len(symbols) - 1}, or one of {', '.join(symbols)}")

    def _places(self, layer: Layer) -> list[tuple[int, int]]:
        """Begin and end of the arena bytes that a step writes."""
        from ...ir.kn.buffers import TAIL_BYTES
        from ...ir.kn.layout import buffer_bytes  # imports xDSL
        from ..artifact.kinds import parse_kind

        sizes = [buffer_bytes(parse_kind(text, self._where)) + TAIL_BYTES for text in layer.results]
        return [(at, at + size) for at, size in zip(layer.offsets, sizes, strict=True) if at >= 0]

    def _results_of(self, layer: Layer, model: int, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        from ...ir.kn.layout import buffer_bytes, buffer_dtype, tensor_in, unpack  # imports xDSL
        from ..artifact.kinds import parse_kind

        results = []
        for text, offset, output in zip(layer.results, layer.offsets, layer.outputs, strict=True):
            kind = parse_kind(text, self._where)
            if output >= 0:
                results.append(stored[output].reshape(tensor_in(kind).get_shape()))
            else:
                buffer = self._library.arena(model, offset, buffer_bytes(kind))
                results.append(unpack(buffer.view(buffer_dtype(kind)), kind))
        return results
