"""The IR that an artifact carries: its text after every pass, and the program its code was generated from."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

import numpy as np

from ...ir.errors import ArtifactError
from ...ir.program import Program
from ...ir.weights import UNREADABLE, WeightStore
from .artifact import Artifact
from .schema import ALTERED

WEIGHTS = "ir/weights.npz"


def stored_stages(artifact: Artifact) -> list[tuple[str, str]]:
    """Label (`03-fold-constants`) and IR text after every pass, in order. Raises ArtifactError where there is none."""
    names = [name for name in artifact.names if name.startswith("ir/") and name.endswith(".mlir")]
    if not names or WEIGHTS not in artifact.names:
        raise ArtifactError("has no IR", where=str(artifact.path))
    return [(PurePosixPath(name).stem, artifact.read_text(name)) for name in names]


def kernel_program(artifact: Artifact) -> Program:
    """The program after the last pass, with its weights. Raises ArtifactError or IRError where it is damaged."""
    label, text = stored_stages(artifact)[-1]
    program = Program.parse(text, _stored_weights(artifact), origin=f"{artifact.path}: {label}")
    program.verify()
    return program


def _stored_weights(artifact: Artifact) -> WeightStore:
    store, where = WeightStore(), f"{artifact.path}: {WEIGHTS}"
    try:
        with np.load(io.BytesIO(artifact.read(WEIGHTS)), allow_pickle=False) as arrays:
            for name in arrays.files:
                array = arrays[name]
                if not isinstance(array, np.ndarray):  # numpy hands over what does not begin as its files do
                    raise ArtifactError(f"'{name}' is not an array", where=where, hint=ALTERED)
                store[name] = array
    except UNREADABLE as error:
        raise ArtifactError(f"the weights cannot be read: {error}", where=where, hint=ALTERED) from error
    return store
