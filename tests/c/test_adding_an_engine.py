"""docs/adding-an-engine.md, followed to the letter."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from xdsl.dialects.builtin import f32

from tercet.backends.c.engine import Engine
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import all_passes
from tercet.backends.c.plans import Plans
from tercet.backends.c.target import Target
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.tn.elementwise import AddOp, ReluOp
from tercet.ir.types import int_type
from tercet.passes.pipeline import numbered, run_passes

PAGE = (Path(__file__).parents[2] / "docs/adding-an-engine.md").read_text("utf-8")


def block(name: str) -> str:
    (found,) = re.findall(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine of the page, as a module where its folder would be."""
    name = "tercet.backends.c.engines.relu"
    module = ModuleType(name)
    module.__package__ = name
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(block("engine"), "adding-an-engine.md", "exec"), module.__dict__)
    return module.ENGINE


@pytest.fixture
def target() -> Target:
    return replace(NATIVE, costs={**NATIVE.costs, **tomllib.loads(block("costs"))})


def test_it_equals_the_interpreter(engine: Engine, target: Target) -> None:
    names = {"Case": Case, "ReluOp": ReluOp, "check_engine": check_engine, "int_type": int_type, "f32": f32}
    exec(block("cases"), {**names, "ENGINE": engine, "target": target})


def relu() -> Case:
    case = Case("relu", [((2, 3, 5), int_type(-9, 9))])
    return case.returns(case.add(ReluOp, case.inputs[0]))


def test_it_is_chosen_where_it_is_cheaper_and_refuses_the_rest(engine: Engine, target: Target) -> None:
    for element, chosen in ((0.1, "relu"), (100.0, "loops")):
        costs = {**target.costs, "relu": {**target.costs["relu"], "element": element}}
        program, here = relu().program, replace(target, costs=costs)
        plans = Plans(here, [*ENGINES, engine])
        run_passes(program, numbered(all_passes(here, plans.engines, plans=plans)))
        kernels = [op for op in program.ops if isinstance(op, KernelOp)]
        assert chosen in [op.engine.data for op in kernels]
        rows = plans.all_candidates(program)[kernels[-1].symbol.data]
        assert {row["engine"] for row in rows} == {found.name for found in plans.engines}
    other = Case("sum", [((2, 3, 5), int_type(-9, 9))])
    with pytest.raises(AssertionError, match="engine relu refuses: expected one ReLU"):
        schedules_of(engine, other.returns(other.add(AddOp, other.inputs[0], other.inputs[0])), target)
