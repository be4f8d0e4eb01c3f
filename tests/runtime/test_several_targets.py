"""Artifacts for several targets: what is in them, which target runs, and what commands say of it."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import emulated
import numpy as np
import onnx
import pytest
from quantized_nets import Net

import tercet
from tercet.api import opt, repetition
from tercet.backends.c.target import TARGETS, find_targets, runs_here
from tercet.backends.reference.batch import run_batch
from tercet.cli import main
from tercet.ir.errors import ArtifactError, InputError, UnsupportedError
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.stored_ir import kernel_program, read_stages, stage_programs, stored_stages
from tercet.runtime.load import c_executor
from tercet.runtime.load.binding import Library

from .c_program import PROGRAM, build_library, build_with_pkg_config, build_with_zig, fill
from .handmade import missing_tool

NAMES = ("x86-64-v4-zen5", "x86-64-v4-vnni", "x86-64-v4", "x86-64-v3-vnni", "x86-64-v3", "generic")
"""The best first."""

ALONE = ("x86-64-v4-vnni", "x86-64-v3", "generic")

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine")
needs_qemu = pytest.mark.skipif(
    missing_tool("qemu-x86_64", "cc", "pkg-config") != "", reason=missing_tool("qemu-x86_64", "cc", "pkg-config")
)
needs_cmake = pytest.mark.skipif(missing_tool("cmake", "cc") != "", reason=missing_tool("cmake", "cc"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ternary convolution between quantizers."""
    net, path = Net(), tmp_path_factory.mktemp("model") / "net.onnx"
    conv = net.conv(net.quantized("x", 0.05, np.int8), 8, 32, bits=2)
    onnx.save(net.model(net.quantized(net.node("Relu", conv), 0.5, np.uint8), ["n", 8, 8, 8]), path)
    return path


ENGINES = ("bit_sliced", "dense_int8")


@pytest.fixture(scope="module")
def several(model: Path) -> Path:
    made = tercet.compile(
        model, model.with_name("several"), target=",".join(sorted(NAMES)), engines=ENGINES, as_directory=True
    )
    assert made.target == ",".join(NAMES)
    return made.path


@pytest.fixture(scope="module")
def alone(model: Path) -> dict[str, Path]:
    """By target, the artifact for it alone."""
    paths = {name: model.with_name(f"{name}.tercet") for name in ALONE}
    return {name: tercet.compile(model, path, target=name, engines=ENGINES).path for name, path in paths.items()}


def inputs(batch: int = 3) -> np.ndarray:
    return np.random.default_rng(3).uniform(-6, 6, (batch, 8, 8, 8)).astype(np.float32)


def chosen_here() -> str:
    return next(name for name in NAMES if not runs_here(TARGETS[name]))


def outputs(path: Path) -> np.ndarray:
    (found,) = tercet.run(path, inputs()).values()
    return found


def files(path: Path) -> dict[str, bytes]:
    artifact = Artifact.open(path)
    return {name: artifact.read(name) for name in artifact.names}


# -- which targets ----------------------------------------------------------------------------------------------------


def test_what_needs_more_comes_first() -> None:
    for machine in ("x86_64", "aarch64"):
        found = find_targets(",".join(t.name for t in TARGETS.values() if t.machine in ("any", machine)))
        for i, target in enumerate(found):
            assert not any(set(later.features) > set(target.features) for later in found[i:]), target.name
    assert [target.name for target in find_targets(" generic, x86-64-v3")] == ["x86-64-v3", "generic"]


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("x86-64-v3,x86-64-v5", "unknown target 'x86-64-v5'"),
        ("x86-64-v3,", "unknown target ''"),
        ("generic,x86-64-v3,generic", "target 'generic' is named twice"),
        ("x86-64-v3,aarch64", "targets of different machines: aarch64 and x86_64"),
    ],
)
def test_targets_that_do_not_go_together(target: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        tercet.CompileOptions(target=target)


def test_all_are_tuned_or_none(model: Path) -> None:
    if not (lacking := [name for name in NAMES if runs_here(TARGETS[name])]):
        pytest.skip("this machine runs all targets")
    with pytest.raises(UnsupportedError, match=f"cannot tune for target {lacking[0]}"):
        tercet.compile(model, target=f"generic,{lacking[0]}", tune=2)


def test_passes_run_for_one_at_a_time(model: Path) -> None:
    for function in (tercet.inspect, opt):
        with pytest.raises(InputError, match="one target at a time, not for x86-64-v3, generic"):
            function(model, target="generic,x86-64-v3")


# -- what is in them --------------------------------------------------------------------------------------------------


def test_weights_that_are_packed_alike_are_stored_once(several: Path, alone: dict[str, Path]) -> None:
    artifact = Artifact.open(several)
    packed = len(artifact.read("src/weights.bin"))
    stored = {name: sum(layer.weight_bytes_stored for layer in artifact.layers_of(name)) for name in NAMES}
    parts = {name: len(Artifact.open(path).read("src/weights.bin")) for name, path in alone.items()}
    assert parts == {name: stored[name] for name in ALONE}
    assert max(stored.values()) <= packed < 0.6 * sum(stored.values())


def test_the_code_is_that_of_one_target(several: Path, alone: dict[str, Path]) -> None:
    """But for where weights lie in the definition, and the names at link level, which no file of a kernel knows."""
    have = files(several)
    for name, path in alone.items():
        for file, content in files(path).items():
            if file.startswith("src/k") or file in ("src/tercet_target.h", "layers.json"):
                at = f"layers/{name}.json" if file == "layers.json" else file.replace("src/", f"src/{name}/")
                assert have[at] == content, at
    kernels = [file for file in have if file.startswith("src/generic/k")]
    assert kernels and b"generic_k00" in have["src/generic/tercet_symbols.h"]


def test_ir_of_every_target_can_be_run(several: Path, model: Path) -> None:
    artifact, feeds = Artifact.open(several), {"x": inputs()}
    (want,) = run_batch(tercet.import_model(model), feeds).values()
    for name in NAMES:
        for program in stage_programs(artifact, read_stages(artifact, name)[-3:]):
            (have,) = run_batch(program, feeds).values()
            np.testing.assert_allclose(have, want, atol=1e-5)
    shared = {stage.file for name in NAMES for stage in read_stages(artifact, name)}
    assert len(shared) < sum(len({stage.file for stage in read_stages(artifact, name)}) for name in NAMES)


def test_the_same_again(several: Path, model: Path, tmp_path: Path) -> None:
    """As a file, in another order, with IR beside it, told stage by stage."""
    labels: list[str] = []
    path, dump = tmp_path / "zipped.tercet", tmp_path / "ir"
    tercet.compile(
        model, path, target=",".join(NAMES[::-1]), engines=ENGINES, jobs=1, dump_ir=dump,
        on_stage=lambda label, program, seconds: labels.append(label),
    )  # fmt: skip
    assert files(path) == files(several)
    np.testing.assert_array_equal(outputs(path), outputs(several))
    assert {str(found.parent.relative_to(dump)) for found in dump.rglob("program.mlir")} == set(labels[:-3])
    assert labels[-3:] == ["emit", "cc", "pack"] and "10-thresholds" in labels
    assert {f"{name}/15-select-engines" for name in NAMES} <= set(labels) and "15-select-engines" not in labels


# -- what runs --------------------------------------------------------------------------------------------------------


def test_the_best_that_the_cpu_can_run(several: Path, alone: dict[str, Path], model: Path) -> None:
    with tercet.load(several) as loaded:
        assert loaded.target == chosen_here() and loaded.layers == Artifact.open(several).layers_of(chosen_here())
    np.testing.assert_array_equal(outputs(several), outputs(alone["generic"]))
    found = tercet.verify(several, model, samples=2, per_layer=True, bisect=True)
    assert found.ok and found.target == chosen_here() and len(found.layers) == len(loaded.layers)


def test_a_cpu_that_can_run_none(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ArtifactError, match=r"made for x86_64 machines \(target generic\); this is riscv64"):
        tercet.load(several)


def test_a_library_that_runs_something_else(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_executor.Library, "target", lambda self, model: "other")
    with pytest.raises(ArtifactError, match="runs target 'other', which the manifest lacks"):
        tercet.load(several)


HAS_ALL_BUT_ONE = """\
#include "tercet_cpu.h"

#include <stdlib.h>
#include <string.h>

int tercet_cpu_has(const char *const *features) {
    for (; features && *features; features++) {
        if (!strcmp(*features, getenv("TERCET_TEST_LACKS"))) {
            return 0;
        }
    }
    return 1;
}
"""


@needs_cmake
def test_cpus_that_lack_one_feature(several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is built again from src/, with an answer for CPUs that are not at hand. `create` runs no kernel."""
    Artifact.open(several).extract(tmp_path / "copy")
    (tmp_path / "copy/src/tercet_cpu.c").write_text(HAS_ALL_BUT_ONE)
    built = build_library(tmp_path / "copy", tmp_path / "build").read_bytes()
    artifact, library = Artifact.open(several), Library(built, "net", "built again")
    for lacking in ("nothing", *dict.fromkeys(f for name in NAMES for f in TARGETS[name].features)):
        monkeypatch.setenv("TERCET_TEST_LACKS", lacking)
        created = library.create(1)
        target = library.target(created)
        assert target == next(name for name in NAMES if lacking not in TARGETS[name].features), lacking
        assert library.step_count(created) == len(artifact.layers_of(target))
        library.destroy(created)
    library.close()


# -- under qemu-user, which has neither AVX-512 nor VNNI ---------------------------------------------------------------


def program_for(artifact: Path, work: Path) -> Path:
    """A C program that is linked to an artifact, with its inputs beside it."""
    (work / "in0").write_bytes(inputs().tobytes())
    return build_with_pkg_config(artifact, work)


def run_on(cpu: str, program: Path) -> subprocess.CompletedProcess[str]:
    command = ["qemu-x86_64", "-cpu", cpu, program, "2", str(len(inputs())), program.parent]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def program(several: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program_for(several, tmp_path_factory.mktemp("program"))


@needs_qemu
@pytest.mark.parametrize("cpu", ["max", "qemu64", *(f"max,-{f}" for f in TARGETS["x86-64-v3"].features)])
def test_emulated_cpus(cpu: str, program: Path, alone: dict[str, Path]) -> None:
    done, want = run_on(cpu, program), "x86-64-v3" if cpu == "max" else "generic"
    assert (done.returncode, done.stdout) == (0, f"{want}\n"), done.stderr
    expected = outputs(alone["generic"])
    have = np.fromfile(program.parent / "out0", np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(have, expected)


@needs_qemu
def test_an_emulated_cpu_that_can_run_none(model: Path, tmp_path: Path) -> None:
    names = "x86-64-v4,x86-64-v3"
    made = tercet.compile(model, tmp_path / "m", target=names, as_directory=True, engines=ENGINES)
    program = program_for(made.path, tmp_path)
    assert run_on("max", program).stdout == "x86-64-v3\n"
    done = run_on("qemu64", program)
    assert done.returncode == 1 and "lacks a feature that the model was compiled for" in done.stderr


@pytest.mark.nightly
def test_emulated_cpus_of_another_machine(model: Path, tmp_path: Path, alone: dict[str, Path]) -> None:
    """`generic` is for the machine of the others. A Cortex-A53 has no dot products."""
    if reason := emulated.reason(TARGETS["aarch64-dotprod"]):
        pytest.skip(reason)
    names = "generic,aarch64,aarch64-dotprod"
    artifact = Artifact.open(tercet.compile(model, tmp_path / "m.tercet", target=names, engines=ENGINES).path)
    assert [(t.name, t.machine) for t in artifact.manifest.targets] == [
        ("aarch64-dotprod", "aarch64"), ("aarch64", "aarch64"), ("generic", "aarch64"),
    ]  # fmt: skip
    program = build_with_zig(artifact, fill(PROGRAM, artifact.manifest.prefix), tmp_path / "src")
    (tmp_path / "in0").write_bytes(inputs().tobytes())
    for cpu, want in (("neoverse-n1", "aarch64-dotprod"), ("cortex-a53", "aarch64")):
        command = ["qemu-aarch64", "-cpu", cpu, program, "2", str(len(inputs())), tmp_path]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{want}\n"
        have = np.fromfile(tmp_path / "out0", np.float32)
        np.testing.assert_array_equal(have, outputs(alone["generic"]).reshape(-1))


# -- what commands say ------------------------------------------------------------------------------------------------


def test_inspect_shows_one_and_names_all(several: Path, alone: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    for name in ALONE:
        found, other = tercet.inspect(several, target=name), tercet.inspect(alone[name])
        assert found.layers == other.layers and found.passes == other.passes
        assert found.text_after() == other.text_after() == stored_stages(Artifact.open(several), name)[-1][1]
        targets = [text for label, text in found.summary if label == "target"]
        assert [text.partition(";")[0] for text in targets] == list(NAMES)
        assert [text.partition(";")[0] for text in targets if text.endswith("; shown here")] == [name]
    assert tercet.inspect(several).layers == tercet.inspect(several, target=NAMES[0]).layers
    assert main(["inspect", str(several), "--target", "generic", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["cycles"] for layer in layers] == [row.cycles for row in tercet.inspect(alone["generic"]).layers]


@pytest.mark.parametrize("target", ["aarch64", "generic,x86-64-v3"])
def test_a_target_that_the_artifact_is_not_for(several: Path, target: str) -> None:
    for function in (tercet.inspect, repetition):
        with pytest.raises(InputError, match=f"the artifact is not for target '{target}'") as error:
            function(several, target=target)
        assert ", ".join(NAMES) in str(error.value)
    with pytest.raises(InputError, match="an artifact is compiled already"):
        tercet.inspect(several, target="generic", optimize="size")


def test_opt_begins_with_the_ir_for_its_target(several: Path) -> None:
    for name in NAMES:
        want = kernel_program(Artifact.open(several), name).text()
        passes = "assign-layouts,plan-memory"
        assert opt(several, passes, after="settle-engines", target=name, engines=ENGINES).text() == want


def test_bench_and_run_name_the_target(several: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    report = tercet.bench(several, against=(), repeats=1, per_layer=True)
    assert report.target == chosen_here()
    assert f"target {chosen_here()} was chosen among {', '.join(NAMES)}" in report.notes
    np.save(tmp_path / "x.npy", inputs())
    assert main(["run", str(several), "--input", str(tmp_path / "x.npy")]) == 0
    assert f"computed by target {chosen_here()}" in capsys.readouterr().out
