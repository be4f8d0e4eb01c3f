"""What may be true of a program: what passes require and ensure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import Operation

from ..ir.kn.kernel import ConvertOp, KernelOp, planned_offsets
from ..ir.kn.layout import layout_of
from ..ir.kn.memory import steps_of
from ..ir.locations import describe
from ..ir.program import Program
from ..ir.tn.constant import ConstantOp
from ..ir.tn.linear import BatchNormOp
from ..ir.types import element_of, storage_dtype


@dataclass(frozen=True)
class Property:
    """broken: where it is not so, and why; empty where it holds."""

    name: str
    broken: Callable[[Program], str]


def _first(program: Program, wrong: Callable[[Operation], bool]) -> str:
    return next((f"{op.name} at {describe(op)}" for op in program.ops if wrong(op)), "")


def _constant_batch_norm(program: Program, op: Operation) -> bool:
    return isinstance(op, BatchNormOp) and all(program.array(v) is not None for v in op.operands[1:])


def _unfinished_output(program: Program) -> str:
    for port, value in zip(program.outputs, program.returned.operands, strict=True):
        want = storage_dtype(element_of(value))
        if port.dtype.kind in "iu" and want != port.dtype:
            return f"output '{port.name}' is {port.dtype}, its value lies in memory as {want}"
        if isinstance(value.owner, ConstantOp) or value in program.block.args:
            return f"output '{port.name}' is not the result of an operation"
    return ""


NO_KERNELS = Property("no kernels", lambda program: _first(program, lambda op: isinstance(op, KernelOp | ConvertOp)))
NO_BATCH_NORM = Property(
    "no batch norm of constants", lambda program: _first(program, lambda op: _constant_batch_norm(program, op))
)
OUTPUTS_FINISHED = Property("outputs finished", _unfinished_output)
IN_KERNELS = Property(
    "in kernels", lambda program: _first(program, lambda op: not isinstance(op, KernelOp | ConvertOp))
)
DENSE_MAPS = Property(
    "dense maps", lambda program: _first(program, lambda op: any(layout_of(y.type) is not None for y in op.results))
)
MEMORY_PLANNED = Property(
    "memory planned",
    lambda program: next(
        (
            f"{op.name} at {describe(op)}"
            for op in steps_of(program.block)
            if len(planned_offsets(op)) != len(op.results)
        ),
        "",
    ),
)
