"""`torch.compile(model, backend="tercet")`: the same results, whatever tercet can or cannot compile of a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor, nn

from tercet.frontend.torch.quantizers import prepare
from tercet.integrations import torch_compile
from tercet.ir.errors import InputError


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled or said yet."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch_compile, "_said", set())
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows by one for each run of an artifact."""
    runs: list[object] = []
    run = torch_compile.LoadedModel.run

    def counted(self: torch_compile.LoadedModel, inputs: object) -> object:
        runs.append(self)
        return run(self, inputs)

    monkeypatch.setattr(torch_compile.LoadedModel, "run", counted)
    return runs


def small() -> nn.Sequential:
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 25, 3)]
    return nn.Sequential(*layers).eval()


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5 * float(want.abs().max()) + 1e-12)


def test_it_is_registered() -> None:
    (entry,) = (e for e in entry_points(group="torch_dynamo_backends") if e.name == "tercet")
    assert entry.load() is torch_compile.backend
    assert "tercet" in torch._dynamo.list_backends()


def test_a_model_is_one_artifact(computed: list[object]) -> None:
    model = small()
    compiled = torch.compile(model, backend="tercet")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(3):
            torch.manual_seed(seed)
            x = torch.randn(2, 2, 5, 5)
            close(compiled(x), model(x))
    assert len(computed) == 3 and len(set(map(id, computed))) == 1


def test_bfloat16(computed: list[object]) -> None:
    model, x = nn.Sequential(nn.Linear(6, 3), nn.ReLU()).bfloat16().eval(), torch.randn(2, 6).bfloat16()
    with torch.inference_mode():
        have, want = torch.compile(model, backend="tercet")(x), model(x)
    assert have.dtype == torch.bfloat16 and len(computed) == 1
    torch.testing.assert_close(have, want)


def test_other_shapes(computed: list[object]) -> None:
    model = small()
    compiled = torch.compile(model, backend="tercet", options={"target": "generic", "threads": 2})
    with torch.inference_mode():
        for batch in (1, 3, 7):
            x = torch.randn(batch, 2, 5, 5)
            close(compiled(x), model(x))
            close(compiled(x.transpose(2, 3)), model(x.transpose(2, 3)))  # not contiguous
    assert len(computed) == 6


def test_changed_weights_are_seen(computed: list[object]) -> None:
    model = small()
    compiled, x = torch.compile(model, backend="tercet"), torch.randn(2, 2, 5, 5)
    with torch.no_grad():
        before = compiled(x)
        for parameter in model.parameters():
            parameter.mul_(1.5)
        close(compiled(x), model(x))
        assert not torch.allclose(before, compiled(x))
        model[1].running_mean.add_(0.3)  # type: ignore[operator, union-attr]
        close(compiled(x), model(x))
    assert len(set(map(id, computed))) == 3


def test_gradients_are_torch_s(computed: list[object]) -> None:
    model = small()
    compiled, x = torch.compile(model, backend="tercet"), torch.randn(2, 2, 5, 5)
    with pytest.warns(UserWarning, match="records gradients"):
        compiled(x).sum().backward()
    got = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model(x).sum().backward()
    for one, parameter in zip(got, model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(one, parameter.grad)
    assert not computed


class Unsupported(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x).abs()


def test_what_tercet_does_not_compile_stays_with_torch(computed: list[object]) -> None:
    """One warning, which names the operator and the line of the model."""
    model = Unsupported()
    compiled = torch.compile(model, backend="tercet")
    with warnings.catch_warnings(record=True) as said, torch.no_grad():
        warnings.simplefilter("always")
        for _ in range(2):
            x = torch.randn(3, 8)
            close(compiled(x), model(x))
    (one,) = [w for w in said if issubclass(w.category, UserWarning)]
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "fft.fft" in text)
    assert "_fft_r2c" in str(one.message) and f"test_torch_compile.py:{line}" in str(one.message)
    assert not computed


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(x)
        if x.sum() > 0:
            x = x + 1
        return self.second(x), x


def test_a_break_is_reported(computed: list[object]) -> None:
    model = Branch()
    compiled = torch.compile(model, backend="tercet")
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for seed in range(4):
            torch.manual_seed(seed)
            x = torch.randn(3, 4)
            for got, want in zip(compiled(x), model(x), strict=True):
                close(got, want)
    assert [w for w in said if re.search(r"not capture the model as one graph: it stops at .*\.py:\d+", str(w.message))]
    assert len(computed) >= 8


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.add_(1)
        return x * 2


def test_a_model_that_changes_its_input() -> None:
    compiled, x = torch.compile(InPlace(), backend="tercet"), torch.zeros(3, 4)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = compiled(x)
    assert torch.equal(y, torch.full((3, 4), 2.0)) and torch.equal(x, torch.ones(3, 4))


def test_many_shapes_are_left_to_torch(computed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_compile, "MOST_ARTIFACTS", 2)
    model = nn.Sequential(nn.Linear(4, 4))
    compiled = torch.compile(model, backend="tercet")
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for batch in (2, 3, 4, 5, 6):
            x = torch.randn(batch, 4)
            close(compiled(x), model(x))
    assert [w for w in said if "more than 2 different shapes" in str(w.message)]
    assert 0 < len(computed) < 5


def test_outputs_share_memory_and_stay() -> None:
    """No copy is made of an output, and the next run does not write into it."""
    model = small()
    compiled = torch.compile(model, backend="tercet")
    with torch.no_grad():
        x = torch.randn(2, 2, 5, 5)
        first = compiled(x)
        kept = first.clone()
        compiled(torch.randn(2, 2, 5, 5))
        assert torch.equal(first, kept)
        first.add_(1)


@pytest.mark.parametrize("scheme", ["ttq", "ternary", "lsq4"])
def test_quantized_models(scheme: str, computed: list[object]) -> None:
    model = prepare(small().train(), scheme, keep=("first",), example_inputs=(torch.zeros(1, 2, 5, 5),))
    model(torch.randn(8, 2, 5, 5))
    compiled, x = torch.compile(model.eval(), backend="tercet"), torch.randn(2, 2, 5, 5)
    with torch.no_grad():
        close(compiled(x), model(x))
    assert len(computed) == 1


@pytest.mark.parametrize(("arguments", "message"), [
    ({"mode": "max-autotune"}, "has no mode 'max-autotune'"),
    ({"options": [1]}, "expected a dict, got list"),
    ({"options": {"tarjet": "generic"}}, "'tarjet' is not an option"),
    ({"options": {"threads": 0}}, "threads: expected a whole number from 1 on, got 0"),
])  # fmt: skip
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        torch_compile.backend(torch.fx.symbolic_trace(nn.Linear(2, 2)), [], **arguments)  # type: ignore[arg-type]
