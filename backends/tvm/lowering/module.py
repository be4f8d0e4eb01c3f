"""A program at kernel level as a TVM module: `main`, and a function for each kernel alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from xdsl.ir import Operation, SSAValue

from ....ir.errors import IRError
from ....ir.kn.kernel import KernelOp, YieldOp
from ....ir.locations import describe
from ....ir.names import identifier
from ....ir.operation import TensorOperation
from ....ir.program import Program
from ....ir.tn.constant import ConstantOp
from ....ir.tn.linear import ConvOp
from ....ir.types import shape_of
from ..context import Context, dtype_of
from ..engines import ENGINES
from ..package import Expr, relax
from ..targets import Target
from . import elementwise, linear, movement, pool, quant  # noqa: F401  (they fill RULES)
from .linear import plus_bias
from .rules import RULES, unsupported

MAIN = "main"
"""The function of the whole network, in which TVM fuses what kernels compute."""

Values = dict[SSAValue, Expr]


def lower(program: Program, target: Target) -> Any:
    """Functions take and give tensors as they lie in memory; all give tuples. Raises IRError for operations without a
    form."""
    builder = relax.BlockBuilder()
    kernels = [op for op in program.ops if isinstance(op, KernelOp)]
    context = Context(builder, target)
    try:
        _function(context, program, MAIN, program.block.args, kernels, program.returned.operands)
        for kernel in kernels:
            _function(context, program, kernel.symbol.data, kernel.operands, [kernel], kernel.results)
    except BaseException:
        with suppress(Exception):
            builder._end_block()  # that of the function at hand; a builder that has one left warns on stderr
        raise
    return builder.get()


def _function(
    context: Context, program: Program, name: str, parameters: Sequence[SSAValue],
    kernels: Sequence[KernelOp], results: Sequence[SSAValue],
) -> None:  # fmt: skip
    values: Values = {value: _variable(value, i) for i, value in enumerate(dict.fromkeys(parameters))}
    builder = context.builder
    with builder.function(name, list(values.values())):
        with builder.dataflow():
            for kernel in kernels:
                inner: Values = dict(zip(kernel.block.args, (values[value] for value in kernel.operands), strict=True))
                values.update(zip(kernel.results, _block(context, program, kernel, inner), strict=True))
            found = builder.emit_output(relax.Tuple([values[value] for value in results]))
        builder.emit_func_output(found)


def _variable(value: SSAValue, number: int) -> Expr:
    name = identifier(value.name_hint or f"x{number}")
    return relax.Var(name, relax.TensorType(list(shape_of(value)), dtype_of(value)))


def _block(context: Context, program: Program, kernel: KernelOp, values: Values) -> Sequence[Expr]:
    """What a kernel's region yields."""
    engine = ENGINES.get(kernel.engine.data)
    for op in kernel.block.ops:
        if isinstance(op, ConstantOp):
            values[op.result] = _constant(context, program, op)
        elif engine is not None and isinstance(op, ConvOp):
            weights = program.array(op.w)
            assert weights is not None
            context.name = _name(op)
            values[op.y] = engine.conv(context, op, values[op.x], weights)
            if op.bias is not None:
                values[op.y] = plus_bias(context, op, values[op.y], values[op.bias])
        elif isinstance(op, TensorOperation):
            values.update(zip(op.results, _results(context, op, values), strict=True))
        elif isinstance(op, YieldOp):
            return [values[value] for value in op.operands]
    raise IRError("a kernel yields nothing")


def _constant(context: Context, program: Program, op: ConstantOp) -> Expr:
    array = program.array(op.result)
    assert array is not None
    return context.constant(array, dtype_of(op.result))


def _name(op: Operation) -> str:
    return identifier(f"{op.name.removeprefix('tn.')}_{describe(op).rpartition(':')[2]}")[:60]


def _results(context: Context, op: Operation, values: Values) -> Sequence[Expr]:
    if type(op) not in RULES:
        raise unsupported(op, op.name)
    context.name = _name(op)
    found = RULES[type(op)](context, op, *(values[value] for value in op.operands))
    return found if isinstance(found, list) else [found]
