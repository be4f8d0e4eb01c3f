"""The imported model, evaluated with somebody else's decisions at ties.

Passes turn float sums into exact integer ones, so an artifact may fall on the other side of a boundary than float32
does, and everything after it differs. Here the imported program is run with bounds (see `backends.reference.bounds`).
Where an intermediate result of the other side is known (of a step of the artifact, of a node of onnxruntime), it is
compared with the bounds computed from the other side's own values up to there: where it is within them, the evaluation
goes on with it, so that nothing grows (floats: with both sides' values, since the next tie may lie between them); where
it is not, the interpreter's value stands, and the outputs will tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from xdsl.ir import Operation

from ....backends.reference import interpreter
from ....backends.reference.bounds import OTHER_ROUNDINGS, UNIT, Bounds, is_boundary, run_bounds
from ....backends.reference.elementwise import ROUNDINGS, saturate
from ....ir.kn.layout import tensor_in
from ....ir.locations import describe, source_names
from ....ir.program import Program
from ....ir.tn.quant import RequantizeOp
from ....ir.types import shape_of
from ..compare import wrong_elements
from ..samples import Arrays
from .ties import Ties, inside, slack_of

FLOAT_SLACK = 1e-5
"""Of a float tensor's largest magnitude: what its elements may be off without being another decision."""

RESCALE_ROUNDINGS = 64
"""Float operations, each of a value of at most the largest level, that stand for one exact rescaling."""

MOST_LEVELS = 1 << 16


@dataclass(frozen=True)
class Known:
    """An intermediate result: the source nodes it comes from, as `OpType:name`, and its values."""

    nodes: frozenset[str]
    values: np.ndarray


@dataclass
class Replay:
    """ties: elements decided otherwise than by the interpreter. refused: where a known result could not be explained.
    explained: for every output, where the other side's value is one that the decisions lead to."""

    ties: Ties = field(default_factory=Ties)
    refused: list[str] = field(default_factory=list)
    explained: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def right(self) -> frozenset[str]:
        """The outputs that ties explain."""
        if not self.ties.count and not self.ties.open:
            return frozenset()
        return frozenset(name for name, explained in self.explained.items() if explained.all())


class Reference:
    """An imported program, ready for replays."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._weights = interpreter.Widened(program)
        self._nodes = {op: frozenset(source_names(op.location)) for op in program.ops}

    def boundary_nodes(self) -> frozenset[str]:
        """The source nodes where floats become levels."""
        made = (op for op in self._nodes if is_boundary(op) or isinstance(op, RequantizeOp))
        return frozenset(name for op in made for name in self._nodes[op])

    def replay(
        self, inputs: Arrays, known: Sequence[Known], outputs: Arrays, rtol: float, *, floats: bool = False
    ) -> Replay:
        """One sample: its inputs, intermediate results of the other side, and the other side's outputs. floats: whether
        the other side computes in float32 what the program rescales exactly in integers."""
        found, places = Replay(), self._places(known)

        def decide(op: Operation, operands: Sequence[Bounds], results: list[Bounds]) -> list[Bounds]:
            if floats and isinstance(op, RequantizeOp):
                results = [_rescaled_in_float(op, operands, results[0])]
            for i, y in enumerate(results):
                if y.exact:
                    continue
                if is_boundary(op) or isinstance(op, RequantizeOp):
                    found.ties.possible(op, operands, y)
                candidates = places.get((op, i), [])
                decided = next((d for values in candidates if (d := _decided(y, values)) is not None), None)
                if decided is not None:
                    if y.open:
                        found.ties.decided(op, y, decided.own, _moved(decided.own, y.own))
                    results[i] = decided
                elif candidates and y.open:
                    found.refused.append(describe(op))
                    results[i] = Bounds.of(y.own)
            return results

        arguments = [Bounds.of(inputs[port.name]) for port in self.program.inputs]
        returned = run_bounds(self.program.block, arguments, self._weights, decide)
        for port, bounds in zip(self.program.outputs, returned, strict=True):
            have = interpreter.inside(outputs[port.name].reshape(bounds.own.shape))
            found.explained[port.name] = inside(have, bounds, slack_of(bounds, rtol))
        return found

    def _places(self, known: Sequence[Known]) -> dict[tuple[Operation, int], list[np.ndarray]]:
        """For each known result the last operation of its nodes with a result of as many elements: that is what it is,
        or what determines it."""
        places: dict[tuple[Operation, int], list[np.ndarray]] = {}
        ops = [(op, i, value) for op in self.program.ops for i, value in enumerate(op.results)]
        sizes = [int(np.prod(shape_of(tensor_in(value.type)))) for _, _, value in ops]
        for one in known:
            fits = [
                (op, i)
                for (op, i, _), size in zip(ops, sizes, strict=True)
                if size == one.values.size and self._nodes[op] & one.nodes
            ]
            if fits:
                places.setdefault(fits[-1], []).append(one.values)
        return places


def _rescaled_in_float(op: RequantizeOp, operands: Sequence[Bounds], y: Bounds) -> Bounds:
    """The levels that float32 may give, where the exact quotient lies next to a boundary the other one too."""
    x, multiplier, divisor = operands
    ratio = multiplier.own.astype(np.float64) / divisor.own
    largest = max(abs(op.get("lo")), abs(op.get("hi")), 1)
    room = RESCALE_ROUNDINGS * UNIT * largest
    low, high = (
        saturate(ROUNDINGS[op.get("mode")](side * ratio + sign * room), op.get("lo"), op.get("hi"))
        for side, sign in ((x.lo, -1), (x.hi, 1))
    )
    low, high = np.minimum(low, y.lo), np.maximum(high, y.hi)
    same = np.array_equal(low, high)
    return Bounds(y.own, low, low if same else high, same, not same)


def _moved(decided: np.ndarray, own: np.ndarray) -> np.ndarray:
    return wrong_elements(decided, own, FLOAT_SLACK if own.dtype.kind == "f" else 0.0)


def _decided(y: Bounds, values: np.ndarray) -> Bounds | None:
    """The value that `values` stand for, in y's dtype and shape; None where that cannot be told or is not within y.

    The other side may hold the same numbers with another scale and offset, or a function of them (after a relu, say):
    then its floats are known up to the roundings of that. Both sides' floats go on, where no tie lies between them:
    they may decide the next one differently.
    """
    own, other = y.own.reshape(-1).astype(np.float64), values.reshape(-1).astype(np.float64)
    if not own.size or not np.isfinite(own).all() or not np.isfinite(other).all():
        return None
    shaped = values.reshape(y.own.shape)
    if y.own.dtype.kind == values.dtype.kind == "f" and inside(shaped, y, slack_of(y, FLOAT_SLACK)).all():
        return _both(y, shaped.astype(np.float64), 0.0)
    sure = ((y.hi - y.lo) <= slack_of(y, FLOAT_SLACK)).reshape(-1)
    if not sure.any():
        sure[:] = True  # nothing is certain: most elements are what the interpreter says
    for fit in (_affine, _by_level):
        found = fit(y, own, other, sure)
        if found is not None:
            return _both(y, found.reshape(y.own.shape), OTHER_ROUNDINGS * UNIT * float(np.abs(found).max()))
    return None


def _both(y: Bounds, found: np.ndarray, room: float) -> Bounds:
    """What to go on with, if the other side's value is `found`, for floats within room of it."""
    decided = Bounds.of(found.astype(y.own.dtype))
    if y.own.dtype.kind != "f":
        return decided
    own = decided if y.open else Bounds.of(y.own)
    return replace(own, lo=np.minimum(own.lo, found - room), hi=np.maximum(own.hi, found + room), exact=False)


def _affine(y: Bounds, own: np.ndarray, other: np.ndarray, sure: np.ndarray) -> np.ndarray | None:
    """other = a own + b, from the two ends of what is certain."""
    first, second = own[sure].min(), own[sure].max()
    low = np.median(other[sure & (own == first)])
    a = 1.0 if first == second else (np.median(other[sure & (own == second)]) - low) / (second - first)
    if a == 0:
        return None
    found = (other - (low - a * first)) / a
    slack = slack_of(y, FLOAT_SLACK)
    if y.own.dtype.kind != "f":
        whole = np.rint(found)
        if np.abs(whole - found).max() > FLOAT_SLACK * max(1.0, np.abs(found).max()):
            return None
        found = whole
    return found if inside(found.reshape(y.own.shape), y, slack).all() else None


def _by_level(y: Bounds, own: np.ndarray, other: np.ndarray, sure: np.ndarray) -> np.ndarray | None:
    """other = f(own): each level stands for what most of its certain elements have."""
    levels = np.unique(own)
    if len(levels) > MOST_LEVELS:
        return None
    kinds, kind = np.unique(other, return_inverse=True)
    at = np.searchsorted(levels, own)
    means = np.full(len(levels), -1)
    for some in (np.ones(own.size, bool), sure):  # a level without a certain element has the others to go by
        pairs, often = np.unique(at[some] * len(kinds) + kind[some], return_counts=True)
        order = np.argsort(often, kind="stable")
        means[pairs[order] // len(kinds)] = pairs[order] % len(kinds)  # the commonest is written last
    found = own.copy()
    low, high, slack = y.lo.reshape(-1), y.hi.reshape(-1), slack_of(y, FLOAT_SLACK)
    for i in np.flatnonzero(means[at] != kind):
        fits = levels[(means == kind[i]) & (levels >= low[i] - slack) & (levels <= high[i] + slack)]
        if not fits.size:
            return None
        found[i] = fits[0]
    return found
