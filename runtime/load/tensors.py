"""What callers pass as inputs: from any array to exactly what a compiled model reads, or a clear refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...ir.errors import InputError
from ..artifact.manifest import PortInfo

NOT_AN_ARRAY = "pass a NumPy array or an object with __dlpack__ or __array__, such as a torch tensor on the CPU"


def gather_inputs(inputs: Any, ports: Sequence[PortInfo], batched: bool) -> tuple[list[np.ndarray], int]:
    """The model's inputs in order as contiguous arrays of their stored dtype, and the batch size.

    inputs: name -> array, or arrays in order (list or tuple), or one array for a model with one input. Raises
    InputError for missing, unknown or surplus inputs and for wrong shapes, dtypes and values.
    """
    arrays = [_as_array(value, port) for value, port in zip(_in_order(inputs, ports), ports, strict=True)]
    batch = arrays[0].shape[0] if batched and arrays and arrays[0].ndim else 1
    for array, port in zip(arrays, ports, strict=True):
        _check_shape(array, port, batch, batched)
    return [_stored(array, port) for array, port in zip(arrays, ports, strict=True)], batch


def _in_order(inputs: Any, ports: Sequence[PortInfo]) -> list[Any]:
    names = [port.name for port in ports]
    if isinstance(inputs, Mapping):
        for name in inputs:
            if name not in names:
                raise InputError(f"there is no input '{name}'", hint=f"the model has: {', '.join(names) or 'none'}")
        if missing := [name for name in names if name not in inputs]:
            raise InputError(f"input '{missing[0]}' is missing", hint=f"the model has: {', '.join(names)}")
        return [inputs[name] for name in names]
    values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(values) != len(ports):
        raise InputError(f"want {len(ports)} inputs, have {len(values)}", hint=f"the model has: {', '.join(names)}")
    return values


def _as_array(value: Any, port: PortInfo) -> np.ndarray:
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
    elif hasattr(value, "__dlpack__"):
        array = _from_dlpack(value, port)
    elif hasattr(value, "__array__"):
        array = np.asarray(value)
    else:
        raise InputError(f"not an array: {type(value).__name__}", where=f"input '{port.name}'", hint=NOT_AN_ARRAY)
    if array.dtype != np.dtype(port.dtype):
        raise InputError(
            f"want dtype {port.dtype}, have {array.dtype.str if array.dtype.byteorder == '>' else array.dtype}",
            where=f"input '{port.name}'",
            hint=f"convert it, for example with array.astype('{port.dtype}')",
        )
    return array


def _from_dlpack(value: Any, port: PortInfo) -> np.ndarray:
    try:
        return np.from_dlpack(value)
    except Exception as error:  # the exporter's own error: another device, a gradient, a dtype DLPack lacks
        with suppress(Exception):
            return np.asarray(value.__array__())
        raise InputError(
            f"cannot be read through DLPack: {error}",
            where=f"input '{port.name}'",
            hint="move it to the CPU and detach it from gradients",
        ) from error


def _check_shape(array: np.ndarray, port: PortInfo, batch: int, batched: bool) -> None:
    want = (batch, *port.shape[1:]) if batched else port.shape
    if array.shape == want:
        return
    where = f"input '{port.name}'"
    if batched and array.shape[1:] == port.shape[1:] and array.ndim == len(port.shape):
        raise InputError(f"batch of {array.shape[0]}, but the first input has {batch}", where=where)
    shown = ", ".join(["N", *map(str, port.shape[1:])] if batched else map(str, port.shape))
    raise InputError(f"want shape [{shown}], have {list(array.shape)}", where=where)


def _stored(array: np.ndarray, port: PortInfo) -> np.ndarray:
    """The array contiguous and in its stored dtype; every value must be one that the model was compiled for."""
    if port.range is not None and array.size and array.dtype != np.bool_:
        lo, hi = port.range
        limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        if limits is None or lo > limits.min or hi < limits.max:
            if not (array.min() >= lo and array.max() <= hi):
                raise InputError(f"values outside {lo}..{hi}", where=f"input '{port.name}'")
            if limits is None and not np.array_equal(np.rint(array), array):
                raise InputError("values that are not whole numbers", where=f"input '{port.name}'")
    return np.ascontiguousarray(array.astype(port.stored, copy=False))
