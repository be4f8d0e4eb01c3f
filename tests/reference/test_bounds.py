"""Bounds hold the exact value and every float32 value, and are tight; a tie is where they hold two levels."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from elementwise_ops import UNARY, attributes
from quantized_nets import Net, deep
from xdsl.dialects.builtin import f32
from xdsl.ir import Block, Operation

import tercet
from tercet.backends.reference import interpreter
from tercet.backends.reference.bounds import UNIT, Bounds, bounds_of, is_boundary, run_bounds
from tercet.backends.reference.meaning import MEANING
from tercet.ir.tn.elementwise import UnaryOp
from tercet.ir.types import tensor_type

F32 = np.float32


def _keep(op: Operation, operands: Sequence[Bounds], results: list[Bounds]) -> list[Bounds]:
    return results


def _run(model, x: np.ndarray) -> list[Bounds]:
    program = tercet.import_model(model)
    return run_bounds(program.block, [Bounds.of(x)], interpreter.Widened(program), _keep)


def test_a_product_holds_the_exact_sum_and_every_order_of_adding() -> None:
    net = Net(3)
    weights = net.rng.standard_normal((200, 4)).astype(F32)
    x = net.rng.standard_normal((1, 200)).astype(F32)
    (y,) = _run(net.model(net.node("MatMul", "x", net.constant(weights)), [1, 200]), x)
    for column in range(4):
        terms = [Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x[0], weights[:, column], strict=True)]
        assert y.lo[0, column] <= float(sum(terms)) <= y.hi[0, column]
        products = (x[0] * weights[:, column]).astype(F32)
        for _ in range(50):
            total = F32(0)
            for product in net.rng.permutation(products):
                total = F32(total + product)
            assert y.lo[0, column] <= total <= y.hi[0, column]
        size = float(np.abs(products).sum())
        assert y.hi[0, column] - y.lo[0, column] <= 2 * (2 * np.sqrt(201) + 2) * UNIT * size


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Softmax"])
def test_functions_hold_their_float32_and_float64_values(kind: str) -> None:
    net = Net(3)
    x = np.linspace(-8, 8, 101).astype(F32)[None]
    program = tercet.import_model(net.model(net.node(kind, "x"), [1, 101]))
    (y,) = run_bounds(program.block, [Bounds.of(x)], interpreter.Widened(program), _keep)
    own = next(iter(interpreter.run(program, {"x": x}).values()))
    assert np.array_equal(own, y.own)
    assert ((y.lo <= own) & (own <= y.hi)).all()
    assert (y.hi - y.lo <= 64 * UNIT * np.maximum(np.abs(x), 1)).all()
    if kind == "Relu":
        assert y.exact


@pytest.mark.parametrize("kind", UNARY, ids=lambda kind: kind.name)
def test_functions_of_uncertain_numbers_hold_all_between(kind: type[UnaryOp]) -> None:
    """Also where the function turns within the interval, and what C's float32 functions may be off."""
    middle = np.linspace(-6, 6, 601)
    own = middle.astype(F32)
    op = kind.make(*Block(arg_types=[tensor_type(own.shape, f32)]).args, **attributes(kind))
    (y,) = bounds_of(op, [Bounds(own, middle - 0.02, middle + 0.02, False)])
    slack = 4 * UNIT if not op.IN_ORDER else 0.0
    for share in np.linspace(-0.02, 0.02, 41):
        with np.errstate(all="ignore"):
            value = np.asarray(MEANING[kind](op, middle + share))
        real = np.isfinite(value)
        assert (y.lo[real] <= value[real] * (1 - slack * np.sign(value[real]))).all()
        assert (value[real] * (1 + slack * np.sign(value[real])) <= y.hi[real]).all()


def test_exact_arithmetic_has_no_ties() -> None:
    """Whole numbers and powers of two do not round: 0.5 is a half, and round-half-even is what counts."""
    net = Net(3)
    q = net.constant(np.array([[1, 2, 3, 5]], np.int8).T)
    w = net.node("DequantizeLinear", q, net.constant(F32(0.5)), net.constant(np.int8(0)))
    y = net.quantized(net.node("MatMul", net.quantized("x", 0.5, np.int8), w), 0.5, np.int8)
    (found,) = _run(net.model(y, [1, 4]), np.array([[1.5, 0.5, 1, 0.5]], F32))
    assert found.exact


@pytest.mark.parametrize(("x", "tied"), [(0.05, True), (0.15, False), (0.049, False), (0.151, False), (3.1, False)])
def test_a_tie_is_where_the_exact_value_is_within_rounding_of_a_boundary(x: float, tied: bool) -> None:
    """x * 3 / 0.3: for 0.05 near a half; for 0.15 exactly 1.5, because float32 rounds both to the same multiple."""
    net = Net()
    y = net.quantized(net.node("Mul", "x", net.constant(F32(3))), 0.3, np.int8)
    program = tercet.import_model(net.model(y, [1]))
    seen: list[Bounds] = []

    def decide(op: Operation, operands: Sequence[Bounds], results: list[Bounds]) -> list[Bounds]:
        seen.extend(results if is_boundary(op) else [])
        return results

    run_bounds(program.block, [Bounds.of(np.array([x], F32))], interpreter.Widened(program), decide)
    (level,) = seen
    assert level.uncertain.any() == tied
    assert int(level.hi[0] - level.lo[0]) == int(tied)
    assert level.open == tied


def test_levels_behind_an_open_tie_hold_what_either_decision_gives() -> None:
    """A tie in the first quantizer of a deep network: both of its values are replayed, and the bounds hold the ends."""
    program = tercet.import_model(deep(blocks=1))
    x = np.random.default_rng(0).standard_normal((1, 3, 12, 12)).astype(F32)
    weights, first = interpreter.Widened(program), []

    def unsure(op: Operation, operands: Sequence[Bounds], results: list[Bounds]) -> list[Bounds]:
        if op.name == "tn.quantize" and not first:
            first.append(op)
            (y,) = results
            hi = y.own.copy()
            hi[0, 0, 5, 5] += 1
            return [Bounds(y.own, y.own, hi, False, open=True)]
        return results

    (found,) = run_bounds(program.block, [Bounds.of(x)], weights, unsure)
    for level in (0, 1):

        def decided(
            op: Operation, operands: Sequence[Bounds], results: list[Bounds], level: int = level
        ) -> list[Bounds]:
            if op is first[0]:
                own = results[0].own.copy()
                own[0, 0, 5, 5] += level
                return [Bounds.of(own)]
            return results

        (other,) = run_bounds(program.block, [Bounds.of(x)], weights, decided)
        assert ((found.lo <= other.own) & (other.own <= found.hi)).all()


def test_nan_and_infinities_stay_what_they_are() -> None:
    net = Net()
    y = net.node("Add", net.node("Mul", "x", net.constant(F32(0.1))), net.constant(F32(0.3)))
    x = np.array([np.nan, np.inf, -np.inf, 1], F32)
    (found,) = _run(net.model(y, [4]), x)
    assert np.isnan(found.lo[0])
    assert np.isnan(found.hi[0])
    assert (found.lo[1], found.hi[2]) == (np.inf, -np.inf)
    assert found.lo[3] < found.hi[3]


def test_an_index_of_the_largest_may_be_any_of_those_that_may_be_largest() -> None:
    program = tercet.import_model((net := Net()).model(net.node("Cast", net.node("ArgMax", "x", axis=1), to=1), [1, 4]))
    op = next(op for op in program.ops if op.name.startswith("tn.arg"))
    own = np.array([[1.0, 2.0, 2.0, 0.0]], F32)
    wide = own.astype(np.float64)
    (y,) = bounds_of(op, [Bounds(own, wide - 1e-6, wide + 1e-6, False)])
    assert (int(y.lo.min()), int(y.hi.max())) == (1, 2)
