"""Couples of steps: what they add up to, that no int16 sum can leave its range, and how few steps they take."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import FEW
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from portable import portable

from tercet.backends.c.engines.dense_int8 import ENGINE
from tercet.backends.c.engines.dense_int8.couples import capacity, couple_steps, relative_steps
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import int_type

ANY_STEPS = st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 255), st.integers(0, 2**32))


def weights_of(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """int8 weights, those of some outputs small and some at the ends of the range."""
    wide = rng.integers(-128, 128, shape)
    bell = np.clip(np.rint(rng.normal(size=shape) * 36), -128, 127).astype(int)
    ends = rng.choice([-128, 127], shape)
    return np.choose(rng.integers(0, 3, shape[:2] + (1,) * (len(shape) - 2)), [wide, bell, ends])


@given(ANY_STEPS)
@settings(FEW, max_examples=60)
def test_couples_are_the_same_sum_and_fit_int16(drawn: tuple[int, int, int, int]) -> None:
    count, outputs, span, seed = drawn
    rng = np.random.default_rng(seed)
    steps = weights_of(rng, (count, outputs, 4)).astype(np.int16)
    numbers, weights = couple_steps(steps, capacity(span))
    total = np.zeros((count, outputs, 4), np.int64)
    for couple in range(len(numbers)):
        for half in (0, 1):
            total[numbers[couple, half]] += weights[couple, :, half]
    np.testing.assert_array_equal(total, steps)

    assert weights.min() >= -128 and weights.max() <= 127
    sums = weights.reshape(len(numbers), outputs, 2, 2, 2).astype(np.int64)  # couple, output, step, half of a lane, two
    highest, lowest = (f(sums, 0).sum(axis=(2, 4)) * span for f in (np.maximum, np.minimum))
    assert highest.max() <= 2**15 - 1 and lowest.min() >= -(2**15)


def test_bell_shaped_weights_take_few_steps() -> None:
    """A trained filter's weights: the largest is 127, most are small."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(1, 4, 64, 3, 3))
    w = np.rint(w / np.abs(w).max(axis=(2, 3, 4), keepdims=True) * 127).astype(np.int16)
    steps = w.reshape(4, 16, 4, 9).transpose(1, 3, 0, 2).reshape(144, 4, 4)
    numbers, _ = couple_steps(steps, capacity(255))
    assert 144 <= 2 * len(numbers) <= 1.25 * 144
    assert relative_steps(w, 255, 4) == pytest.approx(2 * len(numbers) / 144, abs=0.05)


def test_weights_at_the_end_of_their_range_find_no_partners() -> None:
    steps = np.full((10, 3, 4), 127, np.int16)
    numbers, _ = couple_steps(steps, capacity(255))
    assert len(numbers) == 20
    assert relative_steps(np.full((1, 7, 40, 1, 1), 127), 255, 3) == 4.0
    assert relative_steps(np.full((1, 1, 1, 1, 1), 60), 255, 4) == 2.0


def conv(name: str, x: tuple[int, int], w: np.ndarray, size: tuple[int, int], **attributes: object) -> Case:
    """A convolution of inputs of the range x: its ends in the first two thirds of the columns, random in the rest."""
    shape = (1, w.shape[1] * int(attributes.get("group", 1)), *size)  # type: ignore[call-overload]
    case = Case(f"{name} {x} {w.shape} {size} {attributes}", [(shape, int_type(*x))])
    feed = np.random.default_rng(0).integers(*x, shape, endpoint=True)
    third = size[1] // 3
    feed[..., :third], feed[..., third : 2 * third] = x
    case.feeds = [feed.astype(np.uint8 if x[0] >= 0 else np.int8)]
    given = {"strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "group": 1, **attributes}
    return case.returns(case.add(ConvOp, case.inputs[0], case.constant(w), **given))


def extreme_cases() -> list[Case]:
    rng = np.random.default_rng(1)
    cases = []
    for x in ((0, 255), (-128, 127)):
        for name, w in (
            ("all -128", np.full((9, 70, 3, 3), -128)),
            ("all 127", np.full((5, 9, 3, 3), 127)),
            ("both ends", rng.choice([-128, 127], (6, 33, 3, 3))),
            ("any", weights_of(rng, (13, 70, 3, 3))),
        ):
            cases.append(conv(name, x, w, (4, 12)))
    return cases


def other_cases() -> list[Case]:
    """Several blocks of depth, strides, dilations, groups, wide borders, two pixels, one channel, zeros."""
    rng = np.random.default_rng(2)
    x = (0, 255)
    return [
        conv("deep", x, weights_of(rng, (10, 300, 3, 3)), (9, 9)),
        conv("strided", x, weights_of(rng, (7, 20, 3, 3)), (17, 16), strides=[2, 2]),
        conv("stem", x, weights_of(rng, (16, 3, 7, 7)), (30, 31), strides=[2, 2], pads=[3] * 4),
        conv("dilated", x, weights_of(rng, (4, 8, 3, 3)), (19, 18), dilations=[2, 3], pads=[2, 3, 2, 3]),
        conv("border", x, weights_of(rng, (4, 8, 3, 2)), (6, 5), pads=[1, 3, 2, 0]),
        conv("lopsided", x, weights_of(rng, (4, 8, 2, 4)), (6, 5), pads=[0, 1, 3, 4], strides=[1, 3]),
        conv("groups", x, weights_of(rng, (12, 6, 3, 3)), (8, 8), group=3),
        conv("one channel", x, weights_of(rng, (9, 1, 3, 3)), (8, 40)),
        conv("two pixels", x, weights_of(rng, (9, 40, 3, 3)), (1, 2)),
        conv("pointwise", x, weights_of(rng, (24, 130, 1, 1)), (9, 13), pads=[0] * 4),
        conv("zeros", x, weights_of(rng, (5, 8, 3, 3)) * (np.arange(5) == 2).reshape(5, 1, 1, 1), (8, 8)),
        conv("bordered", x, weights_of(rng, (4, 8, 1, 1)), (6, 31), pads=[2, 3, 0, 1], strides=[1, 2]),
    ]  # fmt: skip


@pytest.mark.parametrize("target", [portable("x86-64-v3"), portable("x86-64-v4")], ids=lambda t: t.name)
def test_schedules_have_couples(target: Target) -> None:
    for case in (*extreme_cases(), *other_cases()):
        assert "u8_couple" in {schedule["cell"] for schedule in schedules_of(ENGINE, case, target)}, case.name


@pytest.mark.parametrize(
    "target", [NATIVE, pytest.param(portable("x86-64-v4"), marks=pytest.mark.check)], ids=lambda t: t.name
)
def test_equal_the_interpreter(target: Target) -> None:
    """Another target's instructions saturate as its own do."""
    check_engine(ENGINE, [*extreme_cases(), *other_cases()], target=target, threads=(1, 3), schedules="first")


@pytest.mark.check
def test_every_schedule_and_planes() -> None:
    check_engine(ENGINE, other_cases()[:4], planes_out=True)


def test_planes_beyond_16_bits() -> None:
    """Blocks of depth hold few channels when planes are large; beyond that only pairs are left."""
    rng = np.random.default_rng(3)

    def wide(channels: int, dilation: int) -> Case:
        w, pads = weights_of(rng, (3, channels, 2, 2)), [0, 0, dilation, dilation]
        return conv(f"wide {dilation}", (0, 255), w, (20, 190), dilations=[dilation] * 2, pads=pads)

    few, none = wide(64, 66), wide(9, 400)
    for case, found in ((few, True), (none, False)):
        cells = {schedule["cell"] for schedule in schedules_of(ENGINE, case, portable("x86-64-v3"))}
        assert ("u8_couple" in cells) == found
    check_engine(ENGINE, [few, none], threads=(1, 2))
