"""Engines of the TVM backend equal the interpreter, for every form of convolution they take; and they are chosen."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

from kernel_case import Case, random_array
from xdsl.dialects.builtin import f32

from tercet.backends.tvm.build import compiled
from tercet.backends.tvm.engines import ENGINES, engine_of
from tercet.backends.tvm.lowering.module import lower
from tercet.backends.tvm.lowering.pipeline import OneKernelEach
from tercet.backends.tvm.package import relax, tvm
from tercet.backends.tvm.targets import NAMES, RELAX, TARGETS, find_target
from tercet.ir.host import cpu_features
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, Element, element_of, int_type, shape_of

from .helpers import compare

RUNNABLE = [name for name, target in TARGETS.items() if cpu_features().issuperset(target.features)]
SHAPES = {  # channels, outputs, height, width, kernel, stride, pads, dilation, groups
    "square": (64, 8, 10, 10, (3, 3), 1, (1, 1, 1, 1), (1, 1), 1),
    "strided, few channels": (3, 5, 9, 7, (3, 3), 2, (1, 1, 1, 1), (1, 1), 1),
    "one by one": (70, 6, 6, 5, (1, 1), 1, (0, 0, 0, 0), (1, 1), 1),
    "dilated groups": (32, 8, 8, 8, (3, 3), 1, (2, 2, 2, 2), (2, 2), 2),
    "strided without pads": (8, 4, 12, 11, (3, 2), 2, (0, 0, 0, 0), (1, 1), 1),
    "three words": (130, 12, 7, 7, (3, 3), 1, (1, 1, 1, 1), (1, 1), 1),
    "depthwise, stride 3": (4, 4, 6, 6, (5, 5), 3, (2, 2, 2, 2), (1, 1), 4),
    "other pads on each side": (5, 7, 4, 9, (2, 3), 1, (0, 2, 3, 1), (1, 2), 1),
    "one pixel": (16, 3, 1, 1, (3, 3), 1, (1, 1, 1, 1), (1, 1), 1),
}
KINDS: dict[str, tuple[Element, tuple[int, ...], str]] = {
    "ternary": (TERNARY, (-1, 0, 1), "popcount"), "binary": (BIPOLAR, (-1, 1), "popcount"),
    "{0, 1} by ternary": (BOOL, (-1, 0, 1), "popcount"), "zeros": (TERNARY, (0,), "popcount"),
    "bytes by ternary": (int_type(0, 255), (-1, 0, 1), "tile_f32"), "four bits": (int_type(-8, 7), (-3, 2), "tile_f32"),
}  # fmt: skip


def made(shape: str, element: Element, weights: np.ndarray | None, *, bias: bool = False) -> Case:
    channels, outputs, height, width, kernel, stride, pads, dilations, group = SHAPES[shape]
    case, rng = Case(shape, [((1, channels, height, width), element)]), np.random.default_rng(0)
    size = (outputs, channels // group, *kernel)
    array = rng.standard_normal(size).astype(np.float32) if weights is None else rng.choice(weights, size)
    operands = [case.inputs[0], case.constant(array)]
    if bias:
        operands.append(case.constant(rng.integers(-90, 90, outputs)))
    y = case.add(ConvOp, *operands, strides=(stride, stride), pads=pads, dilations=dilations, group=group)
    return case.returns(y)


def check(case: Case, engine: str, target: str) -> None:
    program, found = case.program.clone(), find_target(target)
    OneKernelEach().apply(program)
    assert [op.engine.data for op in program.ops if isinstance(op, KernelOp)] == [engine]
    machine = relax.VirtualMachine(compiled(lower(program, found), found), tvm.cpu())
    for seed in range(3):
        (value,) = case.inputs
        x = random_array(np.random.default_rng(seed), shape_of(value), element_of(value))
        (want,) = case.expected([x])
        compare(machine["main"](tvm.runtime.tensor(x))[0].numpy(), want, case.name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_integers(shape: str, kind: str) -> None:
    element, weights, engine = KINDS[kind]
    check(made(shape, element, np.array(weights)), engine, "native")


@pytest.mark.parametrize("shape", SHAPES)
def test_floats(shape: str) -> None:
    check(made(shape, f32, None), "tile_f32", "native")


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("kind", ["ternary", "bytes by ternary"])
def test_every_target(kind: str, target: str) -> None:
    element, weights, engine = KINDS[kind]
    check(made("strided, few channels", element, np.array(weights), bias=True), engine, target)


def test_what_no_engine_takes() -> None:
    """Sums that float32 does not hold, and weights that are computed."""
    large = made("square", int_type(-(2**20), 2**20), np.array([-100, 100]))
    (conv,) = (op for op in large.program.ops if isinstance(op, ConvOp))
    assert engine_of(conv, large.program) == "relax"
    computed = Case("computed", [((1, 4, 5, 5), TERNARY), ((2, 4, 3, 3), TERNARY)])
    window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    computed.returns(computed.add(ConvOp, *computed.inputs, **window))
    (conv,) = (op for op in computed.program.ops if isinstance(op, ConvOp))
    assert engine_of(conv, computed.program) == "relax"


def test_the_names_that_users_choose_among() -> None:
    assert (*ENGINES, RELAX) == NAMES
