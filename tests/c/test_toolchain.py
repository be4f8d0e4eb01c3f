"""Finding a compiler, its flags' float semantics, errors that help, and libraries that are the same byte for byte."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tercet.backends.c import toolchain
from tercet.backends.c.target import TARGETS, Target, find_target
from tercet.backends.c.toolchain import OBJECTS, Compiler, compile_shared, find_compiler, target_flags
from tercet.ir.errors import ToolchainError

PUBLIC = '__attribute__((visibility("default"))) '


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TERCET_CC", "CC"):
        monkeypatch.delenv(variable, raising=False)


def test_finds_a_compiler_and_its_version() -> None:
    compiler = find_compiler()
    assert compiler.name in ("gcc", "clang", "zig") and any(c.isdigit() for c in compiler.version)


def test_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    path = shutil.which("gcc") or pytest.skip("no gcc")
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("TERCET_CC", f"{path} -pipe")
    assert find_compiler().argv == (path, "-pipe")


def test_a_command_with_an_open_quote_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc 'x")
    with pytest.raises(ToolchainError, match=r"^\$CC: cannot read the command .*: No closing quotation$"):
        find_compiler()


def test_environment_is_not_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERCET_CC", f"true; touch {tmp_path}/x")
    with pytest.raises(ToolchainError):
        find_compiler()
    assert not (tmp_path / "x").exists()


def test_none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="ziglang"):
        find_compiler()


def test_another_machine_needs_a_cross_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="no C compiler for riscv64 found: `pip install ziglang`"):
        find_compiler(Target("riscv", "riscv64", 16, 32))


def test_zig_compiles_for_another_machine(tmp_path: Path) -> None:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    target = TARGETS["aarch64"]
    compiler = find_compiler(target)
    assert compiler.argv[:4] == (sys.executable, "-m", "ziglang", "cc") and compiler.name == "zig"
    flags, out = target_flags(target, compiler), tmp_path / "out"
    path = compile_shared({"a.c": PUBLIC + "int f(void) { return 1; }"}, out, flags, compiler=compiler)
    assert path.read_bytes()[18:20] == b"\xb7\x00"  # EM_AARCH64


def test_flags_carry_the_target() -> None:
    target = TARGETS["x86-64-v3"]
    assert target_flags(target, Compiler(("cc",), "gcc", "")) == ("-march=x86-64-v3", "-DTERCET_VECTOR_BYTES=32")
    assert target_flags(target, Compiler(("zig",), "zig", ""))[0] == "-mcpu=x86_64_v3"


@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("generic", "baseline"),
        ("x86-64-v3-vnni", "x86_64_v3+avxvnni"),
        ("x86-64-v4-vnni", "x86_64_v4+avx512vnni+avx512vbmi+avx512vbmi2+avx512bitalg+avx512vpopcntdq"),
        ("aarch64", "generic"),
        ("aarch64-dotprod", "generic+v8_2a+dotprod"),
    ],
)
def test_zig_names_of_cpus(name: str, cpu: str) -> None:
    flags = target_flags(TARGETS[name], Compiler(("zig",), "zig", ""))
    assert flags[0] == f"-mcpu={cpu}" and not any(flag.startswith("-march") for flag in flags)


def test_errors_show_the_compiler_and_the_layer(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="conv1") as error:
        compile_shared({"k.c": "int f(void) { return nonsense; }"}, tmp_path, layers={"k.c": "node 'conv1' (Conv)"})
    assert "nonsense" in str(error.value) and "k.c:1" in str(error.value)
    assert error.value.hint.endswith(" -c k.c -o k.c.o") and str(tmp_path) not in error.value.hint


def test_a_library_that_does_not_link(tmp_path: Path) -> None:
    sources = {name: PUBLIC + "int twice(void) { return 1; }" for name in ("a.c", "b.c")}
    with pytest.raises(ToolchainError, match="linking"):
        compile_shared(sources, tmp_path)


@pytest.mark.parametrize("name", ["../x.c", "/tmp/x.c", "a/../b.c", "a//b.c", "a/-x.c", "a\\\\b.c", "-x.c", ".c", ""])
def test_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="plain file name"):
        compile_shared({name: ""}, tmp_path)


def test_bytes_do_not_depend_on_folder_or_jobs(tmp_path: Path) -> None:
    sources = {
        f"f{i}.c": f"#include <assert.h>\n{PUBLIC}int f{i}(int x) {{ assert(x); return x + {i}; }}" for i in range(4)
    }
    OBJECTS.clear()
    a = compile_shared(sources, tmp_path / "a", jobs=1)
    OBJECTS.clear()
    b = compile_shared(sources, tmp_path / "much" / "deeper", jobs=4)
    assert a.read_bytes() == b.read_bytes() and str(tmp_path).encode() not in a.read_bytes()
    assert not list((tmp_path / "a").glob("*.o"))


def test_floats_are_float32_step_by_step(tmp_path: Path) -> None:
    """No contraction into fused multiply-adds, no reassociation, NaN and signed zeros kept."""
    source = f"""
#include <math.h>
{PUBLIC}void f(const float *a, const float *b, const float *c, float *y, int n) {{
    for (int i = 0; i < n; i++)
        y[i] = ((a[i] * b[i] + c[i]) - c[i]) / b[i] + rintf(a[i]);
}}"""
    target = find_target("native")
    path = compile_shared({"f.c": source}, tmp_path, target_flags(target, find_compiler()))
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(1000).astype(np.float32) * 100 for _ in range(3))
    a[:4], b[:4] = [np.nan, np.inf, -0.0, 0.5], [1, 0, 1, 0]
    y = np.empty_like(a)
    ctypes.CDLL(str(path)).f(*(ctypes.c_void_p(v.ctypes.data) for v in (a, b, c, y)), len(y))
    with np.errstate(all="ignore"):
        want = ((a * b + c) - c) / b + np.rint(a)
    np.testing.assert_array_equal(y, want)


def test_timeout_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "TIMEOUT_SECONDS", 0)
    with pytest.raises(ToolchainError, match="did not finish"):
        compile_shared({"f.c": ""}, tmp_path)
