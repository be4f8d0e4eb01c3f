"""Compiled models as programs under sanitizers. A finding ends the program, and the test with its report.

Each buffer has its bytes and a readable tail, and no more: see sanitized.c, which runs the model.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from tercet.backends.c.emit import Emitted
from tercet.backends.c.target import Target
from tercet.backends.c.toolchain import COMMON_FLAGS, find_compiler, target_flags, write_sources
from tercet.ir.kn.layout import buffer_bytes
from tercet.ir.program import Program
from tercet.runtime.artifact.packaging import C_FOLDER

MAIN = Path(__file__).parent / "sanitized.c"
SANITIZERS: Mapping[str, tuple[str, ...]] = {
    "address": ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
    "thread": ("-fsanitize=thread",),
}
"""What TERCET_SANITIZE may be, and how the compiler is told."""
FLAGS = ("-O1", "-g1", "-fno-omit-frame-pointer", "-w", "-pthread", "-DTERCET_PROCESSORS=64")
"""-O1 tells where a finding is and compiles in a bearable time. Threads as asked for, on any machine."""
OPTIONS = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
SLOW_SECONDS = 3600


def chosen() -> str:
    """The sanitizer that TERCET_SANITIZE names; empty when there is none."""
    name = os.environ.get("TERCET_SANITIZE", "")
    assert name in ("", *SANITIZERS), f"TERCET_SANITIZE={name}: one of {', '.join(SANITIZERS)}"
    return name


class Model:
    """A planned program of kernels, built with a sanitizer in `folder`."""

    def __init__(self, program: Program, emitted: Emitted, folder: Path, target: Target, sanitizer: str) -> None:
        compiler = find_compiler()
        runtime = _runtime(sanitizer)
        write_sources({**emitted.sources, "guards.c": _guards(program, emitted)}, folder)
        units = sorted(path.name for path in folder.iterdir() if path.suffix in (".c", ".S"))
        flags = (*COMMON_FLAGS, *target_flags(target, compiler), *FLAGS, *SANITIZERS[sanitizer], f"-I{C_FOLDER}")
        _call([*compiler.argv, *flags, *units, *map(str, sorted(runtime.glob("*.o"))), "-lm", "-o", "run"], folder)
        self.program = folder / "run"

    def run(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], *, batch: int, threads: int = 1
    ) -> np.ndarray:
        """Fills `outputs`; all arrays are [batch, ...] in C order. Returns the arena's bytes after the last sample.

        Raises AssertionError with the sanitizer's report.
        """
        data = b"".join(np.ascontiguousarray(a).tobytes() for a in inputs)
        got = _call([str(self.program), str(threads), str(batch)], self.program.parent, data)
        for output in outputs:
            output[...] = np.frombuffer(got[: output.nbytes], output.dtype).reshape(output.shape)
            got = got[output.nbytes :]
        return np.frombuffer(got, np.uint8)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Kept until the process ends."""


@cache
def _runtime(sanitizer: str) -> Path:
    """A folder with the objects of the runtime and of sanitized.c."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="tercet-sanitized-"))
    folder = Path(_FOLDERS[-1].name)
    sources = [MAIN, *(p for p in sorted(C_FOLDER.glob("*.c")) if p.name != "tercet_runtime.c")]
    flags = (*COMMON_FLAGS, *FLAGS, *SANITIZERS[sanitizer], f"-I{C_FOLDER}", "-c")
    _call([*find_compiler().argv, *flags, *map(str, sources)], folder)
    return folder


def _guards(program: Program, emitted: Emitted) -> str:
    """The sizes that sanitized.c asks for."""
    sizes: list[object] = []
    for op, layer in zip(program.ops, emitted.layers, strict=True):
        sizes += [buffer_bytes(value.type) for value in (*op.operands, *op.results)]
        sizes += [layer["weight_bytes"], layer["scratch_bytes"]]
    return f"#include <stdint.h>\nconst int64_t guarded_bytes[] = {{{', '.join(map(str, sizes or [0]))}}};\n"


def _call(command: Sequence[str], folder: Path, data: bytes = b"") -> bytes:
    environment = {**os.environ, **OPTIONS}
    done = subprocess.run(
        command, cwd=folder, env=environment, input=data, capture_output=True, check=False, timeout=SLOW_SECONDS
    )
    report = done.stderr.decode(errors="replace")[:6000]
    assert done.returncode == 0, f"{command[0]} returned {done.returncode}:\n{report}"
    return done.stdout
