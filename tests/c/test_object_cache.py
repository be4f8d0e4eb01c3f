"""What a process has compiled is not compiled again, and whatever the object depends on makes it another object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tercet.backends.c.object_cache import ObjectCache
from tercet.backends.c.toolchain import OBJECTS, Compiler, compile_shared, find_compiler
from tercet.ir.errors import ToolchainError

SOURCES = {
    "a.c": '#include "deep/one.h"\nint a(void) { return ONE; }\n',
    "b.c": "int b(void) { return 2; }\n",
    "deep/one.h": '#  include "two.h"\n',
    "deep/two.h": "#define ONE 1\n",
    "forced.h": "",
}

Build = Callable[..., tuple[bytes, list[str]]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Compiles in a folder of its own. Returns the library and the files that the compiler was called for."""
    OBJECTS.clear()
    log, script, folders = tmp_path / "log", tmp_path / "cc", iter(range(100))
    real = find_compiler()
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {" ".join(real.argv)} "$@"\n')
    script.chmod(0o755)

    def run(
        sources: Mapping[str, str | bytes], flags: Sequence[str] = (), units: Mapping[str, Sequence[str]] | None = None
    ) -> tuple[bytes, list[str]]:
        log.write_text("")
        compiler = replace(real, argv=(str(script),))
        path = compile_shared(
            sources, tmp_path / str(next(folders)), flags, jobs=1, compiler=compiler, unit_flags=units
        )
        calls = [line.split() for line in log.read_text().splitlines()]
        return path.read_bytes(), sorted(call[call.index("-c") + 1] for call in calls if "-c" in call)

    return run


def test_what_is_the_same_is_compiled_once(build: Build) -> None:
    first, compiled = build(SOURCES)
    assert compiled == ["a.c", "b.c"]
    assert build(SOURCES) == (first, [])
    assert build({**SOURCES, "new.c": "int c(void) { return 3; }\n"})[1] == ["new.c"]


@pytest.mark.parametrize(
    ("changed", "compiled"),
    [
        ({"b.c": "int b(void) { return 3; }\n"}, ["b.c"]),
        ({"deep/one.h": "#define ONE 2\n"}, ["a.c"]),
        ({"deep/two.h": "#define ONE 2\n"}, ["a.c"]),
        ({"other/two.h": "#define ONE 2\n"}, ["a.c"]),  # which of the two is meant, the compiler decides
        ({"forced.h": "#define UNUSED\n"}, []),
    ],
)
def test_a_change_in_the_sources(build: Build, changed: dict[str, str], compiled: list[str]) -> None:
    build(SOURCES)
    assert build({**SOURCES, **changed})[1] == compiled


def test_a_change_in_the_command(build: Build) -> None:
    build(SOURCES)
    assert build(SOURCES, ["-DOTHER"])[1] == ["a.c", "b.c"]
    forced = {"b.c": ["-include", "forced.h"]}
    assert build(SOURCES, units=forced)[1] == ["b.c"]
    assert build(SOURCES, units=forced)[1] == []
    assert build({**SOURCES, "forced.h": "#define UNUSED\n"}, units=forced)[1] == ["b.c"]


def test_a_change_in_the_environment(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are found, and code is generated, by what the compiler reads there."""
    sources, libraries = {"a.c": "#include <chosen.h>\nint a(void) { return CHOSEN; }\n"}, list[bytes]()
    for number in range(2):
        folder = tmp_path / f"include{number}"
        folder.mkdir()
        (folder / "chosen.h").write_text(f"#define CHOSEN {number}\n")
        monkeypatch.setenv("CPATH", str(folder))
        libraries.append(build(sources)[0])
    assert libraries[0] != libraries[1]
    assert build(sources) == (libraries[1], [])
    monkeypatch.delenv("CPATH")
    monkeypatch.setenv("C_INCLUDE_PATH", str(tmp_path / "include0"))
    assert build(sources) == (libraries[0], ["a.c"])


def _script(path: Path, version: str, text: str) -> Compiler:
    """A compiler that runs `text` first."""
    real = " ".join(find_compiler().argv)
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\n{text}\nexec {real} "$@"\n')
    path.chmod(0o755)
    return Compiler((str(path),), "gcc", version)


def test_a_compiler_that_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same path, even with the same version."""
    OBJECTS.clear()
    monkeypatch.delenv("TERCET_CC", raising=False)
    calls, script = tmp_path / "calls", tmp_path / "cc"
    compiler = _script(script, "1", f"echo first >> {calls}")
    compile_shared(SOURCES, tmp_path / "a", compiler=compiler)
    _script(script, "1", f"echo another >> {calls}")
    compile_shared(SOURCES, tmp_path / "b", compiler=compiler)
    assert calls.read_text().split().count("another") == 3  # two files, and the library
    monkeypatch.setenv("TERCET_CC", str(script))
    assert find_compiler().version == "1"
    monkeypatch.delenv("TERCET_CC")
    _script(script, "10", "")
    monkeypatch.setenv("TERCET_CC", str(script))
    assert find_compiler().version == "10"


def test_what_does_not_link_is_made_again(tmp_path: Path) -> None:
    """A compiler that once wrote junk and succeeded does not spoil all that is compiled after it."""
    OBJECTS.clear()
    bad = tmp_path / "bad"
    bad.touch()
    junk = f"""if [ -e {bad} ] && [ "$1" != -shared ]; then
    while [ "$1" != -o ]; do shift; done
    echo junk > "$2"; exit 0
fi"""
    compiler = _script(tmp_path / "cc", "1", junk)
    with pytest.raises(ToolchainError, match="linking"):
        compile_shared(SOURCES, tmp_path / "a", compiler=compiler)
    bad.unlink()
    assert compile_shared(SOURCES, tmp_path / "b", compiler=compiler).is_file()


def test_assembly_is_always_made(build: Build) -> None:
    """It takes in weights.bin, which no #include names."""
    sources = {"w.S": '.section .rodata\n.incbin "w.bin"\n', "w.bin": b"1"}
    first, _ = build(sources)
    second, compiled = build({**sources, "w.bin": b"2"})
    assert first != second and compiled == ["w.S"]


def test_those_asked_for_last_stay() -> None:
    cache = ObjectCache(most_bytes=8)
    cache.put(b"a", b"1234")
    cache.put(b"b", b"1234")
    assert cache.get(b"a") == b"1234"
    cache.put(b"c", b"12")
    assert [cache.get(key) for key in (b"a", b"b", b"c")] == [b"1234", None, b"12"]
    cache.put(b"d", b"123456789")
    assert [cache.get(key) for key in (b"a", b"c", b"d")] == [None, None, None]
