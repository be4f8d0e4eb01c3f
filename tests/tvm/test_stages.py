"""The stages that the TVM backend has after the passes: where they can be seen, and what is said where they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

import tercet
from tercet.api import stage_labels
from tercet.cli import main
from tercet.ir.errors import InputError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
TVM = ("--backend", "tvm")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tvm") / "digits.tercet"
    tercet.compile(DIGITS, path, backend="tvm")
    return path


def test_a_model_has_the_stages_of_its_artifact(artifact: Path) -> None:
    model, made = tercet.inspect(DIGITS, backend="tvm"), tercet.inspect(artifact)
    assert model.passes == made.passes == stage_labels(backend="tvm")
    for name in ("tvm-relax", "16"):
        assert model.text_after(name) == made.text_after(name) and "@I.ir_module" in made.text_after(name)
    assert model.diff("tvm-fused").startswith("--- after 15-tvm-relax\n+++ after 16-tvm-fused\n")
    assert stage_labels(backend="tvm", tuned=True)[-1] == "17-tvm-tuned"


def test_they_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compile", str(DIGITS), "-o", str(tmp_path / "x.tercet"), *TVM]
    assert main([*command, "--print-ir-after", "tvm-fused", "--print-ir-after", "one-kernel-each"]) == 0
    out = capsys.readouterr().out
    assert out.index("// IR after 14-one-kernel-each\n") < out.index("# after 16-tvm-fused\n# from tvm.script import")
    assert "# after 15-tvm-relax" not in out
    assert main([*command, "--print-ir-after", "all"]) == 0
    out = capsys.readouterr().out
    assert all(f"after {label}\n" in out for label in stage_labels(backend="tvm"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compile", "MODEL", *TVM, "--print-ir-after", "tvm-foo"], "hint: passes: 00-import, "),
        (["compile", "MODEL", *TVM, "--print-ir-after", "tvm-foo"], "16-tvm-fused\n"),
        (["compile", "MODEL", *TVM, "--print-ir-after", "tvm-tuned"], "`compile --backend tvm --tune` has it"),
        (["compile", "MODEL", "--print-ir-after", "tvm-fused"], "--backend tvm has it; passes: "),
        (["inspect", "MODEL", *TVM, "--after", "tvm-tuned"], "`compile --backend tvm --tune` has it"),
        (["inspect", "ARTIFACT", "--after", "17-tvm-tuned"], "`compile --backend tvm --tune` has it"),
        (["inspect", "MODEL", *TVM, "--op", "conv1", "--after", "16"], "after '16-tvm-fused' there are no operations"),
        (["opt", "ARTIFACT", "--after", "tvm-fused"], "after '16-tvm-fused' there are no operations of tercet\n"),
        (["export", "ARTIFACT", "--after", "15", "--onnx", "x.onnx"], "after '15-tvm-relax' there are no operations"),
    ],
)
def test_what_is_said(
    words: list[str], message: str, artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([{"MODEL": str(DIGITS), "ARTIFACT": str(artifact)}.get(word, word) for word in words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_tvm_cannot_compile_is_inspected_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tercet.backends.tvm.lowering.rules import RULES

    monkeypatch.setattr("tercet.backends.tvm.lowering.module.RULES", dict(list(RULES.items())[:3]))
    found = tercet.inspect(DIGITS, backend="tvm")
    assert found.passes[-1] == "14-one-kernel-each"
    with pytest.raises(InputError, match="--backend tvm has it"):
        found.text_after("tvm-relax")
    assert capfd.readouterr().err == ""  # TVM warns of functions that are left half done
