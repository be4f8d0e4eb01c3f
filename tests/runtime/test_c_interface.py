"""The artifact as C programs see it: header, packages, symbols, and a rebuild from its own sources."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tercet.ir.program import Port
from tercet.ir.types import f32, int_type, tensor_type
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.packaging import interface_sources, merge_sources
from tercet.runtime.artifact.public_header import public_header
from tercet.runtime.load.binding import Library
from tercet.runtime.load.loader import load

from .c_program import build_library, build_with_cmake, build_with_pkg_config, run_program
from .handmade import INPUTS, OUTPUTS, missing_tool, samples, write_artifact

needs_cmake = pytest.mark.skipif(missing_tool("cmake", "cc") != "", reason=missing_tool("cmake", "cc"))
needs_pkg_config = pytest.mark.skipif(
    missing_tool("pkg-config", "cc") != "", reason=missing_tool("pkg-config", "cc")
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifact") / "tiny", as_folder=True)


@pytest.mark.parametrize(
    "build",
    [pytest.param(build_with_cmake, marks=needs_cmake), pytest.param(build_with_pkg_config, marks=needs_pkg_config)],
)
def test_program(folder: Path, tmp_path: Path, build: Callable[[Path, Path], Path]) -> None:
    program = build(folder, tmp_path)
    with load(folder) as model:
        for batch, threads in ((0, 1), (1, 1), (7, 2)):
            feeds = samples(batch)
            have = run_program(program, model.manifest, feeds, tmp_path, threads=threads)
            for name, want in model.run(feeds).items():
                np.testing.assert_array_equal(have[name], want)


@needs_cmake
def test_rebuild(folder: Path, tmp_path: Path) -> None:
    """The shipped sources build the library again with one command, and it computes the same."""
    rebuilt = build_library(folder, tmp_path)
    library = Library(rebuilt.read_bytes(), "tiny", "rebuilt")
    model = library.create(1)
    assert (library.step_count(model), library.arena_bytes(model), library.target(model)) == (4, 330, "generic")
    library.destroy(model)
    library.close()


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_visible_symbols(folder: Path) -> None:
    done = subprocess.run(
        ["nm", "-D", "--defined-only", folder / "lib/libtiny.so"], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    suffixes = "create run destroy target status_text input_bytes output_bytes"
    tools = "run_steps step_count threads arena arena_bytes"
    ffi = {f"__tvm_ffi_tiny_{name}" for name in ("create", "run", "destroy")}
    assert names == {f"tiny_{suffix}" for suffix in f"{suffixes} {tools}".split()} | ffi


ODD = [
    Port('a"*/ #define x\n', tensor_type((1, 3), int_type(0, 255)), np.dtype(np.uint8)),
    Port("x", tensor_type((1,), f32), np.dtype(np.float32)),
    Port("X", tensor_type((1,), f32), np.dtype(np.float32)),
    Port("x_bytes", tensor_type((1, 2, 0), int_type(-1, 1)), np.dtype(np.int64)),
    Port("日本\\", tensor_type((1, 4), int_type(0, 1)), np.dtype(np.bool_)),
]
SCALAR = [Port("s", tensor_type((), f32), np.dtype(np.float32))]
USE = """
#include "{p}.h"
static const int64_t shape[] = {P}_INPUT_X_SHAPE;
int main(void) {{
    {P}_INPUT_X_TYPE value = 1;
    return (int)(shape[0] - 1) + ({P}_INPUT_X != 1) + ({P}_INPUT_X_BYTES != 4) + ({P}_INPUTS != 5) + (value != 1);
}}
"""


@pytest.mark.parametrize(("compiler", "language"), [("cc", "c"), ("g++", "c++"), ("clang", "c")])
@pytest.mark.parametrize("name", ["odd", "*/ #error /*"])
def test_header_of_odd_names(tmp_path: Path, compiler: str, language: str, name: str) -> None:
    """Port and model names from a model cannot break out of comments or collide."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    header = public_header(name, ODD, SCALAR, batched=False)
    (macro,) = re.findall(r"#define (\w+)_INPUTS ", header)
    prefix = next(p for p in ("odd", "error") if p.upper() == macro)
    (tmp_path / f"{prefix}.h").write_text(header)
    (tmp_path / "use.c").write_text(USE.format(p=prefix, P=macro))
    standard = ["-std=c99"] if language == "c" else ["-std=c++11"]
    command = [compiler, "-x", language, *standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{tmp_path}"]
    done = subprocess.run(
        [*command, tmp_path / "use.c", "-o", tmp_path / "use"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "use"], check=False).returncode == 0


def test_header_text() -> None:
    header = public_header("tiny", INPUTS, OUTPUTS, batched=True)
    assert '/* "x": float [N, 3, 4]; float32 in the source model */' in header
    assert '/* "best": int8_t [N], values 0..4; int64 in the source model */' in header
    assert "#define TINY_OUTPUT_BEST 1\n" in header
    assert max(map(len, header.splitlines())) <= 120


def test_two_files_of_one_name() -> None:
    with pytest.raises(Exception, match=r"two C files are called 'planes\.h'"):
        merge_sources({"planes.h": ""}, interface_sources("planes", [], [], batched=True))


def test_folder_can_move(folder: Path, tmp_path: Path) -> None:
    """Packages name no place outside the artifact."""
    for name in Artifact.open(folder).names:
        assert str(folder).encode() not in (folder / name).read_bytes()
