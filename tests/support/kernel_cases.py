"""Random kernels for the tests of an engine, as hypothesis strategies that draw a whole `Case`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from elementwise_ops import UNARY, attributes
from hypothesis import strategies as st
from kernel_case import Case, random_array
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from tercet.ir.tn import elementwise as tn
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.logic import COMPARISONS, CompareOp, SelectOp
from tercet.ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from tercet.ir.tn.pool import (
    ArgMaxOp,
    AvgPoolOp,
    MaxPoolOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SumPoolOp,
    TopKOp,
)
from tercet.ir.tn.quant import QUOTIENT_LIMIT, DequantizeOp, QuantizeOp, RequantizeOp, ThresholdOp
from tercet.ir.types import (
    BIPOLAR,
    TERNARY,
    Element,
    element_of,
    int_type,
    is_float,
    range_of,
    shape_of,
    tensor_type,
)

SMALL_INTEGERS: list[Element] = [TERNARY, BIPOLAR, int_type(0, 1), int_type(-8, 7), int_type(0, 255), int_type(3, 200)]
LARGE_INTEGERS: list[Element] = [
    int_type(-300, 40000),
    int_type(-(2**31), 2**31 - 1),
    int_type(0, 2**32 - 1),
    int_type(-(2**40), 2**40),
    int_type(-(2**63), 2**63 - 1),
]
INTEGERS = [*SMALL_INTEGERS, *LARGE_INTEGERS]
SPECIAL_FLOATS = np.array([0, -0.0, 0.5, 1.5, -2.5, 8388609, 1e9, -3e38, np.inf, -np.inf, np.nan], np.float32)

Draw = st.DrawFn


def shapes(*, low: int = 0, high: int = 4, most: int = 6) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, most), min_size=low, max_size=high).map(tuple)


def _generator(draw: Draw) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def with_specials(draw: Draw, case: Case) -> None:
    """Gives a case inputs of its own, in which NaN, infinities and ties occur."""
    rng, feeds = _generator(draw), []
    for value in case.inputs:
        array = random_array(rng, shape_of(value), element_of(value))
        if array.dtype.kind == "f":
            special = rng.random(array.shape) < 0.3
            array = np.where(special, rng.choice(SPECIAL_FLOATS, array.shape), array).astype(np.float32)
        feeds.append(array)
    case.feeds = feeds


def narrower(draw: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`."""
    own = tuple(d if draw(st.booleans()) else 1 for d in shape)
    return own[draw(st.integers(0, len(own))) :]


def float_constant(draw: Draw, case: Case, shape: Sequence[int], *, positive: bool = False) -> SSAValue:
    array = _generator(draw).standard_normal(shape).astype(np.float32)
    return case.constant(np.abs(array) + np.float32(0.1) if positive else array)


def constant_of(draw: Draw, case: Case, shape: Sequence[int], element: Element) -> SSAValue:
    return case.constant(random_array(_generator(draw), shape, element), element)


def partner(draw: Draw, case: Case, x: SSAValue) -> SSAValue:
    """A constant of x's kind that broadcasts against x."""
    shape = narrower(draw, shape_of(x))
    if is_float(x):
        return float_constant(draw, case, shape)
    return constant_of(draw, case, shape, draw(st.sampled_from(SMALL_INTEGERS)))


def thresholded(draw: Draw, case: Case, x: SSAValue) -> SSAValue:
    rank = len(shape_of(x))
    axis = draw(st.integers(0, max(rank - 1, 0)))
    channels = shape_of(x)[axis] if rank else 1
    rows, count = draw(st.sampled_from([1, channels])), draw(st.sampled_from([0, 1, 3, 16, 17, 255]))
    rng = _generator(draw)
    if is_float(x):
        values = np.sort(rng.standard_normal((rows, count)).astype(np.float32) * 4, axis=1)
        t = case.constant(values)
    else:
        element = draw(st.sampled_from([element_of(x), *INTEGERS]))
        t = case.constant(np.sort(random_array(rng, (rows, count), element), axis=1), element)
    sign = []
    if draw(st.booleans()):
        sign = [case.constant(rng.choice([-1, 1], draw(st.sampled_from([1, channels]))).astype(np.int8))]
    base, step = draw(st.integers(-300, 300)), draw(st.sampled_from([1, -1, 2, -3]))
    return case.add(ThresholdOp, x, t, *sign, axis=axis, base=base, step=step)


def quantized(draw: Draw, case: Case, x: SSAValue) -> SSAValue:
    lo, hi = draw(
        st.sampled_from([(-1, 1), (0, 255), (-128, 127), (5, 9), (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)])
    )
    scale = float_constant(draw, case, narrower(draw, shape_of(x)), positive=True)
    return case.add(QuantizeOp, x, scale, lo=lo, hi=hi, mode=draw(st.sampled_from(tn.ROUNDING_MODES)))


def requantized(draw: Draw, case: Case, x: SSAValue) -> SSAValue:
    """x itself where its range is too wide for a quotient."""
    largest = max(map(abs, range_of(element_of(x))))
    if largest >= QUOTIENT_LIMIT >> 8:
        return x
    rng, shape = _generator(draw), narrower(draw, shape_of(x))
    most = min(QUOTIENT_LIMIT // (largest + 1), 1 << draw(st.integers(1, 24))) - 1
    multiplier = case.constant(rng.integers(-most, most + 1, shape))
    divisor = case.constant(rng.integers(1, 1 << draw(st.integers(1, 40)), narrower(draw, shape_of(x))))
    mode = draw(st.sampled_from(tn.ROUNDING_MODES))
    return case.add(RequantizeOp, x, multiplier, divisor, lo=-200, hi=draw(st.sampled_from([100, 1 << 20])), mode=mode)


def _cast(draw: Draw, case: Case, x: SSAValue) -> SSAValue:
    element = draw(st.sampled_from([f32, *INTEGERS]))
    if element == BIPOLAR:
        element = TERNARY
    (result,) = case.add_all(tn.CastOp, x, types=[tensor_type(shape_of(x), element)])
    return result


BINARY = [tn.AddOp, tn.SubOp, tn.MulOp, tn.DivOp, tn.MaxOp, tn.MinOp, tn.PReluOp]
INEXACT = [op for op in UNARY if not op.IN_ORDER or op is tn.HardSigmoidOp]


def elementwise_step(draw: Draw, case: Case, x: SSAValue, *, exact: bool = True) -> SSAValue:
    """One more elementwise operation on x. exact: none whose last bit depends on the C library."""
    kinds = ["binary", "relu", "abs", "clip", "cast", "threshold", "compare", "select"]
    kinds += ["leaky", "round", "quantize", "norm"] if is_float(x) else ["dequantize"]
    kinds += ["inexact"] if is_float(x) and not exact else []
    kind = draw(st.sampled_from(kinds))
    if kind == "binary":
        other = partner(draw, case, x)
        pair = (x, other) if draw(st.booleans()) else (other, x)
        return case.add(draw(st.sampled_from(BINARY)), *pair)
    if kind in ("compare", "select"):
        other = partner(draw, case, x)
        truth = case.add(CompareOp, x, other, relation=draw(st.sampled_from(COMPARISONS)))
        return truth if kind == "compare" else case.add(SelectOp, truth, other, x)
    if kind == "clip":
        lo = draw(st.sampled_from([-np.inf, -9.0, -1.0, 0.0, 1e12]))
        hi = draw(st.sampled_from([5.0, 6.0, 1e12, np.inf]))
        return case.add(tn.ClipOp, x, lo=float(lo), hi=float(hi))
    if kind == "norm" and len(shape_of(x)) >= 2:
        channels = shape_of(x)[1:2]
        parameters = [float_constant(draw, case, channels, positive=i == 3) for i in range(4)]
        return case.add(BatchNormOp, x, *parameters, epsilon=1e-5)
    if kind == "inexact":
        op = draw(st.sampled_from(INEXACT))
        return case.add(op, x, **attributes(op))
    match kind:
        case "abs":
            return case.add(tn.AbsOp, x)
        case "cast":
            return _cast(draw, case, x)
        case "threshold":
            return thresholded(draw, case, x)
        case "quantize":
            return quantized(draw, case, x)
        case "leaky":
            return case.add(tn.LeakyReluOp, x, alpha=0.01)
        case "round":
            return case.add(tn.RoundOp, x, mode=draw(st.sampled_from(tn.ROUNDING_MODES)))
        case "dequantize":
            return case.add(DequantizeOp, x, float_constant(draw, case, narrower(draw, shape_of(x)), positive=True))
    return case.add(tn.ReluOp, x)


def epilogue(draw: Draw, case: Case, x: SSAValue, most: int = 3, *, exact: bool = True) -> list[SSAValue]:
    """Up to `most` elementwise operations after x; all values of the way may be results."""
    values = [x]
    for _ in range(draw(st.integers(0, most))):
        values.append(elementwise_step(draw, case, values[-1], exact=exact))
    kept = [v for v in values[:-1] if draw(st.integers(0, 3)) == 0]
    return [*kept, values[-1]]


@st.composite
def elementwise_cases(draw: Draw) -> Case:
    shape, element = draw(shapes()), draw(st.sampled_from([f32, f32, f32, *INTEGERS]))
    other = element if element == f32 else draw(st.sampled_from(INTEGERS))
    case = Case("elementwise", [(shape, element), (narrower(draw, shape), other)])
    x = case.add(draw(st.sampled_from(BINARY)), *draw(st.permutations(case.inputs)))
    case.returns(*epilogue(draw, case, x, 5))
    with_specials(draw, case)
    return case


@st.composite
def inexact_cases(draw: Draw) -> Case:
    case = Case("inexact", [(draw(shapes()), f32)])
    kind, (x,) = draw(st.sampled_from([*INEXACT, tn.PowOp])), case.inputs
    if kind is tn.PowOp:
        exponent = float_constant(draw, case, narrower(draw, shape_of(x)))
        return case.returns(case.add(kind, case.add(tn.AbsOp, x), exponent))
    return case.returns(case.add(kind, x, **attributes(kind)))


@st.composite
def movement_cases(draw: Draw) -> Case:
    """One moving operation, sometimes of a constant, then elementwise ones."""
    shape, element = draw(shapes(low=1)), draw(st.sampled_from([f32, *INTEGERS]))
    case = Case("movement", [(shape, element)])
    x, rank = case.inputs[0], len(shape)
    axis = draw(st.integers(0, rank - 1))
    kind = draw(st.sampled_from([ReshapeOp, TransposeOp, ConcatOp, SliceOp, PadOp, TakeOp]))
    if kind is ReshapeOp:
        y = case.add(kind, x, shape=draw(st.permutations(shape)))
    elif kind is TransposeOp:
        y = case.add(kind, x, perm=draw(st.permutations(range(rank))))
    elif kind is ConcatOp:
        other = f32 if element == f32 else draw(st.sampled_from(INTEGERS))
        wide = [draw(st.integers(1, 4)) if i == axis else d for i, d in enumerate(shape)]
        y = case.add(kind, *draw(st.permutations([x, constant_of(draw, case, wide, other), x])), axis=axis)
    elif kind is SliceOp:
        starts, sizes, steps = zip(*(_slice(draw, d) for d in shape), strict=True)
        y = case.add(kind, x, starts=starts, sizes=sizes, steps=steps)
    elif kind is PadOp:
        pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
        y = case.add(kind, x, pads=pads, value=float(draw(st.integers(-3, 3))))
    else:
        size = shape[axis]
        indices = constant_of(draw, case, draw(shapes(high=2)), int_type(-size, size - 1))
        y = case.add(kind, x, indices, axis=axis)
    return case.returns(*epilogue(draw, case, y))


def _slice(draw: Draw, size: int) -> tuple[int, int, int]:
    start, step = draw(st.integers(0, size - 1)), draw(st.sampled_from([1, 1, 2, -1, -2]))
    most = (size - 1 - start) // step + 1 if step > 0 else start // -step + 1
    return start, draw(st.integers(1, most)), step


def _window(draw: Draw, size: Sequence[int], *, pool: bool = False) -> tuple[list[int], dict[str, list[int]]]:
    """A kernel and its strides, dilations and pads that fit into a map; pads of a pool stay below its kernel."""
    rank, dilations = len(size), [draw(st.integers(1, 2)) for _ in size]
    kernel = [draw(st.integers(1, min(3, (d - 1) // n + 1))) for d, n in zip(size, dilations, strict=True)]
    widest = [0 if n > 1 else k - 1 for k, n in zip(kernel, dilations, strict=True)] if pool else [3] * rank
    pads = [draw(st.integers(0, w)) for w in [*widest, *widest]]
    strides = [draw(st.integers(1, 3)) for _ in size]
    return kernel, {"strides": strides, "pads": pads, "dilations": dilations}


@st.composite
def conv_cases(draw: Draw, integers: Sequence[Element] = (*SMALL_INTEGERS, int_type(-(2**40), 2**40))) -> Case:
    size = draw(shapes(low=1, high=2, most=9)) if draw(st.integers(0, 9)) else (600,)
    group, per_group, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    element = draw(st.sampled_from([f32, *integers]))
    weights = f32 if element == f32 else draw(st.sampled_from(integers))
    samples = draw(st.integers(1, 2))
    case = Case("conv", [((samples, group * per_group, *size), element)])
    kernel, geometry = _window(draw, size)
    w = constant_of(draw, case, (group * outputs, per_group, *kernel), weights)
    bias = [constant_of(draw, case, (group * outputs,), weights)] if draw(st.booleans()) else []
    y = case.add(ConvOp, case.inputs[0], w, *bias, group=group, **geometry)
    return case.returns(*(epilogue(draw, case, y) if element != f32 else [case.add(tn.ReluOp, y)]))


@st.composite
def matmul_cases(draw: Draw) -> Case:
    k = draw(st.integers(1, 40))
    lead = draw(shapes(high=2, most=3))
    a_shape = draw(st.sampled_from([(k,), (3, k), (*lead, 4, k)]))
    b_shape = draw(st.sampled_from([(k,), (k, 1), (k, 5), (k, 130), (*narrower(draw, lead), k, 3)]))
    element = draw(st.sampled_from([f32, *SMALL_INTEGERS, int_type(-(2**63), 2**63 - 1)]))
    other = f32 if element == f32 else draw(st.sampled_from(SMALL_INTEGERS))
    constant = draw(st.booleans())
    case = Case("matmul", [(a_shape, element)] if constant else [(a_shape, element), (b_shape, other)])
    b = constant_of(draw, case, b_shape, other) if constant else case.inputs[1]
    y = case.add(MatMulOp, case.inputs[0], b)
    return case.returns(*(epilogue(draw, case, y) if element != f32 else [case.add(tn.ReluOp, y)]))


@st.composite
def pool_cases(draw: Draw) -> Case:
    size = draw(shapes(low=1, high=3, most=9)) if draw(st.integers(0, 9)) else (600,)
    element = draw(st.sampled_from([f32, *INTEGERS]))
    case = Case("pool", [((1, draw(st.integers(1, 3)), *size), element)])
    kernel, geometry = _window(draw, size, pool=True)
    if element == f32 and draw(st.booleans()):
        counted = [draw(st.sampled_from([0, p])) for p in geometry["pads"]]
        y = case.add(AvgPoolOp, case.inputs[0], kernel=kernel, counted=counted, **geometry)
    elif element != f32 and draw(st.booleans()):
        y = requantized(draw, case, case.add(SumPoolOp, case.inputs[0], kernel=kernel, **geometry))
    else:
        y = case.add(MaxPoolOp, case.inputs[0], kernel=kernel, **geometry)
    return case.returns(*epilogue(draw, case, y, exact=True))


@st.composite
def reduce_cases(draw: Draw) -> Case:
    """Mean, sum, extremes, softmax, arg max and top k, of values with equals among them."""
    shape = draw(shapes(low=1))
    axis = draw(st.integers(0, len(shape) - 1))
    kind = draw(st.sampled_from([ReduceMeanOp, ReduceSumOp, ReduceMaxOp, ReduceMinOp, tn.SoftmaxOp, ArgMaxOp, TopKOp]))
    element = f32 if kind in (ReduceMeanOp, tn.SoftmaxOp) else draw(st.sampled_from([f32, *INTEGERS]))
    case = Case("reduce", [(shape, element)])
    x = case.inputs[0]
    if kind is ReduceMeanOp:
        axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1))))
        return case.returns(case.add(tn.ReluOp, case.add(kind, x, axes=axes, keepdims=draw(st.integers(0, 1)))))
    if kind is ReduceSumOp:
        axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1))))
        y = case.add(kind, x, axes=axes, keepdims=draw(st.integers(0, 1)))
        return case.returns(y, case.add(tn.AbsOp, y) if is_float(y) else requantized(draw, case, y))
    if kind is tn.SoftmaxOp:
        return case.returns(case.add(tn.LeakyReluOp, case.add(kind, x, axis=axis), alpha=0.5))
    if kind in (ReduceMaxOp, ReduceMinOp):
        axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1))))
        y = case.add(kind, x, axes=axes, keepdims=draw(st.integers(0, 1)))
        case.returns(case.add(tn.ReluOp, y), y)
        with_specials(draw, case)
        return case
    largest = draw(st.integers(0, 1))
    if kind is ArgMaxOp:
        y = case.add(kind, x, axis=axis, largest=largest, last=draw(st.integers(0, 1)))
        case.returns(*epilogue(draw, case, y))
    else:
        case.returns(*case.add_all(kind, x, axis=axis, k=draw(st.integers(0, shape[axis])), largest=largest))
    with_specials(draw, case)
    return case


@st.composite
def long_cases(draw: Draw) -> Case:
    """Several roots and branches in one kernel, which then runs in stages."""
    element = draw(st.sampled_from(SMALL_INTEGERS))
    case = Case("long", [((1, 4, 6, 6), element)])
    x = case.inputs[0]
    w = constant_of(draw, case, (4, 4, 3, 3), TERNARY)
    y = case.add(ConvOp, x, w, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1)
    y = thresholded(draw, case, case.add(tn.AddOp, y, x))
    z = case.add(MaxPoolOp, y, kernel=[2, 2], strides=[2, 2], pads=[0] * 4, dilations=[1, 1])
    z = case.add(DequantizeOp, z, float_constant(draw, case, (4, 1, 1), positive=True))
    mean = case.add(ReduceMeanOp, z, axes=[2, 3])
    gated = case.add(tn.MulOp, z, mean)
    results = [gated, x, y, gated, w]
    return case.returns(*[r for r in results if draw(st.booleans())], gated)


def zero_sized(dtype: Element) -> Case:
    """A kernel on a tensor without elements."""
    case = Case("empty", [((2, 0, 3), dtype)])
    return case.returns(case.add(tn.ReluOp, case.inputs[0]))


def extreme_of_nothing() -> Case:
    """The largest of no floats."""
    case = Case("nothing", [((2, 0, 3), f32)])
    return case.returns(case.add(ReduceMaxOp, case.inputs[0], axes=[1], keepdims=1))
