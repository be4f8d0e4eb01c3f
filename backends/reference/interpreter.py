"""Runs programs. A float tensor is a float32 array and an integer tensor an int64 array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from ...ir.errors import InputError, IRError
from ...ir.kn.kernel import KernelOp
from ...ir.kn.layout import tensor_in
from ...ir.locations import describe
from ...ir.program import Port, Program
from ...ir.tn.constant import ConstantOp
from ...ir.types import IntType, SetType, element_of, is_float, range_of, shape_of, values_of
from . import elementwise, functions, linear, logic, movement, pool, quant  # noqa: F401  (they fill MEANING)
from .meaning import MEANING

Trace: TypeAlias = Callable[[Operation, list[np.ndarray]], None]
"""Told every operation (kernels after the operations inside them; constants not) with its results."""

Weights: TypeAlias = Mapping[str, np.ndarray]


def run(program: Program, inputs: Mapping[str, np.ndarray], *, trace: Trace | None = None) -> dict[str, np.ndarray]:
    """The outputs of a program by name, in the dtypes of its ports.

    inputs: an array for every input port, of its dtype and shape; a batched program takes any (equal) leading sizes and
    computes sample by sample. Raises InputError where they do not fit.
    """
    given = {name: np.asarray(array) for name, array in inputs.items()}
    batch = check_inputs(program, given)
    arrays = [inside(given[port.name]) for port in program.inputs]
    weights = program.weights if batch is None or batch < 2 else Widened(program)
    if batch is None:
        results = run_block(program.block, arrays, weights, trace=trace)
    else:
        samples = [run_block(program.block, [a[i : i + 1] for a in arrays], weights, trace=trace) for i in range(batch)]
        empty = [np.zeros((0, *port.shape[1:])) for port in program.outputs]
        results = [np.concatenate(parts) for parts in zip(*samples, strict=True)] if samples else empty
    return {port.name: y.astype(port.dtype) for port, y in zip(program.outputs, results, strict=True)}


def run_block(
    block: Block, arguments: Sequence[np.ndarray], weights: Weights, *, trace: Trace | None = None
) -> list[np.ndarray]:
    """The values that a block's terminator names, given its arguments; values are freed after their last use."""
    values: dict[SSAValue, np.ndarray] = dict(zip(block.args, arguments, strict=True))
    last_use = {value: op for op in block.ops for value in op.operands}
    for op in block.ops:
        # Constants are read where they are used, so that only those of one operation are in memory.
        if isinstance(op, ConstantOp):
            continue
        operands = [_constant(v.owner, weights) if isinstance(v.owner, ConstantOp) else values[v] for v in op.operands]
        if op.has_trait(IsTerminator):
            return operands
        results = evaluate(op, operands, weights, trace=trace)
        _check_shapes(op, results)
        values.update((r, y) for r, y in zip(op.results, results, strict=True) if r in last_use)
        for value in op.operands:
            if last_use[value] is op:
                values.pop(value, None)
        if trace is not None:
            trace(op, results)
    raise IRError("a block without a terminator")


def evaluate(
    op: Operation,
    operands: Sequence[np.ndarray],
    weights: Weights | None = None,
    *,
    trace: Trace | None = None,
) -> list[np.ndarray]:
    """The results of one operation, float32 or int64. They may share memory with operands.

    operands: of any shapes that the operation's meaning allows, not only those of its types. weights: needed for
    constants and kernels only. Raises IRError for operations without a meaning.
    """
    if isinstance(op, ConstantOp):
        return [_constant(op, {} if weights is None else weights)]
    if isinstance(op, KernelOp):
        return run_block(op.block, operands, {} if weights is None else weights, trace=trace)
    function = MEANING.get(type(op))
    if function is None:
        raise IRError("the interpreter does not know this operation", where=describe(op))
    with np.errstate(all="ignore"):
        result = function(op, *(inside(array) for array in operands))
    results = [result] if isinstance(result, np.ndarray | np.generic) else result
    return [_typed(op, value, np.asarray(y)) for value, y in zip(op.results, results, strict=True)]


def _typed(op: Operation, value: SSAValue, array: np.ndarray) -> np.ndarray:
    """The array itself. Fails where a meaning strayed into another type, above all into float64."""
    if array.dtype != (np.float32 if is_float(tensor_in(value.type)) else np.int64):
        raise IRError(f"the interpreter computed {array.dtype} for {value.type}", where=describe(op))
    return array


def _check_shapes(op: Operation, results: Sequence[np.ndarray]) -> None:
    for value, array in zip(op.results, results, strict=True):
        want = shape_of(tensor_in(value.type))
        if array.shape != want:
            raise IRError(
                f"the interpreter computed the shape {list(array.shape)} for {list(want)}", where=describe(op)
            )


def inside(array: np.ndarray) -> np.ndarray:
    """An array of any source dtype as it is inside a program: float32 or int64."""
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)


def _constant(op: ConstantOp, weights: Weights) -> np.ndarray:
    return inside(weights[op.get("value")])


class Widened(dict[str, np.ndarray]):
    """A program's weights as float32 and int64 arrays, each converted once: for runs of several samples."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._store = program.weights

    def __missing__(self, name: str) -> np.ndarray:
        array = self[name] = inside(self._store[name])
        return array


def check_inputs(program: Program, inputs: Mapping[str, np.ndarray]) -> int | None:
    """Checks inputs against the ports; gives the batch size of a batched program, else None."""
    ports = program.inputs
    want, have = {port.name for port in ports}, set(inputs)
    if want != have:
        raise InputError(
            f"expected the inputs {sorted(want)}, got {sorted(have)}", hint="give one array for each input by its name"
        )
    for port in ports:
        _check_input(port, inputs[port.name], batched=program.batched)
    if not program.batched:
        return None
    sizes = {inputs[port.name].shape[0] for port in ports}
    if len(sizes) > 1:
        raise InputError(f"the leading axes of all inputs must be equal, got {sorted(sizes)}")
    return sizes.pop() if sizes else 1


def _check_input(port: Port, array: np.ndarray, *, batched: bool) -> None:
    where, first = f"input '{port.name}'", 1 if batched else 0
    if array.dtype != port.dtype:
        raise InputError(f"expected dtype {port.dtype}, got {array.dtype}", where=where)
    if len(array.shape) != len(port.shape) or array.shape[first:] != port.shape[first:]:
        shape = ["N", *port.shape[1:]] if batched else list(port.shape)
        raise InputError(f"expected shape {shape}, got {list(array.shape)}", where=where)
    kind = element_of(port.type)
    if isinstance(kind, IntType) and array.size:
        (lo, hi), least, most = range_of(kind), int(array.min()), int(array.max())
        if not lo <= least <= most <= hi:
            raise InputError(f"expected values {lo}..{hi}, got {least}..{most}", where=where)
    if isinstance(kind, SetType) and not np.isin(array, values_of(kind)).all():
        raise InputError(f"expected the values {list(values_of(kind))} only", where=where)
