"""One map read by several convolutions with borders of their own: its layout has what each of them needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_networks import _Builder as Builder
from xdsl.ir import SSAValue

from tercet.api import compile, load
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.plans import Plans
from tercet.backends.c.target import find_target
from tercet.backends.reference.interpreter import run
from tercet.driver.c_backend import choose_engines
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.kn.layout import satisfies
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.passes.pipeline import run_passes

READERS = {"padded": (3, 1, 1), "pointwise": (1, 0, 1), "wide": (5, 2, 1), "strided": (3, 1, 2)}
"""Kernel size, padding and stride of each convolution."""


def shared_map() -> Program:
    """quantize, conv, quantize, then every reader of that ternary map, each with its sums as an output."""
    b = Builder(3, (9, 7), np.random.default_rng(0))

    def conv(x: SSAValue, outputs: int, inputs: int, kernel: int, pad: int, stride: int) -> SSAValue:
        w = b.constant("w", b.rng.integers(-1, 2, (outputs, inputs, kernel, kernel)).astype(np.int8))
        w = b.add(DequantizeOp, w, b.scalar(0.5))
        return b.add(ConvOp, x, w, strides=(stride,) * 2, pads=(pad,) * 4, dilations=(1, 1), group=1)

    def ternary(x: SSAValue) -> SSAValue:
        return b.add(DequantizeOp, b.add(QuantizeOp, x, b.scalar(1.0), lo=-1, hi=1), b.scalar(1.0))

    x = ternary(conv(ternary(b.program.block.args[0]), 8, 3, 3, 1, 1))
    readers = [(name, conv(x, 6, 8, *geometry)) for name, geometry in READERS.items()]
    b.program.finish([(name, y, np.dtype(np.float32)) for name, y in readers])
    return b.program


@pytest.mark.parametrize("engine", ["table", "bit_sliced", "adder_graph"])
def test_every_reader_gets_its_border(engine: str, tmp_path: Path) -> None:
    program, target = shared_map(), find_target("native")
    lowered = program.clone()
    run_passes(lowered, stages(target, *choose_engines([engine])))
    shared = 0
    for op in lowered.ops:
        if isinstance(op, KernelOp) and op.engine.data == engine:
            requests = Plans(target, ENGINES).chosen(op, lowered.weights).reads
            for value, request in zip(op.operands, requests, strict=True):
                assert satisfies(value.type, request)
                shared = max(shared, len(list(value.uses)))
    assert shared >= 3, "no map has several readers: nothing is tested"

    x = np.random.default_rng(1).normal(size=(2, 3, 9, 7)).astype(np.float32) * 2
    compiled = compile(program, tmp_path / "shared.tercet", engines=[engine], jobs=1)
    with load(compiled.path) as model:
        got = model.run({"x": x})
    for name in READERS:
        want = np.concatenate([run(program, {"x": sample[None]})[name] for sample in x])
        np.testing.assert_array_equal(got[name], want, err_msg=name)
