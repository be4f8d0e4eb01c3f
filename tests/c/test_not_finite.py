"""Infinities and NaN in every engine that computes float products: as in the interpreter, where infinity times 0 is NaN
and padding is 0."""

from __future__ import annotations

import numpy as np
import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from portable import portable
from xdsl.dialects.builtin import f32

from tercet.backends.c.engine import Engine
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import shape_of

SHAPES = {
    "1x1": ((5, 3, 1, 1), 1), "3x3": ((9, 4, 3, 3), 1), "groups": ((6, 2, 3, 3), 2), "depthwise": ((18, 1, 3, 3), 18),
}  # fmt: skip
ROUNDING = 1e-4


def conv(name: str, weights: str) -> Case:
    shape, group = SHAPES[name]
    case = Case(f"{name} {weights}", [((1, shape[1] * group, 6, 9), f32)])
    attributes = {"strides": (1, 1), "pads": (shape[2] // 2,) * 4, "dilations": (1, 1), "group": group}
    return case.returns(case.add(ConvOp, case.inputs[0], case.constant(array(weights, shape)), **attributes))


def product(weights: str) -> Case:
    case = Case(f"product {weights}", [((3, 40), f32)])
    return case.returns(case.add(MatMulOp, case.inputs[0], case.constant(array(weights, (40, 20)))))


def array(weights: str, shape: tuple[int, ...]) -> np.ndarray:
    values = {"ternary": [-1, 0, 1], "two scales": [-0.5, 0, 2], "binary": [-1, 1], "floats": [-1.5, 0, 0.25, 3]}
    return np.random.default_rng(0).choice(values[weights], shape).astype(np.float32)


def taken(engine: Engine, cases: list[Case], target: Target) -> list[Case]:
    def takes(case: Case) -> bool:
        try:
            return bool(schedules_of(engine, case, target))
        except AssertionError:
            return False

    return [case for case in cases if takes(case)]


@pytest.mark.parametrize(
    "target", [NATIVE, pytest.param(portable("x86-64-v3"), marks=pytest.mark.check)], ids=lambda t: t.name
)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_what_is_not_finite(engine: Engine, target: Target) -> None:
    kinds = ("ternary", "two scales", "binary", "floats")
    cases = taken(engine, [*(conv(name, w) for name in SHAPES for w in kinds), *map(product, kinds)], target)
    if not cases:
        pytest.skip("the engine computes no float products")
    for case in cases:
        x = np.random.default_rng(1).standard_normal(shape_of(case.inputs[0])).astype(np.float32)
        for number, value in enumerate((np.inf, np.nan, -np.inf)):
            x.reshape(-1)[number * 17 + 3] = value
        case.feeds = [x]
    check_engine(engine, cases, target=target, batch=1, atol=ROUNDING, threads=(1,))
