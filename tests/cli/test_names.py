"""Names in models are free text. None reaches a terminal as an order to it, or as a line of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

NAME = "a\x1b[2J\x1b[32m\u202e\nok      everything\x9b"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names") / "m.onnx"
    save(path, "Relu")
    return path


def save(path: Path, operator: str) -> None:
    node = helper.make_node(operator, [f"{NAME}x"], [f"{NAME}y"], name=f"{NAME}node")
    ports = [helper.make_tensor_value_info(f"{NAME}{letter}", TensorProto.FLOAT, [1, 4, 4]) for letter in "xy"]
    graph = helper.make_graph([node], NAME, ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def check(text: str) -> None:
    assert all(c in "\n\t" or c.isprintable() for c in text), repr(text)
    assert "a\\x1b[2J" in text or "a__2J" in text, text
    assert not any(line.startswith("ok      everything") for line in text.splitlines()), text


def test_results(model: Path, tercet_process, tmp_path: Path) -> None:
    made = tmp_path / "m.tercet"
    assert tercet_process("compile", model, "-o", made, "-q").code == 0
    for arguments in (("inspect", made), ("inspect", model), ("verify", made, "--against", model, "--per-layer")):
        done = tercet_process(*arguments)
        assert (done.code, done.err) == (0, "")
        check(done.out)
    why = tercet_process("inspect", made, "--why", "0")
    assert why.code == 0
    check(why.out)


def test_a_verdict_cannot_be_forged(model: Path, tercet_process, tmp_path: Path) -> None:
    made, wrong = tmp_path / "m.tercet", tmp_path / "wrong.npz"
    assert tercet_process("compile", model, "-o", made, "-q").code == 0
    image = np.ones((1, 4, 4), np.float32)
    np.savez(wrong, input=image, output=np.zeros_like(image))
    done = tercet_process("verify", made, "--against", model, "--inputs", wrong)
    assert done.code == 1 and "FAILED: expected results" in done.out
    check(done.out)


def test_errors(model: Path, tercet_process, tmp_path: Path) -> None:
    save(unknown := tmp_path / "unknown.onnx", "Det")
    for arguments in (
        ("compile", unknown),
        ("compile", model, "--shape", "none=1"),
        ("inspect", model, "--op", "none"),
        ("inspect", model, "--why", "none"),
    ):
        done = tercet_process(*arguments)
        assert (done.code, done.out) == (2, "")
        check(done.err)
