"""The layers that a lossy pass may change: convolutions and products with float weights that are constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from xdsl.ir import Operation

from ...ir.errors import InputError
from ...ir.locations import source_names
from ...ir.program import Program
from ...ir.rewrite import name_of
from ...ir.tn.constant import ConstantOp
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.tn.quant import DequantizeOp
from ..classify_weights import find_integers

ASKED, FIRST, LAST = "kept as asked", "first layer", "last layer"
CLOSED = (ASKED, FIRST, LAST)
"""Reasons that also keep what a layer reads as it is."""


@dataclass(frozen=True)
class WeightLayer:
    """A layer with weights. names: what a user may call it; the first is shown. fixed: why its weights stay as they
    are, "" where they may change. few_bit: they are integers times a scale already."""

    op: ConvOp | MatMulOp
    names: tuple[str, ...]
    fixed: str = ""
    few_bit: bool = False

    @property
    def name(self) -> str:
        return self.names[0]

    def to_rows(self, w: np.ndarray) -> np.ndarray:
        """Weights as [O, N], a row for each output channel; conv: [O, C / group, *K], matmul: [N, O]."""
        return w.reshape(len(w), -1) if isinstance(self.op, ConvOp) else w.T

    def from_rows(self, rows: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        return rows.reshape(shape) if isinstance(self.op, ConvOp) else np.ascontiguousarray(rows.T)


def weight_layers(program: Program, keep: Sequence[str] = (), *, ends: bool = False) -> list[WeightLayer]:
    """Every convolution and product with constant weights, in order; `fixed` says which of them stay as they are.

    keep: names or patterns (`layer1.*`) of layers that stay: a node's name, with or without its operator
    (`Conv:conv1`), or its weights' name. ends: whether the first and last layers may change too. Raises InputError
    for a name that fits no layer and for weights that are not finite.
    """
    found = [(op, _names(op)) for op in program.ops if isinstance(op, ConvOp | MatMulOp) and _has_weights(program, op)]
    for pattern in keep:
        if not any(_fits(names, pattern) for _, names in found):
            known = ", ".join(names[0] for _, names in found)
            raise InputError(f"there is no layer '{pattern}' to keep", hint=f"layers with weights: {known or 'none'}")
    after, before = _reached(program, [op for op, _ in found]), _reached(program, [op for op, _ in found], back=True)
    layers = []
    for op, names in found:
        few_bit, unfit = _is_few_bit(program, op), ""
        if any(_fits(names, pattern) for pattern in keep):
            unfit = ASKED
        elif not ends and (op not in after or op not in before):
            unfit = FIRST if op not in after else LAST
        elif few_bit:
            unfit = "has few-bit weights"
        elif not _is_matrix(program, op):
            unfit = "no float matrix"
        if not unfit:
            _check_finite(program, op, names[0])
        layers.append(WeightLayer(op, names, unfit, few_bit))
    return layers


def _has_weights(program: Program, op: ConvOp | MatMulOp) -> bool:
    owner = op.operands[1].owner
    return isinstance(owner, ConstantOp) or (isinstance(owner, DequantizeOp) and program.array(owner.q) is not None)


def _names(op: ConvOp | MatMulOp) -> tuple[str, ...]:
    nodes = source_names(op.location)
    weight = name_of(op.operands[1])
    short = weight.removesuffix(".weight")
    plain = [name.partition(":")[2] for name in nodes]
    names = [short, *plain, *nodes, weight] if short != weight else [*plain, *nodes, weight]
    return tuple(dict.fromkeys(name for name in names if name))


def _fits(names: Sequence[str], pattern: str) -> bool:
    return pattern in names or any(fnmatchcase(name, pattern) for name in names)


def _is_few_bit(program: Program, op: ConvOp | MatMulOp) -> bool:
    w = program.array(op.operands[1])
    if w is None:
        return True
    return w.dtype == np.float32 and find_integers(w, 0 if isinstance(op, ConvOp) else w.ndim - 1) is not None


def _is_matrix(program: Program, op: ConvOp | MatMulOp) -> bool:
    w = program.array(op.operands[1])
    return w is not None and w.dtype == np.float32 and w.size > 0 and (isinstance(op, ConvOp) or w.ndim == 2)


def _check_finite(program: Program, op: ConvOp | MatMulOp, name: str) -> None:
    w = program.array(op.operands[1])
    if w is not None and not np.isfinite(w).all():
        raise InputError("the weights are not all finite", where=name, hint=f"--keep {name}, or repair the model")


def _reached(program: Program, layers: Sequence[Operation], *, back: bool = False) -> set[Operation]:
    """The operations that lie after (back: before) one of the layers."""
    sources, reached = set(layers), set()
    ops = list(program.ops)
    for op in reversed(ops) if back else ops:
        if back:
            near = [use.operation for result in op.results for use in result.uses]
        else:
            near = [value.owner for value in op.operands if isinstance(value.owner, Operation)]
        if any(other in sources or other in reached for other in near):
            reached.add(op)
    return reached
