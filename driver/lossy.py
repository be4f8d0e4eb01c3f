"""What the driver needs for lossy compilation: the pass from a user's wishes, and calibration data from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.lossy.options import LossyOptions
from ..passes.lossy.ternarize import Data, Ternarize
from ..runtime.artifact.manifest import PortInfo
from ..runtime.check.samples import Samples, array_samples, file_samples

Calibration: TypeAlias = "str | Path | np.ndarray | Mapping[str, np.ndarray]"
"""Samples: an .npz file (see `runtime.samples.file_samples`), arrays by input name, or the array of the only input."""

MOST_SAMPLES = 512
"""So many of the calibration samples are used, the first ones: all of them are in memory at once, layer by layer."""


def lossy_pass(options: LossyOptions, calibrate: Calibration | None = None) -> Ternarize | None:
    """The pass that does what was asked for, None where nothing is to be lost. Raises InputError."""
    if options.lossy:
        return Ternarize(options, None if calibrate is None else calibration_data(calibrate))
    if calibrate is not None:
        raise InputError("calibrate is given, but nothing is to be changed", hint="say which --weights to make")
    return None


def calibration_data(source: Calibration) -> Data:
    """What gives a program its samples: float32 or integer arrays of each input port's shape."""

    def samples_for(program: Program) -> dict[str, list[np.ndarray]]:
        found = samples_of(source, program)
        if program.batched:
            (run,) = found.runs
            samples = {name: [array[i : i + 1] for i in range(found.count)] for name, array in run.items()}
        else:
            samples = {name: [run[name] for run in found.runs] for name in found.runs[0]}
        for name, arrays in samples.items():
            if not all(np.isfinite(array).all() for array in arrays):
                raise InputError(f"calibration samples for the input '{name}' are not all finite", where=_name(source))
        return samples

    return samples_for


def samples_of(source: Calibration, program: Program, limit: int = MOST_SAMPLES) -> Samples:
    """The first of them, as inputs of a program. Raises InputError where they do not fit."""
    ports = [PortInfo.of(port) for port in program.inputs]
    if isinstance(source, str | Path):
        return file_samples(source, ports, [], batched=program.batched, limit=limit)
    arrays = {"": source} if isinstance(source, np.ndarray) else {name: np.asarray(a) for name, a in source.items()}
    return array_samples(arrays, _name(source), ports, [], batched=program.batched, limit=limit)


def _name(source: Calibration) -> str:
    return str(source) if isinstance(source, str | Path) else "calibration data"
