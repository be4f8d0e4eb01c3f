"""Einsum of one operand, or of two as a matrix product: every label is a row, a column, summed over, or outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from ....ir.tn.elementwise import MulOp
from ....ir.tn.linear import MatMulOp
from ....ir.tn.pool import ReduceSumOp
from ...emitter import Emitter
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports


@imports("Einsum")
def einsum(e: Emitter, node: Node, *inputs: Value | None) -> Value:
    """Sums of products over the labels that the result does not have; integers wrap as their dtype."""
    operands = [v for v in inputs if v is not None]
    if not operands or len(operands) < len(inputs):
        raise node.error("an input is left out")
    if len({v.dtype for v in operands}) != 1:
        raise node.error(f"operands have the dtypes {', '.join(v.dtype.name for v in operands)}")
    terms, result = _labels(node, operands)
    if len(operands) > 2:
        raise Refusal(f"Einsum of {len(operands)} operands is not supported, only of one or two")
    y, labels = _summed(e, operands[0], terms[0], {*result, *(terms[1] if len(terms) > 1 else ())})
    if len(operands) == 2:
        other, others = _summed(e, operands[1], terms[1], {*result, *labels})
        # the result's first axis, which may be the batch, is one of the left operand's
        if result and result[0] not in labels:
            (y, labels), (other, others) = (other, others), (y, labels)
        y, labels = _product(e, y, labels, other, others, result)
    y = e.transpose(y, [labels.index(label) for label in result])
    return y if y.is_float else e.wrapped(y, y.dtype)


def _labels(node: Node, operands: Sequence[Value]) -> tuple[list[list[str]], list[str]]:
    """The labels of the axes of each operand, and of the result. An axis of an ellipsis is labelled by its number,
    counted from the last one. Raises ModelError where they do not fit, Refusal for diagonals and for sizes that
    broadcast."""
    equation = re.sub(r"\s", "", node.text("equation"))
    form = re.fullmatch(r"([a-zA-Z.]*(?:,[a-zA-Z.]*)*)(?:->([a-zA-Z.]*))?", equation)
    if form is None or any(re.sub(r"\.\.\.", "", part, count=1).count(".") for part in re.split("->|,", equation)):
        raise node.error(f"attribute 'equation': '{equation}' is not a sum of products")
    left = form[1].split(",")
    if len(left) != len(operands):
        raise node.error(f"attribute 'equation': '{equation}' is for {len(left)} operands, got {len(operands)}")
    terms, hidden = [], 0
    for part, value in zip(left, operands, strict=True):
        count = value.rank - len(part.replace("...", ""))
        if count < 0 or (count and "..." not in part):
            raise node.error(f"attribute 'equation': '{part}' is for another rank than {value.rank}")
        hidden = max(hidden, count)
        terms.append(_expanded(part, count))
    if form[2] is None:
        once = sorted(label for label in {*"".join(left)} - {"."} if "".join(left).count(label) == 1)
        result = [*_expanded("...", hidden), *once]
    else:
        result = _expanded(form[2], hidden)
    sizes: dict[str, int] = {}
    for labels, value in zip(terms, operands, strict=True):
        if len(set(labels)) < len(labels):
            raise Refusal(f"Einsum with a diagonal ('{equation}') is not supported")
        for label, size in zip(labels, value.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                if 1 in (sizes[label], size):
                    raise Refusal(f"Einsum with sizes that broadcast ('{equation}') is not supported")
                raise node.error(f"the sizes {sizes[label]} and {size} of '{label}' differ")
    if len(set(result)) < len(result) or not set(result) <= set(sizes):
        raise node.error(f"attribute 'equation': '{equation}' has a result with unknown or repeated axes")
    return terms, result


def _expanded(part: str, hidden: int) -> list[str]:
    before, dots, after = part.partition("...")
    return [*before, *(str(i) for i in range(hidden, 0, -1) if dots), *after]


def _summed(e: Emitter, x: Value, labels: list[str], needed: set[str]) -> tuple[Value, list[str]]:
    """x summed over the axes that nothing else has."""
    alone = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not alone:
        return x, labels
    return e.op(ReduceSumOp, x, axes=alone, keepdims=0), [label for label in labels if label in needed]


def _product(
    e: Emitter, a: Value, left: list[str], b: Value, right: list[str], result: list[str]
) -> tuple[Value, list[str]]:
    """The matrix product: shared labels of the result outside, a's own as rows, b's own as columns, others summed over.

    Rows become one axis only where there are axes outside: else the first one may be the batch."""
    outside = [label for label in result if label in left and label in right]
    rows = [label for label in result if label in left and label not in right]
    columns = [label for label in result if label in right and label not in left]
    inner = [label for label in left if label not in result]
    sizes = dict(zip([*left, *right], [*a.shape, *b.shape], strict=True))

    def sized(labels: Sequence[str]) -> list[int]:
        return [sizes[label] for label in labels]

    a = e.transpose(a, [left.index(label) for label in (*outside, *rows, *inner)])
    b = e.transpose(b, [right.index(label) for label in (*outside, *inner, *columns)])
    shape = [*sized(outside), *sized(rows), *sized(columns)]
    if not inner:
        a = e.reshape(a, (*sized(outside), *sized(rows), *(1,) * len(columns)))
        b = e.reshape(b, (*sized(outside), *(1,) * len(rows), *sized(columns)))
        return e.op(MulOp, a, b), [*outside, *rows, *columns]
    flat = [prod(sized(rows))] if outside or not rows else sized(rows)
    a = e.reshape(a, (*sized(outside), *flat, prod(sized(inner))))
    b = e.reshape(b, (*sized(outside), prod(sized(inner)), prod(sized(columns))))
    return e.reshape(e.op(MatMulOp, a, b), shape), [*outside, *rows, *columns]
