"""A library that was built for TVM's virtual machine, as a peer of `bench`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...ir.errors import UnsupportedError
from ..load.tvm_executor import MAIN, call_with_arrays, machine_of


@dataclass(frozen=True)
class PeerLibrary:
    """peer: whose it is. form: of the model, and how it was built. inputs, outputs: their names, in order."""

    peer: str
    form: str
    code: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class LibrarySession:
    """Takes and gives arrays by name, as a session of onnxruntime does. Raises ArtifactError without TVM."""

    def __init__(self, library: PeerLibrary) -> None:
        self._tvm, self._machine = machine_of(library.code, library.peer)
        self.inputs, self._outputs = list(library.inputs), library.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises UnsupportedError where TVM's module does not take them."""
        try:
            found = call_with_arrays(self._tvm, self._machine[MAIN], (inputs[name] for name in self.inputs))
        except Exception as error:  # of kinds of TVM's own, whose texts name what only TVM knows
            raise UnsupportedError("the module that TVM makes of the model does not take these inputs") from error
        return dict(zip(self._outputs, found, strict=True))
