"""Matrix products: sums for a tile of columns at a time, or a dot product where there is one column."""

from __future__ import annotations

from math import prod

from .....ir.tn.linear import MatMulOp
from .....ir.types import element_of, shape_of
from ...text import value_c
from .accumulate import accumulator_c
from .plan import Stage
from .roots import root
from .scope import Access, Scope, dense_strides, index_of, sum_c

TILE = 64
"""Columns that are accumulated at a time, on the stack."""


@root(MatMulOp, cost="product", work=lambda op: prod(shape_of(op.y)) * shape_of(op.a)[-1])
def emit_matmul(scope: Scope, stage: Stage, op: MatMulOp) -> None:
    a, b, acc = shape_of(op.a), shape_of(op.b), accumulator_c(op)
    kind, terms = value_c(element_of(op.y)), a[-1]
    left, right, columns = _accesses(a, b, stage.shape)
    pieces = -(-columns // TILE)
    row_shape = stage.shape if len(b) == 1 else stage.shape[:-1]
    names = [f"i{i}" for i in range(len(row_shape))]
    at = [
        *(n if d > 1 else "0" for n, d in zip(names, row_shape, strict=True)),
        *([] if len(b) == 1 else ["x" if columns > 1 else "0"]),
    ]
    name = scope.name("matmul")

    with scope.shared_loop("item", prod(row_shape) * pieces):
        if pieces > 1:
            if prod(row_shape) > 1:
                scope.out.add(f"const int64_t row = item / {pieces};")
            scope.out.add(f"const int64_t start = item % {pieces} * {TILE};")
            scope.out.add(f"const int64_t stop = start + {TILE} < {columns} ? start + {TILE} : {columns};")
        start, stop = ("start", "stop") if pieces > 1 else ("0", str(columns))
        scope.split("row" if pieces > 1 else "item", row_shape, names)
        index = index_of(at)
        a_at, b_at = index(left), index(right)
        if columns == 1:
            total = _dot(scope, op, a_at, b_at, acc, terms)
            scope.out.add(f"const {kind} {name} = {total};")
            scope.element(stage, index, {op.y: name})
            return
        place = "x - start" if pieces > 1 else "x"
        scope.out.add(f"{acc} sum[{min(columns, TILE)}];")
        with scope.loop("x", stop, start, inner=True):
            scope.out.add(f"sum[{place}] = 0;")
        with scope.loop("k", terms):
            scope.out.add(f"const {acc} factor = {scope.reads[op.a].at(sum_c([(a_at, 1), ('k', 1)]))};")
            with scope.loop("x", stop, start, inner=True):
                value = scope.reads[op.b].at(sum_c([(b_at, 1), ("k", columns)]))
                scope.out.add(f"sum[{place}] += factor * {value};")
        with scope.loop("x", stop, start, inner=True):
            scope.out.add(f"const {kind} {name} = sum[{place}];")
            scope.element(stage, index, {op.y: name})


def _accesses(a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> tuple[Access, Access, int]:
    """How a's row and b's columns follow from the axes of y (without k), and the number of columns."""
    wide_a, wide_b = ((1, *a) if len(a) == 1 else a), ((*b, 1) if len(b) == 1 else b)
    lead = len(y) - (len(a) > 1) - (len(b) > 1)

    def leading(shape: tuple[int, ...]) -> list[int]:
        own = shape[:-2]
        strides = dense_strides(shape)[: len(own)]
        return [0] * (lead - len(own)) + [s if d > 1 else 0 for d, s in zip(own, strides, strict=True)]

    row = [a[-1]] if len(a) > 1 else []
    left = [*leading(wide_a), *row, *([0] if len(b) > 1 else [])]
    right = [*leading(wide_b), *([0] if len(a) > 1 else []), *([1] if len(b) > 1 else [])]
    return Access(0, tuple(left)), Access(0, tuple(right)), wide_b[-1]


def _dot(scope: Scope, op: MatMulOp, a_at: str, b_at: str, acc: str, terms: int) -> str:
    """Statements for the sum of one row times the only column. Returns its name."""
    left, right = scope.reads[op.a], scope.reads[op.b]
    if acc == "float":
        scope.out.add(f"const float total = tercet_dot_f32({left.name} + {a_at}, {right.name} + {b_at}, {terms});")
        return "total"
    scope.out.add(f"{acc} total = 0;")
    with scope.loop("k", terms, inner=True):
        first, second = (buffer.at(sum_c([(at, 1), ("k", 1)])) for buffer, at in ((left, a_at), (right, b_at)))
        scope.out.add(f"total += ({acc}){first} * {second};")
    return "total"
