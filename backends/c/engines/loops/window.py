"""Convolution and pooling: for one row of outputs at a time, a sum or maximum for every x of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from math import prod

from .....ir.tn.linear import ConvOp
from .....ir.tn.pool import AvgPoolOp, MaxPoolOp, PoolOp, SumPoolOp
from .....ir.types import element_of, range_of, shape_of
from ...text import float_c, int_c, storage_c, value_c
from .accumulate import accumulator_c
from .plan import Stage
from .roots import root
from .scope import Scope, dense_strides, index_of, sum_c

TILE = 256
"""Outputs of a row that are accumulated at a time, on the stack."""


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window over the spatial axes; pads: the begins."""

    size: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    @classmethod
    def of(cls, op: ConvOp | PoolOp, kernel: Sequence[int]) -> Window:
        size, out, rank = shape_of(op.operands[0])[2:], shape_of(op.results[0])[2:], len(kernel)
        return cls(size, out, tuple(kernel), op.get("strides"), op.get("pads")[:rank], op.get("dilations"))

    def leaves(self, axis: int) -> bool:
        """Whether the window reaches outside the input along an axis."""
        last = (self.out[axis] - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis]
        return self.pads[axis] > 0 or last - self.pads[axis] >= self.size[axis]

    def inside(self, axis: int, k: int) -> tuple[int, int]:
        """The half-open range of outputs for which tap k is inside the input."""
        stride, shift = self.strides[axis], self.pads[axis] - k * self.dilations[axis]
        first = max(0, -(-shift // stride))
        last = min(self.out[axis], (self.size[axis] - 1 + shift) // stride + 1)
        return min(first, self.out[axis]), max(last, 0)

    def columns(self) -> Window | None:
        """The window one element wide, at every column of the input; None where rows are long, or it saves nothing."""
        if prod(self.kernel[:-1]) == 1 or self.kernel[-1] == 1 or self.size[-1] > TILE:
            return None
        width = self.size[-1:]
        return Window(
            self.size, self.out[:-1] + width, (*self.kernel[:-1], 1), (*self.strides[:-1], 1), (*self.pads[:-1], 0),
            (*self.dilations[:-1], 1),
        )  # fmt: skip

    def last(self) -> Window:
        """The window along the last axis alone."""
        return Window(*(field[-1:] for field in astuple(self)))


@contextmanager
def rows(scope: Scope, stage: Stage) -> Iterator[list[str]]:
    """A loop over all rows of the result [N, C, .., X], shared by the parts. Yields the names of all coordinates."""
    outer = stage.shape[2:-1]
    names = ["n", "o", *(["y"] if len(outer) == 1 else [f"y{i}" for i in range(len(outer))])]
    with scope.shared_loop("row", prod(stage.shape[:-1])):
        scope.split("row", stage.shape[:-1], names)
        yield [*(n if d > 1 else "0" for n, d in zip(names, stage.shape[:-1], strict=True)), "x"]


@contextmanager
def tiles(scope: Scope, width: int) -> Iterator[tuple[str, str]]:
    """A loop over pieces of a row, if it is long. Yields the begin and end of the piece."""
    if width <= TILE:
        yield "0", str(width)
        return
    with scope.out.block(f"for (int64_t start = 0; start < {width}; start += {TILE})"):
        scope.out.add(f"const int64_t stop = start + {TILE} < {width} ? start + {TILE} : {width};")
        yield "start", "stop"


@contextmanager
def taps(
    scope: Scope, window: Window, at: Sequence[str], piece: tuple[str, str]
) -> Iterator[tuple[list[tuple[str, int]], int, list[str]]]:
    """Loops over the taps inside the input and, inside, over the x of a piece. at: the output's spatial coordinates.

    Yields the input pixel's flat index in its plane, as terms and an offset, and the names of the tap's coordinates.
    """
    rank, strides = len(window.size), dense_strides(window.size)
    terms: list[tuple[str, int]] = []
    offset, names = 0, []
    with ExitStack() as loops:
        for axis in range(rank):
            k = f"k{axis}" if window.kernel[axis] != 1 or window.leaves(axis) else "0"
            names.append(k)
            if k != "0":
                loops.enter_context(scope.loop(k, window.kernel[axis]))
            position = [(at[axis], window.strides[axis]), (k, window.dilations[axis])]
            if axis < rank - 1 and window.leaves(axis):
                scope.out.add(f"const int64_t s{axis} = {sum_c(position, -window.pads[axis])};")
                scope.out.add(f"if (s{axis} < 0 || s{axis} >= {window.size[axis]}) continue;")
                terms.append((f"s{axis}", strides[axis]))
            else:
                terms += [(name, step * strides[axis]) for name, step in position]
                offset -= window.pads[axis] * strides[axis]
        first, last = _inside_c(scope, window, names[-1], piece)
        loops.enter_context(scope.loop("x", last, first, inner=True))
        yield terms, offset, names


def _inside_c(scope: Scope, window: Window, k: str, piece: tuple[str, str]) -> tuple[str, str]:
    """The range of x in a piece for which tap k of the last axis is inside the input."""
    axis = len(window.size) - 1
    ranges = [window.inside(axis, tap) for tap in range(window.kernel[axis])]
    if set(ranges) <= {(0, window.out[axis])}:
        return piece
    for name, values in (("first", [r[0] for r in ranges]), ("last", [r[1] for r in ranges])):
        scope.out.add(f"static const int32_t {name}[] = {{{', '.join(map(str, values))}}};")
    first, last = f"first[{k}]", f"last[{k}]"
    if piece[0] != "0":
        scope.out.add(f"const int64_t from = {first} > {piece[0]} ? {first} : {piece[0]};")
        scope.out.add(f"const int64_t to = {last} < {piece[1]} ? {last} : {piece[1]};")
        return "from", "to"
    return first, last


def _emit_rows(
    scope: Scope,
    stage: Stage,
    window: Window,
    acc: str,
    start: str,
    tap: Callable[[list[str], list[tuple[str, int]], int, list[str], str], None],
    finish: Callable[[list[str], str], str],
    around: Callable[[list[str]], ExitStack] | None = None,
) -> None:
    """The common frame. acc, start: C type and initial value of a sum. tap(coordinates, pixel terms, pixel offset, tap
    names, sum) adds one tap; finish(coordinates, sum) is the root's element; around opens loops around the taps."""
    assert stage.root is not None
    width = stage.shape[-1]
    with rows(scope, stage) as at, tiles(scope, width) as piece:
        place = "x" if piece[0] == "0" else "x - start"
        scope.out.add(f"{acc} acc[{min(width, TILE)}];")
        with scope.loop("x", piece[1], piece[0], inner=True):
            scope.out.add(f"acc[{place}] = {start};")
        with (
            around(at) if around else ExitStack(),
            taps(scope, window, at[-len(window.size) :], piece) as (terms, offset, names),
        ):
            tap(at, terms, offset, names, f"acc[{place}]")
        with scope.loop("x", piece[1], piece[0], inner=True):
            name = scope.name(stage.root.name.removeprefix("tn."))
            kind = value_c(element_of(stage.root.results[0]))
            scope.out.add(f"const {kind} {name} = {finish(at, f'acc[{place}]')};")
            scope.element(stage, index_of(at), {stage.root.results[0]: name})


@root(ConvOp, cost="product", work=lambda op: prod(shape_of(op.y)) * prod(shape_of(op.w)[1:]))
def emit_conv(scope: Scope, stage: Stage, op: ConvOp) -> None:
    x, w, group = shape_of(op.x), shape_of(op.w), op.get("group")
    window, acc = Window.of(op, w[2:]), accumulator_c(op)
    data, weights = scope.reads[op.x], scope.reads[op.w]
    (sample, channel), filters = dense_strides(x)[:2], dense_strides(w)

    def channels(at: list[str]) -> ExitStack:
        loops = ExitStack()
        if w[1] != 1:
            loops.enter_context(scope.loop("c", w[1]))
        return loops

    def tap(at: list[str], terms: list[tuple[str, int]], offset: int, names: list[str], total: str) -> None:
        per_group = w[0] // group
        block = f"({at[1]} / {per_group})" if per_group > 1 else at[1]
        c = "c" if w[1] != 1 else "0"
        lead = [(at[0], sample), (block if group > 1 else "0", channel * w[1]), (c, channel)]
        weight = weights.at(sum_c(list(zip([at[1], c, *names], filters, strict=True))))
        scope.out.add(f"{total} += {data.at(sum_c([*lead, *terms], offset))} * ({acc}){weight};")

    def finish(at: list[str], total: str) -> str:
        if op.bias is None:
            return total
        return f"{total} + ({acc}){scope.reads[op.bias].at(at[1])}"

    _emit_rows(scope, stage, window, acc, "0", tap, finish, channels)


def _taps(op: PoolOp) -> int:
    return prod(shape_of(op.y)) * prod(op.get("kernel"))


def _plane(scope: Scope, op: PoolOp, at: list[str], terms: list[tuple[str, int]], offset: int) -> str:
    """The C expression of an input pixel of a pool."""
    lead = zip(at[:2], dense_strides(shape_of(op.operands[0]))[:2], strict=True)
    return scope.reads[op.x].at(sum_c([*lead, *terms], offset))


@root(MaxPoolOp, work=_taps)
def emit_max_pool(scope: Scope, stage: Stage, op: MaxPoolOp) -> None:
    element, window = element_of(op.x), Window.of(op, op.get("kernel"))
    acc = storage_c(element)
    lowest = "-INFINITY" if acc == "float" else int_c(range_of(element)[0])
    columns = window.columns()

    def larger(best: str, pixel: str) -> None:
        scope.out.add(f"const {acc} pixel = {pixel};")
        if acc == "float":
            scope.out.add(f"{best} = tercet_max_f32({best}, pixel);")
        else:
            scope.out.add(f"{best} = {best} > pixel ? {best} : pixel;")

    def column_maxima(at: list[str]) -> ExitStack:
        """The largest of every column of the window, once for all windows that share it."""
        if columns:
            width = columns.size[-1]
            scope.out.add(f"{acc} column[{width}];")
            with scope.loop("x", str(width), "0", inner=True):
                scope.out.add(f"column[x] = {lowest};")
            with taps(scope, columns, at[2:], ("0", str(width))) as (terms, offset, _):
                larger("column[x]", _plane(scope, op, at, terms, offset))
        return ExitStack()

    def tap(at: list[str], terms: list[tuple[str, int]], offset: int, names: list[str], best: str) -> None:
        larger(best, f"column[{sum_c(terms, offset)}]" if columns else _plane(scope, op, at, terms, offset))

    last = window.last() if columns else window
    _emit_rows(scope, stage, last, acc, lowest, tap, lambda at, best: best, column_maxima)


def _emit_sums(
    scope: Scope, stage: Stage, op: PoolOp, window: Window, acc: str, finish: Callable[[list[str], str], str]
) -> None:
    def tap(at: list[str], terms: list[tuple[str, int]], offset: int, names: list[str], total: str) -> None:
        scope.out.add(f"{total} += {_plane(scope, op, at, terms, offset)};")

    _emit_rows(scope, stage, window, acc, "0", tap, finish)


@root(SumPoolOp, work=_taps)
def emit_sum_pool(scope: Scope, stage: Stage, op: SumPoolOp) -> None:
    window = Window.of(op, op.get("kernel"))
    _emit_sums(scope, stage, op, window, accumulator_c(op), lambda at, total: total)


@root(AvgPoolOp, work=_taps)
def emit_avg_pool(scope: Scope, stage: Stage, op: AvgPoolOp) -> None:
    window = Window.of(op, op.get("kernel"))

    def finish(at: list[str], total: str) -> str:
        counts = [_count_c(window, op.get("counted"), axis, at[2 + axis]) for axis in range(len(window.size))]
        fixed, varying = prod(c for c in counts if isinstance(c, int)), [c for c in counts if isinstance(c, str)]
        if not varying:
            return f"{total} / {float_c(max(fixed, 1))}"
        # a window in which nothing counts has the sum 0 and gives 0
        return f"{total} / (float)tercet_max_i64(1, {' * '.join([*varying, str(fixed)])})"

    _emit_sums(scope, stage, op, window, "float", finish)


def _count_c(window: Window, counted: Sequence[int], axis: int, at: str) -> int | str:
    """How many elements of the window at an output coordinate count along one axis: a number, or a C expression."""
    lo, hi = -counted[axis], window.size[axis] + counted[len(window.size) + axis]
    kernel, dilation = window.kernel[axis], window.dilations[axis]

    def count(output: int) -> int:
        start = output * window.strides[axis] - window.pads[axis]
        return sum(lo <= start + k * dilation < hi for k in range(kernel))

    ends = {count(output) for output in (0, window.out[axis] - 1)}
    if ends == {kernel} or window.out[axis] == 1:  # what counts between two whole windows is whole
        return ends.pop()
    start = sum_c([(at, window.strides[axis])], -window.pads[axis])
    return f"tercet_window_count({start}, {kernel}, {dilation}, {lo}, {hi})"
