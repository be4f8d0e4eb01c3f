"""Integer thresholds against the float chain itself, on every integer of the accumulator's range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, ClipOp, HardSwishOp, LeakyReluOp, MulOp, ReluOp, SigmoidOp, SubOp, TanhOp
from tercet.ir.tn.functions import ErfOp, ExpOp, LogOp, SoftplusOp, SqrtOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, SelectThresholdOp, ThresholdOp
from tercet.ir.types import int_type, tensor_type
from tercet.passes import monotone_chain
from tercet.passes.thresholds import Thresholds

LO, HI = -300, 299
FUNCTIONS = {
    "hard_swish": HardSwishOp, "sigmoid": SigmoidOp, "tanh": TanhOp, "exp": ExpOp, "erf": ErfOp, "softplus": SoftplusOp,
    "log": LogOp, "sqrt": SqrtOp,
}  # fmt: skip


def chain(rng: np.random.Generator, channels: int, activation: str, lo: int, hi: int) -> Program:
    """int x [1, C, N] -> dequantize -> * k + b -> activation -> quantize."""
    kind = tensor_type((1, channels, HI - LO + 1), int_type(LO, HI))
    program = Program.new("chain", [Port("x", kind, np.dtype(np.int16))])
    block = program.block

    def constant(name: str, array: np.ndarray):
        op = program.constant(name, array.astype(np.float32))
        block.add_op(op)
        return op.result

    def add(op):
        block.add_op(op)
        return op.results[0]

    y = add(DequantizeOp.make(block.args[0], constant("s", rng.choice([0.1, 0.013, 1.0]) * np.ones(()))))
    k = rng.normal(size=(channels, 1))
    k[rng.random((channels, 1)) < 0.2] = 0
    y = add(MulOp.make(y, constant("k", k)))
    y = add(AddOp.make(y, constant("b", rng.normal(size=(channels, 1)))))
    if activation == "relu":
        y = add(ReluOp.make(y))
    elif activation == "leaky":
        y = add(LeakyReluOp.make(y, alpha=0.1))
    elif activation == "clip":
        y = add(ClipOp.make(y, lo=-0.7, hi=1.1))
    elif activation in FUNCTIONS:
        y = add(FUNCTIONS[activation].make(y))
    q = add(QuantizeOp.make(y, constant("t", np.full((), 0.25)), lo=lo, hi=hi))
    program.finish([("y", q, np.dtype(np.int64))])
    program.verify()
    return program


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from(("none", "relu", "leaky", "clip")),
    st.sampled_from(((-1, 1), (0, 1), (0, 3), (-8, 7), (0, 15), (-1, 0))),
)
@settings(deadline=None)
def test_every_integer_of_the_range(seed: int, channels: int, activation: str, levels: tuple[int, int]) -> None:
    check_every_integer(seed, channels, activation, levels)


def check_every_integer(seed: int, channels: int, activation: str, levels: tuple[int, int]) -> None:
    """A chain becomes thresholds, with the same results on every integer of the range."""
    program = chain(np.random.default_rng(seed), channels, activation, *levels)
    x = np.broadcast_to(np.arange(LO, HI + 1, dtype=np.int16), (1, channels, HI - LO + 1)).copy()
    want = run(program, {"x": x})["y"]
    assert Thresholds().apply(program)
    program.verify()
    kinds = [type(op) for op in program.ops]
    assert ThresholdOp in kinds and QuantizeOp not in kinds
    np.testing.assert_array_equal(run(program, {"x": x})["y"], want)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(("sigmoid", "tanh", "exp", "erf", "softplus")),
    st.sampled_from(((-1, 1), (0, 3), (0, 15))),
)
@settings(deadline=None)
def test_functions_that_rise_become_thresholds(seed: int, activation: str, levels: tuple[int, int]) -> None:
    check_every_integer(seed, 2, activation, levels)


@given(st.integers(0, 2**32 - 1), st.sampled_from(("log", "sqrt")), st.sampled_from(((-1, 1), (2, 5), (-8, 7))))
@settings(deadline=None)
def test_thresholds_where_a_chain_gives_nan(seed: int, activation: str, levels: tuple[int, int]) -> None:
    """A quantizer makes 0 of it: then the chain need not rise, and either stays or is the same."""
    program = chain(np.random.default_rng(seed), 2, activation, *levels)
    x = np.broadcast_to(np.arange(LO, HI + 1, dtype=np.int16), (1, 2, HI - LO + 1)).copy()
    want = run(program, {"x": x})["y"]
    Thresholds().apply(program)
    np.testing.assert_array_equal(run(program, {"x": x})["y"], want)


def test_long_ranges_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monotone_chain, "MOST_CHECKED", 1000)
    assert not Thresholds().apply(chain(np.random.default_rng(0), 2, "sigmoid", 0, 3))
    assert Thresholds().apply(chain(np.random.default_rng(0), 2, "relu", 0, 3))


def test_a_chain_that_is_not_monotone_stays_float() -> None:
    program = chain(np.random.default_rng(0), 2, "hard_swish", -8, 7)
    assert not Thresholds().apply(program)
    assert any(isinstance(op, QuantizeOp) for op in program.ops)


def test_many_levels_stay_float() -> None:
    assert not Thresholds().apply(chain(np.random.default_rng(0), 2, "none", -128, 127))


def fork(
    rng: np.random.Generator, channels: int, shortcut: tuple[int, int], swap: bool, levels: tuple[int, int]
) -> Program:
    """x [1, C, 1, N] -> 1x1 depthwise conv -> dequantize -> * k, plus or minus dequantize(r) * m -> quantize."""
    size = HI - LO + 1
    x = Port("x", tensor_type((1, channels, 1, size), int_type(LO, HI)), np.dtype(np.int16))
    r = Port("r", tensor_type((1, channels, 1, size), int_type(*shortcut)), np.dtype(np.int8))
    program = Program.new("fork", [x, r])
    block = program.block

    def constant(name: str, array: np.ndarray):
        op = program.constant(name, array)
        block.add_op(op)
        return op.result

    def floats(name: str, shape: tuple[int, ...] = ()):
        return constant(name, (rng.normal(size=shape) + 0.1).astype(np.float32))

    def add(op):
        block.add_op(op)
        return op.results[0]

    weights = constant("w", rng.choice((-1, 1), (channels, 1, 1, 1)).astype(np.int8))
    geometry = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": channels}
    y = add(DequantizeOp.make(add(ConvOp.make(block.args[0], weights, **geometry)), floats("s")))
    y = add(MulOp.make(y, floats("k", (channels, 1, 1))))
    other = add(DequantizeOp.make(block.args[1], floats("t")))
    if rng.random() < 0.5:
        other = add(MulOp.make(other, floats("m", (channels, 1, 1))))
    y = add(SubOp.make(other, y) if swap else AddOp.make(y, other))
    q = add(
        QuantizeOp.make(add(ReluOp.make(y)), constant("u", np.full((), 0.25, np.float32)), lo=levels[0], hi=levels[1])
    )
    program.finish([("y", q, np.dtype(np.int64))])
    program.verify()
    return program


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from(((-1, 1), (0, 1), (0, 3), (-2, 1))),
    st.booleans(),
    st.sampled_from(((-1, 1), (0, 3))),
)
@settings(deadline=None)
def test_a_shortcut_of_few_values_selects_thresholds(
    seed: int, channels: int, shortcut: tuple[int, int], swap: bool, levels: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    program = fork(rng, channels, shortcut, swap, levels)
    x = np.broadcast_to(np.arange(LO, HI + 1, dtype=np.int16), (1, channels, 1, HI - LO + 1)).copy()
    feeds = {"x": x, "r": rng.integers(*shortcut, x.shape, endpoint=True).astype(np.int8)}
    want = run(program, feeds)["y"]
    assert Thresholds().apply(program)
    program.verify()
    kinds = [type(op) for op in program.ops]
    assert SelectThresholdOp in kinds and not {QuantizeOp, AddOp, SubOp} & {*kinds}
    np.testing.assert_array_equal(run(program, feeds)["y"], want)


def test_a_shortcut_of_many_values_stays_float() -> None:
    assert not Thresholds().apply(fork(np.random.default_rng(0), 2, (-8, 7), False, (-1, 1)))
