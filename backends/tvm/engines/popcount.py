"""Convolutions of maps and weights of -1, 0 and 1: 64 channels of a pixel are two words of bits.

    n = nonzero(x) and nonzero(w)          both words of 64 products
    m = n and (negative(x) xor negative(w))
    sum += ones(n) - 2 ones(m)

Eight pixels are a vector, in the layout of flat.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....ir.tn.linear import ConvOp
from ....ir.types import element_of, is_float, range_of, shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, relax, s_tir, te, tirx, tvm
from ..targets import Target
from .flat import Flat, cropped, flat_of, lies_flat, padded, zeros_apart
from .tiles import Registers, in_registers, in_vectors

NAME = "popcount"
WORD = 64


def takes(op: ConvOp, weights: np.ndarray | None) -> bool:
    if weights is None or is_float(op.x) or not lies_flat(op):
        return False
    low, high = range_of(element_of(op.x))
    return low >= -1 and high <= 1 and bool(np.isin(weights, (-1, 0, 1)).all())


def registers_of(target: Target) -> Registers:
    """Two sums each of 12 tiles in 32 registers, of 4 in 16: the others hold what a term needs."""
    outputs, vectors = (6, 2) if target.registers == 32 else (4, 1)
    return Registers(outputs, vectors, target.vector_bytes // 8)


def conv(context: Context, op: ConvOp, x: Expr, weights: np.ndarray) -> Expr:
    outputs, group = len(weights), op.get("group")
    registers = registers_of(context.target).for_outputs(outputs // group)
    flat = flat_of(op, registers.pixels, registers.lanes)
    channels = shape_of(op.x)[1] // group
    words, dtype = -(-channels // WORD), dtype_of(op.y)
    maps = (group * words, flat.stride**2, flat.size)
    bits = _bits(flat, registers.lanes, group, channels, words, shape_of(op.x))
    both = context.call(bits, [x], [maps, maps], "uint64", "bits")
    packed = context.constant(_packed(weights, words), "uint64")
    function = _sums(flat, registers, outputs, group, words, dtype)
    operands = [relax.TupleGetItem(both, 0), relax.TupleGetItem(both, 1), packed]
    sums = context.call(function, operands, [(outputs, flat.outputs)], dtype, "sums")
    return context.emit_te(lambda sums: cropped(sums, flat, op), sums)


def _packed(weights: np.ndarray, words: int) -> np.ndarray:
    """[2, outputs, taps * words] of [outputs, channels, *kernel]: which are not 0, and which are below 0."""
    outputs, channels, taps = len(weights), weights.shape[1], int(np.prod(weights.shape[2:]))
    padded = np.zeros((outputs, words * WORD, taps), np.int64)
    padded[:, :channels] = weights.reshape(outputs, channels, taps)
    split = padded.reshape(outputs, words, WORD, taps).transpose(0, 3, 1, 2)  # [outputs, taps, words, channels]
    places = np.left_shift(np.uint64(1), np.arange(WORD, dtype=np.uint64))
    found = [(part.astype(np.uint64) * places).sum(-1, dtype=np.uint64) for part in (split != 0, split < 0)]
    return np.stack(found).reshape(2, outputs, taps * words)


def _bits(flat: Flat, lanes: int, group: int, channels: int, words: int, shape: Sequence[int]) -> Any:
    """The words of every pixel of a map in int8: bit c of a word is channel c, whose lowest bit says whether it is not
    0, and whose highest whether it is below 0."""
    x = te.placeholder(shape, "int8", name="x")

    def source(c: Scalar) -> tuple[Scalar, Scalar]:
        own = c % (words * WORD)
        return c // (words * WORD) * channels + own, own < channels

    filled = padded(x, flat, group * words * WORD, source, "int8")
    c = te.reduce_axis((0, WORD), "c")
    either = _pairs(lambda a, b: a | b, "either")

    def word(word: Scalar, phase: Scalar, i: Scalar) -> Any:
        value = filled(word * WORD + c, phase, i // flat.pitch, i % flat.pitch).astype("uint8")
        place = c.var.astype("uint64")
        nonzero, negative = value & tirx.const(1, "uint8"), value >> tirx.const(7, "uint8")
        return either((nonzero.astype("uint64") << place, negative.astype("uint64") << place), axis=c)

    found = te.compute((group * words, flat.stride**2, flat.size), word, name="words")
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([x, *found])}))
    zeros_apart(schedule)
    schedule.unroll(in_vectors(schedule, "words", lanes, 2))
    return schedule.mod["main"]


def _pairs(combine: Callable[[Scalar, Scalar], Scalar], name: str) -> Any:
    """A reduction of two values side by side, from 0 on."""
    return te.comm_reducer(
        lambda a, b: (combine(a[0], b[0]), combine(a[1], b[1])), lambda p, q: (tirx.const(0, p), tirx.const(0, q)), name
    )


def _sums(flat: Flat, tile: Registers, outputs: int, group: int, words: int, dtype: str) -> Any:
    """The sums of all output pixels, [outputs, pixels]."""
    nonzero_x, negative_x = (te.placeholder((group * words, flat.stride**2, flat.size), "uint64", name=name)
                             for name in ("nonzero", "negative"))  # fmt: skip
    weights = te.placeholder((2, outputs, flat.taps * words), "uint64", name="weights")
    k = te.reduce_axis((0, flat.taps * words), "k")
    both = _pairs(lambda a, b: a + b, "both")

    def terms(o: Scalar, p: Scalar) -> Any:
        word, tap = o // (outputs // group) * words + k % words, k // words
        phase, behind = flat.place(tap)
        n = nonzero_x(word, phase, p + behind) & weights(0, o, k)
        m = n & (negative_x(word, phase, p + behind) ^ weights(1, o, k))
        return both((tirx.popcount(n).astype("int64"), tirx.popcount(m).astype("int64")), axis=k)

    nonzero, negative = te.compute((outputs, flat.outputs), terms, name="acc")
    result = te.compute(
        (outputs, flat.outputs),
        lambda o, p: (nonzero(o, p) - tirx.const(2, "int64") * negative(o, p)).astype(dtype),
        name="y",
    )
    module = tvm.IRModule({"main": te.create_prim_func([nonzero_x, negative_x, weights, result])})
    return in_registers(module, tile, 2)["main"]
