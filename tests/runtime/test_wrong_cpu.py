"""CPUs that cannot run a model: `create` says so, whatever it lacks, before an instruction that the CPU does not have.

Programs run under qemu-user, which can leave out a CPU's features one by one.
"""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
from pathlib import Path

import emulated
import numpy as np
import pytest

from tercet.api import compile
from tercet.backends.c.target import TARGETS, Target
from tercet.backends.c.toolchain import compile_shared
from tercet.ir.errors import ArtifactError
from tercet.ir.host import cpu_features
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.packaging import C_FOLDER, runtime_sources
from tercet.runtime.load.binding import Library

from .c_program import build_with_pkg_config, build_with_zig
from .handmade import missing_tool

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
WRONG_CPU = "lacks a feature that the model was compiled for"
V3, V3_VNNI, V4 = (TARGETS[name] for name in ("x86-64-v3", "x86-64-v3-vnni", "x86-64-v4"))
LACKING = "qemu64"
"""A CPU of the first 64-bit kind: no AVX, no BMI."""

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine")
needs_qemu = pytest.mark.skipif(
    missing_tool("qemu-x86_64", "cc", "pkg-config") != "", reason=missing_tool("qemu-x86_64", "cc", "pkg-config")
)


def x86_program(target: str, folder: Path) -> Path:
    """The digits model for a target, and a C program that runs it on one sample of zeros."""
    compile(DIGITS, folder / "digits", target=target, as_directory=True)
    (folder / "in0").write_bytes(bytes(4 * 64))
    return build_with_pkg_config(folder / "digits", folder)


def run_on(cpu: str, program: Path) -> subprocess.CompletedProcess[str]:
    command = ["qemu-x86_64", "-cpu", cpu, program, "2", "1", program.parent]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def v3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return x86_program("x86-64-v3", tmp_path_factory.mktemp("v3"))


@on_x86
@needs_qemu
def test_a_cpu_that_has_everything(v3: Path) -> None:
    done = run_on("max", v3)
    assert done.returncode == 0, done.stderr
    emulated_logits = np.fromfile(v3.parent / "out0", np.float32)
    assert emulated_logits.shape == (10,) and np.ptp(emulated_logits) > 0


@on_x86
@needs_qemu
@pytest.mark.parametrize("cpu", [LACKING, *(f"max,-{feature}" for feature in V3.features)])
def test_cpus_that_lack_one_feature(v3: Path, cpu: str) -> None:
    done = run_on(cpu, v3)
    assert done.returncode == 1 and WRONG_CPU in done.stderr, (done.returncode, done.stderr)


@on_x86
@needs_qemu
@pytest.mark.parametrize("target", [V3_VNNI, V4], ids=lambda t: t.name)
@pytest.mark.parametrize("cpu", ["max", LACKING])
def test_targets_that_the_emulator_lacks(target: Target, cpu: str, tmp_path: Path) -> None:
    """It has neither AVX-512 nor VNNI."""
    done = run_on(cpu, x86_program(target.name, tmp_path))
    assert done.returncode == 1 and WRONG_CPU in done.stderr, (done.returncode, done.stderr)


@pytest.mark.nightly
def test_dot_products_of_aarch64(tmp_path: Path) -> None:
    """Code for CPUs with dot products, on a Neoverse N1 and on a Cortex-A53, which has none."""
    target = TARGETS["aarch64-dotprod"]
    if reason := emulated.reason(target):
        pytest.skip(reason)
    artifact = Artifact.open(compile(DIGITS, tmp_path / "digits.tercet", target=target.name).path)
    program = build_with_zig(artifact, emulated.MAIN.read_text(), tmp_path / "src")
    status = {}
    for cpu in ("neoverse-n1", "cortex-a53"):
        command = ["qemu-aarch64", "-cpu", cpu, program, "1", "1"]
        status[cpu] = subprocess.run(command, input=bytes(4 * 64), capture_output=True, check=False).returncode
    assert status == {"neoverse-n1": 0, "cortex-a53": 4}


@on_x86
def test_features_are_those_that_the_system_lists(tmp_path: Path) -> None:
    sources = {name: text for name, text in runtime_sources().items() if name.startswith("tercet_cpu")}
    path = compile_shared({**sources, "visible.c": VISIBLE}, tmp_path)
    has = ctypes.CDLL(str(path)).visible
    known = x86_names()
    assert {name for name in known if has((ctypes.c_char_p * 2)(name.encode(), None))} == known & cpu_features()
    assert not has((ctypes.c_char_p * 2)(b"warp9", None))
    assert has(None) and has((ctypes.c_char_p * 1)(None))


VISIBLE = """
#include "tercet_cpu.h"
__attribute__((visibility("default"))) int visible(const char *const *features) { return tercet_cpu_has(features); }
"""


def x86_names() -> set[str]:
    x86, _, _ = (C_FOLDER / "tercet_cpu.c").read_text().partition("__aarch64__")
    return set(re.findall(r'^    \{"(\w+)", ', x86, re.MULTILINE))


def test_every_feature_of_every_target_is_known() -> None:
    _, _, arm = (C_FOLDER / "tercet_cpu.c").read_text().partition("__aarch64__")
    known = {"x86_64": x86_names(), "aarch64": set(re.findall(r'^    \{"(\w+)", ', arm, re.MULTILINE)), "any": set()}
    for target in TARGETS.values():
        assert set(target.features) <= known[target.machine], target.name


def test_the_status_in_python(tmp_path: Path) -> None:
    """What Python makes of it, should the manifest's features not tell first."""
    artifact = Artifact.open(compile(DIGITS, tmp_path / "digits.tercet").path)
    library = Library(artifact.read(artifact.manifest.library), artifact.manifest.prefix, "file")
    with pytest.raises(ArtifactError, match=WRONG_CPU):
        library.check(4)
    library.close()
