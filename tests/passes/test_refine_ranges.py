"""Accumulator ranges hold every sum, those at a padded border too, and no more than the weights can give."""

from __future__ import annotations

import numpy as np
import pytest

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Port, Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import element_of, int_type, range_of, tensor_type
from tercet.passes.refine_ranges import RefineRanges


@pytest.mark.parametrize(("lo", "hi"), [(2, 3), (-3, -2), (-1, 2)])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("taps", [(1, 1, 1), (-1, -1, -1), (1, 0, -1)])
def test_sums_at_the_border_are_in_the_range(taps: tuple[int, ...], lo: int, hi: int, pad: int) -> None:
    """Padding brings zeros, which may be none of the input's values."""
    kind = tensor_type((1, 1, 5, 5), int_type(lo, hi))
    program = Program.new("sums", [Port("x", kind, np.dtype(np.int8))])
    w = np.array(taps, np.int8)[None, None, :, None].repeat(3, axis=3)
    weights = program.constant("w", w)
    conv = ConvOp.make(
        program.block.args[0], weights.result, strides=(1, 1), pads=(pad,) * 4, dilations=(1, 1), group=1
    )
    program.block.add_op(weights)
    program.block.add_op(conv)
    program.finish([("y", conv.result, np.dtype(np.int32))])
    RefineRanges().apply(program)
    program.verify()
    least, most = range_of(element_of(conv.result))
    for value in (lo, hi):
        y = run(program, {"x": np.full((1, 1, 5, 5), value, np.int8)})["y"]
        assert least <= y.min() and y.max() <= most
    ends = [lo, hi, *([0] if pad else [])]
    assert least == 3 * sum(min(tap * end for end in ends) for tap in taps)
    assert most == 3 * sum(max(tap * end for end in ends) for tap in taps)
