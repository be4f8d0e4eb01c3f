"""Residual blocks of ternary networks: what becomes of their shortcuts, compiled and compared with the interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import find_target
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.types import is_float, shape_of
from tercet.passes.pipeline import run_passes

CHANNELS, SIZE, BLOCKS = 12, (9, 7), 2
QONNX = "qonnx.custom_op.general"


def residual_network(shortcut: str) -> onnx.ModelProto:
    """Ternary quantizer, then blocks of conv, norm, quantizer, conv, norm, + shortcut, quantizer. shortcut: `quantized`
    adds the quantized input of a block, `float` the sums before the quantizer."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, array: np.ndarray | float) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(kind: str, operands: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, operands, [name], name=name, **attributes))
        return name

    def quantized(x: str, name: str, scale: float) -> str:
        parameters = [constant(f"{name}_{p}", v) for p, v in (("scale", scale), ("zero", 0.0), ("bits", 2.0))]
        return node("Quant", [x, *parameters], name, domain=QONNX, signed=1, narrow=1, rounding_mode="ROUND")

    def conv(x: str, name: str) -> str:
        weights = constant(f"{name}_weight", rng.choice((-0.5, 0, 0.5), (CHANNELS, CHANNELS, 3, 3)))
        y = node("Conv", [x, quantized(weights, f"{name}_ternary", 0.5)], name, kernel_shape=[3, 3], pads=[1] * 4)
        mean, variance = rng.normal(size=CHANNELS), (rng.random(CHANNELS) + 0.5) * 2 * CHANNELS
        norm = [rng.normal(size=CHANNELS), rng.normal(size=CHANNELS), mean, variance]
        return node("BatchNormalization", [y, *(constant(f"{name}_n{i}", a) for i, a in enumerate(norm))], f"{name}_n")

    sums, x = "x", quantized("x", "q", 1.0)
    for i in range(BLOCKS):
        y = conv(quantized(conv(x, f"a{i}"), f"qa{i}", 1.0), f"b{i}")
        sums = node("Add", [y, x if shortcut == "quantized" else sums], f"add{i}")
        x = quantized(sums, f"q{i}", 1.0)
    shape = [1, CHANNELS, *SIZE]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", x)]
    graph = helper.make_graph(nodes, f"residual_{shortcut}", ports[:1], ports[1:], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["quantized", "float"])
@pytest.mark.parametrize(
    "engines",
    [None, ["table"], pytest.param(["bit_sliced"], marks=pytest.mark.check), ["adder_graph"], ["dense_int8"]],
    ids=str,
)
def test_compiled_blocks(shortcut: str, engines: list[str] | None, tmp_path: Path) -> None:
    model = residual_network(shortcut)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    made = tercet.compile(path, tmp_path / "model.tercet", engines=engines)
    found = tercet.verify(made.path, path, per_layer=True, threads=2)
    assert found.ok, found


def test_shortcuts_in_the_ir() -> None:
    between: dict[str, list[bool]] = {}
    for shortcut in ("quantized", "float"):
        program = tercet.import_model(residual_network(shortcut))
        run_passes(program, stages(find_target("x86-64-v3"), list(ENGINES)))
        kernels = [op for op in program.ops if isinstance(op, KernelOp)]
        values = [value for kernel in kernels[:-1] for value in kernel.yielded if shape_of(value)[2:] == SIZE]
        between[shortcut] = [is_float(value) for value in values]
        products = [kernel for kernel in kernels if any(op.name == "tn.conv" for op in kernel.inner)]
        assert len(products) == 2 * BLOCKS
    assert not any(between["quantized"]), "no float map between layers"
    assert sum(between["float"]) == BLOCKS - 1, "one float map for every shortcut that goes on"
