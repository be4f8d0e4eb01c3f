"""From operations to kernels: engines get the layouts they ask for, and buffers their own place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from random_networks import Network, networks
from xdsl.ir import Operation, SSAValue

from tercet.backends.c.engine import Engine, Kernel, Plan
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.lowering.select_engines import SelectEngines
from tercet.backends.c.plans import Plans
from tercet.backends.c.refusal import Refused
from tercet.backends.c.target import TARGETS
from tercet.ir.errors import UnsupportedError
from tercet.ir.kn.buffers import TAIL_BYTES
from tercet.ir.kn.kernel import ConvertOp, KernelOp, planned_offsets
from tercet.ir.kn.layout import buffer_bytes, satisfies
from tercet.ir.kn.memory import arena_bytes, live_bytes
from tercet.ir.program import Program
from tercet.passes.pipeline import run_passes

TARGET = TARGETS["x86-64-v3"]


def lowered(network: Network) -> Program:
    program = network.program.clone()
    run_passes(program, stages(TARGET, list(ENGINES)), contracts=True)
    return program


@given(networks())
@settings(max_examples=settings().max_examples // 2)
def test_kernels_get_what_they_ask_for(network: Network) -> None:
    program = lowered(network)
    inputs = set(program.block.args)
    for op in program.ops:
        assert isinstance(op, KernelOp | ConvertOp), op.name
        if not isinstance(op, KernelOp):
            continue
        requests = Plans(TARGET, ENGINES).chosen(op, program.weights).reads
        assert len(requests) == len(op.operands)
        for value, request in zip(op.operands, requests, strict=True):
            assert satisfies(value.type, request)
            assert value not in inputs or op.engine.data == "loops", "inputs end where the caller says"


@given(networks())
@settings(deadline=None)
def test_buffers_alive_together_are_apart(network: Network) -> None:
    program = lowered(network)
    ops = list(program.ops)
    alive: dict[SSAValue, tuple[int, int]] = {}
    for op in ops:
        assert len(planned_offsets(op)) == len(op.results)
        for value, offset in zip(op.results, planned_offsets(op), strict=True):
            if offset < 0:
                assert value in program.returned.operands
                continue
            alive[value] = (offset, offset + buffer_bytes(value.type) + TAIL_BYTES)
            assert alive[value][1] <= arena_bytes(program.block)
        live = [v for v in alive if _last_use(v, ops) >= ops.index(op)]
        spans = sorted(alive[v] for v in live)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert max(live_bytes(program.block), default=0) <= arena_bytes(program.block)


def _last_use(value: SSAValue, ops: list[Operation]) -> int:
    used = [ops.index(use.operation) for use in value.uses if use.operation in ops]
    owner = value.owner
    assert isinstance(owner, Operation)
    return max([ops.index(owner), *used])


def test_all_refused_operations_are_listed() -> None:
    def refuse(kernel: Kernel, target: object) -> Sequence[Plan]:
        raise Refused(f"it takes nothing ({kernel.ops[0].name})")

    nothing = Engine("nothing", refuse)

    @given(networks(max_layers=1))
    @settings(max_examples=3, deadline=None)
    def check(network: Network) -> None:
        program = network.program.clone()
        computing = {op.name for op in program.ops if op.name != "tn.constant"}
        with pytest.raises(UnsupportedError) as error:
            SelectEngines(Plans(TARGET, [nothing]), [nothing]).apply(program)
        assert all(f"({name})" in str(error.value) for name in computing)

    check()
