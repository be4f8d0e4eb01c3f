"""The C that each engine writes for one small layer, on each kind of target, is what it was.

`pytest tests/golden --update-golden` writes the files anew, for changes that are meant: read the diff before you
commit. layers/*.mlir are the layers; ENGINE.TARGET.c is the kernel's C.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tercet.api import opt
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import TARGETS
from tercet.backends.c.toolchain import COMMON_FLAGS, find_compiler, target_flags, write_sources
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.program import Program
from tercet.runtime.artifact.packaging import runtime_sources

HERE = Path(__file__).parent
FAMILIES = ("generic", "x86-64-v3", "x86-64-v4-vnni", "aarch64")
LAYERS = {
    "active_inputs": "matmul", "adder_graph": "conv", "bit_sliced": "conv", "dense_f32": "conv_f32",
    "dense_int8": "conv_int8", "depthwise": "depthwise", "linear": "matmul", "linear_f32": "matmul_f32",
    "loops": "chain", "permute": "conv", "planes_pool": "pool", "popcount": "conv", "table": "conv",
    "table_f32": "conv_f32",
}  # fmt: skip
"""What each engine is shown with."""

TAKES_NOT = {("permute", target) for target in FAMILIES if target != "x86-64-v4-vnni"}
"""It needs byte permutations of 64 bytes."""

PASSES = "finish-outputs,sum-merge,select-engines,assign-layouts,plan-memory"
PAIRS = [(engine, target) for engine in LAYERS for target in FAMILIES]


def lowered(engine: str, target: str) -> Program:
    return opt(HERE / "layers" / f"{LAYERS[engine]}.mlir", PASSES, target=target, engines=engine)


def symbols_of(program: Program, engine: str) -> list[str]:
    """The names of the kernels that the engine computes."""
    return [op.symbol.data for op in program.ops if isinstance(op, KernelOp) and op.engine.data == engine]


def test_every_engine_is_shown() -> None:
    assert set(LAYERS) == {engine.name for engine in ENGINES}
    want = {f"{engine}.{target}.c" for engine, target in PAIRS if (engine, target) not in TAKES_NOT}
    assert {file.name for file in HERE.glob("*.c")} == want


@pytest.mark.parametrize(("engine", "target"), PAIRS)
def test_the_code_is_what_it_was(engine: str, target: str, update_golden: bool) -> None:
    program = lowered(engine, target)
    symbols = symbols_of(program, engine)
    if (engine, target) in TAKES_NOT:
        assert not symbols
        return
    (symbol,) = symbols
    code = emit_model(program, TARGETS[target]).sources[f"{symbol}.c"]
    assert isinstance(code, str)
    golden = HERE / f"{engine}.{target}.c"
    if update_golden:
        golden.write_text(code)
    assert golden.exists(), "no such file: pytest tests/golden --update-golden"
    assert code == golden.read_text(), f"{golden.name}: if that is meant, pytest tests/golden --update-golden"


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
@pytest.mark.parametrize("engine", LAYERS)
def test_functions_of_headers_are_part_of_the_kernels(engine: str, tmp_path: Path) -> None:
    """None is left outside, where it would not know the layer: it would be several times slower, and right."""
    if (compiler := find_compiler()).name != "gcc":
        pytest.skip("others inline each function, which they say where they cannot")
    for name in FAMILIES:
        target = TARGETS[name]
        if target.machine not in ("any", platform.machine()) or (engine, name) in TAKES_NOT:
            continue
        program = lowered(engine, name)
        (symbol,) = symbols_of(program, engine)
        write_sources({**runtime_sources(), **emit_model(program, target).sources}, tmp_path)
        flags = (*COMMON_FLAGS, *target_flags(target, compiler))
        command = [*compiler.argv, *flags, "-c", f"{symbol}.c", "-o", "kernel.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        listed = subprocess.run(["nm", "kernel.o"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        functions = [line.split()[-1] for line in listed.splitlines() if line.split()[-2] in "tT"]
        assert symbol in functions and all(function.startswith(symbol) for function in functions), (name, functions)
