"""The vocabulary of rewriting: what passes, of the graph and of a backend, are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.rewriter import Rewriter

from .operation import TensorOperation
from .program import Program
from .tn.constant import ConstantOp
from .tn.elementwise import CastOp
from .types import Tensor, meet, tensor_of, tensor_type

Rule: TypeAlias = Callable[[Program, Operation], bool]
"""Looks at one operation, rewrites around it and says whether it did."""

Rules: TypeAlias = Mapping[type[Operation], Sequence[Rule]]


def apply_rules(program: Program, rules: Rules) -> bool:
    """Applies rules to every operation, again and again until none fires. Dead operations are dropped as it goes."""
    changed = False
    while any([_apply_once(program, rules), erase_dead(program), tighten(program)]):
        changed = True
    program.refresh_type()  # a returned value may have become one of a tighter type
    return changed


def _apply_once(program: Program, rules: Rules) -> bool:
    changed = False
    for op in program.ops:
        for rule in rules.get(type(op), ()):
            if op.parent is not None and rule(program, op):
                changed = True
    return changed


def erase_dead(program: Program) -> bool:
    """Removes operations whose results nobody uses."""
    changed = False
    for op in reversed(list(program.ops)):
        if all(result.first_use is None for result in op.results):
            remove(op)
            changed = True
    return changed


def remove(op: Operation) -> None:
    """Takes an operation that nobody uses out of its block and drops it."""
    op.detach()
    op.erase()


def tighten(program: Program) -> bool:
    """Narrows result types to what both they and inference say, after operands have become tighter."""
    changed = False
    for op in program.ops:
        if not isinstance(op, TensorOperation) or isinstance(op, ConstantOp | CastOp):
            continue
        for result, inferred in zip(list(op.results), op.infer(), strict=True):
            have = tensor_of(result)
            element = meet(have.element_type, inferred.element_type)
            if element != have.element_type:
                retype(result, tensor_type(have.get_shape(), element))
                changed = True
    if changed:
        program.refresh_type()
    return changed


def retype(value: SSAValue, kind: Tensor) -> SSAValue:
    return Rewriter.replace_value_with_new_type(value, kind)


def insert(anchor: Operation, *ops: Operation) -> SSAValue:
    """Puts operations in front of an anchor. Returns the first result of the last one."""
    block = anchor.parent
    assert block is not None
    block.insert_ops_before(list(ops), anchor)
    return ops[-1].results[0]


def replace(op: Operation, value: SSAValue) -> bool:
    """Makes every user of a one-result operation use `value`, then removes the operation. Returns True."""
    result = op.results[0]
    if isinstance(value, OpResult) and value.name_hint is None:
        value.name_hint = result.name_hint
    result.replace_all_uses_with(value)
    remove(op)
    return True


def constant_before(
    program: Program, anchor: Operation, name: str, array: np.ndarray, like: SSAValue | None = None
) -> SSAValue:
    """A new constant in front of an anchor; `like` is a value whose source location it takes."""
    at = like.owner if like is not None and isinstance(like.owner, Operation) else anchor
    return insert(anchor, program.constant(name, array, at=at))


def name_of(value: SSAValue, default: str = "value") -> str:
    """A name for something derived from a value: its constant's symbol or its hint."""
    if isinstance(value.owner, ConstantOp):
        return value.owner.get("value")
    return value.name_hint or default


def sole_user(value: SSAValue) -> Operation | None:
    """The only user of a value, when it has exactly one."""
    return value.get_user_of_unique_use()
