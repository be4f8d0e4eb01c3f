"""The inputs of a source model as it declares them, and the sizes and the batch that a user gives to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import numpy as np

from ..ir.errors import InputError, ModelError
from ..ir.program import Port
from ..ir.types import tensor_type
from .problems import Problems
from .values import MAX_ELEMENTS, MAX_RANK, Refusal, container, element_for

Dim: TypeAlias = "int | str"
"""A size, or the name of a symbolic one ("" when it has no name)."""
Shapes: TypeAlias = "Mapping[str, Sequence[int]]"
"""Input name -> sizes; -1 leaves an axis as it is. The name '' stands for the only input."""

STATIC = "export the model with static shapes"


@dataclass(frozen=True)
class Declared:
    """A graph input or output as the file declares it; dims is None without a shape.

    typed: False for an output whose type the file leaves out; its dtype then means nothing.
    """

    name: str
    dtype: np.dtype
    dims: tuple[Dim, ...] | None
    typed: bool = True


def check_rank(rank: int, *, where: str) -> None:
    """Raises ModelError for more axes than an array can have."""
    if rank > MAX_RANK:
        raise ModelError(f"has {rank} axes; tensors of up to {MAX_RANK} axes are read", where=where)


def checked_dims(dims: list[int], *, where: str) -> int:
    """The number of elements. Raises ModelError for negative dimensions, absurd sizes and too many axes."""
    check_rank(len(dims), where=where)
    if any(d < 0 for d in dims):
        raise ModelError(f"has a negative dimension in its shape {dims}", where=where)
    if prod(dims) > MAX_ELEMENTS or max(dims, default=0) > MAX_ELEMENTS:
        raise ModelError(
            f"has the absurd shape {dims}", where=where, hint=f"tensors of up to {MAX_ELEMENTS} elements are read"
        )
    return prod(dims)


# -- the batch --------------------------------------------------------------------------------------------------------


def is_batched(inputs: Sequence[Declared], batch: int | None) -> bool:
    """Whether the program is for one sample of a batch of any size: every input has a symbolic leading axis, and no
    size is given for it. Raises InputError for a batch size that no input can have."""
    if batch is None:
        return bool(inputs) and all(i.dims and isinstance(i.dims[0], str) for i in inputs)
    if batch < 1:
        raise InputError(f"batch: expected 1 or more, got {batch}")
    leading = [i.dims[0] for i in inputs if i.dims]
    if not any(isinstance(d, str) or d == batch for d in leading):
        raise InputError(f"batch: the model has the fixed leading sizes {leading}", hint="leave batch out")
    return False


def input_ports(inputs: Sequence[Declared], batch: int | None, *, batched: bool) -> list[Port]:
    """The program's inputs, static. Raises UnsupportedError that lists all that is not known or no dtype of `tn`."""
    problems = Problems()
    ports = [_port(declared, inputs, batch, batched, problems) for declared in inputs]
    problems.raise_if_any()
    return [port for port in ports if port is not None]


def _port(
    declared: Declared, inputs: Sequence[Declared], batch: int | None, batched: bool, problems: Problems
) -> Port | None:
    """The program's input; None after noting a problem."""
    where = f"input '{declared.name}'"
    try:
        element = element_for(declared.dtype)
    except Refusal as refusal:
        problems.of_port(where, str(refusal))
        return None
    if declared.dims is None:
        raise ModelError("has no shape", where=where, hint=f"give one, as in --shape {declared.name}=1,3,32,32")
    sizes = list(declared.dims)
    if sizes and isinstance(sizes[0], str) and (batched or batch is not None):
        sizes[0] = 1 if batch is None else batch
    symbolic = [d or "?" for d in sizes if isinstance(d, str)]
    if symbolic:
        what = f"the size of {', '.join(map(repr, symbolic))} in {_dims(declared)} is not known"
        only_batch = all(isinstance(size, int) for size in sizes[1:])
        advice = f"give the batch as --batch N (batch=N), or {STATIC}" if only_batch else hint(inputs)
        problems.of_port(where, what, advice)
        return None
    shape = [d for d in sizes if isinstance(d, int)]
    return Port(declared.name, tensor_type(shape, element), container(declared.dtype))


def _dims(declared: Declared) -> str:
    return f"[{', '.join(str(d) if d != '' else '?' for d in declared.dims or ())}]"


# -- shapes -----------------------------------------------------------------------------------------------------------


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
