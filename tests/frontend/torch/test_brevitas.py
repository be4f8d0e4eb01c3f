"""Networks of Brevitas, exported as it exports them (QONNX) and by torch.export: both imports compute what Brevitas
does, with the same integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tercet
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import element_of, is_float, range_of
from tercet.passes.pipeline import graph_passes, numbered, run_passes

from .helpers import assert_close, expected, floats, interpreted, torch

qnn = pytest.importorskip("brevitas.nn", reason="brevitas is not installed: pip install 'tercet[qat]'")
pytest.importorskip("onnxoptimizer", reason="brevitas cannot export: pip install 'tercet[qat]'")

from brevitas import quant  # noqa: E402
from brevitas.export import export_qonnx  # noqa: E402


class IntegerPerChannelFixedPoint(quant.Int8WeightPerTensorFixedPoint):
    scaling_per_output_type = "channel"


class BinaryPerTensor(quant.SignedBinaryWeightPerTensorConst):
    scaling_const = 0.125


class BinaryPerChannel(quant.SignedBinaryWeightPerTensorConst):
    scaling_per_output_type = "channel"
    scaling_impl_type = "parameter_from_stats"
    scaling_stats_op = "ave"


class BinaryPerChannelFixedPoint(BinaryPerChannel):
    restrict_scaling_type = "power_of_two"


KINDS = {
    ("binary", False): (BinaryPerTensor, quant.SignedBinaryWeightPerTensorConst),
    ("binary", True): (BinaryPerChannelFixedPoint, BinaryPerChannel),
    ("integer", False): (quant.Int8WeightPerTensorFixedPoint, quant.Int8WeightPerTensorFloat),
    ("integer", True): (IntegerPerChannelFixedPoint, quant.Int8WeightPerChannelFloat),
}
"""Quantizers of weights, by what they give and whether each channel has a scale: with powers of two, and any scale."""


def network(bits: int, per_channel: bool) -> Any:
    """Two convolutions after some calls, which set scales. Up to the last scale torch computes integers times powers of
    two, so that no sum rounds, and no quantizer meets a value that lies elsewhere than it should."""
    torch.manual_seed(bits)
    exact, free = KINDS["binary" if bits == 1 else "integer", per_channel]
    module = torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFixedPoint, bit_width=8),
        qnn.QuantConv2d(3, 6, 3, weight_quant=exact, weight_bit_width=bits, bias=False),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFixedPoint, bit_width=4),
        qnn.QuantConv2d(6, 4, 3, weight_quant=free, weight_bit_width=bits, bias=False),
    )
    for seed in range(3):
        module(floats(2, 3, 8, 8, seed=seed))
    return module.eval()


def weight_types(module: Any) -> list[str]:
    """What the weights of both convolutions are in the program, by Brevitas's own integers."""
    found = []
    for layer in (module[1], module[3]):
        quantized = layer.quant_weight()
        codes = (quantized.value / quantized.scale).round().unique().tolist()
        found.append("!tn.set<-1,1>" if codes == [-1, 1] else f"!tn.int<{int(codes[0])}:{int(codes[-1])}>")
    return found


def integer_convolutions(program: Program) -> list[ConvOp]:
    program = program.clone()
    run_passes(program, numbered(graph_passes()))
    found = [op for op in program.ops if isinstance(op, ConvOp)]
    assert not any(is_float(value) for op in found for value in op.operands), program.text()
    return found


@pytest.mark.check
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_both_exports(bits: int, per_channel: bool, tmp_path: Path) -> None:
    module, x, path = network(bits, per_channel), floats(2, 3, 8, 8, seed=9), tmp_path / "net.onnx"
    (want,) = expected(module, (x,))
    types = weight_types(module)
    most = max(2 ** (bits - 1) - 1, 1)
    assert all(type in ("!tn.set<-1,1>", "!tn.int<-1:1>") for type in types) == (bits <= 2), types
    export_qonnx(module, args=x, export_path=str(path))
    outputs = []
    for program in (tercet.import_model(torch.export.export(module, (x,))), tercet.import_model(path)):
        (have,) = interpreted(program, (x,)).values()
        assert_close(have, want)
        found = integer_convolutions(program)
        assert [str(element_of(op.w)) for op in found] == types
        assert [str(element_of(op.x)) for op in found] == ["!tn.int<-128:127>", "!tn.int<0:15>"]
        assert all(-most <= range_of(element_of(op.w))[0] < range_of(element_of(op.w))[1] <= most for op in found)
        outputs.append(have)
    np.testing.assert_array_equal(*outputs)
