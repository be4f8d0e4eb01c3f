"""The universal engine equals the interpreter: integers bit for bit, floats within 1e-5."""

from __future__ import annotations

import kernel_cases as cases
import numpy as np
import pytest
from harness import Case, check_engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from library import Library
from xdsl.dialects.builtin import f32

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.engines.loops import ENGINE
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import find_target
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import ROUNDING_MODES, CastOp, MulOp, RoundOp, SigmoidOp
from tercet.ir.tn.functions import ExpOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.pool import AvgPoolOp, MaxPoolOp
from tercet.ir.tn.quant import QuantizeOp
from tercet.ir.types import TERNARY, int_type, tensor_type
from tercet.passes.pipeline import run_passes

# Every example is a compilation of many kernels; a failing one names its kernel, so shrinking is not worth its time.
FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
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


def test_ties_and_the_ends_of_integers() -> None:
    """Every mode of rounding halfway between whole numbers; floats beyond every integer type."""
    ties = np.arange(-8, 8, dtype=np.float32).reshape(1, 16) / 2
    ends = np.array([[0, -0.0, 1e10, -1e10, 1e19, -1e19, 3e38, -3e38, np.inf, -np.inf, np.nan, 2.0**63]], np.float32)
    kernels = []
    for mode in ROUNDING_MODES:
        case = Case(f"round {mode}", [(ties.shape, f32)])
        one = case.constant(np.ones((), np.float32))
        quantized = case.add(QuantizeOp, case.inputs[0], one, lo=-3, hi=3, mode=mode)
        case.returns(case.add(RoundOp, case.inputs[0], mode=mode), quantized).feeds = [ties]
        kernels.append(case)
    for bits in (8, 32, 64):
        lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        case = Case(f"to int{bits}", [(ends.shape, f32)])
        (y,) = case.add_all(CastOp, case.inputs[0], types=[tensor_type(ends.shape, int_type(lo, hi))])
        case.returns(y).feeds = [ends]
        kernels.append(case)
    check_engine(ENGINE, kernels)


@pytest.mark.parametrize("target", ["generic", "native"])
def test_exponentials_are_right_to_the_last_bits(target: str) -> None:
    """Over all that a float can be: subnormal results, none, infinite ones."""
    x = np.arange(0, 2**32, 2**32 // 100_003, dtype=np.uint32).view(np.float32)
    x = np.concatenate([x, np.linspace(-110, 95, 100_000, dtype=np.float32)])
    program = Program.new("exponentials", [Port("x", tensor_type(x.shape, f32), np.dtype(np.float32))])
    given = program.block.args[0]
    kinds = ExpOp, SigmoidOp
    ops = [kind.make(given, at=node_location(kind.name, kind.name)) for kind in kinds]
    silu = MulOp.make(given, ops[1].results[0], at=node_location("Mul", "silu"))
    program.block.add_ops([*ops, silu])
    program.finish([(op.name, op.results[0], np.dtype(np.float32)) for op in (*ops, silu)])
    run_passes(program, stages(find_target(target), list(ENGINES)))
    exp, sigmoid, silued = Library(program, target=find_target(target)).run([x[None]])
    with np.errstate(over="ignore", invalid="ignore"):
        wide = x.astype(np.float64)
        powers, parts = np.exp(wide), 1 / (1 + np.exp(-wide))
        tiny = np.finfo(np.float32).tiny
        for have, want, ulps, near_zero in ((exp[0], powers, 1.1, 0), (sigmoid[0], parts, 2.5, tiny)):
            right = want.astype(np.float32)
            assert np.array_equal(np.isnan(have), np.isnan(right)) and np.array_equal(np.isinf(have), np.isinf(right))
            finite = np.isfinite(right)
            steps = np.spacing(np.maximum(np.abs(right[finite]), tiny))
            assert (np.abs(have[finite] - want[finite]) <= ulps * steps + near_zero).all()
        finite = np.isfinite(x)
        error = np.abs(silued[0][finite] - (wide * parts)[finite])
    assert np.array_equal(np.isnan(silued[0]), np.isnan(x) | np.isneginf(x))
    assert (error <= np.where(x[finite] < -87, 1e-36, 4 * np.spacing(np.abs(x[finite])))).all()


def test_averages_divide_by_what_counts() -> None:
    """None of the padding, all of it, some of it."""
    kernels = []
    for counted in ((0, 0, 0, 0), (1, 2, 1, 2), (1, 0, 0, 2)):
        for strides in ((1, 1), (2, 3)):
            case = Case(f"{counted} counted, strides {strides}", [((1, 2, 6, 7), f32)])
            y = case.add(
                AvgPoolOp, case.inputs[0], kernel=(3, 4), strides=strides, pads=(1, 2, 1, 2), dilations=(1, 1),
                counted=counted,
            )  # fmt: skip
            kernels.append(case.returns(y))
    check_engine(ENGINE, kernels)


@given(many(cases.reduce_cases()))
@FEW
def test_reduce(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(cases.long_cases()))
@FEW
def test_stages(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels)


@given(many(st.one_of(cases.elementwise_cases(), cases.conv_cases(), cases.pool_cases())))
@FEW
def test_baseline_target(kernels: list[Case]) -> None:
    """Without AVX rounding is a call of libm, not an instruction."""
    check_engine(ENGINE, kernels, target=find_target("generic"), atol=1e-4)


def test_empty_tensors() -> None:
    check_engine(ENGINE, [cases.zero_sized(f32), cases.zero_sized(TERNARY), cases.extreme_of_nothing()])


def test_windows_that_gcc_12_vectorises_wrongly() -> None:
    """Few outputs in a row, wide strides and pads: gcc vectorised over rows with masked loads of wrong addresses."""
    kernels = []
    for element in (f32, int_type(-(2**20), 2**20)):
        case = Case("rows", [((1, 1, 1, 8, 4), element)])
        geometry = {"kernel": [1, 3, 1], "strides": [1, 3, 3], "pads": [0, 2, 0, 0, 0, 0], "dilations": [1, 1, 1]}
        results = [case.add(MaxPoolOp, case.inputs[0], **geometry)]
        if element == f32:
            results = [case.add(AvgPoolOp, case.inputs[0], counted=geometry["pads"], **geometry)]
        kernels.append(case.returns(*results))
        case = Case("conv rows", [((1, 1, 8, 4), element)])
        w = case.constant(np.ones((1, 1, 3, 1), np.float32 if element == f32 else np.int8))
        y = case.add(ConvOp, case.inputs[0], w, strides=[3, 3], pads=[2, 0, 0, 0], dilations=[1, 1], group=1)
        kernels.append(case.returns(y))
    check_engine(ENGINE, kernels)
