"""Two steps that pick integer levels one after the other are one: a clip of a quantizer, a threshold of a threshold."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation

from ..ir.program import Program
from ..ir.tn.elementwise import ClipOp
from ..ir.tn.quant import QuantizeOp, ThresholdOp
from .base import constant_before, insert, name_of, replace


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
