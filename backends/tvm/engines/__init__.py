"""Primitive functions with schedules of their own, for layers that TVM's operators are slow at: an engine a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.program import Program
from ....ir.tn.linear import ConvOp
from ..lowering.rules import Context
from ..package import Expr
from . import popcount, tile_f32

RELAX = "relax"
"""The engine of all that TVM's operators, or primitive functions without a schedule, compute."""


@dataclass(frozen=True)
class Engine:
    """takes: whether it computes a convolution with these weights. conv: its result, in Relax."""

    takes: Callable[[ConvOp, np.ndarray | None], bool]
    conv: Callable[[Context, ConvOp, Expr, np.ndarray], Expr]


ENGINES: Mapping[str, Engine] = {
    popcount.NAME: Engine(popcount.takes, popcount.conv),
    tile_f32.NAME: Engine(tile_f32.takes, tile_f32.conv),
}
"""By name, in order of preference."""


def engine_of(op: TensorOperation, program: Program) -> str:
    """The name of what computes an operation."""
    if isinstance(op, ConvOp):
        weights = program.array(op.w)
        return next((name for name, engine in ENGINES.items() if engine.takes(op, weights)), RELAX)
    return RELAX
