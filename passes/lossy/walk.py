"""Runs the float program and the lossy one side by side over calibration data, operation by operation.

The lossy program may be changed at the operation that is reached: what comes later sees the consequences. While both
programs hold the same value it is computed and stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...backends.reference.interpreter import evaluate
from ...ir.program import Program
from ...ir.tn.constant import ConstantOp

Samples: TypeAlias = list[np.ndarray]
"""A value for each calibration sample, in the program's shape."""


@dataclass
class Both:
    """A value in the float program and in the lossy one; the same list where they agree."""

    plain: Samples
    lossy: Samples

    @property
    def same(self) -> bool:
        return self.plain is self.lossy


class Change(Protocol):
    """Sees every operation before it runs: `op` of the lossy program and its counterpart `plain`. May rewrite around
    `op`; then it gives the values of its one result."""

    def __call__(self, walk: Walk, op: Operation, plain: Operation) -> Both | None: ...


class Walk:
    """program: the lossy one. inputs: samples by the name of the input port. Both programs have the same operations in
    the same order when the walk begins; values are kept under the float program's SSA values."""

    def __init__(self, program: Program, inputs: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.program, self.plain = program, program.clone()
        self.count = len(next(iter(inputs.values())))
        self.values: dict[SSAValue, Both] = {}
        for argument, port in zip(self.plain.block.args, self.plain.inputs, strict=True):
            samples = list(inputs[port.name])
            self.values[argument] = Both(samples, samples)
        self.lossy_of = dict(zip(self.plain.ops, program.ops, strict=True))

    def run(self, change: Change) -> list[Both]:
        """The values of the program's outputs."""
        last = {value: op for op in self.plain.block.ops for value in op.operands}
        for plain, op in self.lossy_of.items():
            if isinstance(plain, ConstantOp):
                continue
            changed = change(self, op, plain)
            results = [changed] if changed is not None else self.compute(op, plain)
            self.values.update(zip(plain.results, results, strict=True))
            for value in plain.operands:
                if last[value] is plain:
                    self.values.pop(value, None)
        return [self._both(value) for value in self.plain.returned.operands]

    def operands(self, plain: Operation) -> list[Both]:
        """The values of what an operation of the float program reads."""
        return [self._both(value) for value in plain.operands]

    def compute(self, op: Operation, plain: Operation) -> list[Both]:
        """The results of an operation and its counterpart on the values so far."""
        operands = self.operands(plain)
        before = self.apply(plain, [both.plain for both in operands], self.plain)
        if all(both.same for both in operands) and self._same_constants(op, plain):
            return [Both(samples, samples) for samples in before]
        after = self.apply(op, [both.lossy for both in operands], self.program)
        return [Both(a, b) for a, b in zip(before, after, strict=True)]

    def apply(self, op: Operation, operands: Sequence[Samples], program: Program) -> list[Samples]:
        """The results of an operation for every sample; constants are read from `program`, whatever `operands` has."""
        arrays = [program.array(value) for value in op.operands]
        if all(array is not None for array in arrays):
            once = evaluate(op, [array for array in arrays if array is not None])
            return [[y] * self.count for y in once]
        rows = (
            evaluate(op, [v[i] if a is None else a for a, v in zip(arrays, operands, strict=True)])
            for i in range(self.count)
        )
        return [list(samples) for samples in zip(*rows, strict=True)]

    def _both(self, value: SSAValue) -> Both:
        if value in self.values:
            return self.values[value]
        array = self.plain.array(value)
        assert array is not None
        samples = [array] * self.count
        return Both(samples, samples)

    def _same_constants(self, op: Operation, plain: Operation) -> bool:
        arrays = zip(map(self.program.array, op.operands), map(self.plain.array, plain.operands), strict=True)
        return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in arrays)
