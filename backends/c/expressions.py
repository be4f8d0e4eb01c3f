"""One element of an elementwise operation as a C expression, for engines to use on sums before they are stored.

    expression(op, ["acc", "scale_at"])     ->     "(float)acc * scale_at"

Arguments are C variables or literals (used more than once) of the type `value_c(element)` of each operand: float,
int32_t or int64_t; for thresholds (`threshold_row`) the pointer to the channel's row, as stored. The result is of
the type `value_c` of the operation's result. Generated code includes ELEMENT_HEADER.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np
from xdsl.ir import Operation

from ...ir.tn import elementwise as tn
from ...ir.tn import functions as fn
from ...ir.tn.linear import BatchNormOp
from ...ir.tn.logic import CompareOp, SelectOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, SelectThresholdOp, ThresholdOp
from ...ir.types import INT64_MAX, INT64_MIN, element_of, int_type, is_float, may_wrap, range_of, shape_of
from .elements import ELEMENTS, element
from .text import float_c, int_c, storage_c, value_c

ELEMENT_HEADER = Path(__file__).parent / "tercet_element.h"
UNROLLED_THRESHOLDS = 16
"""Up to so many thresholds, comparing with each is faster than a binary search, and vectorises."""


def is_elementwise(op: Operation) -> bool:
    """Whether every result element depends on one element of each operand (and of a threshold row)."""
    return type(op) in ELEMENTS


def expression(op: Operation, arguments: Sequence[str]) -> str:
    """The C expression of one result element. Raises KeyError for an operation that is not elementwise."""
    return ELEMENTS[type(op)].write(op, *arguments)


FUNCTIONS: dict[type[Operation], tuple[str, ...]] = {
    tn.HardSigmoidOp: ("tercet_hard_sigmoid", "alpha", "beta"),
    tn.HardSwishOp: ("tercet_hard_swish",),
    fn.SqrtOp: ("sqrtf",),
}
"""Operation -> C function of x, and the attributes that follow x."""

EXPONENTIALS: dict[type[Operation], tuple[str, ...]] = {
    tn.SigmoidOp: ("tercet_sigmoid",),
    fn.ExpOp: ("tercet_exp",),
}
"""The same for functions that take tens of operations, which compilers vectorise."""

CALLS: dict[type[Operation], tuple[str, ...]] = {
    tn.TanhOp: ("tanhf",),
    fn.LogOp: ("logf",),
    fn.ErfOp: ("erff",),
    fn.SoftplusOp: ("tercet_softplus",),
    fn.EluOp: ("tercet_elu", "alpha"),
    fn.MishOp: ("tercet_mish",),
}
"""The same for functions that call libm."""


def _call(function: str, *attributes: str) -> Callable[..., str]:
    return lambda op, x: f"{function}({', '.join([x, *(float_c(op.get(name)) for name in attributes)])})"


for _kind, _function in FUNCTIONS.items():
    element(_kind)(_call(*_function))
for _kind, _function in EXPONENTIALS.items():
    element(_kind, cost="exponential")(_call(*_function))
for _kind, _function in CALLS.items():
    element(_kind, cost="call", total=lambda op: False)(_call(*_function))


def _compute_type(op: Operation) -> str:
    """The C type that holds all operands and the result."""
    return value_c(*(element_of(v) for v in (*op.operands, *op.results)))


def _wraps(op: Operation) -> bool:
    """Whether integer arithmetic may leave 64 bits, where it wraps like numpy's."""
    return may_wrap(op.results[0])


def _arithmetic(sign: str) -> Callable[[Operation, str, str], str]:
    def write(op: Operation, a: str, b: str) -> str:
        kind = _compute_type(op)
        if kind == "float":
            return f"{a} {sign} {b}"
        if _wraps(op):
            return f"(int64_t)((uint64_t){a} {sign} (uint64_t){b})"
        # a narrower operand is widened first, and a result known to be narrow is narrowed last
        wide = f"(int64_t){a} {sign} {b}" if kind == "int64_t" else f"{a} {sign} {b}"
        return _narrowed(op, kind, wide)

    return write


for _kind, _sign in {tn.AddOp: "+", tn.SubOp: "-", tn.MulOp: "*"}.items():
    element(_kind)(_arithmetic(_sign))


def _narrowed(op: Operation, kind: str, text: str) -> str:
    want = value_c(element_of(op.results[0]))
    return text if want == kind else f"({want})({text})"


@element(tn.DivOp, total=lambda op: is_float(op.y))
def _div(op: Operation, a: str, b: str) -> str:
    kind = _compute_type(op)
    if kind == "float":
        return f"{a} / {b}"
    return _narrowed(op, kind, f"{'tercet_div_i32' if kind == 'int32_t' else 'tercet_div_i64'}({a}, {b})")


def _extreme(sign: str, function: str) -> Callable[[Operation, str, str], str]:
    def write(op: Operation, a: str, b: str) -> str:
        if _compute_type(op) == "float":
            return f"{function}({a}, {b})"
        return _narrowed(op, _compute_type(op), f"{a} {sign} {b} ? {a} : {b}")

    return write


element(tn.MaxOp)(_extreme(">", "tercet_max_f32"))
element(tn.MinOp)(_extreme("<", "tercet_min_f32"))


@element(tn.PReluOp)
def _prelu(op: Operation, a: str, b: str) -> str:
    return f"{a} >= 0 ? {a} : ({_arithmetic('*')(op, a, b)})"


@element(tn.ReluOp)
def _relu(op: Operation, x: str) -> str:
    return f"{x} < 0 ? 0 : {x}"  # NaN stays


@element(fn.GeluOp, cost="call", total=lambda op: False)
def _gelu(op: fn.GeluOp, x: str) -> str:
    return f"{'tercet_gelu_tanh' if op.get('mode') == 'tanh' else 'tercet_gelu'}({x})"


@element(tn.PowOp, cost="call", total=lambda op: False)
def _pow(op: tn.PowOp, a: str, b: str) -> str:
    return f"powf({a}, {b})"


@element(tn.AbsOp)
def _abs(op: tn.AbsOp, x: str) -> str:
    if is_float(op.x):
        return f"fabsf({x})"
    if _wraps(op):
        return f"{x} < 0 ? (int64_t)(0 - (uint64_t){x}) : {x}"
    return _narrowed(op, _compute_type(op), f"({x} < 0 ? -({_compute_type(op)}){x} : {x})")


@element(tn.LeakyReluOp)
def _leaky_relu(op: tn.LeakyReluOp, x: str) -> str:
    return f"{x} >= 0 ? {x} : {float_c(op.get('alpha'))} * {x}"


def rounding(mode: str) -> str:
    """The name of the C function float -> whole float of a rounding mode."""
    return "tercet_round" if mode == "round" else f"tercet_round_{mode}"


@element(tn.RoundOp)
def _round(op: tn.RoundOp, x: str) -> str:
    return f"{rounding(op.get('mode'))}({x})"


def saturated(whole: str, lo: int, hi: int) -> str:
    """A whole float expression as an integer of lo..hi, of the type `value_c` of that range; NaN counts as 0."""
    narrow = value_c(int_type(lo, hi)) == "int32_t"
    if narrow and hi - lo <= 2**24 and int(np.float32(lo)) == lo and int(np.float32(hi)) == hi:
        return f"tercet_saturate_i32({whole}, {float_c(lo)}, {float_c(hi)})"
    text = f"tercet_saturate_i64({whole}, {int_c(lo)}, {int_c(hi)})"
    return f"(int32_t){text}" if narrow else text


@element(tn.ClipOp)
def _clip(op: tn.ClipOp, x: str) -> str:
    lo, hi = op.get("lo"), op.get("hi")
    if is_float(op.x):
        text = x if lo == -np.inf else f"({x} < {float_c(lo)} ? {float_c(lo)} : {x})"
        return text if hi == np.inf else f"tercet_min_f32({text}, {float_c(hi)})"
    low, high = (int(min(max(v, INT64_MIN), INT64_MAX)) for v in (lo, hi))
    first, last = range_of(element_of(op.x))
    bounds = int_type(min(low, high), max(low, high))
    bits = "i32" if value_c(element_of(op.x), element_of(op.y), bounds) == "int32_t" else "i64"
    text = x if low <= first else f"tercet_max_{bits}({x}, {int_c(low)})"
    if high < max(last, low):
        text = f"tercet_min_{bits}({text}, {int_c(high)})"
    return f"({value_c(element_of(op.y))}){text}"


@element(tn.CastOp)
def _cast(op: tn.CastOp, x: str) -> str:
    if is_float(op.y):
        return f"(float){x}"
    lo, hi = range_of(element_of(op.y))
    if is_float(op.x):
        return saturated(f"truncf({x})", lo, hi)
    first, last = range_of(element_of(op.x))
    want, size = value_c(element_of(op.y)), hi - lo + 1
    if (lo <= first and last <= hi) or size > INT64_MAX:
        return f"({want}){x}"
    return f"({want})tercet_wrap({x}, {int_c(lo)}, {int_c(size)})"


_COMPARISONS = {"ge": ">=", "gt": ">", "eq": "=="}


@element(CompareOp)
def _compare(op: CompareOp, a: str, b: str) -> str:
    return f"{a} {_COMPARISONS[op.get('relation')]} {b}"


@element(SelectOp)
def _select(op: SelectOp, condition: str, a: str, b: str) -> str:
    return f"{condition} ? {a} : {b}"


@element(BatchNormOp, joins=False)
def _batch_norm(op: BatchNormOp, *operands: str) -> str:
    return f"tercet_batch_norm({', '.join(operands)}, {float_c(op.get('epsilon'))})"


@element(DequantizeOp)
def _dequantize(op: DequantizeOp, q: str, scale: str) -> str:
    return f"(float){q} * {scale}"


@element(QuantizeOp)
def _quantize(op: QuantizeOp, x: str, scale: str) -> str:
    return saturated(f"{rounding(op.get('mode'))}({x} / {scale})", op.get("lo"), op.get("hi"))


@element(RequantizeOp)
def _requantize(op: RequantizeOp, x: str, multiplier: str, divisor: str) -> str:
    """The quotient in double precision: see the operation for why that is exact."""
    corners = [a * b for a in range_of(element_of(op.x)) for b in range_of(element_of(op.multiplier))]
    wide = "" if value_c(int_type(min(corners), max(corners))) == "int32_t" else "(int64_t)"
    quotient = f"(double)({wide}{x} * {multiplier}) / (double){divisor}"
    return saturated(f"{rounding(op.get('mode'))}_f64({quotient})", op.get("lo"), op.get("hi"))


def _few_thresholds(op: ThresholdOp | SelectThresholdOp) -> bool:
    return prod(shape_of(op.thresholds)[1:]) <= UNROLLED_THRESHOLDS


@element(ThresholdOp, alone=2.0, total=_few_thresholds)
def _threshold(op: ThresholdOp | SelectThresholdOp, x: str, row: str, sign: str | None = None) -> str:
    n = shape_of(op.thresholds)[-1]
    stored = storage_c(element_of(op.thresholds))
    kind = value_c(element_of(op.x), element_of(op.thresholds))
    if n <= UNROLLED_THRESHOLDS:
        wide = f"({kind})" if kind == "int64_t" != stored else ""  # uint32_t must not make x unsigned
        count = " + ".join(f"({x} >= {wide}{row}[{j}])" for j in range(n)) or "0"
    else:
        count = f"tercet_count_{stored}_{kind}({x}, {row}, {n})"
    if sign is not None:
        count = f"({sign} < 0 ? {n} - ({count}) : ({count}))"
    base, step = op.get("base"), op.get("step")
    if value_c(element_of(op.y)) == "int64_t":
        count = f"(int64_t)({count})"
    text = count if step == 1 else f"{int_c(step)} * ({count})"
    return text if base == 0 else f"{int_c(base)} + ({text})"


@element(SelectThresholdOp, alone=8.0, total=_few_thresholds)
def _select_threshold(op: SelectThresholdOp, x: str, selector: str, row: str, sign: str | None = None) -> str:
    n = shape_of(op.thresholds)[2]
    return _threshold(op, x, f"({row} + ({selector} - {int_c(op.get('first'))}) * {n})", sign)


def threshold_row(op: Operation) -> int | None:
    """Which operand of an elementwise operation is passed as a pointer to the channel's thresholds."""
    return {ThresholdOp: 1, SelectThresholdOp: 2}.get(type(op))


def helpers(ops: Sequence[Operation]) -> list[str]:
    """Definitions that the expressions of these operations need, to be written before the kernel."""
    lines: dict[str, None] = {}
    for op in ops:
        if isinstance(op, ThresholdOp | SelectThresholdOp) and shape_of(op.thresholds)[-1] > UNROLLED_THRESHOLDS:
            stored = storage_c(element_of(op.thresholds))
            kind = value_c(element_of(op.x), element_of(op.thresholds))
            lines[f"TERCET_COUNT(tercet_count_{stored}_{kind}, {kind}, {stored})"] = None
    return list(lines)
