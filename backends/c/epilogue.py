"""Epilogues: the elementwise operations behind a convolution or matrix product, as one C function over a run of sums.

The result of the root is seen as a matrix: [images * channels, pixels] for a convolution, [rows, columns] for a matrix
product. The function `SYMBOL_finish(task, row, column, count, sums)` finishes `count` neighbours of one row and stores
them. Every other operand is constant along the row, along the column, along both, or along neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from ...ir.kn.layout import PlanesLayout, layout_of
from ...ir.tn import elementwise as tn
from ...ir.tn.constant import ConstantOp
from ...ir.tn.linear import BatchNormOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ...ir.types import element_of, is_float, range_of, shape_of, storage_dtype
from .engine import Constant, Constants, Kernel
from .text import INT32_MAX, INT32_MIN, Lines, float_c, int_c, storage_c

HEADERS = (Path(__file__).parent / "planes.h", Path(__file__).parent / "epilogue.h")
EXACT_FLOAT = 1 << 24
"""Integers up to here are exact in float32."""
UNROLLED_THRESHOLDS = 32


class Refused(Exception):
    """Why an epilogue cannot be generated."""


def _c_type(value: SSAValue) -> str:
    return "float" if is_float(value) else "int32_t"


def _fits(value: SSAValue | Attribute, lo: int = INT32_MIN, hi: int = INT32_MAX) -> bool:
    low, high = range_of(element_of(value))
    return lo <= low and high <= hi


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


ROUNDINGS = {"round": "round", "ceil": "ceil", "floor": "floor", "up": "up", "down": "down",
             "half_up": "half_up", "half_down": "half_down"}  # fmt: skip


class Epilogue:
    """Builds the finish function of a kernel.

    root: the operation that makes the sums. grid: its result as a matrix. offset: added to the int32 sums first (bias,
    corrections), one per row of the channel axis or column; `offset_shape` broadcasts against the result.
    Building twice from the same kernel gives the same text. Raises Refused for chains it cannot express exactly.
    """

    def __init__(self, kernel: Kernel, root: Operation, grid: Grid, longest: int) -> None:
        self.kernel, self.root, self.grid, self.longest = kernel, root, grid, longest
        self.constants = Constants()
        self._head: list[str] = []
        self._body: list[str] = []
        self._names: dict[SSAValue, str] = {}
        self._count = 0

    # -- the function ---------------------------------------------------------------------------------------------

    def build(self, offset: np.ndarray | None, constants: Constants) -> str:
        """The C of the finish function. offset: added to every sum first, broadcasting against the root's result (int32
        for integer sums); None for nothing."""
        self.constants = constants
        kind = _c_type(self.root.results[0])
        if kind != "float" and not _fits(self.root.results[0]):
            raise Refused("sums beyond 32 bits")
        sums = "v0"
        self._body.append(f"const {kind} v0 = sums[i];")
        self._count = 1
        if offset is not None and offset.any():
            sums = self._let(kind, f"v0 + {self._array(offset.astype(np.float32 if kind == 'float' else np.int32))}")
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
            c_type, layout = storage_c(element_of(value)), layout_of(result)
            if layout is None:
                index = f"row * {self.grid.columns} + column"
                self._head.append(f"{c_type} *restrict y{i} = ({c_type} *)task->out[{i}] + {index};")
            else:
                self._head.append(f"{c_type} y{i}[{self.longest}];")
                after.append(f"epilogue_store(&{symbol}_map{i}, task->out[{i}], row, y{i}, column, count);")
            stores.append(f"y{i}[i] = ({c_type}){self._names[value]};")
        for i, result in enumerate(self.kernel.outputs):
            if (layout := layout_of(result)) is not None:
                out.add(planes_c(f"{symbol}_map{i}", self.kernel.op.yielded[i], layout), "")
        out.add(f"static void {symbol}_finish(const struct tercet_task *task, int64_t row, int64_t column, int count,")
        with out.block(f"{' ' * len(f'static void {symbol}_finish(')}const dense_cell *cells)"):
            out.add(f"const {kind} *restrict sums = (const {kind} *)cells;", *self._head)
            with out.block("for (int i = 0; i < count; i++)"):
                out.add(*self._body, *stores)
            out.add(*after)
        return out.text()

    def clears(self) -> list[str]:
        """Statements that zero the borders of results in planes; a part clears its share of the channels."""
        lines = []
        for i, result in enumerate(self.kernel.outputs):
            if layout_of(result) is not None:
                lines += ["int64_t begin, end;"] if not lines else []
                lines += [
                    f"tercet_share(task, {shape_of(self.kernel.op.yielded[i])[1]}, 1, &begin, &end);",
                    f"planes_clear_borders(&{self.kernel.symbol}_map{i}, task->out[{i}], 0, begin, end);",
                ]
        return lines

    # -- values ---------------------------------------------------------------------------------------------------

    def _let(self, kind: str, expression: str) -> str:
        name = f"v{self._count}"
        self._count += 1
        self._body.append(f"const {kind} {name} = {expression};")
        return name

    def _array(self, array: np.ndarray) -> str:
        """A constant operand: a literal, a value fixed for the row, or an element of a table."""
        if array.size == 1:
            value = array.reshape(-1)[0]
            return float_c(float(value)) if array.dtype.kind == "f" else int_c(int(value))
        index, moving = self.grid.index(array.shape)
        c_type = "float" if array.dtype.kind == "f" else f"{array.dtype.name}_t"
        start = self.constants.add(Constant(np.ascontiguousarray(array)))
        return self._element(c_type, f"(const {c_type} *)(task->weights + {start})", index, moving)

    def _element(self, c_type: str, base: str, index: str, moving: bool) -> str:
        name = f"c{len(self._head)}"
        if moving:
            self._head.append(f"const {c_type} *restrict {name} = {base} + {index};")
            return f"{name}[i]"
        self._head.append(f"const {c_type} {name} = ({base})[{index}];")
        return name

    def value(self, value: SSAValue) -> str:
        """The C of an operand: float or int32_t."""
        if value in self._names:
            return self._names[value]
        if not is_float(value) and not _fits(value):
            raise Refused("integers beyond 32 bits")
        array = self.kernel.array(value)
        if array is not None:
            name = self._array(array.astype(storage_dtype(element_of(value))))
        else:
            number = self.kernel.input_index(value)
            if number is None:
                raise Refused("an operand that is computed in another shape")
            c_type = storage_c(element_of(value))
            index, moving = self.grid.index(shape_of(value))
            name = self._element(c_type, f"(const {c_type} *)task->in[{number}]", index, moving)
        self._names[value] = name
        return name

    # -- operations -----------------------------------------------------------------------------------------------

    def _operation(self, op: Operation) -> None:
        write = OPERATIONS.get(type(op))
        if write is None:
            raise Refused(f"{op.name} in the epilogue")
        (result,) = op.results
        if shape_of(result) != self.grid.shape:
            raise Refused(f"{op.name} of shape {list(shape_of(result))} behind a result {list(self.grid.shape)}")
        if not is_float(result) and not _fits(result):
            raise Refused("integers beyond 32 bits")
        self._names[result] = self._let(_c_type(result), write(self, op))

    def threshold(self, op: ThresholdOp) -> str:
        """base + step * count, with the count as a sum of comparisons."""
        thresholds, sign = self.kernel.array(op.thresholds), op.sign and self.kernel.array(op.sign)
        if thresholds is None or (op.sign is not None and sign is None):
            raise Refused("thresholds that are not constant")
        x, base, step, n = self.value(op.x), op.get("base"), op.get("step"), thresholds.shape[1]
        if not is_float(op.x):
            if range_of(element_of(op.x))[1] >= INT32_MAX:
                raise Refused("thresholds at the end of 32 bits")
            thresholds = np.clip(thresholds, INT32_MIN, INT32_MAX).astype(np.int32)
        axis = [1] * len(self.grid.shape)

        def per_channel(array: np.ndarray) -> str:
            shape = [*axis]
            if len(shape):
                shape[op.get("axis") % len(shape)] = array.size
            return self._array(array.reshape(shape))

        if n <= UNROLLED_THRESHOLDS:
            count = " + ".join(f"({x} >= {per_channel(thresholds[:, j])})" for j in range(n)) or "0"
        else:
            count = self._count_many(x, thresholds, op.get("axis"))
        if sign is not None:
            first = np.where(sign < 0, base + step * n, base).astype(np.int32)
            return f"{per_channel(first)} + {per_channel(np.where(sign < 0, -step, step).astype(np.int32))} * ({count})"
        factor = "" if step == 1 else f"{step} * "
        return f"{base} + {factor}({count})" if factor else f"{base} + {count}"

    def _count_many(self, x: str, thresholds: np.ndarray, axis: int) -> str:
        """A loop over a channel's thresholds."""
        channels, n = thresholds.shape
        shape = [1] * len(self.grid.shape)
        shape[axis % len(shape)] = channels
        index, moving = self.grid.index(tuple(shape)) if channels > 1 else ("0", False)
        c_type = "float" if thresholds.dtype.kind == "f" else "int32_t"
        start = self.constants.add(Constant(np.ascontiguousarray(thresholds)))
        name, count = f"c{len(self._head)}", f"n{self._count}"
        at = f"({index}) * {n}" if index != "0" else "0"
        self._head.append(f"const {c_type} *restrict {name} = (const {c_type} *)(task->weights + {start}) + {at};")
        here = f"{name}[{f'i * {n} + j' if moving else 'j'}]"
        self._body.append(f"int32_t {count} = 0;")
        self._body.append(f"for (int j = 0; j < {n}; j++) {count} += {x} >= {here};")
        return count


def planes_c(name: str, value: SSAValue, layout: PlanesLayout) -> str:
    """A `struct planes` (planes.h) for a map in planes."""
    _, channels, height, width = shape_of(value)
    item = storage_dtype(element_of(value)).itemsize
    fields = ", ".join(f".{field} = {layout.field(field)}" for field in PlanesLayout.FIELDS)
    sizes = f".channels = {channels}, .height = {height}, .width = {width}"
    return f"static const struct planes {name} = {{{sizes}, {fields}, .item = {item}}};"


# -- one C expression for each operation --------------------------------------------------------------------------


def _binary(symbol: str) -> Callable[[Epilogue, Operation], str]:
    def write(e: Epilogue, op: Operation) -> str:
        a, b = (e.value(v) for v in op.operands)
        return f"{a} {symbol} {b}"

    return write


def _divide(e: Epilogue, op: Operation) -> str:
    a, b = (e.value(v) for v in op.operands)
    if is_float(op.results[0]):
        return f"{a} / {b}"
    return f"{b} == 0 ? 0 : (int32_t)((int64_t){a} / {b})"


def _extreme(symbol: str) -> Callable[[Epilogue, Operation], str]:
    def write(e: Epilogue, op: Operation) -> str:
        a, b = (e.value(v) for v in op.operands)
        nan = f" || {a} != {a}" if is_float(op.results[0]) else ""  # numpy: NaN wins
        return f"{a} {symbol} {b}{nan} ? {a} : {b}"

    return write


def _prelu(e: Epilogue, op: Operation) -> str:
    a, b = (e.value(v) for v in op.operands)
    return f"{a} >= 0 ? {a} : {a} * {b}"


def _relu(e: Epilogue, op: Operation) -> str:
    x = e.value(op.operands[0])
    return f"{x} < 0 ? 0 : {x}"


def _leaky_relu(e: Epilogue, op: tn.LeakyReluOp) -> str:
    x = e.value(op.x)
    return f"{x} >= 0 ? {x} : {float_c(op.get('alpha'))} * {x}"


def _clipped(e: Epilogue, kind: str, x: str, lo: str, hi: str) -> str:
    """min(max(x, lo), hi); a NaN stays."""
    low = e._let(kind, f"{x} < {lo} ? {lo} : {x}")
    return f"{low} > {hi} ? {hi} : {low}"


def _clip(e: Epilogue, op: tn.ClipOp) -> str:
    if is_float(op.x):
        return _clipped(e, "float", e.value(op.x), float_c(op.get("lo")), float_c(op.get("hi")))
    lo, hi = (int_c(int(min(max(op.get(n), INT32_MIN), INT32_MAX))) for n in ("lo", "hi"))
    return _clipped(e, "int32_t", e.value(op.x), lo, hi)


def _hard_sigmoid(e: Epilogue, op: tn.HardSigmoidOp) -> str:
    product = e._let("float", f"{float_c(op.get('alpha'))} * {e.value(op.x)}")
    return _unit(e, e._let("float", f"{product} + {float_c(op.get('beta'))}"))


def _unit(e: Epilogue, x: str) -> str:
    """max(0, min(1, x))."""
    low = e._let("float", f"{x} > 1.0f ? 1.0f : {x}")
    return f"{low} < 0.0f ? 0.0f : {low}"


def _hard_swish(e: Epilogue, op: tn.HardSwishOp) -> str:
    x = e.value(op.x)
    gate = e._let("float", f"{x} / 6.0f")
    gate = e._let("float", f"{gate} + 0.5f")
    return f"{x} * {e._let('float', _unit(e, gate))}"


def _round(e: Epilogue, op: tn.RoundOp) -> str:
    return f"epilogue_{ROUNDINGS[op.get('mode')]}({e.value(op.x)})"


def _saturated(e: Epilogue, x: str, lo: int, hi: int) -> str:
    """A whole float as int32_t, clipped; NaN counts as 0."""
    if max(abs(lo), abs(hi)) > EXACT_FLOAT:
        raise Refused("integers beyond 24 bits made from floats")
    number = e._let("float", f"{x} != {x} ? 0.0f : {x}")
    return f"(int32_t)({_clipped(e, 'float', number, float_c(lo), float_c(hi))})"


def _quantize(e: Epilogue, op: QuantizeOp) -> str:
    quotient = e._let("float", f"{e.value(op.x)} / {e.value(op.scale)}")
    whole = e._let("float", f"epilogue_{ROUNDINGS[op.get('mode')]}({quotient})")
    return _saturated(e, whole, op.get("lo"), op.get("hi"))


def _dequantize(e: Epilogue, op: DequantizeOp) -> str:
    return f"(float){e.value(op.q)} * {e.value(op.scale)}"


def _cast(e: Epilogue, op: tn.CastOp) -> str:
    x = e.value(op.x)
    if is_float(op.y):
        return f"(float){x}"
    lo, hi = range_of(element_of(op.y))
    if is_float(op.x):
        return _saturated(e, e._let("float", f"epilogue_down({x})"), lo, hi)
    if not _fits(op.x, lo, hi):
        raise Refused("a cast that wraps")
    return x


def _batch_norm(e: Epilogue, op: BatchNormOp) -> str:
    arrays = [e.kernel.array(v) for v in op.operands[1:]]
    if any(a is None for a in arrays):
        raise Refused("batch norm whose parameters are not constant")
    scale, bias, mean, var = (a for a in arrays if a is not None)
    k = scale / np.sqrt(var + np.float32(op.get("epsilon")))
    shape = (-1, *(1,) * (len(shape_of(op.x)) - 2))
    product = e._let("float", f"{e.value(op.x)} * {e._array(k.reshape(shape))}")
    return f"{product} + {e._array((bias - mean * k).reshape(shape))}"


OPERATIONS: dict[type[Operation], Callable[..., str]] = {
    tn.AddOp: _binary("+"),
    tn.SubOp: _binary("-"),
    tn.MulOp: _binary("*"),
    tn.DivOp: _divide,
    tn.MaxOp: _extreme(">"),
    tn.MinOp: _extreme("<"),
    tn.PReluOp: _prelu,
    tn.ReluOp: _relu,
    tn.LeakyReluOp: _leaky_relu,
    tn.ClipOp: _clip,
    tn.HardSigmoidOp: _hard_sigmoid,
    tn.HardSwishOp: _hard_swish,
    tn.RoundOp: _round,
    tn.CastOp: _cast,
    QuantizeOp: _quantize,
    DequantizeOp: _dequantize,
    ThresholdOp: Epilogue.threshold,
    BatchNormOp: _batch_norm,
}
