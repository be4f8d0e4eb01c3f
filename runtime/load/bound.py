"""Arrays bound to a model, so that a call of it is little more than the call of the C function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ...ir.errors import InputError
from ..artifact.manifest import Manifest, PortInfo
from .tensors import check_values, in_order, range_to_check, shape_text


class BoundModel:
    """A loaded model and the arrays it reads and writes; made by `LoadedModel.bind`. A call runs it.

    inputs, outputs: the arrays by name, those that were given or were made. Inputs may be refilled in place between
    calls; each call overwrites the outputs. Threads may call it at the same time: the runs wait for each other, and the
    outputs are those of the last one. It keeps the model from being collected, but not from being closed.
    """

    def __init__(
        self,
        run: Callable[[], None],
        ports: Sequence[PortInfo],
        inputs: dict[str, np.ndarray],
        outputs: dict[str, np.ndarray],
    ) -> None:
        self.inputs: Mapping[str, np.ndarray] = inputs
        self.outputs: Mapping[str, np.ndarray] = outputs
        self._run = run
        limits = [(port, range_to_check(port, inputs[port.name].dtype)) for port in ports]
        self._checks = [(inputs[port.name], limit, port) for port, limit in limits if limit]

    def __call__(self) -> Mapping[str, np.ndarray]:
        """Runs the model and returns `outputs`.

        Raises InputError for a closed model, and for values outside the range of an integer input; looking for them
        takes a few microseconds where the dtype holds others.
        """
        for array, limits, port in self._checks:
            check_values(array, limits, port)
        self._run()
        return self.outputs

    def __repr__(self) -> str:
        return f"BoundModel({', '.join(self.inputs)} -> {', '.join(self.outputs)})"


def bind_arrays(
    manifest: Manifest, inputs: Any, outputs: Any
) -> tuple[int, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The batch, and the arrays by name that `LoadedModel.bind` was given; new outputs where `outputs` is None.

    Raises InputError for arrays that cannot be read or written in place.
    """
    first = next(iter(_by_name(inputs, manifest.inputs, "input").values()), None)
    batch = first.shape[0] if manifest.batched and isinstance(first, np.ndarray) and first.ndim else 1
    ins = _checked(inputs, manifest.inputs, "input", manifest.batched, batch)
    if outputs is None:
        outs = {port.name: np.zeros(_shape(port, manifest.batched, batch), port.stored) for port in manifest.outputs}
    else:
        outs = _checked(outputs, manifest.outputs, "output", manifest.batched, batch)
    for name, array in outs.items():
        if not array.flags.writeable:
            raise InputError("cannot be written", where=f"output '{name}'", hint="pass an array that is not read-only")
    _check_apart(ins, outs)
    return batch, ins, outs


def _by_name(values: Any, ports: Sequence[PortInfo], side: str) -> dict[str, Any]:
    names = [port.name for port in ports]
    return dict(zip(names, in_order(values, ports, set(names), side), strict=True))


def _shape(port: PortInfo, batched: bool, batch: int) -> tuple[int, ...]:
    return (batch, *port.shape[1:]) if batched else port.shape


def _checked(values: Any, ports: Sequence[PortInfo], side: str, batched: bool, batch: int) -> dict[str, np.ndarray]:
    found = _by_name(values, ports, side)
    for port in ports:
        if problem := _problem(found[port.name], port, batched, batch):
            what, hint = problem
            raise InputError(what, where=f"{side} '{port.name}'", hint=hint)
    return found


def _problem(array: Any, port: PortInfo, batched: bool, batch: int) -> tuple[str, str] | None:
    """Why a port cannot be bound to an array, and what to do about it."""
    if not isinstance(array, np.ndarray):
        return f"expected a NumPy array, got {type(array).__name__}", "np.from_dlpack(tensor) shares a tensor's memory"
    if array.dtype != np.dtype(port.stored):
        hint = f"np.empty({list(_shape(port, batched, batch))}, '{port.stored}') fits; `run` converts from {port.dtype}"
        return f"expected dtype {port.stored}, in which the model stores it, got {array.dtype.str}", hint
    if array.shape != _shape(port, batched, batch):
        which = f", with N = {batch} as in the first input" if batched else ""
        return f"expected shape [{shape_text(port, batched)}]{which}, got {list(array.shape)}", ""
    if not array.flags.c_contiguous:
        return "is not contiguous in memory", "bind np.ascontiguousarray(array), and refill that"
    return None


def _check_apart(inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    """No output may share memory with another array: a run of several samples writes while it still reads."""
    written = [(f"output '{name}'", array) for name, array in outputs.items()]
    read = [(f"input '{name}'", array) for name, array in inputs.items()]
    for (where, array), (other, second) in [*combinations(written, 2), *((w, r) for w in written for r in read)]:
        if np.may_share_memory(array, second):
            raise InputError(f"shares memory with {other}", where=where, hint="bind arrays of their own")
