"""What a process has compiled is not compiled again, and whatever the object depends on makes it another object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tercet.backends.c.object_cache import ObjectCache
from tercet.backends.c.toolchain import OBJECTS, compile_shared, find_compiler

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
