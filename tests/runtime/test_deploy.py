"""C programs and the artifacts they were linked to, moved, installed, and linked statically."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tercet.runtime.artifact.artifact import Artifact

from .c_program import (
    build_library,
    build_with_cmake,
    build_with_pkg_config,
    install_library,
    install_program,
    run_program,
)
from .handmade import expected, manifest, missing_tool, samples, write_artifact

needs_cmake = pytest.mark.skipif(missing_tool("cmake", "cc") != "", reason=missing_tool("cmake", "cc"))
needs_pkg_config = pytest.mark.skipif(missing_tool("pkg-config", "cc") != "", reason=missing_tool("pkg-config", "cc"))
needs_readelf = pytest.mark.skipif(missing_tool("readelf") != "", reason=missing_tool("readelf"))


def right(program: Path, work: Path) -> None:
    work.mkdir()
    feeds = samples(3)
    have = run_program(program, manifest(), feeds, work, threads=2)
    for name, want in expected(**feeds).items():
        np.testing.assert_array_equal(have[name], want)


def dynamic(file: Path, tag: str) -> list[str]:
    """What a library or program says under SONAME, NEEDED or RUNPATH."""
    shown = subprocess.run(["readelf", "-d", file], capture_output=True, text=True, check=True).stdout
    return re.findall(rf"\({tag}\).*\[(.*)\]", shown)


@needs_readelf
def test_soname(tmp_path: Path) -> None:
    assert dynamic(write_artifact(tmp_path / "tiny", as_folder=True) / "lib/libtiny.so", "SONAME") == ["libtiny.so"]


@needs_pkg_config
@needs_readelf
def test_program_and_artifact_move(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "much" / "deeper" / "new"
    artifact = write_artifact(old / "tiny", as_folder=True)
    program = build_with_pkg_config(artifact, old)
    assert "libtiny.so" in dynamic(program, "NEEDED")
    right(program, tmp_path / "before")
    shutil.copytree(old, new)
    shutil.rmtree(old)
    right(new / "program", tmp_path / "after")
    Artifact.open(new / "tiny")


@needs_pkg_config
def test_moved_packages_build_programs(tmp_path: Path) -> None:
    """The artifact moves before a program is built with it."""
    written = write_artifact(tmp_path / "written", as_folder=True)
    moved = Path(shutil.move(written, tmp_path / "moved"))
    (tmp_path / "work").mkdir()
    right(build_with_pkg_config(moved, tmp_path / "work"), tmp_path / "files")


@needs_cmake
def test_installed_program_moves(tmp_path: Path) -> None:
    """A CMake project installs its program and the library; neither needs the artifact nor the place any longer."""
    artifact, work = write_artifact(tmp_path / "tiny", as_folder=True), tmp_path / "work"
    work.mkdir()
    installed = install_program(build_with_cmake(artifact, work), tmp_path / "prefix")
    right(installed, tmp_path / "before")
    shutil.move(tmp_path / "prefix", tmp_path / "moved")
    shutil.rmtree(artifact)
    shutil.rmtree(work)
    right(tmp_path / "moved" / "bin" / "program", tmp_path / "after")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact's sources, built and installed, then moved; the artifact is gone."""
    folder = tmp_path_factory.mktemp("install")
    artifact = write_artifact(folder / "tiny", as_folder=True)
    build_library(artifact, folder / "build")
    install_library(folder / "build", folder / "first")
    for used in (artifact, folder / "build"):
        shutil.rmtree(used)
    return Path(shutil.move(folder / "first", folder / "prefix"))


@needs_cmake
def test_what_is_installed(installed: Path) -> None:
    files = sorted(str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file())
    assert files == [
        "include/tiny.h",
        "lib/cmake/tiny/tinyConfig.cmake",
        "lib/libtiny.a",
        "lib/libtiny.so",
        "lib/pkgconfig/tiny.pc",
    ]


@needs_cmake
@pytest.mark.parametrize("library", ["tiny", "static"])
def test_cmake_with_installed_libraries(installed: Path, library: str, tmp_path: Path) -> None:
    program = build_with_cmake(installed, tmp_path, library=library)
    right(program, tmp_path / "files")


@needs_cmake
@needs_pkg_config
@needs_readelf
@pytest.mark.parametrize("static", [False, True])
def test_pkg_config_with_installed_libraries(installed: Path, static: bool, tmp_path: Path) -> None:
    program = build_with_pkg_config(installed, tmp_path, static=static)
    assert dynamic(program, "NEEDED") == [] if static else "libtiny.so" in dynamic(program, "NEEDED")
    right(program, tmp_path / "files")


@needs_cmake
@pytest.mark.skipif(missing_tool("nm") != "", reason=missing_tool("nm"))
def test_a_static_library_has_public_names_only(installed: Path) -> None:
    """So two of them, each with its runtime, fit into one program."""
    command = ["nm", "--extern-only", "--defined-only", installed / "lib/libtiny.a"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in shown.splitlines() if " " in line}
    assert names and all(name.startswith(("tiny_", "__tvm_ffi_tiny_")) for name in names), names


@needs_cmake
def test_sources_need_objcopy_and_say_so(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "tiny", as_folder=True)
    done = subprocess.run(
        ["cmake", "-S", artifact / "src", "-B", tmp_path / "build", "-DCMAKE_OBJCOPY="],
        capture_output=True, text=True, env=dict(os.environ), check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "objcopy is needed for libtiny.a" in done.stderr
