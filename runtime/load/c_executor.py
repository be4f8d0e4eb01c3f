"""Executes artifacts of the backend `c`: a shared library, mapped into this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...ir.errors import ArtifactError
from ..artifact.artifact import Artifact
from ..artifact.layers import Layer
from ..artifact.schema import ALTERED
from .binding import Library
from .cpu import check_library, check_targets


class CExecutor:
    """An `Executor` of a compiled library. Raises ArtifactError for one that is not for this machine or damaged."""

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self._artifact, self._where = artifact, str(artifact.path)
        manifest = artifact.manifest
        check_targets(manifest.targets, self._where)
        code = artifact.read(manifest.library)
        check_library(code, self._where)
        self._library = Library(code, manifest.prefix, self._where)
        try:
            self._check_ports()
            self._model = self._library.create(threads)
            try:
                self.target = self._library.target(self._model)
                self._layers = self._layers_of(self.target)
            except BaseException:
                self._library.destroy(self._model)
                raise
        except BaseException:
            self._library.close()
            raise
        self.threads = self._library.threads(self._model)
        self.arena_bytes = self._library.arena_bytes(self._model)
        self._call = self._library.call(self._model, len(manifest.inputs), len(manifest.outputs))

    def run(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        self._call.set(batch, inputs, outputs)
        self._call.run()

    def bind(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], None]:
        call = self._library.call(self._model, len(inputs), len(outputs))
        call.set(batch, inputs, outputs)
        return call.run

    def run_until(self, step: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The results are taken before later steps reuse their memory."""
        self._library.run(self._model, 1, inputs, outputs, steps=step + 1)
        return self._results_of(self._layers[step], outputs)

    def results(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Runs as often as memory is reused: each run ends before the first step that overwrites what has not been
        read."""
        found: list[list[np.ndarray] | None] = [None] * len(self._layers)
        places = [self._places(layer) for layer in self._layers]
        for last in reversed(range(len(self._layers))):
            if found[last] is None:
                self._library.run(self._model, 1, inputs, outputs, steps=last + 1)
                written: list[tuple[int, int]] = []
                for i in reversed(range(last + 1)):
                    kept = not any(a < d and c < b for a, b in places[i] for c, d in written)
                    if found[i] is None and kept:
                        found[i] = [y.copy() for y in self._results_of(self._layers[i], outputs)]
                    written += places[i]
        return [results for results in found if results is not None]

    def profile(
        self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], repeats: int
    ) -> np.ndarray:
        seconds = np.zeros((repeats, len(self._layers)))
        for row in seconds:
            self._library.run(self._model, batch, inputs, outputs, seconds=row)
        return seconds

    def close(self) -> None:
        self._library.destroy(self._model)
        self._library.close()

    def _check_ports(self) -> None:
        """The library must agree with the manifest on every size, or memory would be overrun."""
        sides = (
            ("input", self._artifact.manifest.inputs, self._library.input_bytes),
            ("output", self._artifact.manifest.outputs, self._library.output_bytes),
        )
        for side, ports, bytes_of in sides:
            have = [bytes_of(i) for i in range(len(ports) + 1)]
            if have != [*(port.bytes for port in ports), -1]:
                raise ArtifactError(
                    f"the library's {side}s differ from the manifest's", where=self._where, hint=ALTERED
                )

    def _layers_of(self, target: str) -> Sequence[Layer]:
        """The layers of the target that the library chose."""
        if target not in self._artifact.manifest.target_names:
            what = f"the library runs target '{target}', which the manifest lacks"
            raise ArtifactError(what, where=self._where, hint=ALTERED)
        layers = self._artifact.layers_of(target)
        if self._library.step_count(self._model) != len(layers):
            raise ArtifactError("the library's steps differ from layers.json", where=self._where, hint=ALTERED)
        return layers

    def _places(self, layer: Layer) -> list[tuple[int, int]]:
        """Begin and end of the arena bytes that a step writes."""
        from ...ir.kn.buffers import TAIL_BYTES
        from ...ir.kn.layout import buffer_bytes  # imports xDSL
        from ..artifact.kinds import parse_kind

        sizes = [buffer_bytes(parse_kind(text, self._where)) + TAIL_BYTES for text in layer.results]
        return [(at, at + size) for at, size in zip(layer.offsets, sizes, strict=True) if at >= 0]

    def _results_of(self, layer: Layer, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        from ...ir.kn.layout import buffer_bytes, buffer_dtype, tensor_in, unpack  # imports xDSL
        from ..artifact.kinds import parse_kind

        results = []
        for text, offset, output in zip(layer.results, layer.offsets, layer.outputs, strict=True):
            kind = parse_kind(text, self._where)
            if output >= 0:
                results.append(stored[output].reshape(tensor_in(kind).get_shape()))
            else:
                buffer = self._library.arena(self._model, offset, buffer_bytes(kind))
                results.append(unpack(buffer.view(buffer_dtype(kind)), kind))
        return results
