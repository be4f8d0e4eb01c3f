"""`layers.json`: what each step of a compiled model computes, and where it leaves its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import schema
from .manifest import IDENTIFIER, LAYERS, MOST_JSON_BYTES
from .schema import array, boolean, either, integer, mapping, number, record, text

if TYPE_CHECKING:
    from ...ir.program import Program


@dataclass(frozen=True)
class Candidate:
    """What an engine says of a step.

    schedule, cycles: of one of its plans, and what is predicted for it; measured: by tuning, 0 where it was not. Or
    refusal: why the engine does not compute the step; then the others say nothing.
    """

    engine: str
    schedule: Mapping[str, int | str]
    cycles: float
    measured: float
    refusal: str


@dataclass(frozen=True)
class Layer:
    """One step, that is one call of a kernel.

    nodes: its source nodes as `OpType:name`. ops: the names of its IR operations. For every result: the IR text of its
    tensor or kn.map type, its byte offset in the arena (-1: in an output), and the number of that output (-1: none).
    weight_bytes_stored: constants in the artifact; digit_bytes_stored: those of them that hold the weight_count weights
    themselves, without thresholds and scales. weight_bytes: constants as the kernel reads them. scratch_bytes: of one
    thread. live_bytes: of the arena's values that are alive while the step runs. cycles: predicted for one sample on
    one core; measured: the same, where the model was tuned. Both are 0 when there is none. candidates: of every engine
    that there was to choose from; none of a conversion.
    """

    symbol: str
    engine: str
    schedule: Mapping[str, int | str]
    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    results: tuple[str, ...]
    offsets: tuple[int, ...]
    outputs: tuple[int, ...]
    weight_bytes_stored: int
    digit_bytes_stored: int
    weight_count: int
    weight_bytes: int
    scratch_bytes: int
    live_bytes: int
    parallel: bool
    cycles: float
    measured: float
    candidates: tuple[Candidate, ...]

    @property
    def bits_per_weight(self) -> float | None:
        """None for a step without weights, or with weights that are part of its code."""
        known = self.weight_count and self.digit_bytes_stored
        return 8 * self.digit_bytes_stored / self.weight_count if known else None

    @property
    def weights_in_code(self) -> bool:
        """Whether the step's code holds its weights, so that no constant does."""
        return self.weight_count > 0 and not self.digit_bytes_stored


def describe_layers(
    program: Program, emitted: Sequence[Mapping[str, Any]], candidates: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[Layer, ...]:
    """The layers of a program at kernel level, from what the code generator says of each step (in program order), and
    the candidates of each kernel, by its symbol."""
    from ...ir.kn.kernel import KernelOp
    from ...ir.kn.memory import live_bytes
    from .weights import weights_of

    returned, live = list(program.returned.operands), live_bytes(program.block)
    layers = []
    for i, (op, fields) in enumerate(zip(program.ops, emitted, strict=True)):
        outputs = [returned.index(value) if value in returned else -1 for value in op.results]
        kernel = isinstance(op, KernelOp)
        _, count = weights_of(op.inner, program) if kernel else ("", 0)
        extra = {
            "outputs": outputs, "weight_count": count, "live_bytes": live[i],
            "cycles": float(op.predicted_cycles) if kernel else 0.0,
            "measured": float(op.measured_cycles) if kernel else 0.0,
            "candidates": candidates.get(fields["symbol"], ()),
        }  # fmt: skip
        layers.append(_LAYER({**fields, **extra}, f"layer {i}"))
    return tuple(layers)


def layers_to_json(layers: Sequence[Layer]) -> bytes:
    return schema.dump_json([asdict(layer) for layer in layers])


def layers_from_json(data: bytes, where: str = LAYERS) -> tuple[Layer, ...]:
    """Reads and checks layers.json. Raises ArtifactError naming the field."""
    layers = array(_LAYER, 1_000_000)(schema.parse_json(data, where, MOST_JSON_BYTES), where)
    for i, layer in enumerate(layers):
        if not len(layer.results) == len(layer.offsets) == len(layer.outputs):
            schema.refuse("one offset and one output for each result", layer.offsets, f"{where}[{i}]")
    return layers


SCHEDULE = mapping(either(integer(), text()), 1000)
CANDIDATE = record(
    Candidate, engine=text(100), schedule=SCHEDULE, cycles=number, measured=number, refusal=text(100_000)
)

_LAYER = record(
    Layer,
    symbol=IDENTIFIER,
    engine=text(100),
    schedule=SCHEDULE,
    nodes=array(text(10_000), 1_000_000),
    ops=array(text(100), 1_000_000),
    results=array(text(10_000), 1000),
    offsets=array(integer(-1), 1000),
    outputs=array(integer(-1), 1000),
    weight_bytes_stored=integer(0),
    digit_bytes_stored=integer(0),
    weight_count=integer(0),
    weight_bytes=integer(0),
    scratch_bytes=integer(0),
    live_bytes=integer(0),
    parallel=boolean,
    cycles=number,
    measured=number,
    candidates=array(CANDIDATE, 1000),
)
