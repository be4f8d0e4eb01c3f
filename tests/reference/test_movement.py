"""Operations that only move elements, against onnxruntime and indexing by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.ir.errors import InputError
from tercet.ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp

from .one_op import (
    close,
    compute,
    compute_one,
    equal,
    examples,
    floats,
    full_shapes,
    integers,
    onnx_node,
    seeds,
    shapes,
)


@given(shapes, seeds)
@examples(6)
def test_reshape_keeps_row_major_order(shape: tuple[int, ...], seed: int) -> None:
    x = integers(seed, shape)
    flat = compute_one(ReshapeOp, x, shape=(x.size,))
    equal(flat, [x[at] for at in np.ndindex(shape)])
    equal(compute_one(ReshapeOp, flat, shape=shape), x)


@given(full_shapes.flatmap(lambda s: st.tuples(st.just(s), st.permutations(range(len(s))))), seeds)
@examples(6)
def test_transpose_is_onnxruntimes(case: tuple[tuple[int, ...], list[int]], seed: int) -> None:
    x = floats(seed, case[0])
    close(compute_one(TransposeOp, x, perm=case[1]), onnx_node("Transpose", x, perm=case[1])[0], rtol=0, atol=0)


@given(full_shapes, seeds, st.data())
@examples(6)
def test_concat_is_onnxruntimes(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = [integers(seed + i, (*shape[:axis], n, *shape[axis + 1 :])) for i, n in enumerate(sizes)]
    equal(compute_one(ConcatOp, *parts, axis=axis), onnx_node("Concat", *parts, axis=axis)[0])


@st.composite
def slices(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[int]]:
    """A shape, and starts, sizes and steps inside of it."""
    shape, starts, sizes, steps = [draw(st.integers(0, 6)) for _ in range(draw(st.integers(0, 3)))], [], [], []
    for d in shape:
        step = draw(st.integers(-3, 3).filter(bool))
        start = draw(st.integers(0, d - 1)) if d else 0
        room = (d - 1 - start) // step if step > 0 else start // -step
        starts.append(start)
        steps.append(step)
        sizes.append(draw(st.integers(0, room + 1)) if d else 0)
    return shape, starts, sizes, steps


@given(slices(), seeds)
@examples(1)
def test_slice_is_its_definition(case: tuple[list[int], list[int], list[int], list[int]], seed: int) -> None:
    shape, starts, sizes, steps = case
    x = integers(seed, shape)
    want = np.zeros(sizes, np.int64)
    for at in np.ndindex(*sizes):
        want[at] = x[tuple(s + i * t for s, i, t in zip(starts, at, steps, strict=True))]
    equal(compute_one(SliceOp, x, starts=starts, sizes=sizes, steps=steps), want)


@given(full_shapes, seeds, st.floats(-100, 100, width=32) | st.just(float("-inf")), st.data())
@examples(6)
def test_pad_is_onnxruntimes(shape: tuple[int, ...], seed: int, value: float, data: st.DataObject) -> None:
    pads = [data.draw(st.integers(0, 3)) for _ in range(2 * len(shape))]
    x = floats(seed, shape)
    (want,) = onnx_node("Pad", x, np.array(pads), np.float32(value))
    close(compute_one(PadOp, x, pads=pads, value=value), want, rtol=0, atol=0)
    q = integers(seed, shape)
    (want,) = onnx_node("Pad", q, np.array(pads), np.int64(7))
    equal(compute_one(PadOp, q, pads=pads, value=7.0), want)


@given(full_shapes, seeds, st.data())
@examples(6)
def test_take_is_onnxruntimes(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x, d = floats(seed, shape), shape[axis]
    indices = integers(seed + 1, data.draw(st.lists(st.integers(1, 3), max_size=2)), -d, d - 1)
    close(compute_one(TakeOp, x, indices, axis=axis), onnx_node("Gather", x, indices, axis=axis)[0], rtol=0, atol=0)


@pytest.mark.parametrize("index", [-4, 3])
def test_take_refuses_indices_outside(index: int) -> None:
    with pytest.raises(InputError, match="outside"):
        compute(TakeOp, floats(1, (3,)), np.array([index]), axis=0)
