"""Which operations keep the samples of a batch apart: what the operation says, and the shape of its results."""

from __future__ import annotations

from collections.abc import Sequence

from .operation import TensorOperation
from .types import shape_of


def mixes_samples(op: TensorOperation, per_sample: Sequence[bool]) -> str:
    """Why the operation does not act on every sample of a batch alone, or "" when it does.

    per_sample: for each operand, whether its leading axis (of size 1) is the batch; at least one is. All results then
    have the batch as leading axis too.
    """
    reason = op.mixes_samples(per_sample)
    if not reason and any(shape_of(result)[:1] != (1,) for result in op.results):
        return "its result does not keep the batch as leading axis"
    return reason
