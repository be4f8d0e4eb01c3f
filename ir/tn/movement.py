"""Operations that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, var_operand_def

from ..operation import fail
from ..types import BIPOLAR, Element, Tensor, element_of, int_type, is_float, range_of, shape_of, tensor_type
from ._families import ALONG_BATCH, MovementOp


def union(*elements: Element) -> Element:
    """The tightest element type that holds all of them; f32 when they are floats."""
    if len(set(elements)) == 1:
        return elements[0]
    ranges = [range_of(e) for e in elements]
    return int_type(min(lo for lo, _ in ranges), max(hi for _, hi in ranges))


@irdl_op_definition
class ReshapeOp(MovementOp):
    """The same elements in row-major order under another shape."""

    name = "tn.reshape"
    x = operand_def()
    shape = prop_def(DenseArrayBase)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        if prod(self.get("shape")) != prod(shape_of(self.x)) or any(d < 0 for d in self.get("shape")):
            raise fail(self, "shape", f"{prod(shape_of(self.x))} elements", list(self.get("shape")))
        return [tensor_type(self.get("shape"), element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ""  # as long as the result keeps the axis


@irdl_op_definition
class TransposeOp(MovementOp):
    """Axis i of y is axis perm[i] of x."""

    name = "tn.transpose"
    x = operand_def()
    perm = prop_def(DenseArrayBase)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        x, perm = shape_of(self.x), self.get("perm")
        if sorted(perm) != list(range(len(x))):
            raise fail(self, "perm", f"a permutation of 0..{len(x) - 1}", perm)
        return [tensor_type([x[p] for p in perm], element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return "" if self.get("perm")[:1] == (0,) else "it moves the batch axis"


@irdl_op_definition
class ConcatOp(MovementOp):
    """The operands, joined along `axis`."""

    name = "tn.concat"
    parts = var_operand_def()
    axis = prop_def(IntegerAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        shapes = [shape_of(v) for v in self.operands]
        axis = self.get("axis")
        if not shapes or not 0 <= axis < len(shapes[0]):
            raise fail(self, "axis", "an axis of the operands", axis)
        rest = {(len(s), *s[:axis], *s[axis + 1 :]) for s in shapes}
        if len(rest) != 1 or len({is_float(v) for v in self.operands}) != 1:
            raise fail(
                self,
                "operands",
                f"one kind, shapes that differ along axis {axis} only",
                [list(s) for s in shapes],
            )
        out = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
        return [tensor_type(out, union(*(element_of(v) for v in self.operands)))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ALONG_BATCH if self.get("axis") == 0 else ""


@irdl_op_definition
class SliceOp(MovementOp):
    """y[i] = x[starts + i * steps] with `sizes` elements along each axis; steps may be negative."""

    name = "tn.slice"
    x = operand_def()
    starts = prop_def(DenseArrayBase)
    sizes = prop_def(DenseArrayBase)
    steps = prop_def(DenseArrayBase)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        x = shape_of(self.x)
        starts, sizes, steps = (self.get(n) for n in ("starts", "sizes", "steps"))
        if not len(starts) == len(sizes) == len(steps) == len(x):
            raise fail(self, "starts", f"{len(x)} entries in starts, sizes and steps", starts)
        for d, start, size, step in zip(x, starts, sizes, steps, strict=True):
            if size < 0 or (size > 0 and not (0 <= start < d and 0 <= start + (size - 1) * step < d)):
                raise fail(self, "sizes", f"indices inside {list(x)}", f"start {start}, size {size}, step {step}")
        return [tensor_type(sizes, element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ""  # as long as the result keeps the axis


@irdl_op_definition
class PadOp(MovementOp):
    """x inside a border of `value`.

    pads: before each axis, then after each, not negative.
    """

    name = "tn.pad"
    x = operand_def()
    pads = prop_def(DenseArrayBase)
    value = prop_def(FloatAttr)
    y = result_def()
    DEFAULTS: ClassVar = {"value": 0.0}

    def infer(self) -> Sequence[Tensor]:
        x, pads, value = shape_of(self.x), self.get("pads"), self.get("value")
        if len(pads) != 2 * len(x) or any(p < 0 for p in pads):
            raise fail(self, "pads", f"{2 * len(x)} entries >= 0", pads)
        element = element_of(self.x)
        if not is_float(self.x):
            if value != int(value):
                raise fail(self, "value", "a whole number for integers", value)
            inside = element == BIPOLAR and abs(value) == 1
            element = element if inside or not any(pads) else union(element, int_type(int(value), int(value)))
        return [tensor_type([d + pads[i] + pads[i + len(x)] for i, d in enumerate(x)], element)]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        pads = self.get("pads")
        return "it pads the batch axis" if pads[0] or pads[len(pads) // 2] else ""


@irdl_op_definition
class TakeOp(MovementOp):
    """The slices of x along `axis` at `indices`, as numpy.take; negative indices count from the end."""

    name = "tn.take"
    x = operand_def()
    indices = operand_def()
    axis = prop_def(IntegerAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        x, indices, axis = shape_of(self.x), shape_of(self.indices), self.get("axis")
        if not 0 <= axis < len(x) or is_float(self.indices):
            raise fail(self, "axis", f"0 <= axis < {len(x)} and integer indices", axis)
        return [tensor_type((*x[:axis], *indices, *x[axis + 1 :]), element_of(self.x))]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        x, indices = per_sample
        kept = self.get("axis") != 0 and not indices if x else self.get("axis") == 0
        return "" if kept else "it picks elements across samples"


OPS = [ReshapeOp, TransposeOp, ConcatOp, SliceOp, PadOp, TakeOp]
