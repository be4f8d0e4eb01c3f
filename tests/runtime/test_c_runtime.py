"""The C runtime on its own: hard runs under every checker at hand, and the expansion of weights against numpy."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.runtime.packaging import C_FOLDER

from .handmade import pack_digits

HERE = Path(__file__).parent
WARNINGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror"]
WRAP = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=aligned_alloc"
PARSE = ["-fsyntax-only", "-Wconversion", "-Wpedantic"]
NO_FORK = ["20", "nofork"]


@cache
def compilers() -> tuple[str, ...]:
    """gcc and clang, as far as they are installed."""
    names = (("gcc",), ("clang", *(f"clang-{v}" for v in range(25, 13, -1))))
    found = [next((name for name in group if shutil.which(name)), None) for group in names]
    return tuple(name for name in found if name)


def build(folder: Path, *flags: str, compiler: str = "cc") -> Path:
    """The stress program; skips the test when the compiler lacks a sanitizer."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    sources = sorted(str(path) for path in C_FOLDER.glob("*.c"))
    command = [compiler, *WARNINGS, *flags, f"-I{C_FOLDER}", *sources, str(HERE / "stress.c"), "-pthread", WRAP]
    done = subprocess.run([*command, "-o", str(folder / "stress")], capture_output=True, text=True, check=False)
    if done.returncode and "-fsanitize" in " ".join(flags) and ("san" in done.stderr and "cannot find" in done.stderr):
        pytest.skip(f"{compiler} has no runtime for {' '.join(flags)}")
    assert done.returncode == 0, done.stderr
    return folder / "stress"


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address layout is too random for the thread sanitizer")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-3000:]


def test_no_warnings() -> None:
    """Not one, from any compiler here, with threads and without."""
    assert compilers()
    for compiler in compilers():
        for variant in ([], ["-DTERCET_NO_THREADS"]):
            for source in C_FOLDER.glob("*.c"):
                command = [compiler, *WARNINGS, *PARSE, *variant, str(source)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_plain(tmp_path: Path, compiler: str) -> None:
    found = next((name for name in compilers() if name.startswith(compiler)), compiler)
    check(build(tmp_path, compiler=found), "100")


def test_without_threads(tmp_path: Path) -> None:
    check(build(tmp_path, "-DTERCET_NO_THREADS"), *NO_FORK)


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_sanitizers(tmp_path: Path, sanitizer: str) -> None:
    check(build(tmp_path, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"), *NO_FORK)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_valgrind(tmp_path: Path) -> None:
    leaks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    check("valgrind", "-q", *leaks, "--error-exitcode=9", build(tmp_path), "3")


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_more_threads_than_processors(tmp_path: Path) -> None:
    processor = min(os.sched_getaffinity(0))
    check("taskset", "-c", str(processor), build(tmp_path), "50")


EXPAND = """
#include "tercet_runtime.h"

static void copy(const struct tercet_task *task) {
    memcpy(task->out[0], task->weights, 4096);
}

int expand(const struct tercet_section *sections, int count, const unsigned char *blob, unsigned char *out) {
    const struct tercet_buffer output = {TERCET_OUTPUT, 0};
    const struct tercet_step step = {copy, NULL, &output, 0, 1, 0, 0};
    const int64_t bytes = 4096;
    const struct tercet_definition definition = {
        .steps = &step, .step_count = 1, .sections = sections, .section_count = count, .blob = blob,
        .weight_bytes = bytes, .output_bytes = &bytes, .output_count = 1,
    };
    struct tercet_model *model;
    void *outputs[] = {out};
    int status = tercet_create(&definition, 1, &model);
    status = status ? status : tercet_run(model, 1, NULL, outputs, -1, NULL);
    tercet_destroy(model);
    return status;
}
"""


class Section(ctypes.Structure):
    _fields_ = [
        ("stored", ctypes.c_int64),
        ("expanded", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("radix", ctypes.c_int),
        ("group", ctypes.c_int),
        ("offset", ctypes.c_int),
    ]


@pytest.fixture(scope="module")
def expander(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("expand")
    (folder / "expand.c").write_text(EXPAND)
    sources = [*sorted(str(path) for path in C_FOLDER.glob("*.c")), str(folder / "expand.c")]
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", f"-I{C_FOLDER}", *sources, "-pthread", "-o", str(folder / "x.so")], check=True
    )
    return ctypes.CDLL(str(folder / "x.so"))


@st.composite
def constants(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int]:
    """Values or digits, radix, group, offset."""
    radix = draw(st.sampled_from([0, 2, 3]))
    count = draw(st.integers(0, 300))
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(0, radix or 256, count).astype(np.uint8)
    return values, radix, draw(st.integers(1, 9)), draw(st.integers(-200, 200))


def expanded(values: np.ndarray, radix: int, group: int, offset: int) -> np.ndarray:
    """What a kernel must see: each group of digits as one byte."""
    if radix == 0:
        return values
    padded = np.concatenate([values, np.zeros(-values.size % group, np.uint8)]).reshape(-1, group).astype(np.int64)
    return ((padded * radix ** np.arange(group)).sum(axis=1) + offset).astype(np.uint8)


@given(st.lists(constants(), max_size=4))
@settings(deadline=None)
def test_expansion(expander: ctypes.CDLL, items: list[tuple[np.ndarray, int, int, int]]) -> None:
    blob, want, sections, place = b"", np.zeros(4096, np.uint8), [], 0
    for values, radix, group, offset in items:
        result = expanded(values, radix, group, offset)
        want[place : place + result.size] = result
        sections.append(Section(len(blob), place, values.size, radix, group, offset))
        blob += values.tobytes() if radix == 0 else pack_digits(values, radix)
        place += -(-result.size // 64) * 64
    out = np.full(4096, 255, np.uint8)
    array = (Section * max(len(sections), 1))(*sections)
    assert expander.expand(array, len(sections), blob, out.ctypes.data_as(ctypes.c_void_p)) == 0
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(
    "section",
    [
        (0, 0, 1, 4, 1, 0),  # no such radix
        (0, 0, 1, 3, 0, 0),  # empty groups
        (0, 0, -1, 0, 1, 0),
        (-1, 0, 1, 0, 1, 0),
        (0, -1, 1, 0, 1, 0),
        (0, 4097, 0, 0, 1, 0),
        (0, 4000, 97, 0, 1, 0),
        (0, 4000, 97, 3, 1, 0),
        (0, 0, 2**62, 0, 1, 0),
    ],
)
def test_sections_outside_memory(expander: ctypes.CDLL, section: tuple[int, ...]) -> None:
    out = np.zeros(4096, np.uint8)
    assert expander.expand((Section * 1)(Section(*section)), 1, bytes(4096), out.ctypes.data_as(ctypes.c_void_p)) == 1
