"""Groups of `tn` operations become kernels."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, SSAValue

from ..ir.kn.kernel import KernelOp, YieldOp
from ..ir.locations import fused_location, source_names
from ..ir.names import identifier
from ..ir.order import dependents
from ..ir.rewrite import remove
from ..ir.tn.constant import ConstantOp
from ..ir.tn.elementwise import CastOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.tn.quant import DequantizeOp

PRODUCTS = (ConvOp, MatMulOp)

WIDENING = (DequantizeOp, CastOp)
"""Cheap operations that read less than they write: a kernel that adds their result computes them itself."""


def results_of(group: Sequence[Operation]) -> list[SSAValue]:
    """The values of a group that are used outside it, or the last ones."""
    inside = set(group)
    used: list[SSAValue] = [r for op in group for r in op.results if any(use.operation not in inside for use in r.uses)]
    return used or list(group[-1].results)


def symbol_name(kernel: KernelOp, number: int) -> str:
    """A C identifier with the kernel's number and the source node of its product, or else of its first operation:
    k03_conv2."""
    ops = [op for op in kernel.inner if not isinstance(op, ConstantOp)]
    ops.sort(key=lambda op: not isinstance(op, PRODUCTS))
    names = [n for op in ops for n in source_names(op.location)]
    base = identifier(names[0].partition(":")[2]) if names else identifier(ops[0].name)
    return f"k{number:02d}_{base[:40]}".rstrip("_")


def build_kernel(group: Sequence[Operation], symbol: str, engine: str) -> KernelOp:
    """A detached kn.kernel whose region holds clones of the group and of the constants it reads."""
    widened = _widened(group)
    inside = {result for op in (*group, *widened) for result in op.results}
    read = (v for op in (*group, *widened) for v in op.operands)  # the root's operands first
    maps = list(dict.fromkeys(v for v in read if v not in inside and not isinstance(v.owner, ConstantOp)))
    block = Block(arg_types=[v.type for v in maps])
    mapping: dict[SSAValue, SSAValue] = dict(zip(maps, block.args, strict=True))
    for old, new in zip(maps, block.args, strict=True):
        new.name_hint = old.name_hint
    for op in (*widened, *group):
        for v in op.operands:
            if v not in mapping and isinstance(v.owner, ConstantOp):
                block.add_op(v.owner.clone(mapping))
        block.add_op(op.clone(mapping))
    results = [mapping[r] for r in results_of(group)]
    block.add_op(YieldOp.create(operands=results))
    at = fused_location(*(op.location for op in group))
    return KernelOp.make(symbol, engine, {}, maps, [r.type for r in results], block, at=at)


def _widened(group: Sequence[Operation]) -> list[Operation]:
    """The widening operations outside whose results a product's group reads."""
    if not isinstance(group[0], PRODUCTS):
        return []
    others = dict.fromkeys(v.owner for op in group[1:] for v in op.operands if isinstance(v.owner, WIDENING))
    return [op for op in others if isinstance(op, Operation) and op not in group and not _constant_operand(op)]


def _constant_operand(op: Operation) -> bool:
    return isinstance(op.operands[0].owner, ConstantOp)


def is_dead(op: Operation) -> bool:
    return bool(op.results) and all(result.first_use is None for result in op.results)


def discard(kernel: KernelOp) -> None:
    """Drops a detached candidate, so that its operands no longer count it as a user."""
    kernel.drop_all_references()


def install(group: Sequence[Operation], kernel: KernelOp) -> None:
    """Puts a kernel where the group ends and removes the group. What stands before that end and needs one of
    the kernel's results moves after it."""
    last, olds = group[-1], results_of(group)
    block = last.parent
    assert block is not None
    later = [op for op in dependents(group[0], last, set(olds)) if op not in group]
    for op in later:
        op.detach()
    block.insert_ops_before([kernel, *later], last)
    for old, new in zip(olds, kernel.results, strict=True):
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    for op in reversed(group):
        remove(op)
