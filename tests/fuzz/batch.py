"""Many compiled programs in one library, because starting C compilers takes longer than the code.

The kernels of all programs are put together in a few C files; symbols get the program's number. The library runs in a
process of its own, which a wrong write may end.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
SECONDS = 60
"""A run that takes longer hangs."""


_TABLES = re.compile(r"(?<![.\w])(steps|spans|gaps|sections|input_bytes|output_bytes)\b")
"""What every definition has of its own."""


@dataclass
class Run:
    """How a model is called. fill: the byte that its memory holds before the first of `runs` runs."""

    threads: int = 1
    fill: int = 0xA5
    runs: int = 1


RUNS = (Run(1, 0xFF, 1), Run(1, 0x7F, 2), Run(2, 0xA5, 2))


class CompiledBatch:
    """Programs at kernel level, compiled together for a target.

    flags: more arguments for the C compiler. compact: whether weights may be entropy-coded. Raises ToolchainError.
    """

    def __init__(
        self, programs: Sequence[Program], target: Target, *, flags: Sequence[str] = ("-O1",), jobs: int = 1
    ) -> None:
        self.programs, self.target = list(programs), target
        self.emitted = [emit_model(p, target, compact=i % 2 == 0) for i, p in enumerate(self.programs)]
        sources = joined(self.emitted)
        sources |= {p.name: p.read_bytes() for p in sorted(RUNTIME.iterdir()) if p.suffix in (".c", ".h")}
        # batch.c includes it
        sources["tercet_runtime_c.h"] = sources.pop("tercet_runtime.c")
        sources["batch.c"] = (HERE / "batch.c").read_text().replace('"tercet_runtime.c"', '"tercet_runtime_c.h"')
        self._folder = tempfile.TemporaryDirectory(prefix="tercet-fuzz-")
        folder = Path(self._folder.name)
        self._program: Path | None = None
        threads = "-DTERCET_PROCESSORS=64"
        if runs_here(target):
            self._program = emulated.build(sources, folder, target, [*flags, threads, "-DFUZZ_PROGRAM"])
        else:
            compiler = find_compiler(target)
            self._library = compile_shared(
                sources, folder, [*target_flags(target, compiler), threads, *flags], jobs, compiler=compiler
            )

    def run(self, index: int, arrays: Sequence[np.ndarray], how: Run) -> list[np.ndarray]:
        """The outputs of a program. arrays: [batch, ..] for batched ones. Raises RuntimeError where the code does."""
        program = self.programs[index]
        inputs = [
            np.ascontiguousarray(a, storage_dtype(element_of(p.type)))
            for a, p in zip(arrays, program.inputs, strict=True)
        ]
        batch = len(inputs[0]) if program.batched else 1
        outputs = []
        for value in program.returned.operands:
            shape = shape_of(value.type)
            outputs.append(
                np.zeros((batch, *shape[1:]) if program.batched else shape, storage_dtype(element_of(value)))
            )
        if self._program is not None:
            arguments = (index, how.threads, batch, how.fill, how.runs)
            got = emulated.call(self._program, self.target, *arguments, data=b"".join(a.tobytes() for a in inputs))
            for output in outputs:
                output[...] = np.frombuffer(got[: output.nbytes], output.dtype).reshape(output.shape)
                got = got[output.nbytes :]
            return outputs
        library = ctypes.CDLL(str(self._library))
        status = library.fuzz_run(
            ctypes.c_int(index), ctypes.c_int(how.threads), ctypes.c_int64(batch), _pointers(inputs), _pointers(outputs),
            ctypes.c_int(how.fill), ctypes.c_int(how.runs),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"status {status}")
        return outputs

    def run_all(
        self, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run] = RUNS
    ) -> list[list[list[np.ndarray]] | str]:
        """For every program the outputs of each run, or what went wrong, such as the signal that ended it."""
        results: list[list[list[np.ndarray]] | str] = []
        while len(results) < len(feeds):
            results += self._run_from(len(results), feeds, runs)
        return results

    def _run_from(
        self, first: int, feeds: Sequence[Sequence[np.ndarray]], runs: Sequence[Run]
    ) -> list[list[list[np.ndarray]] | str]:
        """The programs from `first` on, in a process of their own, up to one that ends it."""
        fork = multiprocessing.get_context("fork")
        receive, send = fork.Pipe(duplex=False)

        def work() -> None:
            for index in range(first, len(feeds)):
                try:
                    send.send([self.run(index, feeds[index], how) for how in runs])
                except Exception as error:
                    send.send(f"{type(error).__name__}: {error}")

        process = fork.Process(target=work)
        process.start()
        send.close()
        results: list[list[list[np.ndarray]] | str] = []
        while first + len(results) < len(feeds):
            try:
                if not receive.poll(SECONDS * (20 if self._program else 1)):
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


def joined(emitted: Sequence[Emitted]) -> dict[str, str | bytes]:
    """The sources of many models as one: kernels in a few files, a definition a model, all weights in one."""
    sources: dict[str, str | bytes] = {}
    parts: list[list[str]] = [[] for _ in range(PARTS)]
    assembly: list[str] = []
    definitions: list[str] = []
    entries: list[str] = []
    for i, model in enumerate(emitted):
        own = _renaming(model, f"g{i}_")
        for name, content in model.sources.items():
            if name == "weights.bin":
                sources[f"weights{i}.bin"] = content
            elif name == "weights.S":
                text = str(content).replace("tercet_weights", f"g{i}_weights").replace("weights.bin", f"weights{i}.bin")
                assembly.append(text)
            elif name == "definition.c":
                text = str(content).replace("tercet_weights", f"g{i}_weights")
                text = text.replace("tercet_model_definition", f"g{i}_definition")
                definitions.append(_TABLES.sub(rf"g{i}_\1", own(text)))
            elif name.endswith(".c"):
                part = min(parts, key=lambda texts: sum(map(len, texts)))
                part.append(own(str(content)))
            else:
                if sources.setdefault(name, content) != content:
                    raise AssertionError(f"two different headers {name}")
        entries.append(f"{{&g{i}_definition}},")
    for i, part in enumerate(parts):
        sources[f"part{i}.c"] = "\n".join(part) or "typedef int nothing;\n"
    sources["weights.S"] = "\n".join(assembly)
    entry = '#include "tercet_runtime.h"\nstruct fuzz_entry { const struct tercet_definition *definition; };\n'
    table = ["const struct fuzz_entry fuzz_models[] = {", *entries, "};\n"]
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
