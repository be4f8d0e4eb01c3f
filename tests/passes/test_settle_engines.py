"""Engines are chosen with what conversions to and from bits cost: chains stay in one layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from xdsl.ir import SSAValue

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.lowering.settle_engines import SettleEngines
from tercet.backends.c.plans import Plans
from tercet.backends.c.target import Target, find_target
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.movement import SliceOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import BIPOLAR, TERNARY, storage_dtype, tensor_type
from tercet.passes.pipeline import run_passes

AT = node_location("Test", "chain")


def conv(program: Program, x: SSAValue, channels: tuple[int, int], kernel: int, stride: int) -> SSAValue:
    rng, pad = np.random.default_rng(0), kernel // 2
    weights = rng.choice((-1, 0, 1), (channels[1], channels[0], kernel, kernel)).astype(np.int8)
    steps = np.sort(rng.integers(-9, 9, (channels[1], 2)), axis=1)
    constants = [program.constant(name, array, at=AT) for name, array in (("weight", weights), ("steps", steps))]
    pads = [pad, pad, pad + 1 - stride, pad + 1 - stride] if pad else [0] * 4
    y = ConvOp.make_typed(
        [x, constants[0].results[0]], None, at=AT, strides=[stride] * 2, pads=pads, dilations=[1, 1], group=1
    )
    t = ThresholdOp.make_typed([y.results[0], constants[1].results[0]], None, at=AT, axis=1, base=-1, step=1)
    for op in (*constants, y, t):
        program.block.add_op(op)
    return t.results[0]


def chain() -> Program:
    """Two convolutions of 3 x 3 with one of 1 x 1 and stride 2 in between."""
    program = Program.new("chain", [Port("x", tensor_type((1, 64, 28, 28), TERNARY), storage_dtype(TERNARY))])
    x = conv(program, program.block.args[0], (64, 64), 3, 1)
    x = conv(program, x, (64, 128), 1, 2)
    x = conv(program, x, (128, 128), 3, 1)
    program.finish([("y", x, storage_dtype(TERNARY))])
    program.verify()
    return program


def target(conversion: float) -> Target:
    """Where bit-sliced kernels of 1 x 1 are the fastest alone, and conversions cost so many cycles a bit."""
    made = find_target("x86-64-v4-vnni")
    costs = {name: dict(numbers) for name, numbers in made.costs.items()}
    costs["bit_sliced"] = {name: 1e-6 for name in costs["bit_sliced"]} | {"operation": 0.6, "level": 0.1, "add": 50}
    costs["popcount"]["tile"] = 60
    costs["bit_maps"] = {"pack": conversion, "unpack": conversion}
    return replace(made, costs=costs)


def engines(program: Program) -> list[str]:
    return [op.engine.data for op in program.ops if isinstance(op, KernelOp) and op.engine.data != "loops"]


CHOICE = [engine for engine in ENGINES if engine.name in ("popcount", "bit_sliced", "loops")]


@pytest.mark.parametrize(("conversion", "middle"), [(0.18, "popcount"), (1e-6, "bit_sliced")])
def test_a_kernel_between_bits_stays_in_bits(conversion: float, middle: str) -> None:
    program, before = chain(), list[str]()

    def observe(label: str, seen: Program, _: bool) -> None:
        if label.endswith("select-engines"):
            before.extend(engines(seen))

    run_passes(program, stages(target(conversion), CHOICE), observe)
    assert before == ["popcount", "bit_sliced", "popcount"]
    assert engines(program) == ["popcount", middle, "popcount"]
    conversions = sum(isinstance(op, ConvertOp) for op in program.ops)
    assert conversions == (1 if middle == "popcount" else 2)


def test_what_is_settled_stays() -> None:
    program, made = chain(), target(0.18)
    steps = stages(made, CHOICE)
    run_passes(program, [stage for stage in steps if stage.step.name not in ("tune", "assign-layouts", "plan-memory")])
    text = program.text()
    assert not SettleEngines(Plans(made, CHOICE), CHOICE).apply(program)
    assert program.text() == text


def test_empty_maps_have_no_bits() -> None:
    """Of two values, as what a split leaves of a binary map may be."""
    kind = tensor_type((1, 2, 3, 1), BIPOLAR)
    program = Program.new("empty", [Port("x", kind, storage_dtype(BIPOLAR))])
    piece = SliceOp.make(program.block.args[0], starts=[0, 0, 3, 0], sizes=[1, 2, 0, 1], steps=[1] * 4, at=AT)
    program.block.add_op(piece)
    piece_type = piece.results[0].type
    program.finish([("y", piece.results[0], storage_dtype(BIPOLAR))])
    run_passes(program, stages(find_target("x86-64-v3"), ENGINES))
    assert [str(op.results[0].type) for op in program.ops] == [str(piece_type)]
