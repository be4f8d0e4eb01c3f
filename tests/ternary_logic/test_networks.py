"""Whole networks as netlists: what they compute is what the interpreter does, in every coding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import Network, networks
from xdsl.ir import Operation, SSAValue

from tercet.api import opt
from tercet.backends.reference.interpreter import run
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS, TERNARY
from tercet.backends.ternary_logic.lowering.graph import MappedProgram, encoded, map_program
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.simulate import simulate
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import is_float
from tercet.passes.pipeline import numbered, run_passes

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
PASSES = ",".join(str(step) for step in gate_passes())


@cache
def digits() -> Program:
    return opt(DIGITS / "digits_ternary.onnx", PASSES)


def values_of(program: Program, feeds: Mapping[str, np.ndarray]) -> dict[SSAValue, np.ndarray]:
    """Every integer value of a program, [*shape, samples], as the interpreter has it."""
    found: dict[SSAValue, list[np.ndarray]] = {}

    def see(op: Operation, results: list[np.ndarray]) -> None:
        for value, array in zip(op.results, results, strict=True):
            found.setdefault(value, []).append(array)

    samples = len(next(iter(feeds.values())))
    for i in range(samples):
        run(program, {name: array[i : i + 1] for name, array in feeds.items()}, trace=see)
    return {value: np.stack(arrays, axis=-1) for value, arrays in found.items()}


def assert_as_interpreted(program: Program, coding: str, values: Mapping[SSAValue, np.ndarray]) -> MappedProgram:
    code = CODINGS[coding]
    library = read_library("nangate45-like" if code.digits == BINARY else "cntfet32-static")
    mapped = map_program(program, library, code)
    have = simulate(mapped.netlist, encoded(mapped, values))
    for name, (value, form) in mapped.outputs.items():
        np.testing.assert_array_equal(form.decode(have[name]), values[value])
    assert sum(sum(counts.values()) for counts in mapped.gates.values()) == mapped.netlist.gates
    return mapped


@pytest.mark.check
@pytest.mark.parametrize("coding", CODINGS)
def test_the_demo_network_classifies_as_the_artifact_does(coding: str) -> None:
    program, data = digits(), np.load(DIGITS / "digits_test.npz")
    values = values_of(program, {"image": data["image"]})
    mapped = assert_as_interpreted(program, coding, values)
    reasons = [str(one) for one in mapped.unmapped]
    assert reasons == [
        "node 'image.quantize' (QuantizeLinear): it works on floats", "node 'fc2' (Gemm): it works on floats",
        "node 'fc2.add_bias' (Add): it works on floats",
    ]  # fmt: skip
    ((sums, _),) = mapped.outputs.values()
    scale, bias = (program.array(user.operands[1]) for user in _tail(sums))
    assert scale is not None and bias is not None
    logits = values[sums][0].T * scale + bias
    np.testing.assert_allclose(logits, data["logits"], rtol=1e-5, atol=1e-5)
    assert (logits.argmax(1) == data["label"]).sum() == 355


def _tail(sums: SSAValue) -> list[Any]:
    """The operations on floats behind the last sums: their scale, then the bias."""
    (dequantize,) = {use.operation for use in sums.uses}
    (add,) = {use.operation for use in dequantize.results[0].uses}
    return [dequantize, add]


@pytest.mark.check
@given(st.sampled_from(list(CODINGS)), networks())
def test_random_networks(coding: str, network: Network) -> None:
    program = network.program.clone()
    run_passes(program, numbered(gate_passes()))
    x = np.concatenate([network.x] * 3)[:6]
    values = values_of(program, {"x": np.concatenate([x, -x, np.zeros_like(x), 100 * x, -100 * x])})
    mapped = assert_as_interpreted(program, coding, values)
    outside = {one.operation for one in mapped.unmapped}
    for op in program.ops:
        of_integers = op.operands and not any(is_float(value) for value in (*op.operands, *op.results))
        assert not of_integers or op not in outside or "border" in str(mapped.unmapped)
        if isinstance(op, ConvOp | MatMulOp) and of_integers and op in mapped.gates:
            assert np.any(program.array(op.operands[1])) or not mapped.gates[op]


@pytest.mark.check
def test_an_inverter_is_shared() -> None:
    for block in map_program(digits(), read_library("cntfet32-static"), TERNARY).netlist.blocks:
        if block.cell.inputs == 1:
            assert len(np.unique(block.inputs)) == block.inputs.size
    with pytest.raises(ValueError, match="ternary needs balanced ternary cells, nangate45-like has binary"):
        map_program(digits(), read_library("nangate45-like"), TERNARY)
