"""A program of kernels, compiled with the runtime and called through ctypes; for another machine, run by an emulator.

TERCET_TEST_TARGET=aarch64 makes that target the one which every test of this folder takes for native.
TERCET_SANITIZE=address or thread builds every program with that sanitizer and runs it on its own.
TERCET_TEST_OPTIMIZE=-O3 compiles kernels as in an artifact, in half as long again; `make nightly` does.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import emulated
import numpy as np
import pytest
import sanitized

from tercet.backends.c.emit import Emitted, emit_model
from tercet.backends.c.engine import Engine
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.plans import Plans
from tercet.backends.c.target import Target, find_target, runs_here
from tercet.backends.c.toolchain import compile_shared, find_compiler, target_flags
from tercet.ir.kn.layout import buffer_bytes
from tercet.ir.locations import describe
from tercet.ir.operation import from_attribute
from tercet.ir.program import Program
from tercet.ir.types import element_of, shape_of, storage_dtype

OPTIMIZE = os.environ.get("TERCET_TEST_OPTIMIZE", "-O1")
RUNTIME = Path(__file__).parents[2] / "runtime" / "c"
NATIVE = find_target(os.environ.get("TERCET_TEST_TARGET", "native"))

GLUE = """
#include "tercet_runtime.h"
extern const struct tercet_definition tercet_model_definition __attribute__((visibility("hidden")));

__attribute__((visibility("default"))) int64_t harness_arena_bytes(void) {
    return tercet_model_definition.arena_bytes;
}

__attribute__((visibility("default")))
int harness_run(int threads, int64_t batch, const void *const *inputs, void *const *outputs, void *arena) {
    struct tercet_model *model = NULL;
    int status = tercet_create(&tercet_model_definition, threads, &model);
    if (status == TERCET_OK)
        status = tercet_run(model, batch, inputs, outputs, -1, NULL);
    if (status == TERCET_OK)
        memcpy(arena, tercet_arena(model), (size_t)tercet_model_definition.arena_bytes);
    if (model)
        tercet_destroy(model);
    return status;
}
"""


def _few_units(sources: Mapping[str, str | bytes], emitted: Emitted) -> dict[str, str | bytes]:
    """The sources with all conversions in one file: a test may have hundreds, each of which would start a compiler."""
    converts = [f"{layer['symbol']}.c" for layer in emitted.layers if layer["engine"] == "convert"]
    apart = [name for name in converts if name in sources]
    joined = "".join(str(sources[name]) for name in apart)
    return {**{name: text for name, text in sources.items() if name not in apart}, "conversions.c": joined}


class Library:
    """A compiled program of kernels. Skips the test where its target can neither run here nor be emulated.

    engine: of all kernels, where it is none of the usual ones.
    """

    def __init__(self, program: Program, target: Target = NATIVE, engine: Engine | None = None) -> None:
        if reason := emulated.reason(target):
            pytest.skip(reason)
        self.program = program
        self.emitted: Emitted = emit_model(program, target, Plans(target, [engine] if engine else ENGINES))
        runtime = {p.name: p.read_bytes() for p in sorted(RUNTIME.iterdir()) if p.suffix in (".c", ".h")}
        sources: dict[str, str | bytes] = {**runtime, **self.emitted.sources}
        self._folder = tempfile.TemporaryDirectory(prefix="tercet-test-")
        folder = Path(self._folder.name)
        self._apart: emulated.Model | sanitized.Model | None = None  # a program of its own
        if runs_here(target):
            self._apart = emulated.Model(sources, folder, target)
        elif sanitizer := sanitized.chosen():
            self._apart = sanitized.Model(program, self.emitted, folder, target, sanitizer)
        else:
            flags = (*target_flags(target, find_compiler()), "-DTERCET_PROCESSORS=64")  # threads as asked for anywhere
            units = {**_few_units(sources, self.emitted), "glue.c": GLUE}
            fast = {name: (OPTIMIZE,) for name in units if name not in runtime}
            path = compile_shared(units, folder, flags, layers=self.emitted.nodes, unit_flags=fast)
            self._library = ctypes.CDLL(str(path))

    def run(self, arrays: Sequence[np.ndarray], *, batch: int = 1, threads: int = 1) -> list[np.ndarray]:
        """arrays: one [batch, *shape] array for every input. Returns the same for the outputs."""
        inputs = [np.ascontiguousarray(a) for a in arrays]
        kinds = [v.type for v in self.program.returned.operands]
        outputs = [np.empty((batch, *shape_of(kind)), storage_dtype(element_of(kind))) for kind in kinds]
        if self._apart is not None:
            self.arena = self._apart.run(inputs, outputs, batch=batch, threads=threads)
        else:
            self.arena = self._call(inputs, outputs, batch, threads)  # as the last sample left it
        self._check_gaps(self.arena)
        return outputs

    def _call(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], batch: int, threads: int
    ) -> np.ndarray:
        """Fills outputs; returns the arena."""
        self._library.harness_arena_bytes.restype = ctypes.c_int64
        arena = np.empty(self._library.harness_arena_bytes(), np.uint8)
        status = self._library.harness_run(
            ctypes.c_int(threads),
            ctypes.c_int64(batch),
            _pointers(inputs),
            _pointers(outputs),
            ctypes.c_void_p(arena.ctypes.data),
        )
        assert status == 0, f"harness_run returned {status}"
        return arena

    def _check_gaps(self, arena: np.ndarray) -> None:
        """The runtime zeroes the arena once, so that a byte outside all buffers tells of a bad write."""
        arena = arena.copy()
        owners: list[tuple[int, int, str]] = []
        for op in self.program.ops:
            for value, offset in zip(op.results, from_attribute(op.properties["offsets"]), strict=True):
                if offset >= 0:
                    size = buffer_bytes(value.type)
                    arena[offset : offset + size] = 0
                    owners.append((offset, offset + size, f"{describe(op)} {op.name}"))
        for at in np.flatnonzero(arena)[:1]:
            before = max((o for o in owners if o[1] <= at), default=(0, 0, "the first buffer"))
            raise AssertionError(f"a write {at - before[1]} bytes past the end of the result of {before[2]}")


def _pointers(buffers: Iterable[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    addresses = [buffer.ctypes.data for buffer in buffers]
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)
