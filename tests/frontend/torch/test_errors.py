"""What is not compiled, and what does not fit, is said with the module's path and the line of the user's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tercet
from tercet.ir.errors import InputError, ModelError, UnsupportedError
from tercet.ir.locations import source_names

from .helpers import assert_like_torch, floats, module_of, torch

nn = torch.nn
HERE = __file__


class Odd(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.fft.rfft(x).real  # this line


class Sorted(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.sort(-1)[0]  # that line


def line_of(comment: str) -> int:
    lines = Path(HERE).read_text().splitlines()
    return 1 + next(i for i, line in enumerate(lines) if line.endswith(f"# {comment}"))


def message(module: Any, *inputs: Any, **options: Any) -> str:
    with pytest.raises(UnsupportedError) as caught:
        tercet.import_model(module.eval(), inputs, **options)
    return str(caught.value)


def test_all_unsupported_operators_are_in_one_error() -> None:
    text = message(nn.Sequential(nn.Linear(4, 4), Sorted(), nn.ReLU(), Odd()), floats(2, 4))
    assert "things are not supported" in text
    assert f"node '1' (sort) at {HERE}:{line_of('that line')}: operator aten.sort is not supported" in text
    assert f"at {HERE}:{line_of('this line')}: operator aten._fft_r2c is not supported" in text


def test_the_same_problem_is_named_once_with_its_lines() -> None:
    text = message(nn.Sequential(Sorted(), nn.ReLU(), Sorted()), floats(2, 4))
    at = f"{HERE}:{line_of('that line')}"
    assert f"2 nodes (sort): operator aten.sort is not supported: '0' at {at}, '2' at {at}" in text


def test_names_lead_back_to_modules() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"inner": nn.ReLU()})["inner"], nn.Linear(4, 2)).eval()
    program = tercet.import_model(module, (floats(1, 4),))
    names = [name for op in program.ops for name in source_names(op.location)]
    assert list(dict.fromkeys(names)) == ["linear:0", "relu:1", "linear:2"]
    shared = nn.ReLU()
    twice = nn.Sequential(shared, nn.Linear(4, 4), shared).eval()
    names = [name for op in tercet.import_model(twice, (floats(1, 4),)).ops for name in source_names(op.location)]
    assert len(set(names)) == 3


@pytest.mark.parametrize("part", ["", "1"])
def test_training_mode(part: str) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).eval()
    module.get_submodule(part).train()
    with pytest.raises(InputError, match=r"training mode.*\n.*call module.eval\(\) first"):
        tercet.import_model(module, (floats(1, 4),))


def test_programs_that_were_exported_in_training_mode() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    exported = torch.export.export(module, (floats(2, 3, 5, 5),))
    with pytest.raises(UnsupportedError, match=r"training mode is not supported.*module\.eval\(\)"):
        tercet.import_model(exported)


def test_state_between_calls() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count += 1
            return x + self.count

    assert "buffer 'count': a call changes it" in message(Counter(), floats(1, 2))


class Clamped(nn.Module):
    """Clamps its weights in every call, which changes nothing after the first one."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([-most, 0.5, most]))

    def forward(self, x: Any) -> Any:
        self.weights.clamp_(-1, 1)
        return x * self.weights


def test_state_that_a_call_leaves_as_it_is() -> None:
    program = assert_like_torch(Clamped(1.0).eval(), floats(2, 3))
    assert program.text().count("tn.constant") == 1 and "tn.clip" not in program.text()
    assert "buffer 'weights': a call changes it" in message(Clamped(2.0).eval(), floats(2, 3))


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        (None, "needs example inputs"),
        ("text", "expected a tensor, a tuple or a dict of arguments, got str"),
        (3, "expected a tensor, a tuple or a dict of arguments, got int"),
    ],
)
def test_example_inputs_are_checked(inputs: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        tercet.import_model(nn.Linear(4, 2).eval(), example_inputs=inputs)


@pytest.mark.parametrize("inputs", [(floats(2, 5),), (floats(2, 4), floats(2, 4)), {"y": floats(2, 4)}])
def test_example_inputs_that_the_module_does_not_take(inputs: Any) -> None:
    with pytest.raises(ModelError, match=r"torch\.export cannot export the module"):
        tercet.import_model(nn.Linear(4, 2).eval(), inputs)


def test_example_inputs_by_name_and_one_tensor() -> None:
    for inputs in ({"input": floats(2, 4)}, floats(2, 4), [floats(2, 4)]):
        (port,) = tercet.import_model(nn.Linear(4, 2).eval(), inputs).inputs
        assert (port.name, port.shape) == ("input", (2, 4))


def test_example_inputs_are_for_modules(tmp_path: Path) -> None:
    exported = torch.export.export(nn.Linear(4, 2).eval(), (floats(2, 4),))
    with pytest.raises(InputError, match="are for modules"):
        tercet.import_model(exported, (floats(2, 4),))
    with pytest.raises(InputError, match="example_inputs is not for"):
        tercet.compile("model.onnx", (floats(2, 4),))
    with pytest.raises(InputError, match="the output: given twice"):
        tercet.compile(exported, "a.tercet", output="b.tercet")


def test_weights_without_numbers() -> None:
    module = nn.Linear(4, 2, device="meta").eval()
    with pytest.raises(UnsupportedError, match=r"constant 'weight': is on the device 'meta'"):
        tercet.compile(module, (torch.zeros(1, 4, device="meta"),))


def test_an_archive_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 2).eval(), (floats(1, 4),)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="the archive is damaged"):
        tercet.import_model(path)


def test_other_objects() -> None:
    with pytest.raises(InputError, match=r"expected a model, got builtins.dict\n.*torch module"):
        tercet.import_model({})  # pyright: ignore[reportArgumentType]


def test_control_flow_that_depends_on_values() -> None:
    with pytest.raises(ModelError, match=r"torch\.export cannot export the module"):
        tercet.import_model(module_of(lambda x: x if x.sum() > 0 else -x), (floats(2),))


def test_samples_that_are_mixed() -> None:
    shapes = (({0: torch.export.Dim("batch")},),)
    text = message(module_of(lambda x: x - x.mean(0)), floats(2, 4), dynamic_shapes=shapes)
    assert "reduces the batch axis" in text and "batch=N" in text
    program = tercet.import_model(module_of(lambda x: x - x.mean(0)), (floats(2, 4),), dynamic_shapes=shapes, batch=5)
    assert [port.shape for port in program.inputs] == [(5, 4)] and not program.batched
    text = message(module_of(lambda x: x.reshape(1, -1)), floats(2, 4), dynamic_shapes=shapes)
    assert "it mixes the samples of the batch" in text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * x.size(0), "it computes with the size of the batch"),
        (lambda x: x / x.numel(), "it computes with the size of the batch"),
        (lambda x: x + torch.arange(x.size(0))[:, None], "it computes with the size of the batch"),
        (lambda x: x + torch.zeros(64, 4)[: x.size(0)], "it computes with the size of the batch"),
        (lambda x: x * torch.ones(x.size(0)).sum(), "does not keep the batch as leading axis"),
        (lambda x: torch.ones(x.size(0), x.size(0)) @ x, "it mixes the samples of the batch"),
    ],
)
def test_the_size_of_an_open_batch_is_no_number(function: Any, reason: str) -> None:
    """A program of one sample would take it for 1."""
    shapes = (({0: torch.export.Dim("batch", max=64)},),)
    text = message(module_of(function), floats(2, 4), dynamic_shapes=shapes)
    assert reason in text and "batch=N" in text
    program = tercet.import_model(module_of(function), (floats(2, 4),), dynamic_shapes=shapes, batch=5)
    assert not program.batched


def test_shapes_may_have_the_size_of_an_open_batch() -> None:
    token = floats(1, 2)
    assert_like_torch(module_of(lambda x: torch.cat([token.expand(x.size(0), -1), x], 1)), floats(3, 4), dynamic=True)
    assert_like_torch(
        module_of(lambda x: torch.cat([x.new_full((x.shape[0], 1), 2), x], 1)), floats(3, 4), dynamic=True
    )


def test_sizes_other_than_the_batch() -> None:
    shapes = (({0: torch.export.Dim("batch"), 2: torch.export.Dim("length")},),)
    module, x = module_of(lambda x: x.flatten(1)), floats(2, 3, 5)
    assert "is not known" in message(module, x, dynamic_shapes=shapes)
    program = tercet.import_model(module, (x,), dynamic_shapes=shapes, shapes={"inputs_0": (-1, 3, 7)})
    assert [(p.name, p.shape) for p in (*program.inputs, *program.outputs)] == [
        ("inputs_0", (1, 3, 7)), ("output", (1, 21)),
    ]  # fmt: skip


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch')")
    (tmp_path / "model.pt2").write_bytes(b"PK\x03\x04")
    script = "import tercet\ntry:\n    tercet.import_model('model.pt2')\nexcept tercet.TercetError as e:\n    print(e)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "PyTorch is not installed\n  hint: pip install 'tercet[torch]'\n", done.stderr


def test_torch_is_imported_only_for_its_models(tmp_path: Path) -> None:
    script = (
        "import sys, tercet\nfor name in ('model.onnx', 'model.tercet'):\n    try:\n        tercet.inspect(name)\n"
        "    except tercet.TercetError: pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
