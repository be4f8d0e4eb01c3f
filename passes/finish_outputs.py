"""Gives outputs the dtype the source model promises, and one kernel of their own where they need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import BlockArgument, SSAValue

from ..ir.program import Program
from ..ir.rewrite import insert
from ..ir.tn.constant import ConstantOp
from ..ir.tn.elementwise import CastOp
from ..ir.tn.movement import ReshapeOp
from ..ir.types import element_of, element_of_dtype, shape_of, storage_dtype, tensor_type
from .base import Pass
from .properties import NO_KERNELS, OUTPUTS_FINISHED


@dataclass(frozen=True)
class FinishOutputs(Pass):
    """Casts outputs to their port's dtype, and copies those that are an input, a constant or returned twice."""

    name: ClassVar[str] = "finish-outputs"
    requires: ClassVar = (NO_KERNELS,)
    ensures: ClassVar = (OUTPUTS_FINISHED,)

    def apply(self, program: Program) -> bool:
        last, changed = program.returned, False
        seen: set[SSAValue] = set()
        for i, port in enumerate(program.outputs):
            value = last.operands[i]
            if _memory_dtype(port.dtype) != storage_dtype(element_of(value)):
                kind = tensor_type(shape_of(value), element_of_dtype(port.dtype))
                value = insert(last, CastOp.make_typed([value], [kind], at=last))
            elif (
                isinstance(value, BlockArgument)
                or isinstance(value.owner, ConstantOp)
                or value in seen
                or _is_read(value)
            ):
                value = insert(last, ReshapeOp.make(value, shape=shape_of(value), at=last))
            seen.add(value)
            if value is not last.operands[i]:
                last.operands[i] = value
                changed = True
        program.refresh_type()
        return changed


def _memory_dtype(dtype: np.dtype) -> np.dtype:
    """Booleans lie in memory as bytes 0 and 1, all floats as float32."""
    if dtype.kind == "f":
        return np.dtype(np.float32)
    return np.dtype(np.int8) if dtype == np.bool_ else dtype


def _is_read(value: SSAValue) -> bool:
    return value.has_more_than_one_use()
