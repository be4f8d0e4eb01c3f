"""Modules that torch writes as ONNX, by either of its exporters: the weights and integers are those of the module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tercet
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import element_of
from tercet.passes.pipeline import graph_passes, numbered, run_passes

from .helpers import assert_close, expected, floats, interpreted, torch

nn = torch.nn


def network(scheme: str) -> Any:
    torch.manual_seed(0)
    layers: list[Any] = []
    for inputs in (2, 6, 6):
        layers += [nn.Conv2d(inputs, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(216, 4))
    module = tercet.torch.prepare(module, scheme, example_inputs=(floats(2, 2, 6, 6),))
    module(floats(4, 2, 6, 6))
    return module.eval()


def write(module: Any, x: Any, path: Path, exporter: str) -> None:
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="torch.onnx needs it: pip install onnxscript")
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(  # optimized, it would fold batch norms into weights, and round these again
            module, (x,), str(path), dynamo=True, dynamic_shapes=shapes, external_data=True, optimize=False
        )
    else:
        axes = {"x": {0: "batch"}}
        torch.onnx.export(module, (x,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)


def operands(program: Program) -> list[tuple[str, ...]]:
    """Element types of what convolutions and products multiply, after all passes of the graph."""
    program = program.clone()
    run_passes(program, numbered(graph_passes()))
    products = [op for op in program.ops if isinstance(op, ConvOp | MatMulOp)]
    return [tuple(str(element_of(value)) for value in op.operands[:2]) for op in products]


@pytest.mark.check
@pytest.mark.parametrize(
    ("scheme", "exporter"),
    [("twn", "dynamo"), ("lsq4", "dynamo"), ("ternary", "dynamo"), ("twn", "torchscript"), ("ternary", "torchscript")],
)  # the older exporter loses shapes behind the autograd functions of lsq4, and fails
def test_both_exporters(scheme: str, exporter: str, tmp_path: Path) -> None:
    module, x = network(scheme), floats(3, 2, 6, 6, seed=5)
    (want,) = expected(module, (x,))
    write(module, x, tmp_path / "net.onnx", exporter)
    program = tercet.import_model(tmp_path / "net.onnx")
    (have,) = interpreted(program, (x,)).values()
    assert_close(have, want)
    assert program.batched
    direct = tercet.import_model(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert operands(program) == operands(direct)
    integers = {"twn": 0, "lsq4": 2, "ternary": 2}[scheme]
    assert sum(all("!tn" in kind for kind in kinds) for kinds in operands(direct)) == integers
