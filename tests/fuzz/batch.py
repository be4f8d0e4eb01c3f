"""Many compiled programs in one library, because starting C compilers takes longer than the code.

The kernels of all programs are put together in a few C files; symbols get the program's number. The library runs in a
process of its own, which a wrong write may end.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import emulated
import numpy as np

from tercet.backends.c.emit import Emitted, emit_model
from tercet.backends.c.target import Target, runs_here
from tercet.backends.c.toolchain import compile_shared, find_compiler, target_flags
from tercet.ir.program import Program
from tercet.ir.types import element_of, shape_of, storage_dtype

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "runtime" / "c"
PARTS = 4
"""C files of kernels."""
SECONDS = 120
"""A run that takes longer hangs."""

_TABLES = re.compile(r"(?<![.\w])(steps|spans|gaps|sections|input_bytes|output_bytes|features)\b")
"""What every definition has of its own."""


@dataclass
class Run:
    """How a model is called. fill: the byte that its memory holds before the first of `runs` runs."""

    threads: int = 1
    fill: int = 0xA5
    runs: int = 1


RUNS = (Run(1, 0xFF, 1), Run(1, 0x7F, 2), Run(2, 0xA5, 2))

Outcome: TypeAlias = "list[list[np.ndarray]] | str"
"""The outputs of every run of a program, or what went wrong, such as the signal that ended the process."""


class CompiledBatch:
    """Programs at kernel level, compiled together for a target.

    flags: more arguments for the C compiler. Raises ToolchainError, or AssertionError from a cross compiler.
    """

    def __init__(
        self, programs: Sequence[Program], target: Target, *, flags: Sequence[str] = ("-O0",), jobs: int = 1
    ) -> None:
        self.programs, self.target = list(programs), target
        emitted = [emit_model(p, target, compact=i % 2 == 0) for i, p in enumerate(self.programs)]
        sources = joined(emitted)
        sources |= {p.name: p.read_bytes() for p in sorted(RUNTIME.iterdir()) if p.suffix in (".c", ".h")}
        # batch.c includes the runtime, so that it can fill its memory
        sources["tercet_runtime_c.h"] = sources.pop("tercet_runtime.c")
        sources["batch.c"] = (HERE / "batch.c").read_text().replace('"tercet_runtime.c"', '"tercet_runtime_c.h"')
        self._folder = tempfile.TemporaryDirectory(prefix="tercet-fuzz-")
        folder, flags = Path(self._folder.name), ("-DTERCET_PROCESSORS=64", *flags)
        self._emulated = bool(runs_here(target))
        if self._emulated:
            # zig checks for undefined behaviour at -O0; lanes after a row's end may overflow, and are not used
            self._path = emulated.build(sources, folder, target, [*flags, "-fwrapv", "-DFUZZ_PROGRAM"])
        else:
            compiler = find_compiler(target)
            options = [*target_flags(target, compiler), *flags]
            self._path = compile_shared(sources, folder, options, jobs, compiler=compiler)

    def run_all(self, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run] = RUNS) -> list[Outcome]:
        """The outcome of every program. feeds: the inputs of each, [batch, ..] for batched ones."""
        results: list[Outcome] = []
        run_from = self._emulated_from if self._emulated else self._native_from
        while len(results) < len(feeds):
            results += run_from(len(results), feeds, runs)
        return results

    def _ports(self, index: int, arrays: Sequence[np.ndarray]) -> tuple[int, list[np.ndarray], list[np.ndarray]]:
        """(batch, inputs as they lie in memory, outputs to be written)."""
        program = self.programs[index]
        dtypes = [storage_dtype(element_of(port.type)) for port in program.inputs]
        inputs = [np.ascontiguousarray(a, dtype) for a, dtype in zip(arrays, dtypes, strict=True)]
        batch, outputs = len(inputs[0]) if program.batched else 1, []
        for value in program.returned.operands:
            shape = shape_of(value.type)
            shape = (batch, *shape[1:]) if program.batched else shape
            outputs.append(np.zeros(shape, storage_dtype(element_of(value))))
        return batch, inputs, outputs

    # -- on this machine ------------------------------------------------------------------------------------------

    def _native(self, index: int, arrays: Sequence[np.ndarray], how: Run) -> list[np.ndarray]:
        batch, inputs, outputs = self._ports(index, arrays)
        status = ctypes.CDLL(str(self._path)).fuzz_run(
            ctypes.c_int(index), ctypes.c_int(how.threads), ctypes.c_int64(batch), _pointers(inputs),
            _pointers(outputs), ctypes.c_int(how.fill), ctypes.c_int(how.runs),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"status {status}")
        return outputs

    def _native_from(self, first: int, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run]) -> list[Outcome]:
        """The programs from `first` on, in a process of their own, up to one that ends it."""
        fork = multiprocessing.get_context("fork")
        receive, send = fork.Pipe(duplex=False)

        def work() -> None:
            for index in range(first, len(feeds)):
                try:
                    send.send([self._native(index, feeds[index], how) for how in runs])
                except Exception as error:
                    send.send(f"{type(error).__name__}: {error}")

        process = fork.Process(target=work)
        process.start()
        send.close()
        results: list[Outcome] = []
        while first + len(results) < len(feeds):
            try:
                if not receive.poll(SECONDS):
                    process.kill()
                    results.append(f"does not end within {SECONDS} s")
                    break
                results.append(receive.recv())
            except EOFError:
                process.join()
                results.append(f"ends the process: exit code {process.exitcode}")
                break
        process.join()
        return results

    # -- emulated -------------------------------------------------------------------------------------------------

    def _emulated_from(self, first: int, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run]) -> list[Outcome]:
        data = bytearray()
        for index in range(first, len(feeds)):
            batch, inputs, _ = self._ports(index, feeds[index])
            for how in runs:
                data += np.array([index, how.threads, batch, how.fill, how.runs], np.int64).tobytes()
                data += b"".join(a.tobytes() for a in inputs)
        command = [*emulated.emulator(self.target), str(self._path)]
        done = subprocess.run(command, input=bytes(data), capture_output=True, check=False, timeout=10 * SECONDS)
        why = f"{done.returncode} {done.stderr.decode(errors='replace')[:500]}"
        return list(self._read(first, feeds, runs, memoryview(done.stdout), why))

    def _read(
        self, first: int, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run], data: memoryview, code: str
    ) -> Iterator[Outcome]:
        """The outcomes in what the emulated program wrote, up to a call that ended it."""
        for index in range(first, len(feeds)):
            outcome: Outcome = []
            for _ in runs:
                _, _, outputs = self._ports(index, feeds[index])
                if len(data) < 8 + sum(output.nbytes for output in outputs):
                    yield f"ends the process: exit code {code}"
                    return
                status, data = int(np.frombuffer(data[:8], np.int64)[0]), data[8:]
                if status:
                    outcome = f"RuntimeError: status {status}"
                for output in outputs:
                    output[...] = np.frombuffer(data[: output.nbytes], output.dtype).reshape(output.shape)
                    data = data[output.nbytes :]
                if not isinstance(outcome, str):
                    outcome.append(outputs)
            yield outcome


def joined(emitted: Sequence[Emitted]) -> dict[str, str | bytes]:
    """The sources of many models as one: kernels in a few files, all definitions in one, all weights in one."""
    sources: dict[str, str | bytes] = {}
    parts: list[list[str]] = [[] for _ in range(PARTS)]
    assembly: list[str] = []
    definitions: list[str] = []
    for i, model in enumerate(emitted):
        own = _renaming(model, f"g{i}_")
        for name, content in model.sources.items():
            if name == "weights.bin":
                sources[f"weights{i}.bin"] = content
            elif name == "weights.S":
                text = str(content).replace("tercet_weights", f"g{i}_weights")
                assembly.append(text.replace("weights.bin", f"weights{i}.bin"))
            elif name == "definition.c":
                text = str(content).replace("tercet_weights", f"g{i}_weights")
                text = text.replace("tercet_model_definition", f"g{i}_definition")
                definitions.append(_TABLES.sub(rf"g{i}_\1", own(text)))
            elif name.endswith(".c"):
                part = min(parts, key=lambda texts: sum(map(len, texts)))
                part.append(own(str(content)))
            elif sources.setdefault(name, content) != content:
                raise AssertionError(f"two different headers {name}")
    for i, part in enumerate(parts):
        sources[f"part{i}.c"] = "\n".join(part) or "typedef int nothing;\n"
    sources["weights.S"] = "\n".join(assembly)
    entry = '#include "tercet_runtime.h"\nstruct fuzz_entry { const struct tercet_definition *definition; };\n'
    rows = [f"{{&g{i}_definition}}," for i in range(len(emitted))]
    table = ["const struct fuzz_entry fuzz_models[] = {", *rows, "};\n"]
    sources["models.c"] = "\n".join([entry, *definitions, *table])
    return sources


def _renaming(model: Emitted, prefix: str) -> Callable[[str], str]:
    """Puts a prefix before the symbols of a model's steps, and before names that begin with one."""
    symbols = sorted((str(layer["symbol"]) for layer in model.layers), key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, symbols))})(?![A-Za-z0-9])") if symbols else None
    return lambda text: pattern.sub(rf"{prefix}\1", text) if pattern else text


def _pointers(buffers: Sequence[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    addresses = [buffer.ctypes.data for buffer in buffers]
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)
