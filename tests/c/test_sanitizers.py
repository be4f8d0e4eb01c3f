"""Compiled models under the sanitizers: faults put into a kernel are found, and random networks show none.

TERCET_SANITIZE=address or thread runs every test of this folder so, and 500 networks; `make sanitize` does both.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sanitized
from graphs.generate import network as random_network
from graphs.network import Network
from harness import Case, kernel_program

from tercet.api import import_model
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.engines.loops import ENGINE as LOOPS
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import TARGETS, find_target, runs_here
from tercet.driver.c_backend import choose_engines
from tercet.ir.errors import UnsupportedError
from tercet.ir.program import Program
from tercet.ir.tn.elementwise import ReluOp
from tercet.ir.types import element_of, int_type, shape_of, storage_dtype
from tercet.passes.pipeline import run_passes

pytestmark = pytest.mark.check
SIZE = 64
BEGIN = """
    volatile const signed char *in = task->in[0], *weights = (void *)task->weights, *scratch = (void *)task->scratch;
    volatile signed char *out = task->out[0], seen = in[0];
    (void)out, (void)weights, (void)scratch;
"""
ADDRESS = "AddressSanitizer: (use-after-poison|heap-buffer-overflow)"
FAULTS = {
    "a read after the tail": (f"seen = in[{SIZE} + 256];", ADDRESS),
    "a read before an operand": ("seen = in[-1];", ADDRESS),
    "a write before a result": ("out[-1] = seen;", ADDRESS),
    "a write into the tail": (f"out[{SIZE}] = seen;", "step 2: a write past the end of a result"),
    "a read of other constants": ("seen = weights[256];", ADDRESS),
    "a read after the scratch": ("seen = scratch[256];", ADDRESS),
    "a byte that nobody wrote": (f"if (in[{SIZE + 1}] == 0x5a) {{ out[0] = 5; return; }}", "bytes that nobody wrote"),
    "a signed overflow": ("volatile int big = 0x7fffffff; seen = (signed char)(big + 1);", "signed integer overflow"),
    "a shift too far": ("volatile int far = 32; seen = (signed char)(1 << far);", "shift exponent"),
    "a float too large": ("volatile float f = 1e30f; seen = (signed char)(int)f;", "outside the range"),
    "two parts at one byte": ("out[0] = (signed char)task->part;", "ThreadSanitizer: data race"),
}
"""What is put at the beginning of a kernel, and what the report says."""


def relu_program() -> Program:
    """Steps: a ReLU of 64 int8, then another one in the arena."""
    case = Case("relu", [((1, 4, 4, 4), int_type(-128, 127))])
    case.returns(case.add(ReluOp, case.inputs[0]))
    return kernel_program(LOOPS, [(case, None), (case, None)])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str, tmp_path: Path) -> None:
    code, report = FAULTS[name]
    sanitizer = "thread" if "Thread" in report else "address"
    program, target = relu_program(), find_target("native")
    emitted = emit_model(program, target)
    begin = r"(?m)^(void k001_\w+\(const struct tercet_task \*task\) \{)$"
    (kernel,) = (file for file, text in emitted.sources.items() if re.search(begin, str(text)))
    text, count = re.subn(begin, rf"\1{BEGIN}    {code}", str(emitted.sources[kernel]))
    assert count == 1
    wrong = replace(emitted, sources={**emitted.sources, kernel: text})
    inputs = [np.ones((1, *shape_of(v)), storage_dtype(element_of(v))) for v in program.block.args]
    outputs = [a.copy() for a in inputs]
    sanitized.Model(program, emitted, tmp_path / "right", target, sanitizer).run(inputs, outputs, batch=1, threads=3)
    model = sanitized.Model(program, wrong, tmp_path / "wrong", target, sanitizer)
    with pytest.raises(AssertionError, match=report):
        model.run(inputs, outputs, batch=1, threads=3)


CHOSEN = sanitized.chosen()
SEED = int(os.environ.get("TERCET_SEED", "0"))
PARTS, NETWORKS = (20, 25) if CHOSEN else (1, 4)
"""The networks are split over tests, so that they run side by side."""
RUNNABLE = [name for name, target in TARGETS.items() if not runs_here(target)]


def check(network: Network, engine: str | None, target: str, threads: int, sanitizer: str) -> None:
    """A network through all passes, built and run with a sanitizer; whether its results are right, others test.

    Raises UnsupportedError for a network that cannot be compiled.
    """
    machine, program = find_target(target), import_model(network.model)
    run_passes(program, stages(machine, *choose_engines([] if engine is None else [engine])))
    kinds = [storage_dtype(element_of(port.type)) for port in program.inputs]
    inputs = [network.inputs[port.name].astype(kind) for port, kind in zip(program.inputs, kinds, strict=True)]
    batch = len(inputs[0]) if program.batched else 1
    outputs = []
    for value in program.returned.operands:
        shape = shape_of(value.type)
        outputs.append(np.empty((batch, *shape[1:]) if program.batched else shape, storage_dtype(element_of(value))))
    with tempfile.TemporaryDirectory(prefix="tercet-test-") as folder:
        model = sanitized.Model(program, emit_model(program, machine), Path(folder), machine, sanitizer)
        model.run(inputs, outputs, batch=batch, threads=threads)


@pytest.mark.parametrize("sanitizer", [CHOSEN] if CHOSEN else sanitized.SANITIZERS)
@pytest.mark.parametrize("part", range(PARTS))
def test_random_networks(part: int, sanitizer: str) -> None:
    """Engines, targets and numbers of threads in turn."""
    engines = (None, *(engine.name for engine in ENGINES))
    done, index = 0, part
    while done < NETWORKS:
        network = random_network(SEED, index)
        choice = engines[index % len(engines)], RUNNABLE[index % len(RUNNABLE)], index % 3 + 1
        with suppress(UnsupportedError):
            try:
                check(network, *choice, sanitizer)
            except AssertionError as error:
                error.add_note(f"network {index} of seed {SEED}, {choice}")
                raise
            done += 1
        index += PARTS
