"""Pixels that nobody reads are not computed: strides move up to the window that makes the map.

    conv1x1[stride 2](f(conv(x), y))   ->   conv1x1(f(conv[stride 2](x), y[::2]))

for f that works pixel by pixel. Every result stays what it was. Networks whose bottlenecks shrink in a 1x1 convolution
(ResNets as first published, expansions of inverted bottlenecks) compute a quarter of the layers in front of it. Maps
that somebody else reads whole, such as a block's shortcut, are sliced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation, SSAValue, Use

from ..ir.operation import AttributeValue, TensorOperation, to_attribute
from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace
from ..ir.tn import ElementwiseOp
from ..ir.tn.constant import ConstantOp
from ..ir.tn.linear import ConvOp
from ..ir.tn.movement import SliceOp
from ..ir.tn.pool import AvgPoolOp, MaxPoolOp, PoolOp, SumPoolOp
from ..ir.types import element_of, shape_of, tensor_of, tensor_type
from .base import RewritePass
from .properties import NO_KERNELS


def _subsampling(op: Operation) -> tuple[int, ...]:
    """The strides with which an operation reads single pixels, from the first on; () where it does something else or
    reads all of them."""
    if isinstance(op, ConvOp | PoolOp):
        kernel = op.get("kernel") if isinstance(op, PoolOp) else shape_of(op.w)[2:]
        strides = op.get("strides") if set(kernel) == {1} and not any(op.get("pads")) else ()
    elif isinstance(op, SliceOp) and len(shape_of(op.x)) in (3, 4):
        strides = _steps(op)
    else:
        return ()
    sizes = shape_of(op.operands[0])[2:]
    return tuple(strides) if any(stride > 1 < size for stride, size in zip(strides, sizes, strict=False)) else ()


def _steps(op: SliceOp) -> tuple[int, ...]:
    """The steps along spatial axes of a slice that begins at 0 and leaves out nothing else."""
    steps, x = op.get("steps"), shape_of(op.x)
    whole = min(steps) > 0 and op.get("sizes") == tuple(-(-d // step) for d, step in zip(x, steps, strict=True))
    return steps[2:] if whole and steps[:2] == (1, 1) and not any(op.get("starts")) else ()


def _hoist(program: Program, op: Operation) -> bool:
    """See above."""
    strides = _subsampling(op)
    makers = _makers(program, op.operands[0], strides) if strides else []
    few: dict[SSAValue, SSAValue] = {}
    for maker in makers:
        few[maker.result] = _with_strides(program, maker, strides, few)
    readers = dict.fromkeys(use.operation for maker in makers for use in maker.result.uses)
    for reader in [reader for reader in readers if reader not in makers]:
        x = few[reader.operands[0]]
        if isinstance(reader, ConvOp):
            attributes = {**reader.properties, "strides": to_attribute([1] * len(strides))}
            kinds = [tensor_of(reader.result)]
            x = insert(reader, ConvOp.make_typed([x, *reader.operands[1:]], kinds, at=reader, **attributes))
        replace(reader, x)
    return bool(makers)


def _makers(program: Program, x: SSAValue, strides: Sequence[int]) -> list[TensorOperation]:
    """The operations that make a map and need not make all of it, in order: windows, and what maps their results pixel
    by pixel, for this reader or for others with the same strides. Empty where no window is among them."""
    found = _reached(x)
    while read_whole := {op for op in found if not all(_reads_few(use, strides, found) for use in op.results[0].uses)}:
        found -= read_whole
    if x.owner not in found or not any(isinstance(op, ConvOp | PoolOp) for op in found):
        return []
    return [op for op in program.ops if op in found and isinstance(op, TensorOperation)]


def _reached(x: SSAValue) -> set[Operation]:
    """Windows, and operations that work pixel by pixel, which lie before x or behind something before it."""
    found, open_ = set[Operation](), [x.owner]
    while open_:
        op = open_.pop()
        if op in found:
            continue
        if isinstance(op, ElementwiseOp):
            maps = _maps(op)
            if maps is None:
                continue
            open_ += [v.owner for v in maps]
        elif not isinstance(op, ConvOp | PoolOp):
            continue
        found.add(op)
        open_ += [use.operation for use in op.results[0].uses if isinstance(use.operation, ElementwiseOp)]
    return found


def _reads_few(use: Use, strides: Sequence[int], makers: set[Operation]) -> bool:
    return use.operation in makers or (not use.index and _subsampling(use.operation) == strides)


def _maps(op: ElementwiseOp) -> list[SSAValue] | None:
    """The operands that have to leave out the same pixels as the result; None where that has no meaning."""
    shape = shape_of(op.results[0])
    if op.parameter_axis() not in (None, 1):
        return None
    maps = []
    for value in op.operands[: op.MAPS]:
        have = shape_of(value)
        if isinstance(value.owner, ConstantOp) or all(d == 1 for d in have[-(len(shape) - 2) :]):
            continue
        if len(have) != len(shape) or have[2:] != shape[2:]:
            return None
        maps.append(value)
    return maps


def _with_strides(
    program: Program, op: TensorOperation, strides: Sequence[int], few: dict[SSAValue, SSAValue]
) -> SSAValue:
    """The same operation for fewer pixels, of the same element type. few: what became of the maps before it; a slice of
    others is added."""
    attributes: dict[str, AttributeValue] = dict(op.properties)
    operands = list(op.operands)
    if isinstance(op, ConvOp | PoolOp):
        attributes["strides"] = [a * b for a, b in zip(op.get("strides"), strides, strict=True)]
    elif isinstance(op, ElementwiseOp):
        for value in _maps(op) or []:
            if value not in few:
                few[value] = _sliced(op, value, strides)
        count = len(operands) if op.MAPS is None else op.MAPS
        operands = [few.get(v) or _constant(program, op, v, strides) for v in operands[:count]] + operands[count:]
    kind = tensor_type(_fewer(shape_of(op.result), strides), element_of(op.result))
    result = insert(op, type(op).make_typed(operands, [kind], at=op, **attributes))
    result.name_hint = op.result.name_hint
    return result


def _fewer(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    return (*shape[:2], *(-(-d // stride) for d, stride in zip(shape[2:], strides, strict=True)))


def _sliced(op: TensorOperation, value: SSAValue, strides: Sequence[int]) -> SSAValue:
    shape = shape_of(value)
    sizes, steps = _fewer(shape, strides), (1, 1, *strides)
    return insert(op, SliceOp.make(value, starts=[0] * len(shape), sizes=sizes, steps=steps, at=op))


def _constant(program: Program, op: TensorOperation, value: SSAValue, strides: Sequence[int]) -> SSAValue:
    """An operand that is no map: a constant with elements for all pixels loses those of the pixels left out."""
    array = program.array(value)
    if array is None:
        return value
    steps = [1, 1, *strides][len(strides) + 2 - array.ndim :]
    fewer = array[tuple(slice(None, None, step) for step in steps)]
    return value if fewer.shape == array.shape else constant_before(program, op, name_of(value), fewer, value)


RULES: Rules = {kind: (_hoist,) for kind in (ConvOp, MaxPoolOp, AvgPoolOp, SumPoolOp, SliceOp)}


@dataclass(frozen=True)
class HoistStrides(RewritePass):
    """Strides of 1x1 windows move up to the windows before them, so that pixels nobody reads are not computed."""

    name: ClassVar[str] = "hoist-strides"
    requires: ClassVar = (NO_KERNELS,)

    def rules(self) -> Rules:
        return RULES
