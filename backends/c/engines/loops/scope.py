"""What the generators of one kernel share: buffers by name, scratch, and the statements that compute an element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from xdsl.ir import Operation, SSAValue

from .....ir.kn.buffers import ALIGNMENT, round_up
from .....ir.tn.constant import ConstantOp
from .....ir.tn.linear import BatchNormOp, MatMulOp
from .....ir.tn.quant import SelectThresholdOp, ThresholdOp
from .....ir.types import Element, element_of, shape_of, storage_dtype
from ...engine import Constants, Kernel
from ...expressions import expression, threshold_row
from ...text import Lines, storage_c, value_c
from .constants import packed
from .plan import Stage


@dataclass(frozen=True)
class Buffer:
    """Dense elements behind a C pointer. load: what turns a stored element `{}` into its value."""

    name: str
    element: Element
    load: str = "{}"

    def at(self, index: str) -> str:
        """The C expression of the element at a flat index."""
        text = self.load.format(f"{self.name}[{index}]")
        # small types promote to int by themselves; 64-bit arithmetic is asked for
        wide = value_c(self.element) == "int64_t" != storage_c(self.element)
        return f"(int64_t){text}" if wide else text


@dataclass(frozen=True)
class Access:
    """Element offset + sum of coordinate * stride over the axes of a nest; axes that do not matter have stride 0."""

    offset: int
    strides: tuple[int, ...]


Index: TypeAlias = Callable[[Access], str]
"""The C expression of an access, in the loop variables at hand."""


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def sum_c(terms: Sequence[tuple[str, int]], offset: int = 0) -> str:
    """`y * 28 + x + 3` from [("y", 28), ("x", 1)] and 3. A coordinate named "0" does not count."""
    parts = [name if stride == 1 else f"{name} * {stride}" for name, stride in terms if stride and name != "0"]
    text = " + ".join(parts)
    if not text:
        return str(offset)
    return f"{text} + {offset}" if offset > 0 else f"{text} - {-offset}" if offset else text


def index_of(coordinates: Sequence[str]) -> Index:
    """Accesses by one C variable for each axis; an axis of size 1 may be "0"."""

    def index(access: Access) -> str:
        return sum_c(list(zip(coordinates, access.strides, strict=True)), access.offset)

    return index


@dataclass
class Scope:
    """The state of one kernel's code while it is written. parallel: whether its only nest is shared by the parts."""

    kernel: Kernel
    parallel: bool
    out: Lines = field(default_factory=Lines)
    constants: Constants = field(default_factory=Constants)
    scratch_bytes: int = 0
    reads: dict[SSAValue, Buffer] = field(default_factory=dict)
    writes: dict[SSAValue, list[str]] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    # -- memory ---------------------------------------------------------------------------------------------------

    def open_buffers(self, stages: Sequence[Stage]) -> None:
        """Declares the pointers of operands, constants, results and of scratch between stages."""
        op, ops = self.kernel.op, [o for stage in stages for o in stage.ops]
        read = {v for o in ops for v in o.operands} | {s.copied for s in stages if s.copied}
        for i, argument in enumerate(op.block.args):
            if argument in read:
                c_type = storage_c(element_of(argument))
                self.out.add(f"const {c_type} *restrict in{i} = task->in[{i}];")
                self.reads[argument] = Buffer(f"in{i}", element_of(argument))
        for constant in (o for o in op.inner if isinstance(o, ConstantOp)):
            if constant.result in read:
                self._open_constant(constant)
        for i, value in enumerate(op.yielded):
            self.out.add(f"{storage_c(element_of(value))} *restrict out{i} = task->out[{i}];")
            self.writes.setdefault(value, []).append(f"out{i}")
        for value in (v for stage in stages for v in stage.stored):
            if value not in self.writes:
                self.writes[value] = [self.scratch(value.owner.name.removeprefix("tn."), value.type)]  # type: ignore[union-attr]
            self.reads.setdefault(value, Buffer(self.writes[value][0], element_of(value)))

    def _open_constant(self, op: ConstantOp) -> None:
        array, kind = self.kernel.array(op.result), element_of(op.result)
        assert array is not None
        by_pointer = any(threshold_row(use.operation) == use.index for use in op.result.uses)
        axis = -1 if any(isinstance(use.operation, MatMulOp) for use in op.result.uses) else 0
        constant, load = packed(array, kind, as_stored=by_pointer, axis=axis)
        name = self.name("constant")  # not after the tensor: equal kernels share their code
        place = f"task->weights + {self.constants.add(constant)}"
        self.out.add(f"const {storage_c(kind)} *restrict {name} = (const {storage_c(kind)} *)({place});")
        self.reads[op.result] = Buffer(name, kind, load)

    def scratch(self, name: str, kind: object) -> str:
        """Declares scratch memory for a tensor type. Returns the pointer's name."""
        element = element_of(kind)  # type: ignore[arg-type]
        count = prod(shape_of(kind))  # type: ignore[arg-type]
        name, c_type = self.name(name), storage_c(element)
        self.out.add(f"{c_type} *restrict {name} = ({c_type} *)(task->scratch + {self.scratch_bytes});")
        self.reserve(count * storage_dtype(element).itemsize)
        return name

    def reserve(self, size: int) -> None:
        """Takes `size` bytes of scratch, from `scratch_bytes` on."""
        self.scratch_bytes = round_up(self.scratch_bytes + size, ALIGNMENT)

    def name(self, stem: str) -> str:
        """A C identifier not used before in this kernel: the stem and a number."""
        count = 0
        while (name := f"{stem}{count}") in self._used:
            count += 1
        self._used.add(name)
        return name

    # -- loops ----------------------------------------------------------------------------------------------------

    @contextmanager
    def shared_loop(self, variable: str, count: int, grain: int = 1, *, inner: bool = False) -> Iterator[None]:
        """A loop over 0..count - 1, of which every part does its share."""
        if not self.parallel:
            with self.loop(variable, count, inner=inner):
                yield
            return
        with self.out.block(""):
            self.out.add("int64_t begin, end;", f"tercet_share(task, {count}, {grain}, &begin, &end);")
            with self.loop(variable, "end", "begin", inner=inner):
                yield

    @contextmanager
    def loop(self, variable: str, stop: int | str, start: int | str = 0, *, inner: bool = False) -> Iterator[None]:
        """A loop over start..stop - 1. inner: it is the innermost one, which the compiler may vectorise."""
        with self.out.block(f"for (int64_t {variable} = {start}; {variable} < {stop}; {variable}++)"):
            if not inner:
                self.out.add("TERCET_OUTER_LOOP;")
            yield

    def split(self, variable: str, sizes: Sequence[int], names: Sequence[str]) -> None:
        """Declares the coordinates of a flat index; axes of size 1 are named "0" by `coordinates` and left out."""
        rest = prod(sizes)
        whole = rest
        for size, name in zip(sizes, names, strict=True):
            rest //= size
            if size == 1:
                continue
            text = variable if rest == 1 else f"{variable} / {rest}"
            self.out.add(f"const int64_t {name} = {text if size * rest == whole else f'{text} % {size}'};")

    # -- elements -------------------------------------------------------------------------------------------------

    def operand_access(self, op: Operation, i: int, shape: Sequence[int]) -> Access:
        """How an elementwise operation's operand is read in a nest over `shape`: it is broadcast, per-channel
        parameters lie along their axis."""
        value = op.operands[i]
        axis, step = None, 1
        if isinstance(op, BatchNormOp) and i > 0:
            axis = 1
        elif isinstance(op, ThresholdOp | SelectThresholdOp) and i >= (threshold_row(op) or 0):
            axis, step = op.get("axis"), prod(shape_of(value)[1:])
        if axis is None:
            own = (1,) * (len(shape) - len(shape_of(value))) + shape_of(value)
            return Access(0, tuple(s if d > 1 else 0 for d, s in zip(own, dense_strides(own), strict=True)))
        rank = len(shape_of(op.operands[0]))
        strides = [0] * len(shape)
        if shape_of(value)[0] > 1:
            strides[axis % rank + len(shape) - rank] = step
        return Access(0, tuple(strides))

    def accesses(self, stage: Stage) -> list[Access]:
        """Every access of the stage's elementwise operations and stores."""
        inside = set(stage.values)
        reads = [
            self.operand_access(op, i, stage.shape)
            for op in stage.chain
            for i, value in enumerate(op.operands)
            if value not in inside
        ]
        return [*reads, Access(0, dense_strides(stage.shape))]

    def element(self, stage: Stage, index: Index, bound: Mapping[SSAValue, str]) -> None:
        """Statements for one element: computes the chain and stores. bound: names of the root's values."""
        names = dict(bound)
        loaded: dict[tuple[SSAValue, str], str] = {}
        for op in stage.chain:
            arguments = []
            for i, value in enumerate(op.operands):
                if value in names:
                    arguments.append(names[value])
                    continue
                buffer, at = self.reads[value], index(self.operand_access(op, i, stage.shape))
                row = threshold_row(op) == i
                if (value, at) not in loaded:
                    loaded[value, at] = self.name(f"{buffer.name}_{'row' if row else 'at'}")
                    if row:
                        self.out.add(f"const {storage_c(buffer.element)} *{loaded[value, at]} = {buffer.name} + {at};")
                    else:
                        self.out.add(f"const {value_c(buffer.element)} {loaded[value, at]} = {buffer.at(at)};")
                arguments.append(loaded[value, at])
            result = op.results[0]
            names[result] = self.name(op.name.removeprefix("tn."))
            self.out.add(f"const {value_c(element_of(result))} {names[result]} = {expression(op, arguments)};")
        at = index(Access(0, dense_strides(stage.shape)))
        for value in stage.stored:
            c_type = storage_c(element_of(value))
            narrow = "" if c_type == value_c(element_of(value)) else f"({c_type})"
            self.out.add(*(f"{target}[{at}] = {narrow}{names[value]};" for target in self.writes[value]))
