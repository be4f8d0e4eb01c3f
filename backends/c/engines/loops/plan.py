"""Which operations of a kernel share one loop nest.

A stage is at most one root (an operation that is not elementwise), followed by elementwise operations that are computed
on the root's element before anything is stored. Stages run one after the other, through scratch buffers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue

from .....ir.tn.constant import ConstantOp
from .....ir.types import shape_of
from ...engine import Kernel
from ...expressions import is_elementwise


@dataclass
class Stage:
    """One loop nest over `shape`. root: its first operation unless that is elementwise. copied: a kernel operand or
    constant that is a result as it is (then there are no operations). stored: values other stages or results need."""

    shape: tuple[int, ...]
    root: Operation | None = None
    chain: list[Operation] = field(default_factory=list)
    copied: SSAValue | None = None
    stored: list[SSAValue] = field(default_factory=list)

    @property
    def ops(self) -> list[Operation]:
        return [*([self.root] if self.root else []), *self.chain]

    @property
    def values(self) -> list[SSAValue]:
        """All values computed here."""
        return [value for op in self.ops for value in op.results]


def plan_stages(kernel: Kernel) -> list[Stage]:
    """The stages of a kernel in order."""
    stages: list[Stage] = []
    for op in kernel.ops:
        shape = shape_of(op.results[0])
        joined = _joined_shape(stages[-1], shape) if stages and is_elementwise(op) else None
        if joined is not None:
            stages[-1].chain.append(op)
            stages[-1].shape = joined
        elif is_elementwise(op):
            stages.append(Stage(shape, chain=[op]))
        else:
            stages.append(Stage(shape, root=op))
    stages = [part for stage in stages for part in _split_where_needed(stage, kernel)]
    copied = [v for v in kernel.op.yielded if kernel.input_index(v) is not None or isinstance(v.owner, ConstantOp)]
    stages += [Stage(shape_of(v), copied=v) for v in dict.fromkeys(copied)]
    for stage in stages:
        stage.stored = (
            [stage.copied] if stage.copied else [v for v in stage.values if _needed_outside(v, stage, kernel)]
        )
    return stages


def _joined_shape(stage: Stage, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of a stage that an elementwise result of `shape` joins; None when it cannot."""
    if shape == stage.shape:
        return shape
    if stage.root is not None or 0 in shape or 0 in stage.shape:
        return None
    rank = max(len(shape), len(stage.shape))
    a, b = ((1,) * (rank - len(s)) + s for s in (shape, stage.shape))
    wide = tuple(map(max, a, b))
    fits = all(p in (1, w) and q in (1, w) for p, q, w in zip(a, b, wide, strict=True))
    # one of the two must be the whole: the nest runs over the shape of a value
    return wide if fits and wide in (shape, stage.shape) else None


def _needed_outside(value: SSAValue, stage: Stage, kernel: Kernel) -> bool:
    return value in kernel.op.yielded or any(use.operation not in stage.ops for use in value.uses)


def _split_where_needed(stage: Stage, kernel: Kernel) -> list[Stage]:
    """The stage, or one stage for each operation where a value smaller than the nest has to be stored."""
    if all(shape_of(v) == stage.shape for v in stage.values if _needed_outside(v, stage, kernel)):
        return [stage]
    return [Stage(shape_of(op.results[0]), chain=[op]) for op in stage.chain]
