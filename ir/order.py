"""The order of definitions: a value is defined before it is used. So kernels run in the order of the program, and none
needs the result of a later one."""

from __future__ import annotations

from xdsl.ir import Block, Operation, SSAValue

from .errors import IRError
from .locations import describe


def verify_order(block: Block) -> None:
    """Checks a block and the regions inside it, which see no value from outside. Raises IRError naming the use."""
    defined: set[SSAValue] = set(block.args)
    for op in block.ops:
        for i, value in enumerate(op.operands):
            if value not in defined:
                what = f"{op.name} uses {_called(value)} as operand {i} before it is defined"
                raise IRError(what, where=describe(op))
        for region in op.regions:
            for inner in region.blocks:
                verify_order(inner)
        defined.update(op.results)


def _called(value: SSAValue) -> str:
    name = f"%{value.name_hint}" if value.name_hint else "a value"
    return f"{name}, the result of {describe(value.owner)}," if isinstance(value.owner, Operation) else name


def dependents(first: Operation, last: Operation, values: set[SSAValue]) -> list[Operation]:
    """The operations from `first` to `last` of one block, both included, that need one of the values, directly or
    through each other; in order."""
    needed, found = set(values), []
    op: Operation | None = first
    while op is not None:
        if any(v in needed for v in op.operands):
            found.append(op)
            needed.update(op.results)
        op = None if op is last else op.next_op
    return found
