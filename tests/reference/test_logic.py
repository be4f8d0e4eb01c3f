"""Comparisons and choices against onnxruntime; their inferred ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import Block, SSAValue
from xdsl.utils.exceptions import VerifyException

from tercet.ir.batching import mixes_samples
from tercet.ir.operation import TensorOperation
from tercet.ir.tn.logic import COMPARISONS, CompareOp, SelectOp
from tercet.ir.types import element_of, f32, int_type, range_of, tensor_type

from .one_op import broadcast_pair, compute_one, equal, examples, floats, integers, onnx_node, seeds

NODES = {"ge": "GreaterOrEqual", "gt": "Greater", "eq": "Equal"}
EDGES = np.array([0.0, -0.0, 1e-45, 1.0, np.inf, -np.inf, np.nan], np.float32)


def test_every_relation_has_an_oracle() -> None:
    assert set(NODES) == set(COMPARISONS)


@pytest.mark.parametrize("relation", COMPARISONS)
@given(broadcast_pair(), seeds)
@examples(4)
def test_compare_is_onnxruntimes(relation: str, pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    a, b = integers(seed, pair[0], -2, 2), integers(seed + 1, pair[1], -2, 2)
    for x, y in ((a, b), (np.asarray(a, np.float32), np.asarray(b, np.float32))):
        equal(compute_one(CompareOp, x, y, relation=relation), onnx_node(NODES[relation], x, y)[0].astype(np.int64))


@pytest.mark.parametrize("relation", COMPARISONS)
def test_compare_of_special_floats(relation: str) -> None:
    a, b = EDGES[:, None], EDGES[None]
    equal(compute_one(CompareOp, a, b, relation=relation), onnx_node(NODES[relation], a, b)[0].astype(np.int64))


@pytest.mark.parametrize("relation", COMPARISONS)
@given(st.lists(st.integers(-3, 3), min_size=4, max_size=4))
@examples(2)
def test_the_range_of_a_comparison_is_exact(relation: str, ends: list[int]) -> None:
    a, b = sorted(ends[:2]), sorted(ends[2:])
    block = Block(arg_types=[tensor_type((1,), int_type(*r)) for r in (a, b)])
    op = CompareOp.make(*block.args, relation=relation)
    values = {
        {"ge": x >= y, "gt": x > y, "eq": x == y}[relation]
        for x in range(a[0], a[1] + 1)
        for y in range(b[0], b[1] + 1)
    }
    assert range_of(element_of(op.y)) == (min(values), max(values))


@given(broadcast_pair(), seeds)
@examples(4)
def test_select_is_onnxruntimes(pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    condition = integers(seed, pair[0], 0, 1)
    for a, b in ((floats(seed, pair[1]), floats(seed + 1, ())), (integers(seed, pair[0]), integers(seed + 1, pair[1]))):
        want = onnx_node("Where", condition.astype(np.bool_), a, b)[0]
        np.testing.assert_array_equal(compute_one(SelectOp, condition, a, b), want)


def test_what_does_not_fit_is_refused() -> None:
    block = Block(arg_types=[tensor_type((1,), f32), tensor_type((1,), int_type(0, 3))])
    x, q = block.args
    cases: tuple[tuple[type[TensorOperation], tuple[SSAValue, ...], dict[str, Any]], ...] = (
        (CompareOp, (x, x), {"relation": "lt"}),
        (CompareOp, (x, q), {"relation": "ge"}),
        (SelectOp, (x, q, q), {}),
        (SelectOp, (q, x, q), {}),
    )
    for kind, operands, attributes in cases:
        with pytest.raises(VerifyException):
            kind.make_typed(operands, None, **attributes)


def test_batch() -> None:
    """Samples stay apart unless the batch axis meets another one."""
    block = Block(arg_types=[tensor_type((1, 4), f32), tensor_type((4,), f32), tensor_type((1, 1, 4), int_type(0, 1))])
    x, row, mask = block.args
    assert not mixes_samples(CompareOp.make(x, row, relation="ge"), [True, False])
    assert not mixes_samples(SelectOp.make(CompareOp.make(x, row, relation="ge").y, x, row), [True, True, False])
    assert mixes_samples(SelectOp.make(mask, x, row), [False, True, False])
