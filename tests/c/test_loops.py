"""The universal engine equals the interpreter: integers bit for bit, floats within 1e-5."""

from __future__ import annotations

import cases
from harness import Case, check_engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.engines.loops import ENGINE
from tercet.ir.types import TERNARY

# Every example is a compilation of many kernels; a failing one names its kernel, so shrinking is not worth its time.
FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
KERNELS = 16


def many(strategy: st.SearchStrategy[Case]) -> st.SearchStrategy[list[Case]]:
    return st.lists(strategy, min_size=KERNELS, max_size=KERNELS)


@given(many(cases.elementwise_cases()))
@FEW
def test_elementwise(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.inexact_cases()))
@FEW
def test_exponentials(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.movement_cases()))
@FEW
def test_movement(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.conv_cases()))
@FEW
def test_conv(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, atol=1e-4)


@given(many(cases.matmul_cases()))
@FEW
def test_matmul(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, atol=1e-4)


@given(many(cases.pool_cases()))
@FEW
def test_pool(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.reduce_cases()))
@FEW
def test_reduce(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.long_cases()))
@FEW
def test_stages(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


def test_empty_tensors() -> None:
    check_engine(ENGINE, [cases.zero_sized(f32), cases.zero_sized(TERNARY)])
