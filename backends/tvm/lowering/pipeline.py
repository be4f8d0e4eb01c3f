"""The order of the TVM backend's passes, after those of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.dialects.builtin import StringAttr

from ....ir.kn.kernel import KernelOp
from ....ir.operation import TensorOperation
from ....ir.program import Program
from ....ir.rewrite import remove
from ....ir.tn.constant import ConstantOp
from ....passes.base import Pass
from ....passes.finish_outputs import FinishOutputs
from ....passes.grouping import build_kernel, install, is_dead, symbol_name
from ....passes.pipeline import graph_passes
from ....passes.properties import DENSE_MAPS, IN_KERNELS, NO_KERNELS, OUTPUTS_FINISHED
from ..engines import engine_of
from ..targets import NAMES


@dataclass(frozen=True)
class OneKernelEach(Pass):
    """Every operation is a kernel of its own: TVM fuses those of its own operators as it sees fit."""

    name: ClassVar[str] = "one-kernel-each"
    engines: tuple[str, ...] = NAMES
    requires: ClassVar = (NO_KERNELS, OUTPUTS_FINISHED)
    ensures: ClassVar = (IN_KERNELS, DENSE_MAPS)

    def apply(self, program: Program) -> bool:
        kernels = list[KernelOp]()
        for op in list(program.ops):
            if isinstance(op, TensorOperation) and not isinstance(op, ConstantOp) and not is_dead(op):
                kernels.append(build_kernel([op], "step", engine_of(op, program, self.engines)))
                install([op], kernels[-1])
        for op in reversed(list(program.ops)):
            if is_dead(op):
                remove(op)
        for number, kernel in enumerate(kernels):
            kernel.properties["symbol"] = StringAttr(symbol_name(kernel, number))
        return bool(kernels)


def all_passes(lossy: Sequence[Pass] = (), engines: tuple[str, ...] = ()) -> list[Pass]:
    """Those of the graph, then those that make kernels. engines: to choose from; none are all."""
    return [*graph_passes(lossy), FinishOutputs(), OneKernelEach(engines or NAMES)]
