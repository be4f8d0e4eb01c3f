"""Inputs to check or time a model with: random ones, or arrays from a file, as runs that the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from ...ir.errors import InputError
from ...ir.host import memory_bytes
from ...ir.weights import UNREADABLE

Arrays = dict[str, np.ndarray]
INPUT_NAMES = ("input", "x", "")
"""What an array for the only input may be called instead ("": it is in an .npy file)."""
OUTPUT_NAMES = ("output", "outputs", "logits")
LABEL_NAMES = ("label", "labels")


class HasPort(Protocol):
    """An input or output: `PortInfo` of an artifact. A batched model's leading 1 stands for the batch."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...


@dataclass(frozen=True)
class Samples:
    """Inputs for one or more runs, and what is known of the results.

    runs: the inputs of each run by name; one run holds all samples when the model is batched. expected: results by
    output name, with all runs' samples along axis 0. labels: whole numbers, [samples] or None. source: where they come
    from.
    """

    runs: list[Arrays]
    count: int
    source: str
    expected: Arrays = field(default_factory=dict)
    labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def inputs_of(self, index: int, batched: bool) -> Arrays:
        """The inputs of one sample, as a run takes them."""
        if not batched:
            return self.runs[index]
        return {name: array[index : index + 1] for name, array in self.runs[0].items()}


def random_samples(
    inputs: Sequence[HasPort],
    *,
    batched: bool,
    count: int,
    seed: int = 0,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> Samples:
    """Seeded inputs: floats from the standard normal distribution, integers uniform in their range.

    ranges: lowest and highest integer by input name, within the dtype's own range. Raises InputError for more than
    the machine's memory holds.
    """
    needed = count * sum(_bytes_of_one(port, batched) for port in inputs)
    if needed > memory_bytes():
        have = f"{needed / 2**30:.1f} GiB of memory, the machine has {memory_bytes() / 2**30:.1f}"
        raise InputError(f"the inputs of {count} samples need {have}", hint="choose fewer samples")
    rng = np.random.default_rng(seed)
    each = count if batched else 1
    runs = [
        {port.name: _random(rng, port, each if batched else None, (ranges or {}).get(port.name)) for port in inputs}
        for _ in range(1 if batched else count)
    ]
    return Samples(runs, count, f"{count} random sample{'s' if count != 1 else ''} (seed {seed})")


def _bytes_of_one(port: HasPort, batched: bool) -> int:
    """What a sample takes while it is made: numpy's numbers (for floats and bools 8 bytes each), then those wanted."""
    dtype = np.dtype(port.dtype)
    return prod(port.shape[1:] if batched else port.shape) * (dtype.itemsize + (8 if dtype.kind in "fb" else 0))


def _random(rng: np.random.Generator, port: HasPort, batch: int | None, limits: tuple[int, int] | None) -> np.ndarray:
    shape = port.shape if batch is None else (batch, *port.shape[1:])
    dtype = np.dtype(port.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    info = np.iinfo(dtype)
    lo, hi = limits or (info.min, info.max)
    return rng.integers(max(lo, info.min), min(hi, info.max), shape, dtype=dtype, endpoint=True)


def load_arrays(path: str | Path) -> Arrays:
    """The arrays of an .npz file by name, or of an .npy file under the name ''. Raises InputError."""
    where = str(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise InputError("no such file", where=where) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from error
    except UNREADABLE as error:
        raise InputError(
            f"not a NumPy file: {error}", where=where, hint="write it with numpy.save or numpy.savez"
        ) from error


def named_inputs(specs: Sequence[str], names: Sequence[str]) -> Arrays:
    """Arrays by input name from `NAME=FILE.npy`, `FILE.npy` (for a model with one input) and `FILE.npz` (arrays named
    like inputs). names: the model's inputs. Raises InputError for what cannot be read or told apart."""
    found: Arrays = {}
    for spec in specs:
        arrays = _from_spec(spec, names)
        if twice := sorted(set(arrays) & set(found)):
            raise InputError(f"--input gives '{twice[0]}' twice")
        found |= arrays
    return found


def _from_spec(spec: str, names: Sequence[str]) -> Arrays:
    name, equals, file = spec.partition("=")
    if not equals or (name not in names and Path(spec).exists()):
        name, file = "", spec
    if name and name not in names:
        raise InputError(f"--input {spec}: there is no input '{name}'", hint=f"the model has: {', '.join(names)}")
    arrays = load_arrays(file)
    if "" in arrays:
        if not name and len(names) != 1:
            hint = f"--input NAME={file}; NAME is one of {', '.join(names)}"
            raise InputError(f"--input {spec}: say which input it is", hint=hint)
        return {name or names[0]: arrays[""]}
    if name:
        raise InputError("is an .npz file; expected an .npy file after NAME=", where=file)
    chosen = {key: array for key, array in arrays.items() if key in names}
    if not chosen and len(names) == 1 and (key := _find(arrays, names[0], INPUT_NAMES)) is not None:
        chosen = {names[0]: arrays[key]}
    if not chosen:
        raise InputError(f"has no array named like an input ({', '.join(names)})", where=file)
    return chosen


def file_samples(
    path: str | Path,
    inputs: Sequence[HasPort],
    outputs: Sequence[HasPort],
    *,
    batched: bool,
    limit: int | None = None,
) -> Samples:
    """Inputs from an .npz file with arrays named like the model's inputs.

    A model with one input also takes an array `input`, and any array that has the right number of elements per sample
    is reshaped. Arrays named like an output (`output` or `logits` where the model has one) are expected results, and
    `label` holds class numbers, unless the model has a port of that name. limit: use only the first samples. Raises
    InputError where arrays are missing or do not fit.
    """
    return array_samples(load_arrays(path), str(path), inputs, outputs, batched=batched, limit=limit)


def array_samples(
    arrays: Arrays,
    where: str,
    inputs: Sequence[HasPort],
    outputs: Sequence[HasPort],
    *,
    batched: bool,
    limit: int | None = None,
) -> Samples:
    """The same from arrays by name; where: what they are called in errors."""
    notes: list[str] = []
    found: Arrays = {}
    for port in inputs:
        name = _find(arrays, port.name, INPUT_NAMES if len(inputs) == 1 else ())
        if name is None:
            raise InputError(
                f"has no array for the input '{port.name}'",
                where=where,
                hint=f"it has: {', '.join(arrays) or 'nothing'}; the model has the inputs "
                f"{', '.join(p.name for p in inputs)}",
            )
        found[port.name] = _fitted(arrays[name], port, batched, f"{where}: array '{name}'", notes)
    counts = {len(array) for array in found.values()}
    if len(counts) != 1:
        raise InputError(f"the inputs have {sorted(counts)} samples; expected one number", where=where)
    total = counts.pop()
    count = total if limit is None else min(limit, total)
    if not count:
        raise InputError("the file has no samples", where=where)
    found = {name: array[:count] for name, array in found.items()}
    runs = [found] if batched else [{name: array[i] for name, array in found.items()} for i in range(count)]
    expected: Arrays = {}
    for port in outputs:
        name = _find(arrays, port.name, OUTPUT_NAMES if len(outputs) == 1 else ())
        if name is not None and arrays[name].ndim:
            expected[port.name] = arrays[name][:count]
    labels = _labels(arrays, where, inputs, outputs, total, batched)
    if labels is not None:
        labels = labels[: count * (len(labels) // total)]
    shown = f"{count} sample{'s' if count != 1 else ''} of {Path(where).name}"
    return Samples(runs, count, shown, expected, labels, tuple(notes))


def _labels(
    arrays: Mapping[str, np.ndarray],
    where: str,
    inputs: Sequence[HasPort],
    outputs: Sequence[HasPort],
    count: int,
    batched: bool,
) -> np.ndarray | None:
    """Class numbers, one for each sample, or for each row of the output where a run has several. None where there are
    none. Raises InputError for what cannot be the classes of `count` samples."""
    ports = {port.name for port in (*inputs, *outputs)}
    name = next((name for name in LABEL_NAMES if name in arrays and name not in ports), None)
    if name is None or not outputs:  # calibration asks for no results
        return None
    labels, where = arrays[name], f"{where}: array '{name}'"
    shape = outputs[0].shape if len(outputs) == 1 else ()
    rows = shape[0] if not batched and len(shape) > 1 else 1
    if labels.shape not in ((count,), (count * rows,)):
        raise InputError(f"expected shape [{count * rows}], got {list(labels.shape)}", where=where)
    classes = prod(shape) * count // len(labels)
    if labels.dtype.kind not in "iuf" or not np.array_equal(labels, np.floor(labels)):
        raise InputError(f"expected class numbers, got {labels.dtype}", where=where)
    if classes > 1 and len(wrong := labels[(labels < 0) | (labels >= classes)]):
        want = f"expected classes 0 to {classes - 1}, as '{outputs[0].name}' has"
        raise InputError(f"{want}, got {wrong[0]}", where=where)
    return labels


def _find(arrays: Mapping[str, np.ndarray], name: str, others: Sequence[str]) -> str | None:
    return next((candidate for candidate in (name, *others) if candidate in arrays), None)


def _fitted(array: np.ndarray, port: HasPort, batched: bool, where: str, notes: list[str]) -> np.ndarray:
    """The array as [samples, *shape of one run], in the port's dtype."""
    shape = port.shape[1:] if batched else port.shape
    if not batched and array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape:
        if array.ndim < 1 or array[:1].size != int(np.prod(shape)):
            wanted = ", ".join(map(str, ("N", *shape)))
            raise InputError(f"expected shape [{wanted}], got {list(array.shape)}", where=where)
        notes.append(f"input '{port.name}' reshaped from {list(array.shape)} to {[len(array), *shape]}")
        array = array.reshape(len(array), *shape)
    if array.dtype != np.dtype(port.dtype):
        converted = array.astype(port.dtype) if array.dtype.kind in "biuf" else None
        if converted is None or not np.array_equal(converted, array):
            raise InputError(f"expected dtype {port.dtype}, got {array.dtype}", where=where)
        notes.append(f"input '{port.name}' converted from {array.dtype} to {port.dtype}")
        array = converted
    return array
