"""What tuning counts for a candidate that reads bytes where the layer before it would write bits."""

import pytest

from tercet.backends.c.lowering.conversions import COSTS, in_bits, unpack_cycles
from tercet.backends.c.target import TARGETS, Target
from tercet.ir.kn.layout import in_layout, wanted
from tercet.ir.kn.requests import Bits, Dense
from tercet.ir.types import TERNARY, tensor_type


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_element_of_a_map_in_bits_is_unpacked(target: Target) -> None:
    tensor = tensor_type((1, 64, 5, 7), TERNARY)
    laid_out = in_layout(tensor, wanted(tensor, Bits(1)))
    assert laid_out != tensor
    assert unpack_cycles(laid_out, target) == 64 * 5 * 7 * target.costs[COSTS]["unpack"]
    assert unpack_cycles(tensor, target) == 0


def test_who_reads_bits() -> None:
    assert in_bits(Bits(1))
    assert not in_bits(Dense())
