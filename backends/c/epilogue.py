"""Epilogues: the elementwise operations after a convolution or matrix product, as one C function over a run of sums.

The result of the root is seen as a matrix: [images * channels, pixels] for a convolution, [rows, columns] for a matrix
product. The function `SYMBOL_finish(task, row, column, count, sums)` finishes `count` neighbours of one row and stores
them. Every other operand is constant along the row, along the column, along both, or along neither; maps may be in
planes.

Whole blocks are computed; only `count` results are stored. So compilers need no remainder loop, which would cost more
than the block. Results after the run are dropped; every buffer can be read that far (at most 31 elements of 8 bytes,
less than TAIL_BYTES).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...ir.kn.buffers import round_up
from ...ir.kn.layout import planes_of
from ...ir.kn.requests import AnyLayout, Dense, LayoutRequest
from ...ir.tn.linear import BatchNormOp
from ...ir.tn.quant import SelectThresholdOp, ThresholdOp
from ...ir.types import element_of, shape_of, storage_dtype
from .elements import ELEMENTS
from .engine import Constant, Constants, Kernel
from .expressions import ELEMENT_HEADER, UNROLLED_THRESHOLDS, expression, helpers, is_elementwise
from .limits import INT32_MAX
from .planes import PLANES_HEADER, planes_initialiser
from .refusal import Refused
from .text import Lines, float_c, int_c, storage_c, value_c

BLOCK, BYTE_BLOCK = 16, 32
"""Results of a block, and where some are bytes: compilers take no more at once than a block has, and 16 bytes would be
half a vector on AVX2."""
SHORT_RUN = 48
"""Results of a call, at most, for which the finish function becomes a part of its kernel."""
HEADERS = (ELEMENT_HEADER, PLANES_HEADER, Path(__file__).parent / "epilogue.h")


@dataclass(frozen=True)
class Grid:
    """The root's result as a matrix: the first `split` axes of `shape` are its rows, the others its columns."""

    shape: tuple[int, ...]
    split: int

    @property
    def rows(self) -> int:
        return prod(self.shape[: self.split])

    @property
    def columns(self) -> int:
        return prod(self.shape[self.split :])

    def index(self, shape: tuple[int, ...]) -> tuple[str, bool]:
        """Where a broadcast operand's element lies: an expression of `row` and `column`, and whether it moves along a
        run of columns. Raises Refused for other broadcasts."""
        wide = (1,) * (len(self.shape) - len(shape)) + shape
        if len(wide) != len(self.shape):
            raise Refused(f"an operand of shape {list(shape)} for a result {list(self.shape)}")
        row = self._row(wide[: self.split], shape)
        columns = [(have, size) for have, size in zip(wide[self.split :], self.shape[self.split :], strict=True)]
        moving = any(have != 1 for have, _ in columns)
        if moving and any(have != size for have, size in columns):
            raise Refused(f"an operand of shape {list(shape)} that broadcasts over a part of a row's pixels")
        if not moving:
            return row, False
        return (f"{row} * {self.columns} + column" if row != "0" else "column"), True

    def _row(self, have: tuple[int, ...], shape: tuple[int, ...]) -> str:
        axes = [i for i in range(self.split) if self.shape[i] != 1]
        used = [i for i in axes if have[i] != 1]
        if not used:
            return "0"
        if used == axes:
            return "row"
        size = prod(self.shape[i] for i in used)
        if used == axes[-len(used) :]:
            return f"row % {size}"
        if used == axes[: len(used)]:
            return f"row / {self.rows // size}"
        raise Refused(f"an operand of shape {list(shape)} that broadcasts between two axes")


def narrowest_result(kernel: Kernel) -> int:
    """Bytes of an element."""
    return min(storage_dtype(element_of(y)).itemsize for y in kernel.op.yielded)


class Epilogue:
    """Builds the finish function of a kernel.

    root: the operation that makes the sums. grid: its result as a matrix. offset: added to the int32 sums first (bias,
    corrections), one per row of the channel axis or column; `offset_shape` broadcasts against the result. longest:
    neighbours of one call, at most.
    Building twice from the same kernel gives the same text. Raises Refused for chains it cannot express exactly.
    """

    def __init__(self, kernel: Kernel, root: Operation, grid: Grid, longest: int) -> None:
        self.kernel, self.root, self.grid = kernel, root, grid
        # a short run is part of its kernel: a call takes a fifth of a 4x4 map's time, an eighth of a 6x6 one's. A long
        # one would take registers from the loops around it: depthwise convolutions 12% slower
        self.run = min(longest, grid.columns)
        self.block = self._block(self.run)
        self.longest = round_up(longest, max(self.block, BLOCK))
        self.constants = Constants()
        self._maps: dict[int, None] = {}  # numbers of the operands in planes, in order
        self._head: list[str] = []
        self._body: list[str] = []
        self._names: dict[SSAValue, str] = {}
        self._count = 0

    def _block(self, run: int) -> int:
        """Results that are computed together in runs of `run`; 0 where one at a time is better."""
        blocks = (BYTE_BLOCK, BLOCK) if narrowest_result(self.kernel) == 1 else (BLOCK,)
        return next((b for b in blocks if run > b // 2), 0) if all(map(_total, self.kernel.ops)) else 0

    # -- the function ---------------------------------------------------------------------------------------------

    def build(self, offset: np.ndarray | None, constants: Constants) -> str:
        """The C of the finish function. offset: added to every sum first, broadcasting against the root's result (int32
        for integer sums); None for nothing."""
        self.constants = constants
        kind = _value_type(self.root.results[0])
        if kind == "int64_t":
            raise Refused("sums beyond 32 bits")
        sums = "v0"
        self._body.append(f"const {kind} v0 = sums[i];")
        self._count = 1
        if offset is not None and offset.any():
            sums = self.let(kind, f"v0 + {self.array(offset.astype(np.float32 if kind == 'float' else np.int32))}")
        self._names[self.root.results[0]] = sums
        for op in self.kernel.ops:
            if op is not self.root:
                self._operation(op)
        return self._text(kind)

    def _text(self, kind: str) -> str:
        symbol, out = self.kernel.symbol, Lines()
        stores: list[str] = []
        after: list[str] = []
        for i, (value, result) in enumerate(zip(self.kernel.op.yielded, self.kernel.outputs, strict=True)):
            if value not in self._names or shape_of(value) != self.grid.shape:
                raise Refused("a result that is not elementwise")
            c_type, layout = storage_c(element_of(value)), planes_of(result)
            to = f"({c_type} *)task->out[{i}] + row * {self.grid.columns} + column"
            if layout is not None:
                after.append(f"epilogue_store(&{symbol}_map{i}, task->out[{i}], row, y{i}, column, count);")
            elif self.block:
                after.append(f"memcpy({to}, y{i}, count * sizeof *y{i});")
            local = layout is not None or bool(self.block)
            self._head.append(f"{c_type} y{i}[{self.longest}];" if local else f"{c_type} *restrict y{i} = {to};")
            cast = "" if c_type == _value_type(value) else f"({c_type})"
            stores.append(f"y{i}[i] = {cast}{self._names[value]};")
        for i, result in enumerate(self.kernel.outputs):
            if planes_of(result) is not None:
                out.add(f"static const struct planes {symbol}_map{i} = {planes_initialiser(result)};", "")
        for i in self._maps:
            out.add(f"static const struct planes {symbol}_in{i} = {planes_initialiser(self.kernel.inputs[i])};", "")
        out.add(*helpers(self.kernel.ops))
        apart = "__attribute__((noinline)) " if self.run > SHORT_RUN else ""
        head = f"static TERCET_FLATTEN {apart}void {symbol}_finish("
        out.add(f"{head}const struct tercet_task *task, int64_t row, int64_t column, int count,")
        with out.block(f"{' ' * len(head)}const void *sums_)"):
            out.add(f"const {kind} *restrict sums = (const {kind} *)sums_;", *self._head)
            with ExitStack() as loops:
                if self.block:
                    loops.enter_context(out.block(f"for (int block = 0; block < count; block += {self.block})"))
                    loops.enter_context(out.block(f"for (int i = block; i < block + {self.block}; i++)"))
                else:
                    loops.enter_context(out.block("for (int i = 0; i < count; i++)"))
                out.add(*self._body, *stores)
            out.add(*after)
        return out.text()

    def clears(self) -> list[str]:
        """Statements that zero the borders of results in planes; a part clears its share of the channels."""
        lines = []
        for i, result in enumerate(self.kernel.outputs):
            if planes_of(result) is not None:
                lines += ["int64_t begin, end;"] if not lines else []
                lines += [
                    f"tercet_share(task, {shape_of(self.kernel.op.yielded[i])[1]}, 1, &begin, &end);",
                    f"planes_clear_borders(&{self.kernel.symbol}_map{i}, task->out[{i}], 0, begin, end);",
                ]
        return lines

    # -- values ---------------------------------------------------------------------------------------------------

    def let(self, kind: str, expression: str) -> str:
        name = f"v{self._count}"
        self._count += 1
        self._body.append(f"const {kind} {name} = {expression};")
        return name

    def array(self, array: np.ndarray) -> str:
        """A constant operand: a literal, a value fixed for the row, or an element of a table."""
        if array.size == 1:
            value = array.reshape(-1)[0]
            return float_c(float(value)) if array.dtype.kind == "f" else int_c(int(value))
        base = f"(task->weights + {self.constants.add(Constant(np.ascontiguousarray(array)))})"
        return self._element("float" if array.dtype.kind == "f" else f"{array.dtype.name}_t", base, array.shape)

    def _element(self, c_type: str, base: str, shape: tuple[int, ...]) -> str:
        """The element of a stored operand: a variable set before the loop when it is the same for the whole row."""
        name, (index, moving) = f"c{len(self._head)}", self.grid.index(shape)
        wide = "int64_t" if c_type == "uint32_t" else c_type  # unsigned 32 bits would make other operands unsigned
        if moving:
            self._head.append(f"const {c_type} *restrict {name} = (const {c_type} *){base} + {index};")
            return self._loaded(wide, f"{name}[i]")
        self._head.append(f"const {wide} {name} = ((const {c_type} *){base})[{index}];")
        return name

    def _loaded(self, kind: str, element: str) -> str:
        """An element of memory as a variable. In one arm of a choice alone it would be loaded under a mask, which GCC
        12 computes wrongly in loops of blocks (-O3 -mavx: lanes of 0)."""
        return self.let(kind, element)

    def _pixels(self, number: int, value: SSAValue) -> str:
        """The element of a map in planes: the run's pixels are copied to a local array first. The root's own operand
        may have one channel for all of the result's, or one pixel."""
        self._maps[number] = None
        shape = shape_of(value)
        (channel, _), (_, moving) = self.grid.index((*shape[:2], 1, 1)), self.grid.index(shape)
        c_type, name = storage_c(element_of(value)), f"c{len(self._head)}"
        wide = "int64_t" if c_type == "uint32_t" else c_type
        run = "column, count" if moving else "0, 1"
        self._head.append(
            f"{c_type} {name}[{self.longest if moving else 1}]; "
            f"epilogue_load(&{self.kernel.symbol}_in{number}, task->in[{number}], {channel}, {name}, {run});"
        )
        return self._loaded(wide, f"{name}[i]" if moving else f"{name}[0]")

    def value(self, value: SSAValue) -> str:
        """The C of an operand, of its `value_c` type or narrower."""
        if value in self._names:
            return self._names[value]
        array = self.kernel.array(value)
        if array is not None:
            name = self.array(array.astype(storage_dtype(element_of(value))))
        else:
            number = self.kernel.input_index(value)
            if number is None:
                raise Refused("an operand that is computed in another shape")
            name = (
                self._pixels(number, value)
                if planes_of(self.kernel.inputs[number]) is not None
                else self._element(storage_c(element_of(value)), f"task->in[{number}]", shape_of(value))
            )
        self._names[value] = name
        return name

    # -- operations -----------------------------------------------------------------------------------------------

    def _operation(self, op: Operation) -> None:
        (result,) = op.results
        if not is_elementwise(op):
            raise Refused(f"{op.name} in the epilogue")
        if shape_of(result) != self.grid.shape:
            raise Refused(f"{op.name} of shape {list(shape_of(result))} after a result {list(self.grid.shape)}")
        if isinstance(op, ThresholdOp | SelectThresholdOp):
            text = self._threshold(op)
        elif isinstance(op, BatchNormOp):
            text = batch_norm(self, op)
        else:
            text = expression(op, [self.value(v) for v in op.operands])
        self._names[result] = self.let(_value_type(result), text)

    def _threshold(self, op: ThresholdOp | SelectThresholdOp) -> str:
        """base + step * count. Few thresholds: every comparison reads its own table of channels, so that neighbouring
        columns vectorise whatever axis the channels are on."""
        thresholds, sign = self.kernel.array(op.thresholds), op.sign and self.kernel.array(op.sign)
        if thresholds is None or (op.sign is not None and sign is None):
            raise Refused("thresholds that are not constant")
        x, base, step, n = self.value(op.x), op.get("base"), op.get("step"), thresholds.shape[-1]
        selector = [self.value(op.selector)] if isinstance(op, SelectThresholdOp) else []
        rank, stored = len(self.grid.shape), storage_dtype(element_of(op.thresholds))

        def per_channel(array: np.ndarray) -> str:
            shape = [1] * rank
            shape[op.get("axis") % rank] = array.size
            return self.array(array.reshape(shape))

        table = thresholds.reshape(len(thresholds), -1).astype(stored)
        if table.shape[1] > UNROLLED_THRESHOLDS:
            row = self._rows(table, op.get("axis"))
            signs = [] if sign is None else [per_channel(sign.astype(np.int8))]
            return expression(op, [x, *selector, row, *signs])
        passed = [f"({x} >= {per_channel(table[:, j])})" for j in range(table.shape[1])]
        if isinstance(op, SelectThresholdOp):
            passed = [f"({selector[0]} == {op.get('first') + j // n} & {text})" for j, text in enumerate(passed)]
        count = " + ".join(passed) or "0"
        if sign is not None:
            first, slope = np.where(sign < 0, base + step * n, base), np.where(sign < 0, -step, step)
            if max(abs(int(v)) for v in (*first, *(slope * n))) > INT32_MAX:
                raise Refused("threshold values beyond 32 bits")
            return f"{per_channel(first.astype(np.int32))} + {per_channel(slope.astype(np.int32))} * ({count})"
        count = count if step == 1 else f"{int_c(step)} * ({count})"
        return count if base == 0 else f"{int_c(base)} + {count}"

    def _rows(self, thresholds: np.ndarray, axis: int) -> str:
        """A pointer to the channel's thresholds."""
        channels, n = thresholds.shape
        shape = [1] * len(self.grid.shape)
        shape[axis % len(shape)] = channels
        index, moving = self.grid.index(tuple(shape))
        c_type = "float" if thresholds.dtype.kind == "f" else f"{thresholds.dtype.name}_t"
        start = self.constants.add(Constant(np.ascontiguousarray(thresholds)))
        name = f"c{len(self._head)}"
        self._head.append(
            f"const {c_type} *restrict {name} = (const {c_type} *)(task->weights + {start}) + ({index}) * {n};"
        )
        return f"({name} + i * {n})" if moving else name


def check_epilogue(kernel: Kernel, root: Operation, grid: Grid, offset: np.ndarray | None) -> None:
    """Raises Refused where `Epilogue.build` would, whatever the layouts."""
    shape = offset.shape if offset is not None and offset.any() else None

    def build() -> None:
        Epilogue(kernel, root, grid, 1).build(offset, Constants())

    kernel.once(("epilogue", root, grid, shape), build)


def epilogue_reads(kernel: Kernel, x: SSAValue, request: LayoutRequest, grid: Grid) -> list[LayoutRequest]:
    """What a kernel wants of its operands: `request` for the root's operand x; other maps as they are, where the
    epilogue reads them pixel by pixel."""

    def other(shape: tuple[int, ...]) -> LayoutRequest:
        pixels = shape == grid.shape and grid.split == 2 and len(shape) == 4 and shape[0] == 1
        return AnyLayout() if pixels else Dense()

    return [request if v is x else other(shape_of(v)) for v in kernel.op.block.args]


def _total(op: Operation) -> bool:
    """Whether C can compute the operation for what lies after a run; the root's sums are computed already."""
    code = ELEMENTS.get(type(op))
    return code is None or code.total(op)


def _value_type(value: SSAValue) -> str:
    return value_c(element_of(value))


def batch_norm(e: Epilogue, op: BatchNormOp) -> str:
    """x * k + b, with k and b computed here in the interpreter's float32 steps."""
    arrays = [e.kernel.array(v) for v in op.operands[1:]]
    if any(a is None for a in arrays):
        raise Refused("batch norm whose parameters are not constant")
    scale, bias, mean, var = (a for a in arrays if a is not None)
    k = scale / np.sqrt(var + np.float32(op.get("epsilon")))
    shape = (-1, *(1,) * (len(shape_of(op.x)) - 2))
    return f"{e.value(op.x)} * {e.array(k.reshape(shape))} + {e.array((bias - mean * k).reshape(shape))}"
