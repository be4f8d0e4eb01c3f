"""`tercet opt` makes what `tercet compile` makes, all at once and pass by pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.api import opt
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import TARGETS
from tercet.cli import main
from tercet.driver.c_backend import choose_engines
from tercet.driver.opt import read_program
from tercet.driver.options import CompileOptions
from tercet.ir.errors import InputError, IRError
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import ReluOp
from tercet.ir.types import f32, tensor_type
from tercet.passes.pipeline import run_passes

DIGITS = Path(__file__).parents[1] / "examples" / "digits" / "digits_ternary.onnx"
TARGET = "x86-64-v3"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `compile` writes."""
    folder = tmp_path_factory.mktemp("dumps")
    tercet.compile(DIGITS, folder / "d.tercet", target=TARGET, engines="loops", dump_ir=folder / "ir")
    return folder / "ir"


def test_opt_makes_the_dumps_of_compile(dumps: Path, tmp_path: Path) -> None:
    command = ["opt", str(DIGITS), "--target", TARGET, "--engine", "loops", "--verify-passes"]
    assert main([*command, "--dump-ir", str(tmp_path / "ir"), "-o", str(tmp_path / "last")]) == 0
    assert len(files_of(dumps)) == 40
    assert files_of(tmp_path / "ir") == files_of(dumps)
    assert files_of(tmp_path / "last") == files_of(dumps / "19-plan-memory")


@pytest.mark.parametrize("stage", stages(TARGETS[TARGET], *choose_engines(["loops"])), ids=lambda stage: stage.label)
def test_each_pass_alone_makes_the_next_dump(stage, dumps: Path, tmp_path: Path) -> None:
    before = next(dumps.glob(f"{stage.number - 1:02d}-*"))
    opt(before, str(stage.step), target=TARGET, engines="loops", output=tmp_path)
    assert files_of(tmp_path) == files_of(dumps / stage.label)


def test_the_command_prints_the_text(dumps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", str(dumps / "09-refine-ranges" / "program.mlir"), "-p", "thresholds"]) == 0
    assert capsys.readouterr().out == (dumps / "10-thresholds" / "program.mlir").read_text()
    assert main(["opt", str(DIGITS), "-p", "recover-quantizers,thresholds{most-levels=15}"]) == 0
    assert "tn.conv" in capsys.readouterr().out


def test_what_a_pass_lacks_is_an_error(dumps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", str(dumps / "10-thresholds"), "-p", "plan-memory"]) == 2
    assert "pass 'plan-memory' requires 'in kernels'; not so: tn.constant at" in capsys.readouterr().err
    with pytest.raises(IRError, match="pass 'canonicalize' requires 'no kernels'") as error:
        opt(dumps / "19-plan-memory", "canonicalize")
    assert not error.value.hint
    for arguments in ([dumps / "19-plan-memory"], [dumps.parent / "d.tercet", "--after", "plan-memory"]):
        assert main(["opt", *map(str, arguments)]) == 2
        assert "hint: without -p PASSES all passes run" in capsys.readouterr().err


def test_what_a_pass_does_not_keep_is_an_error(dumps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tercet.passes.fold_batch_norm import FoldBatchNorm

    monkeypatch.setattr(FoldBatchNorm, "apply", lambda self, program: False)
    opt(dumps / "05-recover-quantizers", "fold-batch-norm")
    with pytest.raises(IRError, match="pass 'fold-batch-norm' ensures 'no batch norm of constants'; not so"):
        opt(dumps / "05-recover-quantizers", "fold-batch-norm", verify_passes=True)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the IR"):
        read_program(tmp_path)
    (tmp_path / "p.mlir").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot read the IR"):
        read_program(tmp_path / "p.mlir")
    (tmp_path / "p.mlir").write_text("builtin.module {}")
    with pytest.raises(IRError, match="one function"):
        read_program(tmp_path / "p.mlir")
    with pytest.raises(InputError, match="for models"):
        read_program(tmp_path / "p.mlir", CompileOptions(batch=1))


def test_an_artifact_is_known_by_its_content(dumps: Path, tmp_path: Path) -> None:
    (tmp_path / "renamed.bin").write_bytes((dumps.parent / "d.tercet").read_bytes())
    assert read_program(tmp_path / "renamed.bin").text() == read_program(dumps.parent / "d.tercet").text()


def test_contracts_hold_on_the_way_and_wrong_ones_are_seen() -> None:
    program = Program.new("relu", [Port("x", tensor_type((1, 3), f32), np.dtype(np.float32))])
    relu = ReluOp.make(program.block.args[0])
    program.block.add_op(relu)
    program.finish([("y", relu.result, np.dtype(np.float32))])
    steps = stages(TARGETS["generic"], *choose_engines(["loops"]))
    with pytest.raises(IRError, match="pass 'assign-layouts' requires 'in kernels'"):
        run_passes(program.clone(), [stage for stage in steps if stage.name == "assign-layouts"], contracts=True)
    run_passes(program, steps, contracts=True)
