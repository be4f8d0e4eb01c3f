"""Operations that look along axes: mean, sum, extremes, softmax, arg max, top k."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from .....ir.tn.elementwise import SoftmaxOp
from .....ir.tn.pool import ArgMaxOp, ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceOp, ReduceSumOp, TopKOp
from .....ir.types import element_of, is_float, range_of, shape_of
from ...text import int_c, value_c
from .accumulate import accumulator_c
from .nest import joined_axes
from .plan import Stage
from .roots import root
from .scope import Access, Index, Scope, dense_strides, index_of, sum_c


@root(ReduceMeanOp)
def emit_reduce_mean(scope: Scope, stage: Stage, op: ReduceMeanOp) -> None:
    """The sum is kept in double, so that its error does not grow with the number of elements."""
    with _results(scope, stage, op) as reduced:
        scope.out.add("double sum = 0;")
        with reduced.elements() as x:
            scope.out.add(f"sum += {x};")
        name = scope.name("mean")
        scope.out.add(f"const float {name} = (float)sum / {max(prod(reduced.sizes), 1)}.0f;")
        scope.element(stage, reduced.index, {op.y: name})


@root(ReduceSumOp)
def emit_reduce_sum(scope: Scope, stage: Stage, op: ReduceSumOp) -> None:
    """Floats in double, as for the mean."""
    total, kind = scope.name("sum"), "double" if is_float(op.x) else accumulator_c(op)
    with _results(scope, stage, op) as reduced:
        scope.out.add(f"{kind} {total} = 0;")
        with reduced.elements() as x:
            scope.out.add(f"{total} += {x};")
        scope.element(stage, reduced.index, {op.y: f"(float){total}" if kind == "double" else total})


@root(ReduceMaxOp, ReduceMinOp)
def emit_reduce_extreme(scope: Scope, stage: Stage, op: ReduceMaxOp | ReduceMinOp) -> None:
    """The largest or smallest element: starts with the other end of the range."""
    largest, kind, best = isinstance(op, ReduceMaxOp), value_c(element_of(op.x)), scope.name("best")
    if kind == "float":
        start = "-INFINITY" if largest else "INFINITY"
    else:
        start = int_c(range_of(element_of(op.x))[0 if largest else 1])
    with _results(scope, stage, op) as reduced:
        scope.out.add(f"{kind} {best} = {start};")
        with reduced.elements() as x:
            scope.out.add(f"const {kind} value = {x};")
            if kind == "float":
                scope.out.add(f"{best} = tercet_{'max' if largest else 'min'}_f32({best}, value);")
            else:
                scope.out.add(f"{best} = value {'>' if largest else '<'} {best} ? value : {best};")
        scope.element(stage, reduced.index, {op.y: best})


@dataclass(frozen=True)
class _Reduced:
    """One result of a reduction, in the loop over all of them. sizes: of the reduced axes; inner: the elements' places
    along them; start: the C of the first one's place."""

    scope: Scope
    x: SSAValue
    index: Index
    sizes: list[int]
    inner: Access
    start: str

    @contextmanager
    def elements(self) -> Iterator[str]:
        """A loop over the elements. Yields the C of one."""
        terms = [(self.start, 1)]
        with ExitStack() as loops:
            groups = joined_axes(self.sizes, [self.inner]) if self.sizes else []
            for i, group in enumerate(groups):
                loops.enter_context(self.scope.loop(f"r{i}", group.size, inner=group is groups[-1]))
                terms.append((f"r{i}", self.inner.strides[group.axis]))
            yield self.scope.reads[self.x].at(sum_c(terms))


@contextmanager
def _results(scope: Scope, stage: Stage, op: ReduceOp) -> Iterator[_Reduced]:
    """A shared loop over the results of a reduction."""
    x, axes = shape_of(op.x), op.get("axes")
    strides = dense_strides(x)
    if op.get("keepdims"):
        kept = tuple(0 if i in axes else s for i, s in enumerate(strides))
    else:
        kept = tuple(s for i, s in enumerate(strides) if i not in axes)
    inner = Access(0, tuple(strides[a] for a in axes))
    with scope.shared_loop("item", prod(stage.shape)):
        index = index_of(_coordinates(scope, stage.shape, "item"))
        yield _Reduced(scope, op.x, index, [x[a] for a in axes], inner, index(Access(0, kept)))


@root(SoftmaxOp, cost="exponential")
def emit_softmax(scope: Scope, stage: Stage, op: SoftmaxOp) -> None:
    axis = op.get("axis") if stage.shape else None
    length = 1 if axis is None else stage.shape[axis]
    powers = _row_memory(scope, "powers", "float", length, 4)
    with _lines(scope, stage.shape, axis) as (at, along):
        x = scope.reads[op.x]
        place = index_of(at)(Access(0, dense_strides(stage.shape)))
        scope.out.add("float largest = -INFINITY, sum = 0;")
        with scope.loop(along, length, inner=True):
            scope.out.add(f"largest = tercet_max_f32(largest, {x.at(place)});")
        with scope.loop(along, length, inner=True):
            scope.out.add(f"{powers}[{along}] = tercet_exp({x.at(place)} - largest);")
        with scope.loop(along, length, inner=True):
            scope.out.add(f"sum += {powers}[{along}];")
        with scope.loop(along, length, inner=True):
            name = scope.name("softmax")
            scope.out.add(f"const float {name} = {powers}[{along}] / sum;")
            scope.element(stage, index_of(at), {op.y: name})


def _before(value: SSAValue, largest: bool, *, equal: bool = False) -> str:
    """The C condition that `value` is ranked before `best`; NaN goes before numbers when the largest is wanted."""
    sign = (">" if largest else "<") + ("=" if equal else "")
    if not is_float(value):
        return f"value {sign} best"
    nan = "value != value" if equal else "(value != value && best == best)"
    return f"value {sign} best || {nan}"


@root(ArgMaxOp)
def emit_arg_max(scope: Scope, stage: Stage, op: ArgMaxOp) -> None:
    """Both the largest and the smallest element is the first NaN, when there is one, as in numpy."""
    axis, x = op.get("axis"), shape_of(op.x)
    outside = (*x[:axis], 1, *x[axis + 1 :])
    kind = value_c(element_of(op.x))
    with _lines(scope, outside, axis) as (at, along):
        if x[axis] == 0:
            return
        at_x = [*at[:axis], along, *at[axis + 1 :]]
        element = scope.reads[op.x].at(index_of(at_x)(Access(0, dense_strides(x))))
        scope.out.add(f"int64_t {along} = 0;", f"{kind} best = {element};", "int64_t which = 0;")
        with scope.out.block(f"for ({along} = 1; {along} < {x[axis]}; {along}++)"):
            scope.out.add(f"const {kind} value = {element};")
            with scope.out.block(f"if ({_before(op.x, bool(op.get('largest')), equal=bool(op.get('last')))})"):
                scope.out.add("best = value;", f"which = {along};")
        name = scope.name("which")
        scope.out.add(f"const {value_c(element_of(op.y))} {name} = ({value_c(element_of(op.y))})which;")
        scope.element(stage, index_of([*at[:axis], "0", *at[axis + 1 :]]), {op.y: name})


@root(TopKOp)
def emit_top_k(scope: Scope, stage: Stage, op: TopKOp) -> None:
    """Insertion into the k best so far; an element goes after its equals, so that they stay in order of index."""
    axis, x, k, largest = op.get("axis"), shape_of(op.x), op.get("k"), bool(op.get("largest"))
    kind = value_c(element_of(op.x))
    values = _row_memory(scope, "values", kind, k, 4 if kind != "int64_t" else 8)
    indices = _row_memory(scope, "indices", "int32_t", k, 4)
    outside = (*x[:axis], 1, *x[axis + 1 :])
    with _lines(scope, outside, axis) as (at, along):
        at_x = [*at[:axis], along, *at[axis + 1 :]]
        element = scope.reads[op.x].at(index_of(at_x)(Access(0, dense_strides(x))))
        scope.out.add("int64_t count = 0;")
        with scope.loop(along, x[axis]):
            scope.out.add(f"const {kind} value = {element};", "int64_t place = count;")
            with scope.out.block("while (place > 0)"):
                scope.out.add(f"const {kind} best = {values}[place - 1];")
                scope.out.add(f"if (!({_top_before(op.x, largest)})) break;")
                with scope.out.block(f"if (place < {k})"):
                    scope.out.add(f"{values}[place] = best;", f"{indices}[place] = {indices}[place - 1];")
                scope.out.add("place--;")
            with scope.out.block(f"if (place < {k})"):
                scope.out.add(f"{values}[place] = value;", f"{indices}[place] = (int32_t){along};")
            scope.out.add(f"count += count < {k};")
        with scope.loop("rank", k, inner=True):
            bound: dict[SSAValue, str] = {op.values: f"{values}[rank]", op.indices: f"{indices}[rank]"}
            scope.element(stage, index_of([*at[:axis], "rank", *at[axis + 1 :]]), bound)


def _top_before(value: SSAValue, largest: bool) -> str:
    """Like `_before`; a sort puts NaN first among the largest and last among the smallest."""
    if not is_float(value) or largest:
        return _before(value, largest)
    return "value < best || (best != best && value == value)"


def _row_memory(scope: Scope, stem: str, c_type: str, count: int, item: int) -> str:
    """Scratch for one line of elements. Returns the pointer's name."""
    name = scope.name(stem)
    scope.out.add(f"{c_type} *restrict {name} = ({c_type} *)(task->scratch + {scope.scratch_bytes});")
    scope.reserve(count * item)
    return name


def _coordinates(scope: Scope, shape: tuple[int, ...], variable: str) -> list[str]:
    """Declares the coordinates of a flat index and returns their names."""
    names = [f"i{i}" for i in range(len(shape))]
    scope.split(variable, shape, names)
    return [n if d > 1 else "0" for n, d in zip(names, shape, strict=True)]


@contextmanager
def _lines(scope: Scope, shape: tuple[int, ...], axis: int | None) -> Iterator[tuple[list[str], str]]:
    """A shared loop over all lines of a shape along `axis`. Yields the coordinates, with the name of the one along the
    axis at its place, and that name."""
    others = tuple(1 if i == axis else d for i, d in enumerate(shape))
    with scope.shared_loop("line", prod(others)):
        at = _coordinates(scope, others, "line")
        if axis is not None:
            at[axis] = "along"
        yield at, "along"
