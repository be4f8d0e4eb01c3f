"""Depthwise convolutions of floats or bytes with channels in the lanes of vectors, epilogue fused.

Source: direct convolution over blocks of channels (Zhang, Franchetti, Low, "High Performance Zero-Memory Overhead
Direct Convolutions", 2018, section 4, which keeps maps in such blocks); maps here are channel by channel, so a block is
transposed on its way in and out. Maps of any size fill the vectors, which pixels in lanes do not.
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.requests import Dense
from ...dense.problem import bias_of
from ...engine import Engine, Kernel, Plan, any_planes
from ...epilogue import check_epilogue, epilogue_reads
from ...target import Target
from .emit import emit
from .plan import NAME, plan_depthwise
from .problem import read_depthwise


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See depthwise.h for the algorithm."""
    conv = read_depthwise(kernel)
    check_epilogue(kernel, conv.root, conv.grid, bias_of(kernel, conv))
    reads = epilogue_reads(kernel, conv.x, Dense(), conv.grid)
    return [Plan.of(NAME, plan_depthwise(conv, target), target, reads, any_planes, emit)]


ENGINE = Engine(NAME, read)
