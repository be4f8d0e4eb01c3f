"""Faults put in on purpose are found, and shrink."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tercet.backends.c.emit import Emitted
from tercet.backends.c.lowering import plan_memory
from tercet.backends.c.target import Target, find_target
from tercet.ir.program import Program
from tercet.ir.tn.quant import ThresholdOp
from tercet.passes.thresholds import Thresholds

from . import batch
from .batch import CompiledBatch, Run
from .graphs.diamonds import diamond
from .graphs.generate import network
from .graphs.network import Network
from .oracle import check
from .shrink import shrink
from .twins import KINDS, twin

GENERIC = find_target("generic")


@pytest.mark.check
def test_a_pass_that_changes_values_is_found_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Thresholds.apply

    def wrong(self: Thresholds, program: Program) -> bool:
        changed = plain(self, program)
        for op in program.ops:
            if isinstance(op, ThresholdOp) and op.get("step") == 1:
                table = program.array(op.thresholds)
                if table is not None and table.dtype.kind in "iu" and table.size:
                    program.weights._arrays[op.thresholds.owner.get("value")] = np.maximum(table - 1, table.min())  # type: ignore[union-attr]
        return changed

    monkeypatch.setattr(Thresholds, "apply", wrong)
    found = None
    for index in range(60):
        report = check([made := diamond(2, index)], [[GENERIC]])
        if report.failures:
            found = made, report.failures[0]
            break
    assert found is not None
    made, failure = found
    assert failure.stage.endswith("thresholds") and failure.kind == "another value"
    small = shrink(made, failure.stage, failure.kind)
    assert len(small.model.graph.node) < len(made.model.graph.node)
    assert len(small.model.graph.output) == 1
    assert check([small], [[GENERIC]]).failures


def test_buffers_that_overlap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plan_memory.place
    monkeypatch.setattr(plan_memory, "place", lambda buffers: dict.fromkeys(plain(buffers), 0))
    report = check([diamond(2, index) for index in range(8)], [[GENERIC]] * 8)
    assert report.failures


def test_a_wrong_twin_is_found() -> None:
    made = next(n for i in range(40) if (n := twin(diamond(4, i), 0)) is not None)
    assert not check([made], [[]]).failures
    for tensor in made.model.graph.initializer:
        if tensor.name.startswith("twin_c"):
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.roll(array, 1) + (array.dtype.kind == "f"), tensor.name))
    assert check([made], [[]]).failures


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_twins_of_every_kind(seed: int) -> None:
    made = [n for i in range(12) for make in (network, diamond) if (n := twin(make(6, i), seed)) is not None]
    report = check(made, [[]] * len(made))
    assert report.twins >= 8
    assert not report.failures


def test_a_read_of_memory_that_nothing_wrote_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel leaves out its first element, whose right value is 0: zeroed memory would hide that."""
    ports = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 8]), ("y", [1, 3]))]
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["y"])]
    weight = numpy_helper.from_array(np.full((8, 3), 0.25, np.float32), "w")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = Network("g", model, {"x": np.array([[-1, 1, 2, 3, 4, 5, 6, 7]], np.float32)})
    assert not check([made], [[GENERIC]]).failures
    plain, changed = batch.emit_model, []

    def shortened(program: Program, target: Target, *, compact: bool) -> Emitted:
        emitted = plain(program, target, compact=compact)
        name = next(name for name in emitted.sources if name.startswith("k00"))
        text = str(emitted.sources[name])
        changed.append(text.count("int64_t i0 = begin;"))
        return replace(emitted, sources={**emitted.sources, name: text.replace("i0 = begin;", "i0 = begin + 1;")})

    monkeypatch.setattr(batch, "emit_model", shortened)
    report = check([made], [[GENERIC]])
    assert changed == [1]
    assert [f.kind for f in report.failures] == ["another value"]


def test_code_that_crashes_ends_no_other_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [replace(network(8, i), name=f"n{i}") for i in range(3)]
    plain = CompiledBatch._native

    def crash(self: CompiledBatch, index: int, arrays: list[np.ndarray], how: Run) -> list[np.ndarray]:
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, index, arrays, how)

    monkeypatch.setattr(CompiledBatch, "_native", crash)
    report = check(made, [[GENERIC]] * 3)
    assert [f.network for f in report.failures] == ["n1"]
    assert "ends the process" in report.failures[0].kind
