"""Whole networks: the import is equal to torch for a batch of fixed and of any size, and so is the compiled C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tercet

from .helpers import assert_close, assert_like_torch, expected, floats, interpreted, torch, trained
from .networks import ENCODERS, NETWORKS


def network(name: str) -> tuple[Any, Any]:
    """The network in evaluation mode, with parameters that keep its activations near one, and its input."""
    torch.manual_seed(0)
    make, shape = {**NETWORKS, **ENCODERS}[name]
    module = make()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            trained(part)
    return module.eval(), floats(*shape)


class FirstOf(torch.nn.Module):
    """Its outputs as a tuple."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        y = self.module(x)
        return tuple(y.values()) if isinstance(y, dict) else y


@pytest.mark.parametrize("name", [*NETWORKS, *ENCODERS])
def test_networks(name: str) -> None:
    module, x = network(name)
    assert_like_torch(FirstOf(module).eval(), x)


@pytest.mark.check
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_a_batch_of_any_size(name: str) -> None:
    module, x = network(name)
    assert_like_torch(FirstOf(module).eval(), x, dynamic=True)


@pytest.mark.check
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet-18", "ViT", "U-Net"])
def test_compiled_networks(name: str, tmp_path: Path) -> None:
    module, x = network(name)
    path = tmp_path / "model.tercet"
    made = tercet.compile(module, (x,), path)
    assert made.path == path
    (want,) = expected(module, (x,))
    (have,) = tercet.run(path, x.numpy()).values()
    assert_close(have, want)
    found = tercet.verify(path, module, (x,), samples=2)
    assert found.ok, found


def test_outputs_are_named_as_the_module_returns_them() -> None:
    module, x = network("detector")
    program = tercet.import_model(module, (x,))
    assert [port.name for port in program.outputs] == ["boxes", "scores", "best"]
    assert [port.name for port in program.inputs] == ["x"]
    assert program.outputs[2].dtype == np.int64


@pytest.mark.check
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_core_operators(name: str) -> None:
    """As torch takes programs apart by default, for other backends."""
    module, x = network(name)
    exported = torch.export.export(FirstOf(module).eval(), (x,)).run_decompositions()
    program = tercet.import_model(exported)
    for have, want in zip(interpreted(program, (x,)).values(), expected(FirstOf(module), (x,)), strict=True):
        assert_close(have, want)
