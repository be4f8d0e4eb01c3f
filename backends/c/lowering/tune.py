"""Measures the best candidates of every kernel, conversions around them included, and takes the fastest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ....ir.kn.kernel import KernelOp
from ....ir.kn.layout import layout_of, satisfies, tensor_in
from ....ir.kn.requests import AnyLayout, Dense, LayoutRequest
from ....ir.operation import to_attribute
from ....ir.program import Port, Program
from ....ir.tn.constant import ConstantOp
from ....ir.types import element_of, storage_dtype
from ....passes.base import GIVEN, Pass
from ....passes.properties import DENSE_MAPS, IN_KERNELS
from ..engine import Plan
from ..plans import Plans, choose
from ..refusal import Refusal
from .assign_layouts import AssignLayouts, wanted_type
from .conversions import can_write, converted, in_bits, unpack_cycles
from .plan_memory import PlanMemory

MOST_TIMES_SLOWER = 3.0
"""An engine whose best schedule is predicted to be slower than that is not measured."""

Times = tuple[tuple[float, float], ...]
"""Of every candidate: cycles of the kernel, and of the conversions it causes."""


class Bench(Protocol):
    """Measures programs on this machine and remembers what it found."""

    def recall(self, key: str) -> Times | None: ...

    def remember(self, found: Mapping[str, Times]) -> None: ...

    def measure(self, program: Program) -> Sequence[float]:
        """The cycles of every step of a program with planned memory, the steps taking turns."""
        ...


@dataclass
class Layer:
    """A kernel to be tuned. reads: the layout of every operand in the program as predicted. writes: its result's
    types. converted: whether an operand's producer leaves it to a conversion to give it the layout that is wanted.
    unpacked: of every trial the predicted cycles for operands whose producers would have to write bytes in place of
    bits."""

    op: KernelOp
    trials: list[Plan]
    reads: list[Attribute]
    writes: list[Attribute]
    converted: list[bool]
    unpacked: list[float]
    key: str = ""
    kernels: list[int] = field(default_factory=list)  # the step of every trial
    around: list[list[int]] = field(default_factory=list)  # the steps of the conversions that it causes


@dataclass(frozen=True)
class Tune(Pass):
    """Without a bench it leaves the predicted choice as it is.

    The operations of each kernel stay together; what changes is the engine and its schedule. candidates: of a kernel,
    at most. The same measurements give the same choice.
    """

    name: ClassVar[str] = "tune"
    requires: ClassVar = (IN_KERNELS, DENSE_MAPS)
    ensures: ClassVar = (IN_KERNELS, DENSE_MAPS)

    plans: Plans = field(compare=False, metadata=GIVEN)
    bench: Bench | None = field(default=None, metadata=GIVEN)
    candidates: int = 0

    def apply(self, program: Program) -> bool:
        if self.bench is None:
            return False
        layers = self._layers(program)
        known = {layer.key: times for layer in layers if (times := self.bench.recall(layer.key)) is not None}
        unknown = {layer.key: layer for layer in layers if layer.key not in known}
        if unknown:
            found = self._measure(program, list(unknown.values()), self.bench)
            self.bench.remember(found)
            known |= found
        for layer in layers:
            install(layer, known[layer.key])
            self.plans.measured |= {p: kernel for p, (kernel, _) in zip(layer.trials, known[layer.key], strict=True)}
        return bool(layers)

    def _layers(self, program: Program) -> list[Layer]:
        laid_out = program.clone()
        AssignLayouts(Plans(self.plans.target, self.plans.engines)).apply(laid_out)
        after = {op.symbol.data: op for op in laid_out.ops if isinstance(op, KernelOp)}
        layers = []
        for op in (op for op in program.ops if isinstance(op, KernelOp)):
            predicted = after[op.symbol.data]
            reads, writes = [v.type for v in predicted.operands], [v.type for v in predicted.results]
            converted = [not self._writes(program, v, kind) for v, kind in zip(op.operands, reads, strict=True)]
            trials = self._trials(program, op)
            unpacked = [self._unpacked(trial, reads) for trial in trials]
            layer = Layer(op, trials, reads, writes, converted, unpacked)
            layer.key = _key(program, layer)
            layers.append(layer)
        return layers

    def _trials(self, program: Program, op: KernelOp) -> list[Plan]:
        """The best of every engine that may win, then the best of all, as predicted."""
        best, others = list[Plan](), list[Plan]()
        for engine in self.plans.engines:
            plans = self.plans.of(op, program.weights, engine)
            if isinstance(plans, Refusal):
                continue
            found = sorted(plans, key=lambda plan: plan.cycles)
            best.append(found[0])
            others += found[1:]
        limit = MOST_TIMES_SLOWER * min(plan.cycles for plan in best)
        chosen = sorted((plan for plan in best if plan.cycles <= limit), key=lambda plan: plan.cycles)
        chosen += sorted(others, key=lambda plan: plan.cycles)
        return chosen[: self.candidates]

    def _unpacked(self, trial: Plan, reads: Sequence[Attribute]) -> float:
        """Predicted, as it is part of the producers' kernels: they are measured as the predicted program has them."""
        pairs = zip(trial.reads, reads, strict=True)
        return sum(unpack_cycles(kind, self.plans.target) for request, kind in pairs if not in_bits(request))

    def _writes(self, program: Program, value: SSAValue, kind: Attribute) -> bool:
        return isinstance(value.owner, KernelOp) and can_write(self.plans.chosen(value.owner, program.weights), kind)

    # -- the program that is measured ------------------------------------------------------------------------------

    def _measure(self, program: Program, layers: Sequence[Layer], bench: Bench) -> dict[str, Times]:
        trial_program = self._program(program, layers)
        cycles = bench.measure(trial_program)
        return {
            layer.key: tuple(
                (cycles[kernel], sum(cycles[i] for i in around) + unpacked)
                for kernel, around, unpacked in zip(layer.kernels, layer.around, layer.unpacked, strict=True)
            )
            for layer in layers
        }

    def _program(self, program: Program, layers: Sequence[Layer]) -> Program:
        """Every candidate of every layer, one after the other, on inputs of the layers' shapes."""
        ports = [
            Port(f"l{i}_{j}", value.type, storage_dtype(element_of(value.type)))  # type: ignore[arg-type]
            for i, layer in enumerate(layers)
            for j, value in enumerate(layer.op.operands)
        ]
        made = Program(Program.new("tuning", ports).module, program.weights.copy())
        arguments = iter(made.block.args)
        for i, layer in enumerate(layers):
            inputs = [next(arguments) for _ in layer.op.operands]
            self._add_trials(made, layer, inputs, f"l{i:03}")
        last = made.block.last_op
        assert last is not None
        result = last.results[0]
        if layout_of(result.type) is not None:
            result = _converted(made, result, tensor_in(result.type))
        made.finish([("last", result, storage_dtype(element_of(result.type)))])
        made.drop_unused_weights()
        PlanMemory().apply(made)
        made.verify()
        return made

    def _add_trials(self, made: Program, layer: Layer, inputs: Sequence[SSAValue], name: str) -> None:
        dense = [tensor_in(kind) for kind in layer.writes]
        converts: dict[tuple[int, Attribute], SSAValue] = {}
        for t, trial in enumerate(layer.trials):
            operands, around = list(inputs), []
            for j, request in enumerate(trial.reads):
                want = _wanted(inputs[j], request, layer.reads[j])
                if want == inputs[j].type:
                    continue
                if (j, want) not in converts:
                    converts[j, want] = _converted(made, inputs[j], want)
                operands[j] = converts[j, want]
                around += [_step(made, operands[j])] if layer.converted[j] else []
            able = all(can_write(trial, kind) for kind in layer.writes)
            writes = layer.writes if able else dense
            body = layer.op.body.clone()
            kernel = KernelOp.make(
                f"{name}_{t}_{trial.engine}", trial.engine, trial.schedule, operands, writes,
                body.detach_block(0), at=layer.op.location,
            )  # fmt: skip
            made.block.add_op(kernel)
            layer.kernels.append(_step(made, kernel.results[0]))
            for result, want in zip(kernel.results, layer.writes, strict=True):
                if result.type != want:
                    around.append(_step(made, _converted(made, result, want)))
            layer.around.append(around)


def install(layer: Layer, times: Times) -> None:
    """Gives a kernel its fastest candidate; the first of equal ones."""
    best = min(range(len(times)), key=lambda i: sum(times[i]))
    trial, op = layer.trials[best], layer.op
    choose(op, trial)
    op.properties["measured"] = to_attribute(round(times[best][0]))


def _wanted(value: SSAValue, request: LayoutRequest, predicted: Attribute) -> Attribute:
    """The type in which an operand is read: as in the predicted program where that will do."""
    if isinstance(request, Dense):
        return value.type
    if satisfies(predicted, request):
        return predicted
    if isinstance(request, AnyLayout):
        return value.type
    return wanted_type(value, request)


def _converted(program: Program, value: SSAValue, want: Attribute) -> SSAValue:
    path = converted(value, want)
    program.block.add_ops(path)
    return path[-1].y


def _step(program: Program, value: SSAValue) -> int:
    """The number of the step that makes a value."""
    return next(i for i, op in enumerate(program.ops) if op is value.owner)


def _key(program: Program, layer: Layer) -> str:
    """SHA-256 of all that decides about a layer's times, but for this machine and the code of the engines."""
    numbers: dict[SSAValue, int] = {v: i for i, v in enumerate(layer.op.block.args)}
    trials = [f"{plan.engine} {sorted(plan.schedule.items())}" for plan in layer.trials]
    lines = [f"{trials} {[str(v) for v in (*layer.reads, *layer.writes)]} {layer.converted} {layer.unpacked}"]
    for op in layer.op.block.ops:
        numbers |= {v: len(numbers) + i for i, v in enumerate(op.results)}
        properties = {name: str(value) for name, value in sorted(op.properties.items()) if name != "value"}
        array = program.weights[op.get("value")] if isinstance(op, ConstantOp) else np.zeros(0)
        lines.append(
            f"{op.name} {properties} {[numbers[v] for v in op.operands]} {[str(v.type) for v in op.results]} "
            f"{array.dtype} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
        )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
