"""One pixel of an operation as a netlist, and how many of it there are: what a large network costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from ....ir.operation import AttributeValue, TensorOperation
from ....ir.program import Program
from ....ir.tn import ElementwiseOp
from ....ir.tn.constant import ConstantOp
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.tn.pool import PoolOp
from ....ir.tn.quant import SelectThresholdOp, ThresholdOp
from ....ir.types import element_of, shape_of, tensor_type
from ..cell import Library
from ..mapping.numbers import Form, Number
from ..netlist import Builder, Netlist
from .coding import Coding
from .graph import Unmapped, constant_of, reason_against
from .rules import RULES, Context, NotMappedError, Operand


@dataclass(frozen=True)
class Part:
    """operation: of the program. part: the same for fewer pixels, on values of its own. copies: how many parts make the
    operation."""

    operation: Operation
    part: Operation
    copies: int


@dataclass(frozen=True)
class Tile(Part):
    """A part in gates. inputs: forms of the netlist's inputs x0, x1, .., a map operand each; its output is y, of a
    form. saved: transistors that shared sums save."""

    netlist: Netlist
    inputs: tuple[Form, ...]
    output: Form
    saved: int = 0

    @property
    def transistors(self) -> int:
        return self.copies * self.netlist.transistors


def parts(program: Program) -> Iterator[Part]:
    """Of each operation that may have gates."""
    for op in program.block.ops:
        if isinstance(op, TensorOperation) and not isinstance(op, ConstantOp) and not reason_against(op):
            yield Part(op, *smaller(program, op))


def tiles(program: Program, library: Library, coding: Coding) -> Iterator[Tile | Unmapped]:
    """A tile of each operation of a program but its constants, in order; or why there is none. Outputs of convolutions
    that sum-merge has factored share sums where that saves transistors."""
    for op in program.block.ops:
        if isinstance(op, ConstantOp) or not isinstance(op, TensorOperation):
            continue
        reason = reason_against(op)
        try:
            yield Unmapped(op, reason) if reason else _smallest(program, op, library, coding)
        except NotMappedError as refusal:
            yield Unmapped(op, str(refusal))


def _smallest(program: Program, op: TensorOperation, library: Library, coding: Coding) -> Tile:
    tile = _tile(program, op, library, coding)
    if not isinstance(op, ConvOp | MatMulOp) or op.get("sums") is None:
        return tile
    shared = _tile(program, op, library, coding, shared=True)
    saved = tile.netlist.transistors - shared.netlist.transistors
    return replace(shared, saved=saved) if saved > 0 else tile


def _tile(program: Program, op: TensorOperation, library: Library, coding: Coding, *, shared: bool = False) -> Tile:
    part, copies = smaller(program, op)
    builder = Builder(library)
    context = Context(builder, coding, program.weights if shared else None)
    operands, forms = list[Operand](), list[Form]()
    for value, whole in zip(part.operands, op.operands, strict=True):
        if isinstance(whole.owner, ConstantOp):
            operands.append(constant_of(program, whole))
        else:
            form = coding.form(element_of(value))
            operands.append(Number(builder.input(f"x{len(forms)}", form.wires, *shape_of(value)), form))
            forms.append(form)
    result = RULES[type(op)](context, part, *operands)
    builder.output("y", result.nets)
    return Tile(op, part, copies, builder.finish(), tuple(forms), result.form)


def smaller(program: Program, op: TensorOperation) -> tuple[TensorOperation, int]:
    """An operation for one output pixel, without borders, and how many pixels there are; the operation itself, once,
    where pixels differ in more than what they read."""
    out, attributes = shape_of(op.result), dict[str, AttributeValue](op.properties)
    first = op.operands[0]
    if isinstance(op, ConvOp | PoolOp):
        rank = len(out) - 2
        kernel = op.get("kernel") if isinstance(op, PoolOp) else shape_of(op.w)[2:]
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, op.get("dilations"), strict=True)]
        attributes |= {"pads": [0] * 2 * rank, "strides": [1] * rank}
        shapes = [(1, shape_of(first)[1], *reach), *map(shape_of, op.operands[1:])]
        return _remade(op, shapes, (1, out[1], *[1] * rank), attributes), out[0] * prod(out[2:])
    if isinstance(op, MatMulOp) and _maps_alone(op):
        ranks = [len(shape_of(value)) for value in op.operands]
        shapes = [(*[1] * (ranks[0] - 1), shape_of(first)[-1]), (*[1] * (ranks[1] - 2), shape_of(op.b)[-2], 1)]
        return _remade(op, shapes, (1,) * len(out), attributes), prod(out)
    if isinstance(op, MatMulOp) and len(shape_of(op.b)) == 2 and len(out) > 1:
        shapes = [(*[1] * (len(out) - 1), shape_of(first)[-1]), shape_of(op.b)]
        return _remade(op, shapes, (*[1] * (len(out) - 1), out[-1]), attributes), prod(out[:-1])
    if isinstance(op, ElementwiseOp) and len(out) > 2:
        axis = channel_axis(op)
        shapes = [_pixel(op, value, out, axis) for value in op.operands]
        if all(shape is not None for shape in shapes):
            chosen = [shape for shape in shapes if shape is not None]
            pixel = tuple(size if i == axis else 1 for i, size in enumerate(out))
            return _remade(op, chosen, pixel, attributes), prod(out) // max(out[axis], 1)
    return op, 1


def channel_axis(op: ElementwiseOp) -> int:
    """The axis of a pixel's channels: that of its parameters, if it has any, else 1."""
    axis = op.parameter_axis()
    return 1 if axis is None else axis


def _maps_alone(op: MatMulOp) -> bool:
    """Whether it multiplies matrices of which none is constant."""
    return all(len(shape_of(value)) > 1 and not isinstance(value.owner, ConstantOp) for value in op.operands)


def _pixel(op: ElementwiseOp, value: SSAValue, out: tuple[int, ...], axis: int) -> tuple[int, ...] | None:
    """The shape of an operand for one pixel; None for a constant that is not the same for all."""
    shape = shape_of(value)
    aligned = (*[1] * (len(out) - len(shape)), *shape)
    if isinstance(value.owner, ConstantOp):
        table = isinstance(op, ThresholdOp | SelectThresholdOp) and value is not op.x  # a row for each channel
        return shape if table or all(size == 1 for i, size in enumerate(aligned) if i != axis) else None
    return tuple(size if i == axis else 1 for i, size in enumerate(shape)) if len(shape) == len(out) else None


def _remade(
    op: TensorOperation, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...], attributes: dict[str, AttributeValue]
) -> TensorOperation:
    kinds = [tensor_type(shape, element_of(value)) for shape, value in zip(shapes, op.operands, strict=True)]
    block = Block(arg_types=kinds)
    result = tensor_type(out, element_of(op.result))
    return type(op).make_typed(list(block.args), [result], at=op, **attributes)


def operands_of(tile: Tile, program: Program, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The operands of a tile's part: its constants, and maps in order."""
    rest = iter(maps)
    return [
        constant_of(program, whole) if isinstance(whole.owner, ConstantOp) else next(rest)
        for whole in tile.operation.operands
    ]
