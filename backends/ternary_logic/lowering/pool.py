"""Pools: the largest of a window, or its sum."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from ....ir.tn.elementwise import MaxOp
from ....ir.tn.pool import MaxPoolOp, SumPoolOp
from ....ir.types import shape_of
from ..mapping.choices import larger
from ..mapping.numbers import Number, weighted
from .linear import windows_of
from .rules import Context, Operand, gates_of, on_wires


@gates_of(MaxPoolOp)
def max_pool(context: Context, op: MaxPoolOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    window = _window(context, op, maps, maps.form.low)
    parts = [replace(window, nets=window.nets[..., i]) for i in range(window.nets.shape[-1])]
    while len(parts) > 1:  # a tree: half as many each time
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [larger(context.builder, a, b) for a, b in pairs] + (parts[-1:] if len(parts) % 2 else [])
    return parts[0]


@gates_of(SumPoolOp)
def sum_pool(context: Context, op: SumPoolOp, x: Operand) -> Number:
    window = _window(context, op, on_wires(x, "a map"), 0)
    terms = replace(window, nets=np.moveaxis(window.nets, -1, 1))
    sums = weighted(context.builder, terms, np.ones(terms.nets.shape[1], np.int64))
    return context.number(sums, context.form_of(op))


def _window(context: Context, op: MaxPoolOp | SumPoolOp, maps: Number, border: int) -> Number:
    """[wires, *shape of the result, elements of a window]."""
    attributes = [op.get(name) for name in ("pads", "kernel", "strides", "dilations")]
    window = windows_of(context, maps, *attributes, border=border)
    return replace(window, nets=window.nets.reshape(maps.form.wires, *shape_of(op.y), -1))


@gates_of(MaxOp)
def maximum(context: Context, op: MaxOp, a: Operand, b: Operand) -> Number:
    both = context.on_wires([a, b], context.form_of(op))
    return reduce(lambda x, y: larger(context.builder, x, y), both)
