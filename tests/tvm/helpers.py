"""Operations in TVM against the interpreter: many kernels in one module, each called by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from kernel_case import Case, body_of, random_array
from xdsl.ir import SSAValue

from tercet.ir.kn.kernel import KernelOp
from tercet.ir.program import Port, Program
from tercet.ir.types import element_of, shape_of, storage_dtype

RTOL = 1e-5


def program_of(cases: Sequence[Case]) -> Program:
    """A kernel for each case, with inputs of its own."""
    ports = [Port(f"{port.name}_{i}", port.type, port.dtype)
             for i, case in enumerate(cases) for port in case.program.inputs]  # fmt: skip
    program = Program.new("cases", ports)
    rest, outputs = iter(program.block.args), list[SSAValue]()
    for i, case in enumerate(cases):
        maps = [next(rest) for _ in case.inputs]
        block, results = body_of(case, program)
        kernel = KernelOp.make(f"k{i:02d}", "relax", {}, maps, [value.type for value in results], block)
        program.block.add_op(kernel)
        outputs += kernel.results
    program.finish([(f"y{i}", value, storage_dtype(element_of(value))) for i, value in enumerate(outputs)])
    program.verify()
    return program


def check(cases: Sequence[Case], target: str = "native", samples: int = 3) -> None:
    """Integers are equal, floats within 1e-5 of the largest magnitude; NaN and infinities are where they should be."""
    from tercet.backends.tvm.build import compiled
    from tercet.backends.tvm.lowering.module import lower
    from tercet.backends.tvm.package import relax, tvm
    from tercet.backends.tvm.targets import find_target

    found = find_target(target)
    machine = relax.VirtualMachine(compiled(lower(program_of(cases), found), found), tvm.cpu())
    rng = np.random.default_rng(0)
    for i, case in enumerate(cases):
        for _ in range(1 if case.feeds is not None else samples):
            arrays = case.feeds or [random_array(rng, shape_of(v), element_of(v)) for v in case.inputs]
            with np.errstate(all="ignore"):
                want = case.expected(arrays)
            have = machine[f"k{i:02d}"](*map(tvm.runtime.tensor, arrays))
            for expected, found in zip(want, have, strict=True):
                compare(found.numpy(), expected, f"{case.name}: {[op.name for op in case.program.ops]}")


def compare(have: np.ndarray, want: np.ndarray, what: str) -> None:
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(have.astype(np.int64), want, err_msg=what)
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isnan(have), np.isnan(want), err_msg=what)
    np.testing.assert_array_equal(have[np.isinf(want)], want[np.isinf(want)], err_msg=what)
    most = np.abs(want[finite], dtype=np.float64).max(initial=0)
    np.testing.assert_allclose(have[finite], want[finite], rtol=RTOL, atol=RTOL * most, err_msg=what)
