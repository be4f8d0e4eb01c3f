"""Compiled models of other machines, built as static programs by zig and run by qemu-user.

`reason(target)` says why a target cannot be run here at all, natively or emulated; tests skip with it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tercet.backends.c.target import Target, runs_here
from tercet.backends.c.toolchain import COMMON_FLAGS, Compiler, target_flags, write_sources
from tercet.runtime.artifact.artifact import Artifact

MAIN = Path(__file__).parent / "run_model.c"
PROGRAM = "run_model"
SLOW_SECONDS = 600


def emulator(target: Target) -> list[str]:
    """How qemu is called, with a CPU that can do no more than the target asks for; empty where there is none."""
    if target.machine != "aarch64":
        return []
    return ["qemu-aarch64", "-cpu", "neoverse-n1" if "asimddp" in target.features else "cortex-a53"]


def reason(target: Target) -> str:
    """Why code for a target can neither run here nor be emulated; empty when one of them works."""
    here, command = runs_here(target), emulator(target)
    if not here or not command:
        return here
    if shutil.which(command[0]) is None:
        return f"{here}, and {command[0]} is not installed (Debian: qemu-user)"
    if importlib.util.find_spec("ziglang") is None:
        return f"{here}, and ziglang is not installed (extra: zig)"
    return ""


def build(sources: Mapping[str, str | bytes], folder: Path, target: Target, flags: Sequence[str] = ()) -> Path:
    """A static program for another machine, in `folder`. flags: more arguments for the compiler."""
    write_sources(sources, folder)
    compiler = Compiler((sys.executable, "-m", "ziglang", "cc", "-target", f"{target.machine}-linux-musl"), "zig", "")
    options = [f for f in COMMON_FLAGS if f != "-fPIC"] + list(target_flags(target, compiler))
    units = sorted(name for name in sources if name.endswith((".c", ".S")))
    command = [*compiler.argv, *options, *flags, "-Wno-unused-command-line-argument", "-static", "-pthread"]
    _run([*command, *units, "-lm", "-o", PROGRAM], folder)
    return folder / PROGRAM


def call(program: Path, target: Target, *arguments: object, data: bytes = b"") -> bytes:
    """What a program prints, run by the emulator. data: its standard input."""
    return _run([*emulator(target), str(program), *map(str, arguments)], program.parent, data)


class Model:
    """A compiled model for another machine. sources: all its C, the runtime's too."""

    def __init__(self, sources: Mapping[str, str | bytes], folder: Path, target: Target) -> None:
        self.target = target
        self.program = build({**sources, MAIN.name: MAIN.read_bytes()}, folder, target)

    def run(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], *, batch: int, threads: int = 1
    ) -> np.ndarray:
        """Fills `outputs`; all arrays are [batch, ...] in C order. Returns the arena's bytes after the last sample."""
        data = b"".join(np.ascontiguousarray(a).tobytes() for a in inputs)
        got = call(self.program, self.target, threads, batch, data=data)
        for output in outputs:
            output[...] = np.frombuffer(got[: output.nbytes], output.dtype).reshape(output.shape)
            got = got[output.nbytes :]
        return np.frombuffer(got, np.uint8)


def run_artifact(
    path: Path, target: Target, folder: Path, arrays: Sequence[np.ndarray], *, threads: int = 1
) -> list[np.ndarray]:
    """What an artifact for another machine computes, built again from its own `src/`.

    arrays: one [batch, ...] array for every input. Returns the same for the outputs.
    """
    artifact = Artifact.open(path)
    ports, names = artifact.manifest, [n for n in artifact.names if n.startswith(("src/", "include/"))]
    sources = {Path(name).name: artifact.read(name) for name in names if not name.endswith("CMakeLists.txt")}
    batch = len(arrays[0]) if ports.batched else 1
    inputs = [a.astype(port.stored) for a, port in zip(arrays, ports.inputs, strict=True)]
    outputs = [
        np.empty((batch, *port.shape[1:]) if ports.batched else port.shape, port.stored) for port in ports.outputs
    ]
    Model(sources, folder, target).run(inputs, outputs, batch=batch, threads=threads)
    return outputs


def _run(command: Sequence[str], folder: Path, data: bytes = b"") -> bytes:
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache")}
    done = subprocess.run(
        command, cwd=folder, env=environment, input=data, capture_output=True, check=False, timeout=SLOW_SECONDS
    )
    errors = done.stderr.decode(errors="replace")[:2000]
    assert done.returncode == 0, f"{command[0]} returned {done.returncode}: {errors}"
    return done.stdout
