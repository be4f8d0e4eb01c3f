"""What weights take on disk, in every engine that computes with them, and that they come back as they were."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import NATIVE, Case, check_engine, kernel_program, schedules_of
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.coding import MOST_LANES, coded_bytes, encode, frequencies
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engine import Constant, Engine
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.gaps import find_gaps
from tercet.backends.c.storage import spans, store
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import TERNARY, Element, int_type, is_float

CONVOLUTIONS: dict[str, Element] = {"ternary": TERNARY, "int8": int_type(-128, 127), "float": f32}

DEPTHWISE = (37, 1, 3, 3)
CONV_SHAPES = [(64, 64, 3, 3), (10, 64, 3, 3), (13, 5, 3, 3)]
MATMUL_SHAPES = [(512, 128), (512, 10), (37, 3)]
OVERHEAD = 64
"""Bytes of a layer beyond the promised bits a weight: the padding of a vector or table, where gaps would take more."""


def weights_of(kind: str, rng: np.random.Generator, shape: tuple[int, ...], axis: int = 0) -> np.ndarray:
    """binary; ternary and signed-binary with a share of zeros in percent."""
    name, _, zeros = kind.partition(" ")
    sign = rng.choice([-1, 1], [size if i == axis or name != "signed" else 1 for i, size in enumerate(shape)])
    return np.where(rng.random(shape) * 100 < float(zeros or 0), 0, sign).astype(np.int8)


def conv_case(kind: str, element: Element, shape: tuple[int, ...], group: int = 1, seed: int = 0) -> Case:
    weights = weights_of(kind, np.random.default_rng(seed), shape)
    case = Case(kind.replace(" ", "_"), [((1, shape[1] * group, 8, 8), element)])
    stored = case.constant(weights if element != f32 else weights.astype(np.float32))
    attributes = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": group}
    return case.returns(case.add(ConvOp, case.inputs[0], stored, **attributes))


def matmul_case(kind: str, element: Element, shape: tuple[int, int]) -> Case:
    weights = weights_of(kind, np.random.default_rng(0), shape, axis=1)
    case = Case(kind.replace(" ", "_"), [((1, shape[0]), element)])
    stored = case.constant(weights if element != f32 else weights.astype(np.float32))
    return case.returns(case.add(MatMulOp, case.inputs[0], stored))


def takes(engine: Engine, case: Case) -> bool:
    try:
        schedules_of(engine, case, NATIVE)
    except AssertionError:
        return False
    return True


def stored_bytes(engine: Engine, case: Case) -> int:
    """Of the first schedule's weights in the artifact. 0 where they are part of the code."""
    layers = emit_model(kernel_program(engine, [(case, None)]), NATIVE).layers
    (layer,) = (layer for layer in layers if layer["engine"] == engine.name)
    stored = layer["digit_bytes_stored"]
    assert isinstance(stored, int)
    return stored


@pytest.mark.parametrize(
    ("kind", "most"),
    [("binary", 1.0), ("ternary 33", 1.6), ("ternary 80", 0.95), ("signed 65", 1.0), ("signed 50", 1.0)],
)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_bits_per_weight(engine: Engine, kind: str, most: float) -> None:
    """Whatever the padding, and however few the outputs are. Signed-binary filters take one bit more each."""
    cases = [(conv_case(kind, e, shape), shape, 0) for e in CONVOLUTIONS.values() for shape in CONV_SHAPES]
    cases += [(conv_case(kind, e, DEPTHWISE, group=DEPTHWISE[0]), DEPTHWISE, 0) for e in CONVOLUTIONS.values()]
    cases += [(matmul_case(kind, e, shape), shape, 1) for e in CONVOLUTIONS.values() for shape in MATMUL_SHAPES]
    floats = engine.name == "loops"  # keeps them as they are: the engine for what no other one takes
    taken = [entry for entry in cases if takes(engine, entry[0]) and not (floats and is_float(entry[0].inputs[0]))]
    if not taken:
        pytest.skip("the engine computes no such layer")
    for case, shape, axis in taken:
        signs = shape[axis] if kind.startswith("signed") else 0
        promised = (most * math.prod(shape) + signs) / 8 + OVERHEAD
        stored = stored_bytes(engine, case)
        assert stored <= promised, (shape, case.inputs[0].type)
        assert (stored > 0) == engine.packed


@pytest.mark.parametrize("name", ["bit_sliced", "dense_int8", "dense_f32", "loops"])
def test_signs_come_back(name: str) -> None:
    """Signed-binary filters of odd shapes, in groups, in short panels and in panels that lie apart."""
    engine = next(e for e in ENGINES if e.name == name)
    element = f32 if name == "dense_f32" else TERNARY
    cases = [
        conv_case("signed 40", element, (13, 5, 3, 3), seed=1),
        conv_case("signed 90", element, (12, 3, 3, 3), group=2, seed=2),
        conv_case("signed 100", element, (3, 2, 3, 3), seed=3),
        conv_case("signed 0", element, (1, 1, 3, 3), seed=4),
        conv_case("signed 60", element, (17, 33, 3, 3), seed=5),
    ]
    if name != "bit_sliced":
        cases += [matmul_case("signed 50", element, shape) for shape in ((37, 21), (3, 100))]
    check_engine(engine, cases, schedules="first", threads=(1,), batch=1, atol=1e-4)  # floats near 0 in sums of 300


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=256).filter(any))
def test_frequencies(counts: list[int]) -> None:
    found = frequencies(np.array(counts))
    assert found.sum() == 4096 and ((found > 0) == (np.array(counts) > 0)).all()


@given(st.integers(2, 9), st.floats(0, 1), st.integers(1, 30_000), st.integers(0, 2**32 - 1))
def test_codes_are_as_short_as_promised(radix: int, skew: float, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    digits = np.where(rng.random(count) < skew, 1, rng.integers(0, radix, count)).astype(np.uint8)
    lanes = 2 * MOST_LANES if count >= 8192 * MOST_LANES else 2 * max(count // 8192, 1)
    assert len(encode(digits, radix)) <= coded_bytes(np.bincount(digits, minlength=radix)) + 2 * lanes + 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)), min_size=1))
def test_spans_name_the_filter_of_every_digit(blocks: list[tuple[int, int, int, int]]) -> None:
    filters = np.concatenate(
        [np.tile(np.repeat(np.arange(first, first + rows), run), repeats) for first, rows, run, repeats in blocks]
    )
    found, named = spans(filters), list[int]()
    assert found is not None
    for span in found:
        i = np.arange(span.count)
        named += list(span.first + i // (span.run * span.rows * span.repeats) * span.rows + i // span.run % span.rows)
    np.testing.assert_array_equal(named, filters)


def test_regular_orders_take_few_spans() -> None:
    panels = np.concatenate([np.tile(np.repeat(np.arange(p, p + 6), 4), 50) for p in range(0, 48, 6)])
    found = spans(panels)
    assert found is not None and len(found) == 1
    irregular = np.random.default_rng(0).integers(0, 9, 5000)
    assert spans(irregular) is None
    digits = (irregular % 2).astype(np.uint8)
    assert store(Constant(digits, 3, 1, 0, irregular)).spans == ()


runs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=4)


@given(runs, st.integers(1, 5))
def test_gaps_name_every_digit_that_fills_up(pieces: list[tuple[int, int, int]], rounds: int) -> None:
    mask = np.tile(np.concatenate([np.tile([True] * keep + [False] * skip, n) for keep, skip, n in pieces]), rounds)
    kept = np.append(mask.astype(np.bool_), [False, True])
    gaps, named = find_gaps(kept), list[bool]()
    assert gaps is not None
    while gaps:
        group, gaps = gaps[: gaps[0].items], gaps[gaps[0].items :]
        for gap in group * group[0].rounds:
            named += ([True] * gap.keep + [False] * gap.skip) * gap.repeats
    np.testing.assert_array_equal(named + [True] * (kept.size - len(named)), kept)


def test_regular_gaps_are_few() -> None:
    panels = np.tile(np.append(np.ones(4096, np.bool_), np.tile([True] * 9 + [False] * 7, 64)), 16)
    found = find_gaps(panels)
    assert found is not None and len(found) <= 4
    assert find_gaps(np.random.default_rng(0).random(5000) < 0.5) is None
