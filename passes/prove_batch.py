"""Proves that a program with a leading axis of size 1 treats that axis as a batch, so that it can run on any number
of samples, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import SSAValue

from ..ir.batching import mixes_samples
from ..ir.errors import UnsupportedError
from ..ir.locations import describe
from ..ir.operation import TensorOperation
from ..ir.program import Program
from ..ir.types import shape_of
from .base import Pass
from .properties import NO_KERNELS


@dataclass(frozen=True)
class ProveBatch(Pass):
    """Sets `batched` where the leading axis of every input and output provably is a batch of independent samples.

    Raises UnsupportedError when the model has a symbolic batch dimension that mixes samples.
    """

    name: ClassVar[str] = "prove-batch"
    requires: ClassVar = (NO_KERNELS,)

    def apply(self, program: Program) -> bool:
        blocker = _mixing_operation(program)
        if program.batched:
            if blocker is not None:
                raise UnsupportedError(
                    "the samples of a symbolic batch are mixed here, so they cannot run one by one",
                    where=blocker,
                    hint="fix the batch size when importing (--batch N)",
                )
            return False
        program.batched = blocker is None
        return blocker is None


def _mixing_operation(program: Program) -> str | None:
    """Where the batch axis is first lost; None when all inputs and outputs keep it."""
    if any(shape_of(port.type)[:1] != (1,) for port in (*program.inputs, *program.outputs)):
        return "the function's inputs and outputs"
    samples: set[SSAValue] = set(program.block.args)
    for op in program.ops:
        if not isinstance(op, TensorOperation) or not any(v in samples for v in op.operands):
            continue
        if mixes_samples(op, [v in samples for v in op.operands]):
            return describe(op)
        samples.update(op.results)
    lost = [v for v in program.returned.operands if v not in samples]
    return "an output that does not depend on the inputs" if lost else None
