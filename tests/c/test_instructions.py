"""Every instruction's C computes its meaning: natively, in an emulator, and in the portable spelling of the tests."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import emulated
import numpy as np
import pytest
from portable import SPELLINGS, portable

from tercet.backends.c.instructions import Instruction, target_header
from tercet.backends.c.target import TARGETS, Target, runs_here
from tercet.backends.c.toolchain import compile_shared, find_compiler, target_flags
from tercet.runtime.artifact.packaging import runtime_sources

ROUNDS = 200
ALL = {**TARGETS, **{f"{name}, portable": portable(name) for name, t in TARGETS.items() if t.instructions}}

CALL = """\
__attribute__((visibility("default"))) void run_{name}(const unsigned char *in, unsigned char *out) {{
    for (int i = 0; i < {rounds}; i++) {{
        tercet_i32v v[{count}];
        memcpy(v, in + i * (int)sizeof v, sizeof v);
        const tercet_i32v result = (tercet_i32v)TERCET_{upper}({arguments});
        memcpy(out + i * TERCET_VECTOR_BYTES, &result, sizeof result);
    }}
}}
"""
MAIN = """\
#include <stdio.h>
void run_{name}(const unsigned char *in, unsigned char *out);
static unsigned char in[{inputs}], out[{outputs}];
int main(void) {{
    if (fread(in, 1, sizeof in, stdin) != sizeof in)
        return 1;
    run_{name}(in, out);
    return fwrite(out, 1, sizeof out, stdout) != sizeof out;
}}
"""


def sources(target: Target) -> dict[str, str | bytes]:
    calls = [
        CALL.format(
            name=name, upper=name.upper(), rounds=ROUNDS, count=len(i.meaning.arguments),
            arguments=", ".join(f"v[{j}]" for j in range(len(i.meaning.arguments))),
        )
        for name, i in target.instructions.items()
    ]  # fmt: skip
    text = '#include "tercet_kernel.h"\n#include "tercet_target.h"\n' + "\n".join(calls)
    header = target_header(target.name, target.prelude, target.instructions)
    return {"tercet_kernel.h": runtime_sources()["tercet_kernel.h"], "tercet_target.h": header, "calls.c": text}


def arguments(name: str, instruction: Instruction, size: int) -> list[np.ndarray]:
    """Random vectors [ROUNDS, lanes]; integers over their whole range, extremes likely."""
    rng = np.random.default_rng(0)
    found = []
    for kind in map(np.dtype, instruction.meaning.arguments):
        shape = (ROUNDS, size // kind.itemsize)
        if kind.kind == "f":
            found.append((rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(kind))
            continue
        ends = np.iinfo(kind)
        values = rng.integers(ends.min, ends.max, shape, kind, endpoint=True)
        extremes = rng.choice(np.array([ends.min, ends.max, 0, 1], kind), shape)
        values = np.where(rng.random(shape) < 0.4, extremes, values)
        found.append(values.astype(kind))
    if name == "dot_i8":  # no weight is -128
        found[2] = np.maximum(found[2], -127)
    if name == "madd_i16":  # nor are four factors -32768
        found[1] = np.maximum(found[1], -32767)
    return found


@pytest.mark.parametrize(
    "target",
    [
        # each instruction is a program of its own for the emulator
        pytest.param(t, id=t.name, marks=[pytest.mark.check] if emulated.emulator(t) else [])
        for t in ALL.values()
        if t.instructions
    ],
)
def test_computes_its_meaning(target: Target, tmp_path: Path) -> None:
    if reason := emulated.reason(target):
        pytest.skip(reason)
    files = sources(target)
    library = None
    if not runs_here(target):
        compiler = find_compiler()
        library = ctypes.CDLL(str(compile_shared(files, tmp_path, target_flags(target, compiler), compiler=compiler)))
    for name, instruction in target.instructions.items():
        vectors = arguments(name, instruction, target.vector_bytes)
        packed = np.concatenate([v.view(np.uint8).reshape(ROUNDS, -1) for v in vectors], axis=1)
        out = np.empty((ROUNDS, target.vector_bytes), np.uint8)
        if library is not None:
            run = getattr(library, f"run_{name}")
            run(ctypes.c_void_p(packed.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        else:
            main = MAIN.format(name=name, inputs=packed.size, outputs=out.size)
            program = emulated.build({**files, "main.c": main}, tmp_path / name, target)
            out[...] = np.frombuffer(emulated.call(program, target, data=packed.tobytes()), np.uint8).reshape(out.shape)
        got = out.view(instruction.meaning.result)
        want = np.stack([instruction.meaning.compute(*row) for row in zip(*vectors, strict=True)])
        np.testing.assert_array_equal(got, want, err_msg=name)


def test_every_instruction_has_a_portable_spelling() -> None:
    assert {name for target in TARGETS.values() for name in target.instructions} == set(SPELLINGS)


@pytest.mark.parametrize("name", [n for n, t in TARGETS.items() if t.instructions and t.machine == platform.machine()])
def test_compiles_where_it_cannot_run(name: str, tmp_path: Path) -> None:
    compiler, target = find_compiler(), TARGETS[name]
    path = compile_shared(sources(target), tmp_path, target_flags(target, compiler), compiler=compiler)
    assert all(f"run_{instruction}".encode() in path.read_bytes() for instruction in target.instructions)
