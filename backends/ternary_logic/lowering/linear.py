"""Convolutions, matrix products and sums: a tree of adders for each output channel, for all pixels at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import AddOp, SubOp
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.types import shape_of
from ..mapping.numbers import Number, Terms, weighted
from ..mapping.products import SIGN
from ..mapping.products import products as of_maps
from .rules import Context, NotMappedError, Operand, constant, gates_of, on_wires
from .shared import shared_sums


@gates_of(ConvOp)
def conv(context: Context, op: ConvOp, x: Operand, w: Operand, bias: Operand | None = None) -> Number:
    maps, weights = on_wires(x, "a map"), constant(w, "weights")
    offsets = np.zeros(len(weights), np.int64) if bias is None else constant(bias, "a bias")
    windows = windows_of(context, maps, op.get("pads"), weights.shape[2:], op.get("strides"), op.get("dilations"))
    wires, samples, channels, *sizes = windows.nets.shape[: -len(op.get("strides"))]
    pixels, group, outputs = samples * prod(sizes), op.get("group"), len(weights)
    # [wires, N, C, *S', *K] -> [wires, C, pixels, taps] -> [wires, group, C / group * taps, pixels]
    nets = np.moveaxis(windows.nets, 1, 2).reshape(wires, channels, pixels, -1)
    nets = np.moveaxis(nets, 3, 2).reshape(wires, group, -1, pixels)
    if (graph := context.graph_of(op)) is not None:
        taps = Number(nets.reshape(wires, graph.inputs, pixels), maps.form)
        sums = totals(context, op, shared_sums(context.builder, graph, taps), offsets)
    else:
        rows = [Number(nets[:, o // (outputs // group)], maps.form) for o in range(outputs)]
        sums = products(context, op, rows, weights.reshape(outputs, -1), offsets)
    shaped = sums.nets.reshape(sums.form.wires, outputs, samples, *sizes)
    return replace(sums, nets=np.moveaxis(shaped, 1, 2))


def windows_of(
    context: Context, maps: Number, pads: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], border: int = 0,
) -> Number:  # fmt: skip
    """What each output pixel sees: wires [wires, N, C, *S', *K] of maps [wires, N, C, *S], padded with a number."""
    rank = len(kernel)
    margin = [(0, 0)] * 2 + list(zip(pads[:rank], pads[rank:], strict=True))
    if any(pads):
        wires = context.border(maps.form, border)
        nets = np.stack([np.pad(n, margin, constant_values=w) for n, w in zip(maps.nets, wires, strict=True)])
    else:
        nets = maps.nets
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    windows = sliding_window_view(nets, reach, axis=tuple(range(3, 3 + rank)))
    steps = [slice(None)] * 3 + [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in dilations]
    return Number(windows[tuple(steps)], maps.form)


def products(
    context: Context, op: ConvOp | MatMulOp, rows: Sequence[Number], weights: NDArray[np.integer],
    offsets: NDArray[np.integer],
) -> Number:  # fmt: skip
    """For each output channel its weights [terms] times what it sees, [wires, terms, pixels]. Returns numbers of wires
    [wires, channels, pixels]."""
    sums = (weighted(context.builder, seen, row) for seen, row in zip(rows, weights, strict=True))
    return totals(context, op, sums, offsets)


def totals(context: Context, op: TensorOperation, sums: Iterable[Terms], offsets: NDArray[np.integer]) -> Number:
    """The numbers of each output channel's sum and offset."""
    form, found = context.form_of(op), []
    for terms, offset in zip(sums, offsets.tolist(), strict=True):
        found.append(context.number(terms.plus(offset), form).nets)
    return Number(np.stack(found, axis=1), form)


@gates_of(MatMulOp)
def matmul(context: Context, op: MatMulOp, a: Operand, b: Operand) -> Number:
    maps = on_wires(a, "a left operand")
    if isinstance(b, Number):
        return _products_of_maps(context, op, maps, b)
    if b.ndim != 2 or len(shape_of(op.y)) < 2:
        raise NotMappedError(f"a product of {list(shape_of(op.a))} by {list(b.shape)}: expected matrices")
    terms, outputs = b.shape
    seen = Number(np.moveaxis(maps.nets.reshape(maps.form.wires, -1, terms), 1, 2), maps.form)
    offsets = np.zeros(outputs, np.int64)
    if (graph := context.graph_of(op)) is not None:
        sums = totals(context, op, shared_sums(context.builder, graph, seen), offsets)
    else:
        sums = products(context, op, [seen] * outputs, b.T, offsets)
    return replace(sums, nets=np.moveaxis(sums.nets, 1, 2).reshape(sums.form.wires, *shape_of(op.y)))


def _products_of_maps(context: Context, op: MatMulOp, a: Number, b: Number) -> Number:
    """Neither operand is fixed: [.., M, K] by [.., K, N], each product with gates of its own."""
    if a.nets.ndim < 3 or b.nets.ndim < 3:
        raise NotMappedError("a product of maps of which one is a vector")
    if (a.form.weights == SIGN) != (b.form.weights == SIGN):  # a bit for -1 and 1 meets nothing but its like
        a, b = (context.in_places(maps) if maps.form.weights == SIGN else maps for maps in (a, b))
    left = np.moveaxis(a.nets, -1, 1)[..., None]  # [wires, K, .., M, 1]
    right = np.moveaxis(b.nets, -2, 1)[..., None, :]  # [wires, K, .., 1, N]
    rank = max(left.ndim, right.ndim)
    left, right = (n.reshape(*n.shape[:2], *[1] * (rank - n.ndim), *n.shape[2:]) for n in (left, right))
    shape = np.broadcast_shapes(left.shape[1:], right.shape[1:])
    terms = [Number(np.broadcast_to(n, (len(n), *shape)), x.form) for n, x in ((left, a), (right, b))]
    total = context.number(of_maps(context.builder, *terms), context.form_of(op))
    return replace(total, nets=total.nets.reshape(total.form.wires, *shape_of(op.y)))


@gates_of(AddOp, SubOp)
def add(context: Context, op: AddOp | SubOp, a: Operand, b: Operand) -> Number:
    shape, form = shape_of(op.results[0]), context.form_of(op)
    signs = (1, -1 if isinstance(op, SubOp) else 1)
    maps = [(x, sign) for x, sign in zip((a, b), signs, strict=True) if isinstance(x, Number)]
    offsets = np.zeros(shape, np.int64)
    for x, sign in zip((a, b), signs, strict=True):
        offsets = offsets if isinstance(x, Number) else offsets + sign * x
    nets = np.empty((form.wires, *shape), np.int32)
    for offset in np.unique(offsets).tolist():
        at = offsets == offset
        parts = [
            weighted(context.builder, Number(_broadcast(x, shape)[:, None, at], x.form), np.array([sign]))
            for x, sign in maps
        ]
        nets[:, at] = context.number(Terms.join(parts).plus(offset), form).nets
    return Number(nets, form)


def _broadcast(x: Number, shape: tuple[int, ...]) -> NDArray[np.int32]:
    aligned = x.nets.reshape(x.form.wires, *[1] * (len(shape) - x.nets.ndim + 1), *x.nets.shape[1:])
    return np.broadcast_to(aligned, (x.form.wires, *shape))
