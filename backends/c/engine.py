"""What a kernel engine declares. Each engine is a folder `engines/NAME/` with `ENGINE` in its `__init__.py`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import Attribute, Operation, SSAValue

from ...ir.kn.buffers import ALIGNMENT, round_up
from ...ir.kn.kernel import KernelOp
from ...ir.kn.layout import Layout, PlanesLayout
from ...ir.kn.requests import LayoutRequest
from ...ir.sum_graph import SumGraph
from ...ir.tn.constant import ConstantOp
from ...ir.tn.linear import ConvOp
from ...ir.weights import WeightStore
from .lists import Lists
from .refusal import Refusal, Refused
from .target import Target

T = TypeVar("T")
Schedule: TypeAlias = "dict[str, int | str]"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kn.kernel as an engine sees it: its operations, the types of its maps and the arrays of its constants.

    known: what `once` keeps.
    """

    op: KernelOp
    weights: WeightStore
    known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def symbol(self) -> str:
        return self.op.symbol.data

    @property
    def location(self) -> LocationAttr:
        return self.op.location

    @property
    def ops(self) -> list[Operation]:
        """The computing operations in order, constants left out."""
        return [op for op in self.op.inner if not isinstance(op, ConstantOp)]

    @property
    def inputs(self) -> list[Attribute]:
        """Types of the operands: dense tensors or kn.map."""
        return [v.type for v in self.op.operands]

    @property
    def outputs(self) -> list[Attribute]:
        return [v.type for v in self.op.results]

    def array(self, value: SSAValue) -> np.ndarray | None:
        """The stored array of a constant inside the region, else None."""
        return self.weights[value.owner.get("value")] if isinstance(value.owner, ConstantOp) else None

    def ternary(self, value: SSAValue) -> np.ndarray | None:
        """The stored array of a constant of integers -1, 0 and 1, as int8; None for all others."""

        def read() -> np.ndarray | None:
            array = self.array(value)
            few = array is not None and array.dtype.kind != "f" and np.isin(array, (-1, 0, 1)).all()
            return array.astype(np.int8) if array is not None and few else None

        return self.once(("ternary", value), read)

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """What `read` finds out, or raises as Refused; computed once, however many engines ask. It must not depend on
        layouts, which are decided later."""
        if key not in self.known:
            try:
                self.known[key] = read()
            except Refused as reason:
                self.known[key] = reason
        found = self.known[key]
        if isinstance(found, Refused):
            raise Refused(str(found))
        return found

    def graph(self, conv: ConvOp) -> SumGraph | None:
        """The additions that the pass sum-merge found for a convolution; None where it found none."""
        name = conv.get("sums")
        return None if name is None else SumGraph.from_array(self.weights[name])

    def input_index(self, value: SSAValue) -> int | None:
        """Which operand a region argument is; None for values computed inside."""
        return self.op.block.args.index(value) if value in self.op.block.args else None


def once_per_kernel(read: Callable[[Kernel], T]) -> Callable[[Kernel], T]:
    """`read`, whose result, or refusal, is kept with the kernel."""

    @wraps(read)
    def kept(kernel: Kernel) -> T:
        return kernel.once(read, lambda: read(kernel))

    return kept


@dataclass(frozen=True)
class Constant:
    """An array as it is stored and as the kernel reads it.

    radix 0: the kernel reads `values` as they are. radix 2 or 3: `values` are digits (uint8, below radix) in the order
    the kernel reads them; at load every `group` digits d become one byte sum(d[i] * radix^i) + offset (modulo 256).
    8 bits or 5 trits are stored per byte, fewer bytes where an entropy code is shorter (storage.py): a ternary weight
    takes at most 1.6 bits on disk whatever the kernel needs.

    filters: for trits of weights, the output filter of each digit, -1 for padding. With it the trits of a filter of
    {0, 1} or {0, -1} take one sign and a zero mask, 1 bit each; offset has to be 0 or -1 then.
    filled: for other digits, bool, which of them are padding. Padding digits, all alike, are not stored.
    split: for digits 0, 1, 2 with radix 4 and group 4: of every 64 * split of them, the kernel reads `split` words of
    bits that say which are not 0, then `split` words that say which are 2.
    lists: for digits with group 1 and offset 0: the kernel reads lists of them.
    """

    values: np.ndarray
    radix: int = 0
    group: int = 1
    offset: int = 0
    filters: np.ndarray | None = None
    filled: np.ndarray | None = None
    split: int = 0
    lists: Lists | None = None

    @property
    def expanded_bytes(self) -> int:
        if self.lists:
            return self.lists.bytes(self.values)
        return -(-self.values.size // self.group) if self.radix else self.values.nbytes


@dataclass
class Constants:
    """The constants of one kernel, laid out one after the other (64-byte aligned) in the memory `task->weights`."""

    items: list[Constant] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    size: int = 0

    def add(self, constant: Constant) -> int:
        """Places a constant. Returns its byte offset from `task->weights`."""
        self.items.append(constant)
        self.offsets.append(self.size)
        self.size = round_up(self.size + constant.expanded_bytes, ALIGNMENT)
        return self.offsets[-1]


@dataclass(frozen=True)
class KernelCode:
    """C for one kernel: a definition of `void SYMBOL(const struct tercet_task *task)` and what it needs.

    defines: constants that its headers and Python share. headers: files copied beside the generated source, included in
    order. scratch: bytes per part, 64-byte aligned.
    parallel: False when only part 0 does work (the runtime then skips the other threads). gcc_flags: what gcc compiles
    it with beside the target's flags; they change how long it takes, not what the code means.
    """

    source: str
    constants: Constants = field(default_factory=Constants)
    headers: tuple[Path, ...] = ()
    scratch: int = 0
    parallel: bool = True
    defines: Mapping[str, int] = field(default_factory=dict)
    gcc_flags: tuple[str, ...] = ()


class Choices(Protocol):
    """What a plan is made of: an engine's choices for one kernel."""

    def schedule(self) -> Schedule:
        """The choices as ints and strings, so that they can be written in the IR."""
        ...

    def cost(self, costs: Mapping[str, float]) -> float:
        """Core cycles for one sample on one core. costs: the engine's numbers, see costs.toml."""
        ...


C = TypeVar("C", bound=Choices)


@dataclass(frozen=True, eq=False)
class Plan:
    """One way in which an engine computes one kernel.

    cycles: `predict` by the target's numbers. reads: the layout wanted for each operand. writes: whether `emit` can
    write the results in a layout that their types fit; every plan can write dense. emit: C for the kernel, whose types
    carry their final layouts then.
    """

    engine: str
    schedule: Schedule
    cycles: float
    reads: Sequence[LayoutRequest]
    writes: Callable[[Layout], bool]
    emit: Callable[[Kernel], KernelCode]
    predict: Callable[[Mapping[str, float]], float] = field(repr=False)

    @classmethod
    def of(
        cls,
        engine: str,
        choices: C,
        target: Target,
        reads: Sequence[LayoutRequest],
        writes: Callable[[Layout], bool],
        emit: Callable[[Kernel, C], KernelCode],
    ) -> Plan:
        cycles = choices.cost(target.costs[engine])
        return cls(
            engine, choices.schedule(), cycles, reads, writes, lambda kernel: emit(kernel, choices), choices.cost
        )


def only_dense(layout: Layout) -> bool:
    """`writes` of a plan that writes dense results alone."""
    return False


def any_planes(layout: Layout) -> bool:
    """`writes` of a plan that writes dense results, or planes with any border."""
    return isinstance(layout, PlanesLayout)


@dataclass(frozen=True)
class Engine:
    """A way to compute kernels. Adding one touches no other file than `engines/__init__.py`'s list.

    read: the plans for a kernel, best guess first. Raises Refused where the engine cannot compute the kernel exactly.
    packed: whether the artifact holds the weights as constants, at most 1.6 bits a ternary one. False where the code
    holds them: fast, but about 20 bits a weight; such code computes the sums that the pass sum-merge finds.
    """

    name: str
    read: Callable[[Kernel, Target], Sequence[Plan]]
    packed: bool = True

    def plans(self, kernel: Kernel, target: Target) -> Sequence[Plan] | Refusal:
        """All plans for a kernel, or why there are none. Layouts of the kernel's types are not yet decided then."""
        try:
            return self.read(kernel, target)
        except Refused as reason:
            return Refusal(str(reason))
