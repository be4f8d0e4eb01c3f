"""Groups of fused operations are convex, and the checks after every pass see it when they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import Operation, SSAValue

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering import select_engines
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import TARGETS
from tercet.backends.reference import interpreter
from tercet.driver.source import import_model
from tercet.ir.errors import IRError
from tercet.ir.kn.kernel import planned_offsets
from tercet.ir.kn.memory import arena_buffers, steps_of
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AbsOp, AddOp, MaxOp, MulOp, ReluOp, SigmoidOp, SubOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.movement import ReshapeOp
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.ir.types import TERNARY, tensor_type
from tercet.passes.pipeline import graph_passes, run_passes

DATA = Path(__file__).parents[1] / "faults" / "data"
FAULTS = (
    "b_conv_bool",
    "dia_depthwise",
    "dia_int8_bn_two",
    "dia_relu_two",
    "torch_block_short_first_script",
)
TARGET = TARGETS["x86-64-v3"]

Build = Callable[["Graph", SSAValue], SSAValue]
"""One path from a value to another of its shape."""


class Graph:
    """Appends operations to a program with one input x [1, 4, 5, 5] of ternary values."""

    def __init__(self) -> None:
        kind = tensor_type((1, 4, 5, 5), TERNARY)
        self.program = Program.new("graph", [Port("x", kind, np.dtype(np.int8))])
        self.rng, self.count = np.random.default_rng(0), 0

    def add(self, kind: type, *operands: SSAValue, **attributes: object) -> SSAValue:
        self.count += 1
        op: Operation = kind.make(*operands, at=node_location(kind.name, f"n{self.count}"), **attributes)
        self.program.block.add_op(op)
        return op.results[0]

    def constant(self, array: np.ndarray | float, dtype: type = np.float32) -> SSAValue:
        self.count += 1
        op = self.program.constant(f"c{self.count}", np.asarray(array, dtype), at=node_location("Constant", "c"))
        self.program.block.add_op(op)
        return op.result

    def conv(self, x: SSAValue) -> SSAValue:
        w = self.constant(self.rng.integers(-1, 2, (4, 4, 3, 3)), np.int8)
        return self.add(ConvOp, x, w, strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), group=1)


def quantized(g: Graph, x: SSAValue) -> SSAValue:
    return g.add(QuantizeOp, x, g.constant(0.7), lo=-3, hi=3)


def floats(g: Graph, x: SSAValue, scale: float = 0.7) -> SSAValue:
    return g.add(DequantizeOp, x, g.constant(scale))


def quantizer_path(g: Graph, x: SSAValue) -> SSAValue:
    return floats(g, quantized(g, x))


def pooled_path(g: Graph, x: SSAValue) -> SSAValue:
    return g.add(MaxPoolOp, x, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))


def sigmoid_path(g: Graph, x: SSAValue) -> SSAValue:
    return g.add(SigmoidOp, x)


def conv_path(g: Graph, x: SSAValue) -> SSAValue:
    return floats(g, g.conv(quantized(g, x)), 0.1)


def relu_quantizer_path(g: Graph, x: SSAValue) -> SSAValue:
    return floats(g, g.add(QuantizeOp, g.add(ReluOp, x), g.constant(0.5), lo=0, hi=3), 0.5)


PATHS: dict[str, Build] = {
    "quantizer": quantizer_path,
    "pool": pooled_path,
    "sigmoid": sigmoid_path,
    "conv": conv_path,
    "relu and quantizer": relu_quantizer_path,
}

ROOTS: dict[str, Build] = {
    "conv": lambda g, x: floats(g, g.conv(x), 0.3),
    "matmul": lambda g, x: floats(g, g.add(MatMulOp, x, g.constant(g.rng.integers(-1, 2, (5, 5)), np.int8)), 0.3),
    "max pool": lambda g, x: floats(g, pooled_path(g, x), 0.3),
    "elementwise": lambda g, x: floats(g, x, 0.3),
    "reshape": lambda g, x: floats(g, g.add(ReshapeOp, g.add(ReshapeOp, x, shape=(1, 100)), shape=(1, 4, 5, 5))),
}

JOINS = (AddOp, SubOp, MulOp, MaxOp)


def compiled_equals_interpreter(program: Program) -> Program:
    x = np.random.default_rng(1).integers(-1, 2, (1, 4, 5, 5)).astype(np.int8)
    want = interpreter.run(program, {"x": x})
    lowered = program.clone()
    run_passes(lowered, stages(TARGET, list(ENGINES)))
    have = interpreter.run(lowered, {"x": x})
    for name, array in want.items():
        np.testing.assert_allclose(have[name], array, rtol=1e-5, atol=1e-5)
    return lowered


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("first", PATHS)
@pytest.mark.parametrize("second", PATHS)
def test_two_paths_that_meet(root: str, first: str, second: str) -> None:
    for join in JOINS:
        g = Graph()
        y = ROOTS[root](g, g.program.block.args[0])
        met = g.add(join, PATHS[first](g, y), PATHS[second](g, y))
        g.program.finish([("y", quantizer_path(g, met), np.dtype(np.float32))])
        compiled_equals_interpreter(g.program)


def test_a_ladder_whose_rungs_cross() -> None:
    """Each rung quantizes one side and adds it to the other one."""
    g = Graph()
    left = floats(g, g.conv(g.program.block.args[0]), 0.3)
    right = quantizer_path(g, left)
    for _ in range(3):
        left, right = g.add(AddOp, conv_path(g, left), right), g.add(SubOp, quantizer_path(g, left), right)
    g.program.finish([("l", left, np.dtype(np.float32)), ("r", right, np.dtype(np.float32))])
    compiled_equals_interpreter(g.program)


def test_a_quantizer_joins_its_product_where_the_second_path_does_not_come_back() -> None:
    """Convexity refuses no more than it must: the sums leave as a second result, for what reads them."""
    g = Graph()
    sums = floats(g, g.conv(g.program.block.args[0]), 0.3)
    narrow = quantized(g, sums)
    other = g.add(SigmoidOp, sums)
    outputs = [("q", narrow, np.dtype(np.int8)), ("s", other, np.dtype(np.float32))]
    g.program.finish(outputs)
    compiled_equals_interpreter(g.program)
    for step in graph_passes():
        step.apply(g.program)
    conv = next(op for op in g.program.ops if isinstance(op, ConvOp))
    group = select_engines.fusable_group(conv)
    assert [op.name for op in group] == ["tn.conv", "tn.threshold"]
    assert select_engines.results_of(group) == [conv.y, group[1].results[0]]


def test_what_lies_between_two_users_that_meet_joins_their_kernel() -> None:
    """x * sigmoid(x), and a chain of two on one way; not where something else reads from it."""
    for chain, leaks in (((SigmoidOp,), False), ((AbsOp, SigmoidOp), False), ((SigmoidOp,), True)):
        g = Graph()
        sums = floats(g, g.conv(g.program.block.args[0]), 0.3)
        value = sums
        for kind in chain:
            value = g.add(kind, value)
        outputs = [("y", g.add(MulOp, sums, value), np.dtype(np.float32))]
        g.program.finish(outputs + ([("s", value, np.dtype(np.float32))] if leaks else []))
        conv = next(op for op in g.program.ops if isinstance(op, ConvOp))
        names = [op.name for op in select_engines.fusable_group(conv)]
        together = ["tn.conv", "tn.dequantize"] + ([] if leaks else [*(kind.name for kind in chain), "tn.mul"])
        assert names == together
        compiled_equals_interpreter(g.program)


@pytest.mark.parametrize("name", FAULTS)
def test_the_check_catches_fusion_that_is_not_convex(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fusion of old, which looked at one chain and not at what leaves it, is refused by the check alone."""
    monkeypatch.setattr(select_engines, "comes_back", lambda group, user: False)
    with pytest.raises(IRError, match="before it is defined"):
        run_passes(import_model(DATA / f"{name}.onnx"), stages(TARGET, list(ENGINES)))


def lowered_diamond() -> Program:
    g = Graph()
    y = floats(g, g.conv(g.program.block.args[0]), 0.3)
    met = g.add(AddOp, conv_path(g, y), quantizer_path(g, y))
    g.program.finish([("y", met, np.dtype(np.float32))])
    run_passes(g.program, stages(TARGET, list(ENGINES)))
    return g.program


def test_the_memory_plan_is_checked() -> None:
    """A buffer placed over one that is still needed is refused, wherever it is."""
    tried = 0
    for victim, other in ((a, b) for a in range(6) for b in range(6) if a != b):
        program = lowered_diamond()
        buffers = arena_buffers(program.block)
        if max(victim, other) >= len(buffers):
            continue
        one, two = buffers[victim], buffers[other]
        if one.first <= two.last and two.first <= one.last:
            tried += 1
            move(program, one.value, two.value)
            with pytest.raises(IRError, match="overwrites a value"):
                program.verify()
    assert tried >= 2


def move(program: Program, value: SSAValue, onto: SSAValue) -> None:
    """Gives a value the arena offset of another."""
    places: dict[SSAValue, int] = {}
    for op in steps_of(program.block):
        places.update(zip(op.results, planned_offsets(op), strict=True))
    owner = value.owner
    assert isinstance(owner, Operation)
    offsets = [places[onto] if r is value else o for r, o in zip(owner.results, planned_offsets(owner), strict=True)]
    owner.properties["offsets"] = DenseArrayBase.from_list(i64, offsets)


def test_a_value_used_before_its_definition_is_named() -> None:
    g = Graph()
    y = g.add(ReluOp, floats(g, g.program.block.args[0]))
    z = g.add(SigmoidOp, y)
    g.program.finish([("z", z, np.dtype(np.float32))])
    relu = y.owner
    assert isinstance(relu, Operation) and isinstance(z.owner, Operation)
    relu.detach()
    g.program.block.insert_op_after(relu, z.owner)
    with pytest.raises(IRError, match=r"n4.*tn.sigmoid uses .*n3.* as operand 0 before it is defined"):
        g.program.verify()
