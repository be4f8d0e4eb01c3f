"""Every operation as TVM computes it equals the interpreter's: integers exactly, floats within 1e-5."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm", reason="TVM is not installed (pip install 'tercet[tvm]')")

import cases
from harness import Case
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .helpers import check

FEW = settings(
    max_examples=3, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)  # fmt: skip
KERNELS = 16
STRATEGIES = {
    "elementwise": cases.elementwise_cases(), "smooth": cases.inexact_cases(), "movement": cases.movement_cases(),
    "convolutions": cases.conv_cases(), "products": cases.matmul_cases(), "pools": cases.pool_cases(),
    "reductions": cases.reduce_cases(),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRATEGIES)
def test_as_interpreted(kind: str) -> None:
    @given(st.lists(STRATEGIES[kind], min_size=KERNELS, max_size=KERNELS))
    @FEW
    def some(kernels: list[Case]) -> None:
        check(kernels)

    some()
