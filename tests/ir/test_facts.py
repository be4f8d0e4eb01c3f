"""What operations say about themselves holds, and none of them says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from elementwise_ops import BINARY, UNARY, attributes
from xdsl.dialects.builtin import f32
from xdsl.ir import Block
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from tercet.backends.c.elements import ELEMENTS
from tercet.backends.c.engines.loops import ENGINE
from tercet.backends.c.engines.loops.roots import ROOTS
from tercet.backends.reference import evaluate
from tercet.backends.reference.meaning import MEANING
from tercet.ir.operation import TensorOperation
from tercet.ir.tn import OPS, ElementwiseOp
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import BinaryOp, UnaryOp
from tercet.ir.tn.logic import CompareOp
from tercet.ir.types import Tensor, tensor_of, tensor_type

COMPUTED = [op for op in OPS if op is not ConstantOp]


@pytest.mark.parametrize("kind", COMPUTED, ids=lambda kind: kind.name)
def test_every_operation_has_a_meaning_and_c(kind: type[TensorOperation]) -> None:
    assert kind in MEANING
    assert ENGINE.name and (kind in ELEMENTS) == issubclass(kind, ElementwiseOp) != (kind in ROOTS)


def test_an_operation_that_forgets_a_fact_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="ForgetfulOp does not define mixes_samples"):

        @irdl_op_definition
        class ForgetfulOp(TensorOperation):
            name = "tn.forgetful"
            x = operand_def()
            y = result_def()

            def infer(self) -> Sequence[Tensor]:
                return [tensor_of(self.x)]

    with pytest.raises(TypeError, match="OtherOp does not define turns"):

        @irdl_op_definition
        class OtherOp(UnaryOp):
            name = "tn.other"


def function(kind: type[ElementwiseOp], operands: int) -> ElementwiseOp:
    """The operation on floats [n], detached."""
    chosen: dict[str, Any] = {"relation": "ge"} if kind is CompareOp else attributes(kind)  # type: ignore[arg-type]
    return kind.make(*Block(arg_types=[tensor_type((4,), f32)] * operands).args, **chosen)


def floats() -> np.ndarray:
    """Ascending float32 numbers: many sizes, each with its neighbours."""
    sizes = np.concatenate([np.geomspace(1e-30, 60, 3000), np.linspace(0, 20, 3000)]).astype(np.float32)
    near = np.concatenate([sizes, np.nextafter(sizes, np.float32(np.inf)), np.nextafter(sizes, np.float32(0))])
    return np.unique(np.concatenate([-near, near]))


def falls_and_rises(y: np.ndarray, slack: float) -> tuple[bool, bool]:
    """By more than the slack, relative to numbers beyond 1. NaN aside."""
    with np.errstate(invalid="ignore"):  # between equal infinities
        y = y[~np.isnan(y)].astype(np.float64)
        steps, room = np.diff(y), slack * np.maximum(1, np.minimum(np.abs(y[1:]), np.abs(y[:-1])))
    return bool((steps < -room).any()), bool((steps > room).any())


@pytest.mark.parametrize("kind", UNARY, ids=lambda kind: kind.name)
def test_functions_turn_where_they_say(kind: type[UnaryOp]) -> None:
    op, x = function(kind, 1), floats()
    assert isinstance(op, UnaryOp)
    (y,) = evaluate(op, [x])
    slack = 0.0 if op.IN_ORDER else 3e-7
    turns = [-np.inf, *op.turns(), np.inf]
    ways = []
    for low, high in pairwise(turns):
        inside = y[(low <= x) & (x <= high)]
        falls, rises = falls_and_rises(inside, slack)
        assert not (falls and rises), f"between {low} and {high}"
        ways.append(falls)
    assert all(a != b for a, b in pairwise(ways)), "it does not turn there"
    if len(turns) == 2:
        assert op.direction(0, None) == (-1 if ways[0] else 1)


@pytest.mark.parametrize("kind", BINARY, ids=lambda kind: kind.name)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("constant", [-2.5, -1.0, 0.0, 0.3, 7.0])
def test_directions_hold(kind: type[BinaryOp], place: int, constant: float) -> None:
    op, c, x = function(kind, 2), np.full(1, constant, np.float32), floats()
    way = op.direction(place, c).item()
    (y,) = evaluate(op, [x, c] if place == 0 else [c, x])
    falls, rises = falls_and_rises(y, 0.0 if op.IN_ORDER else 3e-7)
    if not np.isnan(way):
        assert not (falls and way >= 0) and not (rises and way <= 0)
