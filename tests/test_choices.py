"""Choices between two maps in a kernel's epilogue, compiled as users compile: GCC 12 loads an operand that is read in
one arm alone under a mask, and computes that wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_networks import _Builder as Builder
from xdsl.ir import SSAValue

from tercet.api import compile, inspect, load
from tercet.backends.reference.interpreter import run
from tercet.ir.tn.elementwise import PReluOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.logic import CompareOp, SelectOp
from tercet.ir.types import shape_of

Root = Callable[[Builder, SSAValue], SSAValue]


def conv(b: Builder, x: SSAValue, *, ternary: bool = False) -> SSAValue:
    shape = (16, shape_of(x)[1], 3, 3)
    w = b.rng.integers(-1, 2, shape) if ternary else b.rng.normal(size=shape)
    attributes = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1}
    return b.add(ConvOp, x, b.constant("w", w.astype(np.float32)), **attributes)


def product(b: Builder, x: SSAValue, *, ternary: bool = False) -> SSAValue:
    shape = (shape_of(x)[-1], 45)
    w = b.rng.integers(-1, 2, shape) if ternary else b.rng.normal(size=shape)
    return b.add(MatMulOp, x, b.constant("w", w.astype(np.float32)))


def slopes(b: Builder, y: SSAValue, map_: SSAValue) -> SSAValue:
    return b.add(PReluOp, y, b.constant("slope", b.rng.normal(size=shape_of(y)).astype(np.float32)))


def by_map(b: Builder, y: SSAValue, map_: SSAValue) -> SSAValue:
    return b.add(SelectOp, b.add(CompareOp, map_, b.scalar(0.0), relation="ge"), y, map_)


def either(b: Builder, y: SSAValue, map_: SSAValue) -> SSAValue:
    return b.add(SelectOp, b.add(CompareOp, y, map_, relation="gt"), map_, y)


def constant(b: Builder, y: SSAValue, map_: SSAValue) -> SSAValue:
    other = b.constant("c", b.rng.normal(size=shape_of(y)).astype(np.float32))
    return b.add(SelectOp, b.add(CompareOp, y, b.scalar(0.0), relation="ge"), y, other)


@pytest.mark.parametrize("choice", [slopes, by_map, either, constant])
@pytest.mark.parametrize("ternary", [False, True], ids=["float", "ternary"])
@pytest.mark.parametrize("root", [conv, product])
def test_of_floats(root: Root, ternary: bool, choice: Callable[..., SSAValue], tmp_path: Path) -> None:
    engines = ["dense_f32", "table_f32" if root is conv else "linear_f32"] if ternary else ["dense_f32"]
    for engine in engines:
        b = Builder(3, (9, 11), np.random.default_rng(0))
        x = b.program.block.args[0]
        y = root(b, x, ternary=ternary)  # type: ignore[call-arg]
        map_ = conv(b, x) if root is conv else product(b, x)
        b.program.finish([("y", choice(b, y, map_), np.dtype(np.float32))])
        compiled = compile(b.program, tmp_path / f"{engine}.tercet", engines=[engine])
        assert engine in {row.engine for row in inspect(compiled.path).layers}
        for seed in range(4):
            feed = np.random.default_rng(seed).normal(size=(1, 3, 9, 11)).astype(np.float32)
            want = run(b.program, {"x": feed})["y"]
            with load(compiled.path) as model:
                np.testing.assert_allclose(model.run({"x": feed})["y"], want, rtol=1e-4, atol=1e-4)
