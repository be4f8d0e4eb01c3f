"""The IR that an artifact carries: its text after every pass, and the program its code was generated from."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

import numpy as np

from ..ir.errors import ArtifactError
from ..ir.program import Program
from ..ir.weights import WeightStore
from .artifact import Artifact

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
    with np.load(io.BytesIO(artifact.read(WEIGHTS)), allow_pickle=False) as arrays:
        weights = WeightStore({name: arrays[name] for name in arrays.files})
    program = Program.parse(text, weights, origin=f"{artifact.path}: {label}")
    program.verify()
    return program
