"""Every step of an artifact against the meaning of its kernel, on the artifact's own inputs of that kernel.

A step is given what the steps before it left in memory, so a difference shows in the step that makes it and does not
grow from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import SSAValue

from ....backends.reference import interpreter
from ....backends.reference.bounds import Bounds, run_bounds
from ....ir.errors import ArtifactError
from ....ir.kn.kernel import KernelOp
from ....ir.kn.memory import steps_of
from ....ir.program import Program
from ....ir.tn.constant import ConstantOp
from ...load.loader import LoadedModel
from ..compare import Difference, difference, wrong_elements
from ..samples import Arrays
from .ties import Ties, collector, inside, slack_of


@dataclass(frozen=True)
class LayerCheck:
    """One step compared with the interpreter on the step's own inputs, for one sample or the worst of several.

    nodes: source nodes as `OpType:name`.
    """

    symbol: str
    engine: str
    nodes: tuple[str, ...]
    difference: Difference

    @property
    def ok(self) -> bool:
        return self.difference.ok


class Steps:
    """The steps of a loaded model beside the program its code was made from. Raises ArtifactError where they do not
    belong together."""

    def __init__(self, loaded: LoadedModel, program: Program) -> None:
        self._loaded, self._program = loaded, program
        self._weights = interpreter.Widened(program)
        self._steps = steps_of(program.block)
        have, want = [len(layer.results) for layer in loaded.layers], [len(op.results) for op in self._steps]
        if have != want:
            raise ArtifactError(
                f"the IR has {len(want)} steps with {sum(want)} results, the library {len(have)} with {sum(have)}",
                where=str(loaded.artifact.path),
            )

    def results(self, inputs: Arrays) -> list[list[np.ndarray]]:
        """What every step leaves in memory, for one sample."""
        return self._loaded.results(inputs)

    def judge(self, inputs: Arrays, results: Sequence[Sequence[np.ndarray]], rtol: float) -> list[LayerCheck]:
        """Every step of a run of one sample, given its results."""
        values: dict[SSAValue, np.ndarray] = {
            argument: interpreter.inside(inputs[port.name])
            for argument, port in zip(self._program.block.args, self._program.inputs, strict=True)
        }
        checks = []
        for op, layer, have in zip(self._steps, self._loaded.layers, results, strict=True):
            operands = [
                interpreter.evaluate(v.owner, [], self._weights)[0] if isinstance(v.owner, ConstantOp) else values[v]
                for v in op.operands
            ]
            own = interpreter.evaluate(op, operands, self._weights)
            found = [difference(a, b, rtol) for a, b in zip(have, own, strict=True)]
            if isinstance(op, KernelOp) and not all(f.ok for f in found):
                found = self._explained(op, operands, have, found, rtol)
            worst = max(found, key=badness, default=Difference())
            checks.append(LayerCheck(layer.symbol, layer.engine, layer.nodes, worst))
            values.update((v, interpreter.inside(y)) for v, y in zip(op.results, have, strict=True))
        return checks

    def _explained(
        self,
        op: KernelOp,
        operands: Sequence[np.ndarray],
        have: Sequence[np.ndarray],
        found: Sequence[Difference],
        rtol: float,
    ) -> list[Difference]:
        """The differences, with those elements explained that float32 may give and that a tie lies behind."""
        ties = Ties()
        results = run_bounds(op.block, [Bounds.of(x) for x in operands], self._weights, collector(ties))
        if not ties.open:
            return list(found)
        explained = []
        for y, bounds, one in zip(have, results, found, strict=True):
            if not one.ok and not one.problem:
                may = inside(y, bounds, slack_of(bounds, rtol)) & bounds.uncertain
                one = one.explain(int((wrong_elements(y, bounds.own, rtol) & may).sum()))
            explained.append(one)
        return explained


def badness(found: Difference) -> tuple[bool, int, float]:
    return not found.ok, found.ties, found.relative


def worst_of(runs: Sequence[Sequence[LayerCheck]]) -> list[LayerCheck]:
    """For every step the worst of several samples, with all their ties."""
    merged = []
    for same in zip(*runs, strict=True):
        worst = max(same, key=lambda check: badness(check.difference))
        total = sum(check.difference.ties for check in same)
        merged.append(replace(worst, difference=replace(worst.difference, ties=total)))
    return merged
