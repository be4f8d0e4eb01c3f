"""Every operation as TVM computes it equals the interpreter's: integers exactly, floats within 1e-5."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

import kernel_cases
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_case import Case

from .helpers import check

FEW = settings(
    max_examples=3, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)  # fmt: skip
KERNELS = 16
STRATEGIES = {
    "elementwise": kernel_cases.elementwise_cases(),
    "smooth": kernel_cases.inexact_cases(),
    "movement": kernel_cases.movement_cases(),
    "convolutions": kernel_cases.conv_cases(),
    "products": kernel_cases.matmul_cases(),
    "pools": kernel_cases.pool_cases(),
    "reductions": kernel_cases.reduce_cases(),
}


@pytest.mark.parametrize("kind", STRATEGIES)
def test_as_interpreted(kind: str) -> None:
    @given(st.lists(STRATEGIES[kind], min_size=KERNELS, max_size=KERNELS))
    @FEW
    def some(kernels: list[Case]) -> None:
        check(kernels)

    some()
