"""Primitive functions with schedules of their own, for layers that TVM's operators are slow at: an engine a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.program import Program
from ....ir.tn.linear import ConvOp
from ..context import Context
from ..package import Expr
from ..targets import NAMES, RELAX
from . import popcount, tile_f32


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


def engine_of(op: TensorOperation, program: Program, allowed: Collection[str] = NAMES) -> str:
    """The name of what computes an operation. allowed: the engines to choose from; RELAX computes what they refuse."""
    if not isinstance(op, ConvOp):
        return RELAX
    weights, some = program.array(op.w), (name for name in ENGINES if name in allowed)
    return next((name for name in some if ENGINES[name].takes(op, weights)), RELAX)
