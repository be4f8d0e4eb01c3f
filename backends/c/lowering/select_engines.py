"""Groups `tn` operations into kernels and gives each to the engine that is predicted to be fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from math import prod
from typing import ClassVar

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation

from ....ir.errors import UnsupportedError
from ....ir.kn.kernel import KernelOp
from ....ir.locations import describe
from ....ir.order import dependents
from ....ir.program import Program
from ....ir.rewrite import remove
from ....ir.tn.constant import ConstantOp
from ....ir.tn.linear import ConvOp
from ....ir.tn.pool import MaxPoolOp
from ....ir.tn.quant import QuantizeOp, ThresholdOp
from ....ir.types import shape_of
from ....passes.base import GIVEN, Pass
from ....passes.grouping import PRODUCTS, build_kernel, discard, install, is_dead, results_of, symbol_name
from ....passes.properties import DENSE_MAPS, IN_KERNELS, NO_KERNELS, OUTPUTS_FINISHED
from ..elements import cycles_alone, may_join
from ..engine import Engine, Plan
from ..plans import Plans, choose
from ..refusal import Refusal

PROVISIONAL = "candidate"
"""The symbol of kernels until all are there and numbered."""

CYCLES_PER_SPILLED_ELEMENT = 2.0
"""What it costs to store a feature map and read it again, for operations that are left out of a kernel."""


@dataclass(frozen=True)
class Candidate:
    """A plan for the first `count` operations of a group, with the predicted cycles of all of them."""

    plan: Plan
    kernel: KernelOp
    count: int
    cycles: float


@dataclass(frozen=True)
class SelectEngines(Pass):
    """Every operation ends up in exactly one kn.kernel; constants move into the kernels that use them.

    engines: what to choose from, in order of preference on equal cost. fallback: engines for what none of those takes.
    Raises UnsupportedError, listing every operation, where no engine takes it.
    """

    name: ClassVar[str] = "select-engines"
    requires: ClassVar = (NO_KERNELS, OUTPUTS_FINISHED)
    ensures: ClassVar = (IN_KERNELS, DENSE_MAPS)

    plans: Plans = field(compare=False, metadata=GIVEN)
    engines: Sequence[Engine] = field(metadata=GIVEN)
    fallback: Sequence[Engine] = field(default=(), metadata=GIVEN)

    def apply(self, program: Program) -> bool:
        refused: list[str] = []
        # products first: an elementwise operation joins the product whose sums it takes, whatever comes before it
        for op in (*(op for op in program.ops if isinstance(op, PRODUCTS)), *program.ops):
            if op.parent is None or isinstance(op, ConstantOp | KernelOp) or is_dead(op):
                continue
            group = fusable_group(op)
            best, reasons = self._choose(program, group, self.engines)
            if best is None and self.fallback:
                best, reasons = self._choose(program, group, self.fallback)
            if best is None:
                refused.append(f"{describe(op)}: {'; '.join(reasons)}")
                continue
            choose(best.kernel, best.plan)
            install(group[: best.count], best.kernel)
        if refused:
            raise UnsupportedError(
                "no engine computes:\n  " + "\n  ".join(refused), hint="see `tercet targets` for what each engine takes"
            )
        for op in reversed(list(program.ops)):
            if is_dead(op):
                remove(op)
        kernels = [op for op in program.ops if isinstance(op, KernelOp)]
        for number, kernel in enumerate(kernels):
            kernel.properties["symbol"] = StringAttr(symbol_name(kernel, number))
        return bool(kernels)

    def _choose(
        self, program: Program, group: list[Operation], engines: Sequence[Engine]
    ) -> tuple[Candidate | None, list[str]]:
        best: Candidate | None = None
        reasons: dict[str, str] = {}
        kernels: dict[int, KernelOp] = {}
        for engine in engines:
            for count in range(len(group), 0, -1):
                if count not in kernels:
                    kernels[count] = build_kernel(group[:count], PROVISIONAL, engine.name)
                plans = self.plans.of(kernels[count], program.weights, engine)
                if isinstance(plans, Refusal):
                    reasons.setdefault(engine.name, plans.reason)
                    continue
                plan = min(plans, key=lambda plan: plan.cycles)
                total = plan.cycles + left_out(group, count)
                if best is None or total < best.cycles:
                    best = Candidate(plan, kernels[count], count, total)
                break
        for kernel in kernels.values():
            if best is None or kernel is not best.kernel:
                self.plans.forget(kernel)
                discard(kernel)
        return best, [f"{name}: {reason}" for name, reason in reasons.items()]


def fusable_group(root: Operation) -> list[Operation]:
    """The root and the longest chain of operations that each are the only user of the one before. Where one has two
    users that meet, as in x * sigmoid(x), what lies between belongs to the chain. It ends with the first user where
    that is a quantizer after a product: the kernel then has the sums before it as a second result."""
    group = [root]
    while len(group[-1].results) == 1 and (users := _next(group)):
        longer = group.copy()
        for user in users:
            if isinstance(user, ReturnOp) or not _joins(user, longer) or comes_back(longer, user):
                return group
            longer.append(user)
        group = longer
    return group


def _next(group: Sequence[Operation]) -> Sequence[Operation]:
    """What may follow a group, all or nothing."""
    users = list(dict.fromkeys(use.operation for use in group[-1].results[0].uses))
    if len(users) == 1:
        return users
    users.sort(key=cmp_to_key(_block_order))
    return (len(users) == 2 and _between(*users)) or _first_quantizer(group, users)


def _between(first: Operation, last: Operation) -> Sequence[Operation]:
    """The operations from `first` to `last` where each is the only user of the one before."""
    path: list[Operation] = [first]
    while path[-1] is not last:
        user = path[-1].results[0].get_user_of_unique_use() if len(path[-1].results) == 1 else None
        if user is None:
            return ()
        path.append(user)
    return path


def _first_quantizer(group: Sequence[Operation], users: Sequence[Operation]) -> Sequence[Operation]:
    """The first quantizer among several users, in order, of a product's sums that can join: what a float shortcut
    branches off from."""
    if not isinstance(group[0], PRODUCTS):
        return ()
    return [u for u in users if isinstance(u, QuantizeOp | ThresholdOp) and not comes_back(group, u)][:1]


def _block_order(a: Operation, b: Operation) -> int:
    return -1 if a.is_before_in_block(b) else 1


def comes_back(group: Sequence[Operation], user: Operation) -> bool:
    """Whether `user` needs the group by a path outside it. Together they would be a kernel that waits for itself: a
    group must be convex."""
    inside = {*group, user}
    leaving = {v for v in results_of(group) if any(use.operation not in inside for use in v.uses)}
    if not leaving:
        return False
    outside = {v for op in dependents(group[0], user, leaving) if op not in inside for v in op.results}
    return any(v in outside for v in user.operands)


def _joins(user: Operation, group: list[Operation]) -> bool:
    value, root = group[-1].results[0], group[0]
    if isinstance(user, MaxPoolOp):
        return isinstance(root, ConvOp) and not any(isinstance(op, MaxPoolOp) for op in group)
    if not may_join(user):
        return False
    others = [v for v in user.operands if v is not value]
    if isinstance(root, PRODUCTS):
        return shape_of(user.results[0]) == shape_of(value)
    return all(isinstance(v.owner, ConstantOp) for v in others) or may_join(root)


def left_out(group: Sequence[Operation], count: int) -> float:
    """Predicted cycles of a group's operations from `count` on, in a kernel of their own."""
    if count == len(group):
        return 0.0
    own = sum(prod(shape_of(op.results[0])) * cycles_alone(op) for op in group[count:])
    return own + prod(shape_of(group[count - 1].results[0])) * CYCLES_PER_SPILLED_ELEMENT
