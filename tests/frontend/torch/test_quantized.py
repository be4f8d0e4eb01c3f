"""Quantizers as people write and export them: the passes find the integers in them, so that convolutions become integer
ones; and the program is equal to torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tercet
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import DequantizeOp
from tercet.ir.types import element_of, is_float, range_of
from tercet.passes.pipeline import graph_passes, numbered, run_passes

from .helpers import assert_close, assert_like_torch, expected, floats, interpreted, torch

nn = torch.nn
F = torch.nn.functional


def lowered(program: Program) -> Program:
    """After all passes of the graph."""
    program = program.clone()
    run_passes(program, numbered(graph_passes()))
    return program


def assert_integer(program: Program, *weights: str) -> None:
    """No convolution or product of floats is left; their weights are of these element types, in order."""
    after = lowered(program)
    products = [op for op in after.ops if isinstance(op, ConvOp | MatMulOp)]
    assert len(products) == len(weights)
    assert not any(is_float(value) for op in products for value in op.operands), after.text()
    assert [str(element_of(op.operands[1])) for op in products] == list(weights)
    assert not re.search(r"tn\.(round|clip|select)", after.text())


class FakeQuantized(nn.Module):
    """Two convolutions. A latent weight is divided by its scale, rounded, clamped and multiplied; so are activations.

    form: how; see `quantized`.
    """

    def __init__(self, form: str, lo: int = -1, hi: int = 1, levels: int = 3, zero: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.form, self.lo, self.hi = form, lo, hi
        self.first, self.second = (nn.Parameter(torch.randn(*shape)) for shape in ((8, 3, 3, 3), (4, 8, 3, 3)))
        for name, value in {"step": 0.25, "zero": zero, "bottom": 0.0, "top": float(levels)}.items():
            self.register_buffer(name, torch.tensor(value))

    def quantized(self, x: Any, scale: Any, zero: Any, lo: Any, hi: Any) -> Any:
        if self.form == "clamp first":
            return torch.round(torch.clamp(x / scale, lo, hi)) * scale
        y = torch.round(x / scale + zero)
        if self.form == "where":  # clamps by tensors, as Brevitas writes them
            hi, lo = torch.as_tensor(hi), torch.as_tensor(lo)
            y = torch.where(y > hi, hi.type_as(y), y)
            y = torch.where(y < lo, lo.type_as(y), y)
        else:
            y = torch.clamp(y, lo, hi)
        q = (y - zero) * scale
        return {
            "detach": lambda: x + (q - x).detach(),
            "detach first": lambda: (q - x).detach() + x,
            "detach minus": lambda: x - (x - q).detach(),
            "detach apart": lambda: q.detach() + x - x.detach(),
        }.get(self.form, lambda: q)()

    def weight(self, w: Any) -> Any:
        scale = w.detach().abs().mean((1, 2, 3), keepdim=True)
        return self.quantized(w, scale, 0.0, self.lo, self.hi)

    def activation(self, x: Any) -> Any:
        return self.quantized(x, self.step, self.zero, self.bottom, self.top)

    def forward(self, x: Any) -> Any:
        x = F.conv2d(self.activation(x), self.weight(self.first), padding=1)
        return F.conv2d(self.activation(F.relu(x)), self.weight(self.second))


FORMS = ("plain", "clamp first", "where", "detach", "detach first", "detach minus", "detach apart")


@pytest.mark.parametrize("form", FORMS)
def test_ternary_weights_and_two_bit_activations(form: str) -> None:
    module, x = FakeQuantized(form).eval(), floats(2, 3, 8, 8)
    program = tercet.import_model(module, (x,))
    assert_integer(program, "!tn.int<-1:1>", "!tn.int<-1:1>")
    (have,), (want,) = interpreted(program, (x,)).values(), expected(module, (x,))
    assert_close(have, want)


@pytest.mark.parametrize(("lo", "hi"), [(-1, 1), (-2, 1), (-4, 3), (-8, 7), (-127, 127)])
def test_weights_of_few_bits(lo: int, hi: int) -> None:
    module, x = FakeQuantized("plain", lo, hi).eval(), floats(1, 3, 8, 8)
    program = tercet.import_model(module, (x,))
    (have,), (want,) = interpreted(program, (x,)).values(), expected(module, (x,))
    assert_close(have, want)
    products = [op for op in lowered(program).ops if isinstance(op, ConvOp)]
    assert len(products) == 2 and not any(is_float(value) for op in products for value in op.operands)


def test_zero_points_of_activations() -> None:
    module, x = FakeQuantized("plain", levels=15, zero=4.0).eval(), floats(2, 3, 8, 8)
    program = assert_like_torch(module, x)
    assert_integer(program, "!tn.int<-1:1>", "!tn.int<-1:1>")


class Sign(nn.Module):
    """Binary weights with a scale for each filter, and signs as activations, by a function of autograd."""

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return torch.where(x >= 0, 1.0, -1.0)

        @staticmethod
        def backward(context: Any, *grads: Any) -> Any:
            return grads[0]

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(floats(6, 5))

    def forward(self, x: Any) -> Any:
        scale = self.weight.abs().mean(1, keepdim=True)
        return F.linear(self.Straight.apply(x), self.Straight.apply(self.weight) * scale)


def test_binary_weights_and_activations() -> None:
    program = assert_like_torch(Sign().eval(), floats(3, 5, seed=4))
    assert_integer(program, "!tn.set<-1,1>")


# -- PT2E -------------------------------------------------------------------------------------------------------------


def quantized_ops() -> Any:
    import torch.ao.quantization.fx._decomposed

    return torch.ops.quantized_decomposed


class Pt2e(nn.Module):
    """What convert_pt2e leaves: int8 weights, dequantized, between quantizers of activations."""

    def __init__(self, zero: int) -> None:
        super().__init__()
        self.zero = zero
        self.register_buffer("weight", (floats(6, 3, 3, 3) * 40).round().clamp(-127, 127).to(torch.int8))
        self.register_buffer("scales", floats(6, seed=1).abs() * 0.01 + 0.001)
        self.register_buffer("zeros", torch.zeros(6, dtype=torch.int64))

    def forward(self, x: Any) -> Any:
        ops = quantized_ops()
        kind = (-128, 127, torch.int8)
        x = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, 0.05, self.zero, *kind), 0.05, self.zero, *kind)
        w = ops.dequantize_per_channel(self.weight, self.scales, self.zeros, 0, *kind)
        y = F.relu(F.conv2d(x, w, padding=1))
        return ops.dequantize_per_tensor(ops.quantize_per_tensor(y, 0.1, -128, *kind), 0.1, -128, *kind)


@pytest.mark.parametrize("zero", [0, 5])
def test_pt2e(zero: int) -> None:
    quantized_ops()
    module, x = Pt2e(zero).eval(), floats(2, 3, 6, 5)
    program = tercet.import_model(module, (x,))
    (have,), (want,) = interpreted(program, (x,)).values(), expected(module, (x,))
    assert abs(have - want).max() <= 0.1 + 1e-5  # a tie may fall to either side
    assert (abs(have - want) > 1e-4).mean() < 0.01
    (conv,) = (op for op in lowered(program).ops if isinstance(op, ConvOp))
    assert not is_float(conv.x) and re.fullmatch(r"!tn\.int<-\d+:\d+>", str(element_of(conv.w)))


@pytest.mark.check
@pytest.mark.parametrize("exported", [False, True])
def test_pt2e_from_torchao(exported: bool) -> None:
    """Calibrated and converted: every convolution and product is one of integers."""
    name = "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer"
    x86 = pytest.importorskip(name, reason="torchao is not installed: pip install torchao")
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
    ]
    module, x = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 4)).eval(), floats(2, 3, 8, 8)
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(module, (x,)).module(), quantizer)
    prepared(x)
    converted = convert_pt2e(prepared)
    source = torch.export.export(converted, (x,)) if exported else converted
    program = tercet.import_model(source, None if exported else (x,))
    (have,), (want,) = interpreted(program, (x,)).values(), expected(converted, (x,))
    assert_close(have, want)
    products = [op for op in lowered(program).ops if isinstance(op, ConvOp | MatMulOp)]
    assert len(products) == 3 and not any(is_float(value) for op in products for value in op.operands)


# -- torchao ----------------------------------------------------------------------------------------------------------


@pytest.mark.check
@pytest.mark.parametrize("group", [0, 32])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_torchao(bits: int, group: int, tmp_path: Path) -> None:
    """The module's tensor subclasses come apart; weights with a scale for each output are integers."""
    ao = pytest.importorskip("torchao.quantization", reason="torchao is not installed: pip install torchao")
    from torchao.quantization.granularity import PerAxis, PerGroup

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 8)).eval()
    kind = ao.IntxWeightOnlyConfig(
        weight_dtype=getattr(torch, f"int{bits}"), granularity=PerGroup(group) if group else PerAxis(0)
    )
    ao.quantize_(module, kind, lambda part, name: name == "0")
    x = floats(2, 64)
    program = assert_like_torch(module, x)
    compiled = tercet.compile(module, (x,), tmp_path / "quantized.tercet")
    (have,) = tercet.run(compiled.path, x.numpy()).values()
    assert_close(have, expected(module, (x,))[0])
    found = [op for op in program.ops if isinstance(op, DequantizeOp)]
    if not group:
        (weights,) = found
        lo, hi = range_of(element_of(weights.q))
        assert -(2 ** (bits - 1)) <= lo < 0 < hi < 2 ** (bits - 1)
