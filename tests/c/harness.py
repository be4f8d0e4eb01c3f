"""Checks engines against the interpreter: bit for bit on integers, 1e-5 relative on floats.

A test writes small `tn` graphs and hands them over together, so that one C compilation serves all of them:

    case = Case("relu", [((1, 3, 4, 4), int_type(-8, 7))])        # name, (shape, element type) of each input
    y = case.add(ReluOp, case.inputs[0])                          # -> the operation's result
    case.returns(y)                                               # or case.constant(array), case.add_all(..)
    check_engine(ENGINE, [case, ...])                             # raises AssertionError naming the case

`check_engine` makes each case ONE kernel of the engine (all operations in its region, constants cloned into it), with
every schedule the engine offers, converts inputs to the layouts the engine reads, runs the compiled model on a batch
with several thread counts, and compares. Options: target, threads, batch, slack (more border than asked for),
planes_out (results, and operands read in any layout, in random planes), bits_out (results in bits), schedules
("first", "all"), rtol, atol, sources.

`run_kernel(engine, case, arrays)` is the same for one case and one sample and returns the outputs.
Inputs are random over the whole range of their element, extremes included; `case.feeds` sets others. Results lie in an
arena with gaps; a kernel that writes into a gap fails the test. Random kernels for any engine are in kernel_cases.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from kernel_case import Case, body_of, random_array
from library import NATIVE, Library
from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import Attribute, Operation, SSAValue

from tercet.backends.c.emit import Emitted
from tercet.backends.c.engine import Engine, Kernel, Plan, Schedule
from tercet.backends.c.lowering.assign_layouts import wanted_type
from tercet.backends.c.lowering.conversions import can_write
from tercet.backends.c.refusal import Refusal
from tercet.backends.c.target import Target
from tercet.ir.kn.bit_rows import BitRowsLayout
from tercet.ir.kn.bits import BitsLayout, planes_in_bits
from tercet.ir.kn.buffers import TAIL_BYTES, round_up
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.kn.layout import MapType, PlanesLayout, buffer_bytes
from tercet.ir.kn.requests import AnyLayout, BitRows, Bits, LayoutRequest, Planes
from tercet.ir.program import Port, Program
from tercet.ir.types import element_of, shape_of, storage_dtype

# -- from cases to a program of kernels -------------------------------------------------------------------------------


def planes_type(kind: Attribute, request: Planes, slack: int = 0) -> MapType:
    """A map in planes with the requested border, and `slack` more pitch and rows than needed."""
    _, _, height, width = shape_of(kind)
    s = request.stride
    pitch = -(-(request.left + width + request.right) // s) + slack
    rows = -(-(request.top + height + request.bottom) // s) + slack
    layout = PlanesLayout.of(
        top=request.top, left=request.left, pitch=max(pitch, 1), size=max(s * s * rows * pitch, s * s), stride=s,
        zero=int(request.zero),
    )  # fmt: skip
    return MapType(kind, layout)


def _append(program: Program, op: Operation) -> Sequence[SSAValue]:
    program.block.add_op(op)
    return op.results


def kernel_program(
    engine: Engine,
    jobs: Sequence[tuple[Case, Schedule | None]],
    target: Target = NATIVE,
    *,
    planes_out: bool = False,
    bits_out: bool = False,
    slack: int = 0,
    batched: bool = False,
) -> Program:
    """One program whose kernels are the cases, one after the other, inputs and outputs concatenated."""
    ports = [
        Port(f"j{j}_{port.name}", port.type, port.dtype)
        for j, (case, _) in enumerate(jobs)
        for port in case.program.inputs
    ]
    program = Program.new("harness", ports, batched=batched)
    arguments, outputs = list(program.block.args), []
    for j, (case, schedule) in enumerate(jobs):
        operands, arguments = arguments[: len(case.inputs)], arguments[len(case.inputs) :]
        name = f"k{j:03}_{engine.name}"
        plan = next(p for p in plans_of(engine, case, target) if schedule in (None, p.schedule))
        as_bits = [_bits_out(plan, value.type) for value in case.outputs] if bits_out else []
        requests = [_random_layout(j) if planes_out and isinstance(r, AnyLayout) else r for r in plan.reads]
        maps = [_converted(program, v, request, slack) for v, request in zip(operands, requests, strict=True)]
        kinds: list[Attribute] = [v.type for v in case.outputs]
        if planes_out:
            kinds = [planes if can_write(plan, planes := _planes_out(kind, j)) else kind for kind in kinds]
        kinds = [bits or kind for bits, kind in zip(as_bits or kinds, kinds, strict=True)]
        kernel = _kernel(engine, case, plan.schedule, maps, program, name, kinds)
        for result, value in zip(kernel.results, case.outputs, strict=True):
            # also where it changes nothing: the kernel then writes to the arena, whose gaps are checked
            convert = ConvertOp.create(operands=[result], result_types=[value.type], location=case.location)
            (dense,) = _append(program, convert)
            outputs.append((f"j{j}_y{len(outputs)}", dense, storage_dtype(element_of(value))))
    program.finish(outputs)
    plan_offsets(program)
    program.verify()
    return program


def _kernel(
    engine: Engine,
    case: Case,
    schedule: Schedule,
    maps: Sequence[SSAValue],
    program: Program,
    name: str,
    kinds: Sequence[Attribute] | None = None,
) -> KernelOp:
    body, results = body_of(case, program)
    types = kinds or [v.type for v in results]
    op = KernelOp.make(name, engine.name, dict(schedule), maps, types, body, at=case.location)
    program.block.add_op(op)
    return op


def _converted(program: Program, value: SSAValue, request: LayoutRequest, slack: int) -> SSAValue:
    if not isinstance(request, Planes | Bits | BitRows):
        return value
    kind = planes_type(value.type, request, slack) if isinstance(request, Planes) else wanted_type(value, request)
    (result,) = _append(program, ConvertOp.create(operands=[value], result_types=[kind]))
    return result


def _planes_out(kind: Attribute, seed: int) -> Attribute:
    """Some planes layout for a result, another one for every seed."""
    if len(shape_of(kind)) != 4 or shape_of(kind)[0] != 1:
        return kind
    return planes_type(kind, _random_layout(seed), slack=seed % 2)


def _bits_out(plan: Plan, kind: Attribute) -> Attribute | None:
    """The type in bits that a kernel's only result can be written in."""
    if not planes_in_bits(element_of(kind)):
        return None
    found = [MapType(kind, BitsLayout.of(axis)) for axis in range(len(shape_of(kind)))]
    if BitRowsLayout.takes(kind):
        found.append(MapType(kind, BitRowsLayout.of(kind)))
    return next((bits for bits in found if can_write(plan, bits)), None)


def _random_layout(seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    top, left, bottom, right = (int(v) for v in rng.integers(0, 3, 4))
    return Planes(top, left, bottom, right, stride=int(rng.integers(1, 3)), zero=bool(rng.integers(0, 2)))


def plan_offsets(program: Program) -> None:
    """Gives every kernel result memory of its own."""
    returned, offset = set(program.returned.operands), 0
    for op in program.ops:
        offsets = []
        for value in op.results:
            offsets.append(-1 if value in returned else offset)
            offset += 0 if value in returned else round_up(buffer_bytes(value.type) + TAIL_BYTES, 64)
        op.properties["offsets"] = DenseArrayBase.from_list(i64, offsets)


def plans_of(engine: Engine, case: Case, target: Target) -> Sequence[Plan]:
    """What the engine offers for a case. Raises AssertionError when it refuses the case."""
    program = Program.new("probe", case.program.inputs)
    op = _kernel(engine, case, {}, program.block.args, program, "probe")
    plans = engine.plans(Kernel(op, program.weights), target)
    if isinstance(plans, Refusal):
        raise AssertionError(f"{case.name}: engine {engine.name} refuses: {plans.reason}")
    assert plans and all(plan.cycles >= 0 and plan.engine == engine.name for plan in plans)
    return plans


def schedules_of(engine: Engine, case: Case, target: Target) -> list[Schedule]:
    return [plan.schedule for plan in plans_of(engine, case, target)]


# -- compiling and running --------------------------------------------------------------------------------------------


def check_engine(
    engine: Engine,
    cases: Sequence[Case],
    *,
    target: Target = NATIVE,
    threads: Sequence[int] = (1, 3),
    batch: int = 2,
    planes_out: bool = False,
    bits_out: bool = False,
    slack: int = 0,
    schedules: str = "all",
    seed: int = 0,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    sources: Callable[[Emitted], None] | None = None,
) -> None:
    """Compiles all cases into one library and compares with the interpreter. sources: told what was emitted.

    Raises AssertionError naming case, schedule and the first difference.
    """
    jobs: list[tuple[Case, Schedule | None]] = []
    for case in cases:
        found = schedules_of(engine, case, target)
        jobs += [(case, schedule) for schedule in (found if schedules == "all" else found[:1])]
    program = kernel_program(engine, jobs, target, planes_out=planes_out, bits_out=bits_out, slack=slack, batched=True)
    library = Library(program, target, engine)
    if sources is not None:
        sources(library.emitted)

    rng = np.random.default_rng(seed)
    feeds = {id(case): _feeds(case, rng, batch) for case in cases}
    expected = {id(case): _expected(case, feeds[id(case)], batch) for case in cases}
    arrays = [array for case, _ in jobs for array in feeds[id(case)]]
    for count in threads:
        results = iter(library.run(arrays, batch=batch, threads=count))
        for j, (case, schedule) in enumerate(jobs):
            for i, want in enumerate(expected[id(case)]):
                where = f"{case.name}, schedule {schedule}, threads {count}, output {i}"
                try:
                    compare(next(results), want, where, rtol, atol)
                except AssertionError as error:
                    error.add_note(_source(library.emitted, f"k{j:03}_{engine.name}"))
                    raise


def _source(emitted: Emitted, symbol: str) -> str:
    """The C of one kernel, to be shown with a failure."""
    return next(str(text) for text in emitted.sources.values() if f"void {symbol}(const" in str(text))


def _feeds(case: Case, rng: np.random.Generator, batch: int) -> list[np.ndarray]:
    if case.feeds is not None:
        return [np.stack([a] * batch) for a in case.feeds]
    return [random_array(rng, (batch, *shape_of(v)), element_of(v)) for v in case.inputs]


def _expected(case: Case, feeds: Sequence[np.ndarray], batch: int) -> list[np.ndarray]:
    samples = [case.expected([a[i] for a in feeds]) for i in range(batch)]
    return [np.stack([s[i] for s in samples]) for i in range(len(case.outputs))]


def compare(have: np.ndarray, want: np.ndarray, where: str, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Integers equal, floats within rtol of the result's size. Raises AssertionError."""
    assert have.shape == want.shape, f"{where}: shape {have.shape}, expected {want.shape}"
    if have.dtype.kind == "f":
        np.testing.assert_allclose(have, want, rtol=rtol, atol=atol, err_msg=where)
    else:
        np.testing.assert_array_equal(have.astype(np.int64), want, err_msg=where)


def run_kernel(
    engine: Engine,
    case: Case,
    arrays: Sequence[np.ndarray],
    *,
    target: Target = NATIVE,
    threads: int = 1,
    schedule: Schedule | None = None,
) -> list[np.ndarray]:
    """The outputs of one case for one sample."""
    library = Library(kernel_program(engine, [(case, schedule)], target), target)
    feeds = [
        np.ascontiguousarray(a, dtype=storage_dtype(element_of(v)))[None]
        for a, v in zip(arrays, case.inputs, strict=True)
    ]
    return [result[0] for result in library.run(feeds, threads=threads)]
