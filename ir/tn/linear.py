"""Convolution, matrix product and batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, SymbolRefAttr, f32
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ..operation import TensorOperation, fail
from ..types import Element, Tensor, element_of, int_type, is_float, range_of, shape_of, tensor_type
from ._families import PARAMETERS, UNKNOWN, ElementwiseOp
from ._shapes import broadcast_shapes, window_output


def product_sum_range(terms: int, a: Element, b: Element) -> Element:
    """The range of a sum of `terms` products a*b, each of which may also be absent (zero padding)."""
    (al, ah), (bl, bh) = range_of(a), range_of(b)
    corners = (al * bl, al * bh, ah * bl, ah * bh, 0)
    return int_type(terms * min(corners), terms * max(corners))


@irdl_op_definition
class ConvOp(TensorOperation):
    """Cross-correlation, 1-D or 2-D. x [N, C, *S], w [O, C / group, *K], optional bias [O] -> y [N, O, *S'].

    Operands are all float or all integer. Integers are exact: the result's range holds every sum.
    pads: before each spatial axis, then after each; padding is zero.
    sums: a way to compute it with fewer additions, which changes no result: the array of a `SumGraph` (ir/sum_graph.py)
    from the taps of one output pixel, [C, *K] in row-major order (all groups), to the O sums without bias.
    """

    name = "tn.conv"
    x = operand_def()
    w = operand_def()
    bias = opt_operand_def()
    strides = prop_def(DenseArrayBase)
    pads = prop_def(DenseArrayBase)
    dilations = prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr)
    sums = opt_prop_def(SymbolRefAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        x, w = shape_of(self.x), shape_of(self.w)
        group, rank = self.get("group"), len(x) - 2
        if rank not in (1, 2) or len(w) != len(x):
            raise fail(self, "operands", "x and w of the same rank, 3 or 4", f"x {list(x)}, w {list(w)}")
        for name in ("strides", "dilations"):
            if len(self.get(name)) != rank or min(self.get(name)) < 1:
                raise fail(self, name, f"{rank} positive integers", self.get(name))
        if len(self.get("pads")) != 2 * rank:
            raise fail(self, "pads", f"{2 * rank} integers", self.get("pads"))
        if group < 1 or w[1] * group != x[1] or w[0] % group:
            raise fail(
                self,
                "group",
                f"w [O, {x[1]} / group, ..] with O a multiple of group",
                f"group {group}, w {list(w)}",
            )
        if (bias := self.bias) is not None and shape_of(bias) != (w[0],):
            raise fail(self, "bias", [w[0]], list(shape_of(bias)))
        if len({is_float(v) for v in self.operands}) != 1:
            raise fail(self, "operands", "all float or all integer", [str(element_of(v)) for v in self.operands])
        out = window_output(self, x[2:], w[2:])
        element: Element = f32
        if not is_float(self.x):
            element = product_sum_range(prod(w[1:]), element_of(self.x), element_of(self.w))
            if bias is not None:
                (lo, hi), (bl, bh) = range_of(element), range_of(element_of(bias))
                element = int_type(lo + bl, hi + bh)
        return [tensor_type((x[0], w[0], *out), element)]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return PARAMETERS if any(per_sample[1:]) else ""


@irdl_op_definition
class MatMulOp(TensorOperation):
    """The matrix product as in numpy: a [.., M, K], b [.., K, N], leading axes broadcast; operands may be 1-D.

    sums: as of a convolution, from the K numbers of a row to the N sums of constant b [K, N].
    """

    name = "tn.matmul"
    a = operand_def()
    b = operand_def()
    sums = opt_prop_def(SymbolRefAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        a, b = shape_of(self.a), shape_of(self.b)
        if not a or not b:
            raise fail(self, "operands", "rank 1 or more", f"a {list(a)}, b {list(b)}")
        wide_a = (1, *a) if len(a) == 1 else a
        wide_b = (*b, 1) if len(b) == 1 else b
        if wide_a[-1] != wide_b[-2]:
            raise fail(self, "operands", "a [.., M, K] and b [.., K, N]", f"a {list(a)}, b {list(b)}")
        if is_float(self.a) != is_float(self.b):
            raise fail(self, "operands", "both float or both integer", f"{element_of(self.a)}, {element_of(self.b)}")
        lead = broadcast_shapes(self, wide_a[:-2], wide_b[:-2])
        shape = [*lead, *(() if len(a) == 1 else (a[-2],)), *(() if len(b) == 1 else (b[-1],))]
        element = f32 if is_float(self.a) else product_sum_range(wide_a[-1], element_of(self.a), element_of(self.b))
        return [tensor_type(shape, element)]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        """Rows of a are samples, or a leading axis outside the matrices is."""
        (a, b), (rank_a, rank_b) = per_sample, (len(shape_of(v)) for v in self.operands)
        mixes = "it sums over the batch axis or broadcasts it"
        if b and (rank_b < 3 or rank_b != len(shape_of(self.y))):
            return mixes
        if a and (rank_a < 2 or rank_a < rank_b or (b and rank_a < 3)):
            return mixes
        return ""


@irdl_op_definition
class BatchNormOp(ElementwiseOp):
    """Batch normalisation over axis 1, as in inference: x * k + (bias - mean * k), k = scale / sqrt(var + epsilon).

    Computed in float32.
    """

    name = "tn.batch_norm"
    x = operand_def()
    scale = operand_def()
    bias = operand_def()
    mean = operand_def()
    var = operand_def()
    epsilon = prop_def(FloatAttr)
    y = result_def()
    MAPS: ClassVar = 1

    def parameter_axis(self) -> int | None:
        return 1

    def infer(self) -> Sequence[Tensor]:
        x = shape_of(self.x)
        if len(x) < 2 or not is_float(self.x):
            raise fail(self, "x", "f32 of rank 2 or more", self.x.type)
        for name in ("scale", "bias", "mean", "var"):
            if shape_of(getattr(self, name)) != (x[1],):
                raise fail(self, name, [x[1]], list(shape_of(getattr(self, name))))
        return [tensor_type(x, f32)]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN  # a pass folds it into a product and a sum

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return PARAMETERS if any(per_sample[1:]) else ""


OPS = [ConvOp, MatMulOp, BatchNormOp]
