"""What callers pass as inputs: from any array to exactly what a compiled model reads, or a clear refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.errors import InputError
from ..artifact.manifest import PortInfo

NOT_AN_ARRAY = "pass a NumPy array or an object with __dlpack__ or __array__, such as a torch tensor on the CPU"


class InputReader:
    """Reads what callers pass for a model's inputs. Made once for a model: every run goes through it."""

    def __init__(self, ports: Sequence[PortInfo], batched: bool) -> None:
        self._ports, self._batched = tuple(ports), batched
        self._names = frozenset(port.name for port in ports)
        self._wanted = [_Wanted.of(port, batched) for port in ports]

    def read(self, inputs: Any) -> tuple[list[np.ndarray], int]:
        """The model's inputs in order as contiguous arrays of their stored dtype, and the batch size.

        inputs: name -> array, or arrays in order (list or tuple), or one array for a model with one input. Raises
        InputError for missing, unknown or surplus inputs and for wrong shapes, dtypes and values.
        """
        arrays, batch = [], None
        for value, want in zip(in_order(inputs, self._ports, self._names), self._wanted, strict=True):
            array = value if type(value) is np.ndarray else _as_array(value, want.port)
            if array.dtype != want.dtype:
                raise _wrong_dtype(array, want.port)
            if self._batched:
                if batch is None:
                    batch = array.shape[0] if array.ndim else 1
                if array.shape != (batch, *want.shape):
                    raise _wrong_shape(array, want.port, batch, True)
            elif array.shape != want.shape:
                raise _wrong_shape(array, want.port, 1, False)
            if want.limits:
                check_values(array, want.limits, want.port)
            if array.dtype != want.stored or not array.flags.c_contiguous:
                array = np.ascontiguousarray(array, want.stored)
            arrays.append(array)
        return arrays, 1 if batch is None else batch


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an input must be. shape: without the batch. limits: of its values, where they must be looked at."""

    port: PortInfo
    dtype: np.dtype
    stored: np.dtype
    shape: tuple[int, ...]
    limits: tuple[int, int] | None

    @classmethod
    def of(cls, port: PortInfo, batched: bool) -> _Wanted:
        dtype, shape = np.dtype(port.dtype), port.shape[1:] if batched else port.shape
        return cls(port, dtype, np.dtype(port.stored), shape, range_to_check(port, dtype))


def in_order(values: Any, ports: Sequence[PortInfo], names: Set[str], side: str = "input") -> list[Any]:
    """What was given for every port. values: by name, in order (list or tuple), or one value. names: of all ports."""
    if isinstance(values, Mapping):
        if values.keys() != names:
            raise _wrong_names(values, ports, side)
        return [values[port.name] for port in ports]
    given = list(values) if isinstance(values, list | tuple) else [values]
    if len(given) != len(ports):
        raise InputError(f"expected {len(ports)} {side}s, got {len(given)}", hint=_names_text(ports))
    return given


def _wrong_names(values: Mapping[str, Any], ports: Sequence[PortInfo], side: str) -> InputError:
    names = [port.name for port in ports]
    if unknown := [name for name in values if name not in names]:
        return InputError(f"there is no {side} '{unknown[0]}'", hint=_names_text(ports))
    missing = next(name for name in names if name not in values)
    return InputError(f"{side} '{missing}' is missing", hint=_names_text(ports))


def _names_text(ports: Sequence[PortInfo]) -> str:
    return f"the model has: {', '.join(port.name for port in ports) or 'none'}"


def _as_array(value: Any, port: PortInfo) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(value, port)
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise InputError(f"not an array: {type(value).__name__}", where=f"input '{port.name}'", hint=NOT_AN_ARRAY)


def _wrong_dtype(array: np.ndarray, port: PortInfo) -> InputError:
    return InputError(
        f"expected dtype {port.dtype}, got {array.dtype.str if array.dtype.byteorder == '>' else array.dtype}",
        where=f"input '{port.name}'",
        hint=f"convert it, for example with array.astype('{port.dtype}')",
    )


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


def _wrong_shape(array: np.ndarray, port: PortInfo, batch: int, batched: bool) -> InputError:
    where = f"input '{port.name}'"
    if batched and array.shape[1:] == port.shape[1:] and array.ndim == len(port.shape):
        return InputError(f"batch of {array.shape[0]}, but the first input has {batch}", where=where)
    return InputError(f"expected shape [{shape_text(port, batched)}], got {list(array.shape)}", where=where)


def shape_text(port: PortInfo, batched: bool) -> str:
    """`N, 3, 4`: a port's shape, N for the batch."""
    return ", ".join(["N", *map(str, port.shape[1:])] if batched else map(str, port.shape))


def range_to_check(port: PortInfo, dtype: np.dtype) -> tuple[int, int] | None:
    """The least and the greatest value that a port takes, where arrays of this dtype can hold others."""
    if port.range is None or dtype == np.bool_:
        return None
    lo, hi = port.range
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    return None if limits is not None and lo <= limits.min and hi >= limits.max else (lo, hi)


def check_values(array: np.ndarray, limits: tuple[int, int], port: PortInfo) -> None:
    """Every value must be one that the model was compiled for. Raises InputError."""
    if not array.size:
        return
    lo, hi = limits
    if not (array.min() >= lo and array.max() <= hi):
        raise InputError(f"values outside {lo}..{hi}", where=f"input '{port.name}'")
    if array.dtype.kind == "f" and not np.array_equal(np.rint(array), array):
        raise InputError("values that are not whole numbers", where=f"input '{port.name}'")
