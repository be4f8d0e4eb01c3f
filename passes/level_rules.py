"""Two steps that pick integer levels one after the other are one: a clip of a quantizer, a threshold of a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation

from ..ir.program import Program
from ..ir.rewrite import constant_before, insert, name_of, replace
from ..ir.tn.elementwise import AddOp, ClipOp, SubOp
from ..ir.tn.quant import QuantizeOp, ThresholdOp
from ..ir.types import shape_of


def clip_of_quantize(program: Program, op: Operation) -> bool:
    """clip(quantize(x, lo, hi), a, b) is a quantize with the tighter bounds, where no one else reads its integers.

    Brevitas writes ternary activations so: QuantizeLinear to int8, then Clip(-1, 1).
    """
    assert isinstance(op, ClipOp)
    inner = op.x.owner
    if not isinstance(inner, QuantizeOp) or not all(isinstance(use.operation, ClipOp) for use in op.x.uses):
        return False
    lo, hi = (int(min(max(inner.get(bound), op.get("lo")), op.get("hi"))) for bound in ("lo", "hi"))
    new = QuantizeOp.make(inner.x, inner.scale, lo=lo, hi=hi, mode=inner.get("mode"), at=inner)
    return replace(op, insert(op, new))


def threshold_of_threshold(program: Program, op: Operation) -> bool:
    """A threshold on the levels of another one is one threshold on what that one reads.

    `Where(x >= 0, 1, -1)` is imported as a threshold of a threshold, and so is every Not.
    """
    assert isinstance(op, ThresholdOp)
    inner = op.x.owner
    if not isinstance(inner, ThresholdOp) or op.sign is not None or inner.sign is not None:
        return False
    outer_table, table = program.array(op.thresholds), program.array(inner.thresholds)
    if outer_table is None or table is None or len(outer_table) != 1:
        return False
    levels = inner.get("base") + inner.get("step") * np.arange(table.shape[1] + 1, dtype=np.int64)
    passed = (levels[:, None] >= outer_table.astype(np.int64)).sum(axis=1)  # of op's thresholds, for every inner count
    change = np.diff(passed)  # all >= 0 where the inner threshold rises, all <= 0 where it falls
    columns = np.repeat(np.arange(table.shape[1]), np.abs(change))
    step = op.get("step") if inner.get("step") > 0 else -op.get("step")
    base = op.get("base") + op.get("step") * int(passed[0])
    name = f"{name_of(op.thresholds, 'levels')}.merged"
    thresholds = constant_before(program, op, name, np.ascontiguousarray(table[:, columns]), op.thresholds)
    return replace(
        op, insert(op, ThresholdOp.make(inner.x, thresholds, axis=inner.get("axis"), base=base, step=step, at=op))
    )


def sum_of_thresholds(program: Program, op: Operation) -> bool:
    """A sum or difference of thresholds on one tensor is one threshold, where all of them rise or fall together.

    `(x > t).float() - (x < -t).float()` is the usual ternary activation.
    """
    assert isinstance(op, AddOp | SubOp)
    first, second = op.a.owner, op.b.owner
    if not isinstance(first, ThresholdOp) or not isinstance(second, ThresholdOp) or first.x is not second.x:
        return False
    a, b = _lines(program, first), _lines(program, second)
    if a is None or b is None or not _same_axis(first, second, a.table, b.table):
        return False
    if isinstance(op, SubOp):
        b = Lines(b.table, -b.start, -b.slope)
    channels = max(len(a.slope), len(b.slope), len(a.table), len(b.table))
    if not np.array_equal(np.broadcast_to(a.slope, channels), np.broadcast_to(b.slope, channels)):
        return False
    slope, start = np.broadcast_to(a.slope, channels), np.broadcast_to(a.start + b.start, channels)
    tables = [np.broadcast_to(t, (channels, t.shape[1])) for t in (a.table, b.table)]
    table = np.sort(np.concatenate(tables, axis=1), axis=1)
    step = int(abs(slope[0]))
    base = np.where(slope > 0, start, start - step * table.shape[1])
    if (abs(slope) != step).any() or (base != base[0]).any():
        return False
    name = f"{name_of(first.thresholds, 'levels')}.sum"
    operands = [first.x, constant_before(program, op, name, table, first.thresholds)]
    if (slope < 0).any():
        operands.append(constant_before(program, op, f"{name}.sign", np.sign(slope).astype(np.int8), first.thresholds))
    axis = (first if len(a.table) > 1 or len(a.slope) > 1 else second).get("axis")
    return replace(op, insert(op, ThresholdOp.make(*operands, axis=axis, base=int(base[0]), step=step, at=op)))


@dataclass(frozen=True)
class Lines:
    """A threshold as start + slope * #{T in table : x >= T}: table [C or 1, n], start and slope [C or 1] integers."""

    table: np.ndarray
    start: np.ndarray
    slope: np.ndarray


def _lines(program: Program, op: ThresholdOp) -> Lines | None:
    table = program.array(op.thresholds)
    sign = np.ones(1, np.int64) if op.sign is None else program.array(op.sign)
    if table is None or sign is None:
        return None
    sign, step = sign.astype(np.int64), op.get("step")
    return Lines(table, np.where(sign < 0, op.get("base") + step * table.shape[1], op.get("base")), step * sign)


def _same_axis(a: ThresholdOp, b: ThresholdOp, *tables: np.ndarray) -> bool:
    """True where the two agree on the axis of channels, or one has none."""
    rank = max(len(shape_of(a.x)), 1)
    plain = [len(table) == 1 and op.sign is None for op, table in zip((a, b), tables, strict=True)]
    return any(plain) or a.get("axis") % rank == b.get("axis") % rank
