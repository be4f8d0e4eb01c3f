"""`tercet.torch`: what it exports is what was trained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import nn

import tercet
from tercet.backends.reference import interpreter
from tercet.ir.errors import InputError

SCHEMES = [name for name in tercet.torch.SCHEMES if name not in ("float", "bitnet")]


class Lines(nn.Sequential):
    """Convolutions along one axis, as keyword spotting has them."""

    def __init__(self) -> None:
        layers = [nn.Conv1d(2, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 8, 4, 2, bias=False)]
        layers += [nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=2), nn.BatchNorm1d(8), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3))


def trained(scheme: str, *, linear: bool = True) -> nn.Module:
    """A small network after a few steps, so that batch norms, thresholds and scales are not at their start.

    linear: it has a quantized linear layer, behind a max-pooling."""
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for inputs in (2, 6, 6):
        layers += [nn.Conv2d(inputs, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    more = [nn.Linear(54, 6), nn.ReLU(), nn.Linear(6, 4)] if linear else [nn.Linear(54, 4)]
    model = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), *more)
    return after_steps(model, scheme, (8, 2, 6, 6))


def after_steps(model: nn.Module, scheme: str, shape: tuple[int, ...]) -> nn.Module:
    """shape: of a batch of inputs."""
    model = tercet.torch.prepare(model, scheme, example_inputs=(torch.zeros(shape),))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(shape)).square().mean().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("form", ["ir", "qcdq", "qonnx"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_exports_equal_the_model(scheme: str, form: str) -> None:
    model, x = trained(scheme), torch.randn(5, 2, 6, 6)
    with torch.no_grad():
        want = model(x).numpy()
    made = tercet.torch.export(model, x, form=form)  # type: ignore[call-overload]
    program = made if form == "ir" else tercet.import_model(made)
    (got,) = interpreter.run(program, {program.inputs[0].name: x.numpy()}).values()
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_convolutions_along_one_axis(scheme: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model, x = after_steps(Lines(), scheme, (4, 2, 20)), torch.randn(3, 2, 20)
    layers = [layer for _, layer in tercet.torch.quantized_layers(model)]
    assert [type(layer) for layer in layers] == [tercet.torch.Conv1d] * 2
    made = tercet.compile(model, tmp_path / "m.tercet", example_inputs=x)
    with torch.no_grad(), tercet.load(made.path) as loaded:
        (got,) = loaded.run(x.numpy()).values()
        want = model(x).numpy()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    engines = {layer.engine for layer in tercet.inspect(made.path).layers if "ternary" in layer.weights}
    assert "loops" not in engines


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("scheme", ["ternary", "lsq2", "lsq4", "ternary-n2uq2"])
def test_no_float_tensor_between_quantized_layers(scheme: str, linear: bool, tmp_path: Path) -> None:
    """Between quantized layers every step gives integers to the next, through a pooling and a reshape, too."""
    model, x = trained(scheme, linear=linear), torch.randn(1, 2, 6, 6)
    made = tercet.compile(model, tmp_path / "m.tercet", example_inputs=x)
    with torch.no_grad(), tercet.load(made.path) as loaded:
        (got,) = loaded.run(x.numpy()).values()
        want = model(x).numpy()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    layers = [layer for layer in tercet.inspect(made.path).layers if layer.engine != "convert"]
    at = [i for i, layer in enumerate(layers) if "ternary" in layer.weights or "int" in layer.weights]
    between = layers[at[0] : at[-1]]
    assert len(at) == 2 + linear and between, layers
    assert not any("float" in output for layer in between for output in layer.outputs), between


def test_weights_are_small_integers() -> None:
    made = tercet.torch.export(trained("ternary"), torch.zeros(1, 2, 6, 6), form="qcdq")
    kinds = Counter(node.op_type for node in made.graph.node)
    assert kinds["DequantizeLinear"] == 3


def test_unknown_forms() -> None:
    with pytest.raises(InputError, match="expected one of"):
        tercet.torch.export(trained("ttq"), torch.zeros(1, 2, 6, 6), form="onnx")  # type: ignore[call-overload]
