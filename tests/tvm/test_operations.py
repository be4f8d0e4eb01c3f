"""Every operation as TVM computes it equals the interpreter's: integers exactly, floats within 1e-5."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

import kernel_cases
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_case import Case
from xdsl.dialects.builtin import f32

from tercet.ir.tn.elementwise import CastOp
from tercet.ir.tn.quant import QuantizeOp
from tercet.ir.types import Element, int_type, tensor_type

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


WIDE = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
RANGES = [*((int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for kind in WIDE), (0, 2**63 - 1), (-(2**63), -1),
          (-(2**53) - 1, 2**53 + 1), (-(2**62) - 1, 2**62 + 1), (3, 9), (-9, -3), (0, 1)]  # fmt: skip
FLOATS = np.array(
    [0, -0.0, 0.5, 1.5, -1.5, 127, 128, -128, -129, 255, 256, 32768, -32769, 65536, 2147483520, 2**31, -(2**31) - 256,
     2**32 - 256, 2**32, 2**53, -(2**53), 2**62, -(2**62), 2**63 - 2**39, 2**63, -(2**63), -(2**63) - 2**40, 1e30,
     -1e30, np.inf, -np.inf, np.nan], np.float32,
)  # fmt: skip


def cast_case(x: np.ndarray, source: Element, to: tuple[int, int]) -> Case:
    case = Case(f"to {to[0]}..{to[1]}", [(x.shape, source)])
    case.feeds = [x]
    return case.returns(*case.add_all(CastOp, *case.inputs, types=[tensor_type(x.shape, int_type(*to))]))


def test_floats_as_integers_saturate() -> None:
    check([cast_case(FLOATS, f32, to) for to in RANGES])


def test_integers_as_integers_wrap_and_as_floats_are_nearest() -> None:
    cases = []
    for first, last in RANGES[:7]:
        ends = [first, first + 1, first // 3, 0, 1, 127, last // 2, last // 3, last - 1, last]
        x = np.array(ends, np.int64 if last > 2**32 else WIDE[RANGES.index((first, last))])
        cases += [cast_case(x, int_type(first, last), to) for to in (*RANGES[:9], (0, 1))]
        case = Case("to floats", [(x.shape, int_type(first, last))])
        case.feeds = [x]
        cases.append(case.returns(*case.add_all(CastOp, *case.inputs, types=[tensor_type(x.shape, f32)])))
    check(cases)


def test_quantized_floats_saturate() -> None:
    cases = []
    for low, high in RANGES:
        case = Case(f"quantized to {low}..{high}", [(FLOATS.shape, f32)])
        case.feeds = [FLOATS]
        scale = case.constant(np.array(0.25, np.float32))
        cases.append(case.returns(case.add(QuantizeOp, case.inputs[0], scale, mode="round", lo=low, hi=high)))
    check(cases)
