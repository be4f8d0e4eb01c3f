"""Shapes that a user gives to the inputs of a model, where the model leaves sizes open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ...ir.errors import InputError
from .graph import Declared, Dim
from .tensors import checked_dims

Shapes: TypeAlias = "Mapping[str, Sequence[int]]"
"""Input name -> sizes; -1 leaves an axis as it is. The name '' stands for the only input."""


def fixed(inputs: Sequence[Declared], shapes: Shapes) -> list[Declared]:
    """The inputs with these shapes. An axis of the same symbolic name has the same size in every input.

    Raises InputError for unknown inputs, other ranks, sizes that are no sizes, and sizes other than the model's.
    """
    names = [declared.name for declared in inputs]
    given: dict[str, list[int]] = {}
    for key, sizes in shapes.items():
        name = names[0] if not key and len(names) == 1 else key
        if name not in names:
            what = f"shape: there is no input '{name}'" if name else "shape: say which input it is of"
            raise InputError(what, hint=f"the model has: {', '.join(names)}")
        if name in given:
            raise InputError(f"shape: given twice for input '{name}'")
        given[name] = _checked(name, sizes)
    symbols: dict[str, int] = {}
    for declared in inputs:
        if declared.name in given and declared.dims is not None:
            _match(declared.name, declared.dims, given[declared.name], symbols)
    return [_with(declared, given.get(declared.name), symbols) for declared in inputs]


def hint(inputs: Sequence[Declared]) -> str:
    """What to write so that no size is open, but for the batch."""
    open_ones = [d for d in inputs if d.dims and any(isinstance(size, str) for size in d.dims[1:])]
    options = [f"--shape {d.name}={_template(d.dims or (), ',', '?')}" for d in open_ones]
    python = ", ".join(f"'{d.name}': ({_template(d.dims or (), ', ', '-1')})" for d in open_ones)
    return f"say the sizes, as in `{' '.join(options)}`; in Python shapes={{{python}}}"


def _template(dims: Sequence[Dim], comma: str, keep: str) -> str:
    """Sizes as they are, the open batch kept so, and names for the sizes to fill in."""
    words = [str(d) if isinstance(d, int) else keep if axis == 0 else d or f"SIZE{axis}" for axis, d in enumerate(dims)]
    return comma.join(words)


def _checked(name: str, sizes: Sequence[int]) -> list[int]:
    where = f"shape of input '{name}'"
    if isinstance(sizes, str | bytes) or not isinstance(sizes, Sequence):
        raise InputError(f"expected a sequence of integers, got {sizes!r}", where=where)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and size != -1):
            raise InputError(f"expected sizes of 1 or more (-1: as in the model), got {size!r}", where=where)
    checked_dims([size for size in sizes if size > 0], where=where)
    return list(sizes)


def _match(name: str, dims: Sequence[Dim], sizes: Sequence[int], symbols: dict[str, int]) -> None:
    """Enters what the model's names for sizes stand for."""
    shown = f"[{', '.join(str(d) if d != '' else '?' for d in dims)}]"
    if len(dims) != len(sizes):
        raise InputError(f"expected {len(dims)} sizes for {shown}, got {list(sizes)}", where=f"shape of input '{name}'")
    for axis, (have, size) in enumerate(zip(dims, sizes, strict=True)):
        known = symbols.setdefault(have, size) if isinstance(have, str) and have and size > 0 else have
        if size > 0 and isinstance(known, int) and known != size:
            what = f"axis {axis} of {shown} is {known}, and cannot be {size}"
            raise InputError(what, where=f"shape of input '{name}'", hint="leave it as it is with -1 (or `?`)")


def _with(declared: Declared, sizes: Sequence[int] | None, symbols: Mapping[str, int]) -> Declared:
    if declared.dims is None:
        if sizes is None:
            return declared
        return replace(declared, dims=tuple("" if size < 0 else size for size in sizes))
    pairs = zip(declared.dims, sizes or [-1] * len(declared.dims), strict=True)
    dims = [size if size > 0 else symbols.get(have, have) if isinstance(have, str) else have for have, size in pairs]
    return replace(declared, dims=tuple(dims))
