"""Integer tensors with scales come out of float graphs: dequantize moves down past what can work on integers.

Every rule keeps the float32 results: a dequantize passes an operation only where that gives the same numbers (moves,
maxima, products and sums of integers), and meets the next quantize, threshold or output at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..ir.operation import TensorOperation
from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace, sole_user
from ..ir.tn import OPS, MovementOp
from ..ir.tn.elementwise import AddOp, ClipOp, DivOp, MulOp, ReluOp, RoundOp, SubOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TransposeOp
from ..ir.tn.pool import MaxPoolOp
from ..ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ..ir.types import contains, element_of, int_type, is_float, may_wrap, range_of, shape_of, values_of
from .base import RewritePass
from .bound_rules import clip_of_dequantize, quantize_of_bounds
from .level_rules import clip_of_quantize, sum_of_thresholds
from .monotone_chain import Step, as_step, varying_axes
from .properties import NO_KERNELS

MAX_PAIRS = 1 << 20
EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""


def _dequantized(program: Program, value: SSAValue) -> tuple[DequantizeOp, np.ndarray] | None:
    """The dequantize after a value and its constant scale."""
    op = value.owner
    if not isinstance(op, DequantizeOp):
        return None
    scale = program.array(op.scale)
    return None if scale is None else (op, scale)


def _dequantize_after(program: Program, op: Operation, integer: Operation, scale: np.ndarray, name: str) -> bool:
    """Replaces `op` by a dequantize of the integer operation, unless its sums may leave 64 bits."""
    if _wraps(integer):
        return False
    y = insert(op, integer)
    s = constant_before(program, op, name, scale.astype(np.float32), op.operands[0])
    return replace(op, insert(op, DequantizeOp.make(y, s, at=op)))


def _wraps(integer: Operation) -> bool:
    """Whether the sums of a new operation may leave 64 bits; it is dropped then."""
    if not may_wrap(integer.results[0]):
        return False
    integer.erase()
    return True


def _product(s: np.ndarray, t: np.ndarray) -> np.ndarray | None:
    """s * t in float32; None where products of scales that are not zero are too large or too small for its precision:
    a sum of zeros times an infinite scale would be NaN."""
    with np.errstate(over="ignore", under="ignore"):
        product = (s * t).astype(np.float32)
    normal = (np.abs(product) >= np.finfo(np.float32).tiny) & np.isfinite(product)
    return product if (normal | (s == 0) | (t == 0)).all() else None


def _integer_conv(program: Program, op: Operation) -> bool:
    """conv(q * s, p * t) = conv(q, p) * (s * t), s one number, t one for each output channel; a bias is added after."""
    assert isinstance(op, ConvOp)
    a, b = _dequantized(program, op.x), _dequantized(program, op.w)
    if a is None or b is None or a[1].size != 1:
        return False
    t, rank = b[1], len(shape_of(op.x))
    if t.size != 1 and (t.ndim != rank or t.shape[0] != t.size):
        return False
    scale = _product(a[1].reshape(()), t.reshape(-1))
    if scale is None:
        return False
    scale = scale.reshape(()) if scale.size == 1 else scale.reshape(-1, *[1] * (rank - 2))
    attributes = {n: op.get(n) for n in ("strides", "pads", "dilations", "group")}
    integer = ConvOp.make(a[0].q, b[0].q, at=op, **attributes)
    if _wraps(integer):
        return False
    y = insert(op, integer)
    s = constant_before(program, op, name_of(b[0].q) + ".out_scale", scale, op.w)
    value = insert(op, DequantizeOp.make(y, s, at=op))
    if op.bias is not None:
        shape = (shape_of(op.bias)[0], *[1] * (rank - 2))
        bias = insert(op, ReshapeOp.make(op.bias, shape=shape, at=op))
        value = insert(op, AddOp.make(value, bias, at=op))
    return replace(op, value)


def _integer_matmul(program: Program, op: Operation) -> bool:
    """(q * s) @ (p * t) = (q @ p) * (s * t), s one number, t one number or one for each column."""
    assert isinstance(op, MatMulOp)
    a, b = _dequantized(program, op.a), _dequantized(program, op.b)
    if a is None or b is None or a[1].size != 1:
        return False
    t = b[1]
    if t.size != 1 and (len(shape_of(op.b)) < 2 or t.size != t.shape[-1]):
        return False
    scale = _product(a[1].reshape(()), t.reshape(()) if t.size == 1 else t.reshape(-1))
    if scale is None:
        return False
    return _dequantize_after(program, op, MatMulOp.make(a[0].q, b[0].q, at=op), scale, name_of(b[0].q) + ".out_scale")


def _move(program: Program, op: Operation) -> bool:
    """A movement of q * s with one scale is the movement of q, times s. Padding must be zero."""
    assert isinstance(op, MovementOp)
    found = _dequantized(program, op.operands[0])
    if found is None or found[1].size != 1 or (isinstance(op, PadOp) and op.get("value") != 0):
        return False
    moved = op.with_operands(found[0].q, *op.operands[1:])
    return _dequantize_after(program, op, moved, found[1].reshape(()), name_of(found[0].scale))


def _transpose_channels(program: Program, op: Operation) -> bool:
    """A transpose of q * s with a scale for each index of one axis transposes the scale too."""
    assert isinstance(op, TransposeOp)
    found = _dequantized(program, op.x)
    if found is None or found[1].size == 1:
        return False
    q, scale = found[0].q, found[1]
    if shape_of(q) != shape_of(op.x):
        return False
    full = scale.reshape((1,) * (len(shape_of(q)) - scale.ndim) + scale.shape)
    moved = TransposeOp.make(q, perm=op.get("perm"), at=op)
    return _dequantize_after(program, op, moved, full.transpose(op.get("perm")), name_of(found[0].scale) + ".t")


def _slice_across_scales(program: Program, op: Operation) -> bool:
    """A slice of q * s with scales along axes that it leaves whole is the slice of q, times s."""
    assert isinstance(op, SliceOp)
    found = _dequantized(program, op.x)
    if found is None or shape_of(found[0].q) != shape_of(op.x):
        return False
    (q, scale), rank = (found[0].q, found[1]), len(shape_of(op.x))
    along = {i + rank - scale.ndim for i, size in enumerate(scale.shape) if size > 1}
    whole = {i for i in range(rank) if op.get("steps")[i] == 1 and op.get("sizes")[i] == shape_of(q)[i]}
    return along <= whole and _dequantize_after(program, op, op.with_operands(q), scale, name_of(found[0].scale))


def _order_preserving(program: Program, op: Operation) -> bool:
    """max pool and relu of q * s with s > 0 are those of q, times s."""
    assert isinstance(op, MaxPoolOp | ReluOp)
    found = _dequantized(program, op.operands[0])
    if found is None or not (found[1] > 0).all():
        return False
    scale = found[1] if found[1].size != 1 else found[1].reshape(())
    if isinstance(op, MaxPoolOp) and scale.ndim and max(scale.shape[-(len(shape_of(op.result)) - 2) :]) > 1:
        return False
    return _dequantize_after(program, op, op.with_operands(found[0].q), scale, name_of(found[0].scale))


def _concat(program: Program, op: Operation) -> bool:
    """A concat of tensors with the same scale."""
    found = [_dequantized(program, v) for v in op.operands]
    pairs = [f for f in found if f is not None]
    if len(pairs) != len(found) or any(s.size != 1 or s.reshape(()) != pairs[0][1].reshape(()) for _, s in pairs):
        return False
    assert isinstance(op, ConcatOp)
    integer = op.with_operands(*(d.q for d, _ in pairs))
    return _dequantize_after(program, op, integer, pairs[0][1].reshape(()), name_of(pairs[0][0].scale))


def _add(program: Program, op: Operation) -> bool:
    """q * s + p * s = (q + p) * s, and differences, where float32 gives the same for every pair of values (checked, all
    of them)."""
    assert isinstance(op, AddOp | SubOp)
    a, b = (_dequantized(program, v) for v in op.operands)
    if a is None or b is None or a[1].size != 1 or b[1].size != 1 or a[1].reshape(()) != b[1].reshape(()):
        return False
    ranges = [range_of(element_of(d[0].q)) for d in (a, b)]
    if (ranges[0][1] - ranges[0][0] + 1) * (ranges[1][1] - ranges[1][0] + 1) > MAX_PAIRS:
        return False
    s = np.float32(a[1].reshape(()))
    p, q = (np.array(values_of(element_of(d[0].q)), np.float32) for d in (a, b))
    join = np.add if isinstance(op, AddOp) else np.subtract
    if not np.array_equal(join(p[:, None] * s, q[None, :] * s), join(p[:, None], q[None, :]) * s):
        return False
    return _dequantize_after(program, op, op.with_operands(a[0].q, b[0].q), a[1].reshape(()), name_of(a[0].scale))


def _whole_shift(program: Program, op: Operation) -> bool:
    """q * 1 + z, where z is a constant of whole numbers, is (q + z) * 1: the zero point of a quantizer in floats."""
    assert isinstance(op, AddOp | SubOp)
    places = ((op.a, op.b), (op.b, op.a)) if isinstance(op, AddOp) else ((op.a, op.b),)
    for x, constant in places:
        found, z = _dequantized(program, x), program.array(constant)
        if found is None or z is None or not (found[1] == 1).all() or not np.array_equal(z, np.rint(z)):
            continue
        most = max(map(abs, range_of(element_of(found[0].q)))) + float(np.abs(z).max(initial=0))
        if most > EXACT or shape_of(x) != shape_of(op.result) or shape_of(found[0].q) != shape_of(x):
            continue
        whole = constant_before(program, op, name_of(constant), z.astype(np.int64), constant)
        moved = type(op).make(found[0].q, whole, at=op)
        return _dequantize_after(program, op, moved, np.ones((), np.float32), name_of(found[0].scale))
    return False


def _requantize(program: Program, op: Operation) -> bool:
    """quantize(q * s, s) is q, clipped to the quantizer's range."""
    assert isinstance(op, QuantizeOp)
    found, scale = _dequantized(program, op.x), program.array(op.scale)
    if found is None or scale is None or scale.size != 1 or found[1].size != 1:
        return False
    if scale.reshape(()) != found[1].reshape(()) or max(map(abs, range_of(element_of(found[0].q)))) > 1 << 20:
        return False
    q = found[0].q
    if not contains(int_type(op.get("lo"), op.get("hi")), element_of(q)):
        q = insert(op, ClipOp.make(q, lo=float(op.get("lo")), hi=float(op.get("hi")), at=op))
    return replace(op, q)


def _rounding_chain(program: Program, op: Operation) -> bool:
    """clip(round(x / s)) and round(clip(x / s)) with whole bounds are a quantize whose integers are floats."""
    inner = op.operands[0].owner
    if not isinstance(op, ClipOp | RoundOp) or not isinstance(inner, ClipOp | RoundOp) or type(op) is type(inner):
        return False
    clip, rounding = (op, inner) if isinstance(op, ClipOp) else (inner, op)
    assert isinstance(clip, ClipOp) and isinstance(rounding, RoundOp)
    lo, hi = clip.get("lo"), clip.get("hi")
    if sole_user(inner.result) is not op or is_float(op.result) is False:
        return False
    if not (np.isfinite([lo, hi]).all() and lo == round(lo) and hi == round(hi) and 0 <= hi - lo < 1 << 24):
        return False
    x, scale = inner.operands[0], None
    division = x.owner
    if isinstance(division, DivOp) and program.array(division.b) is not None and sole_user(division.result) is inner:
        x, scale = division.a, division.b
    if scale is None:
        scale = constant_before(program, op, "one", np.ones((), np.float32))
    q = QuantizeOp.make(x, scale, lo=int(lo), hi=int(hi), mode=rounding.get("mode"), at=op)
    return shape_of(q.result) == shape_of(op.result) and _dequantize_after(
        program, op, q, np.ones((), np.float32), "one"
    )


def _scale_chain(program: Program, op: Operation) -> bool:
    """(q * 1) * s is q * s."""
    assert isinstance(op, MulOp)
    for x, s in ((op.a, op.b), (op.b, op.a)):
        found, scale = _dequantized(program, x), program.array(s)
        if found is not None and scale is not None and np.all(found[1] == 1) and shape_of(x) == shape_of(op.result):
            return replace(op, insert(op, DequantizeOp.make(found[0].q, s, at=op)))
    return False


def _quantize_before_pool(program: Program, op: Operation) -> bool:
    """f(max_pool(x)) is max_pool(f(x)) for steps f that rise, up to a quantizer: pool on small integers."""

    def rises(step: Step, rank: int) -> bool:
        return step.op.IN_ORDER and bool((step.direction > 0).all()) and not varying_axes(step, rank) - {1}

    return _quantize_before(program, op, (MaxPoolOp,), rises)


def _quantize_before_move(program: Program, op: Operation) -> bool:
    """f(reshape(x)) is reshape(f(x)) for steps f that are the same for every element: the quantizer meets what is in
    front, a pooling or a sum of integers. So it is with a transpose."""
    return _quantize_before(program, op, (ReshapeOp, TransposeOp), lambda step, rank: not varying_axes(step, rank))


def _quantize_before(
    program: Program, op: Operation, kinds: tuple[type[TensorOperation], ...], may: Callable[[Step, int], bool]
) -> bool:
    """Puts a quantizer, and the float steps in front of it that `may` go, before an operation of some kinds."""
    chain: list[tuple[Step, int]] = []  # from the quantizer up, and which operand x is
    value = op.results[0]
    while not isinstance(value.owner, kinds):
        above = value.owner
        if not isinstance(above, Operation) or (chain and sole_user(value) is not chain[-1][0].op):
            return False
        step, value = as_step(program, above)
        if step is None or not is_float(value) or not may(step, len(shape_of(value))):
            return False
        chain.append((step, list(above.operands).index(value)))
    moved = value.owner
    if sole_user(value) is not chain[-1][0].op or not is_float(moved.operands[0]):
        return False
    value = moved.operands[0]
    if not all(_fits(step, len(shape_of(value))) for step, _ in chain):
        return False
    for step, place in reversed(chain):
        operands = [*step.op.operands[:place], value, *step.op.operands[place + 1 :]]
        value = insert(op, step.op.with_operands(*operands))
    return replace(op, insert(op, moved.with_operands(value)))


def _fits(step: Step, rank: int) -> bool:
    """Whether a step gives a tensor of this rank another one of the same."""
    if isinstance(step.op, ThresholdOp):
        return -rank <= step.op.get("axis") < rank
    return step.constant is None or step.constant.ndim <= rank


MOVES: Rules = {
    **{kind: (_move,) for kind in OPS if issubclass(kind, MovementOp)},
    TransposeOp: (_move, _transpose_channels),
    SliceOp: (_move, _slice_across_scales),
    MaxPoolOp: (_order_preserving,),
    ReluOp: (_order_preserving,),
    ConcatOp: (_concat,),
}
"""Dequantize moves down past what moves or compares elements."""

ROUNDING_CHAINS: Rules = {ClipOp: (_rounding_chain,), RoundOp: (_rounding_chain,), MulOp: (_scale_chain,)}
"""Quantizers written as float operations."""

RULES: Rules = {
    **MOVES,
    **ROUNDING_CHAINS,
    ClipOp: (*ROUNDING_CHAINS[ClipOp], clip_of_dequantize, clip_of_quantize),
    ConvOp: (_integer_conv,),
    MatMulOp: (_integer_matmul,),
    AddOp: (_add, _whole_shift, sum_of_thresholds),
    SubOp: (_add, _whole_shift, sum_of_thresholds),
    QuantizeOp: (_requantize, _quantize_before_pool, _quantize_before_move, quantize_of_bounds),
    ThresholdOp: (_quantize_before_pool, _quantize_before_move),
}


@dataclass(frozen=True)
class RecoverQuantizers(RewritePass):
    """Moves dequantize down, so that convolutions and products between quantizers become integer ones."""

    name: ClassVar[str] = "recover-quantizers"
    requires: ClassVar = (NO_KERNELS,)

    def rules(self) -> Rules:
        return RULES
