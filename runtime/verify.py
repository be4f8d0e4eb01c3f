"""Does a compiled artifact compute what its source model means?

The reference is the numpy interpreter on the imported source model. Where onnxruntime can run the model as it is, its
result (graph optimisation off) is a second opinion; results that came with the inputs are a third.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.ir import Operation

from ..backends.reference import interpreter
from ..ir.errors import ArtifactError, TercetError
from ..ir.kn.kernel import ConvertOp, KernelOp
from ..ir.program import Program
from ..ir.tn.movement import ReshapeOp, TransposeOp
from ..ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from .compare import Difference, difference
from .loader import LoadedModel
from .ort import Session, custom_operators, open_session, run_samples
from .samples import Arrays, Samples
from .stored_ir import kernel_program

if TYPE_CHECKING:
    from onnx import ModelProto

RTOL = 1e-5
INTERPRETER, ONNXRUNTIME, EXPECTED = "interpreter", "onnxruntime", "expected results"


@dataclass(frozen=True)
class Check:
    """One output compared with one reference."""

    against: str
    output: str
    difference: Difference

    @property
    def ok(self) -> bool:
        return self.difference.ok


@dataclass(frozen=True)
class LayerCheck:
    """One step compared with the interpreter on the artifact's own kernel-level IR, for the first sample.

    nodes: source nodes as `OpType:name`.
    """

    symbol: str
    engine: str
    nodes: tuple[str, ...]
    difference: Difference

    @property
    def ok(self) -> bool:
        return self.difference.ok


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`. samples: where the inputs come from. notes: what else there is to say."""

    artifact: str
    target: str
    threads: int
    rtol: float
    samples: str
    checks: tuple[Check, ...]
    layers: tuple[LayerCheck, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in (*self.checks, *self.layers))

    @property
    def first_diverging(self) -> LayerCheck | None:
        return next((layer for layer in self.layers if not layer.ok), None)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for json.dump; infinite differences are the string "inf"."""
        first = self.first_diverging
        value = asdict(self) | {"ok": self.ok, "first_diverging": first.symbol if first else None}
        return _finite(value)


def verify_program(
    loaded: LoadedModel,
    reference: Program,
    samples: Samples,
    *,
    second: Session | None = None,
    notes: Sequence[str] = (),
    per_layer: bool = False,
    rtol: float = RTOL,
    on_progress: Callable[[str], None] | None = None,
) -> Verification:
    """Compares an artifact with its imported source model on `samples`.

    second: an onnxruntime session for the source model, graph optimisation off. per_layer: also compare every step's
    result. on_progress: told what is being done. Raises InputError where the samples do not fit, ArtifactError where
    the artifact's IR is damaged. Differences are not errors: they are in the result.
    """
    tell = on_progress or (lambda what: None)
    batched, remarks = loaded.manifest.batched, [*samples.notes, *notes]
    tell("running the artifact")
    have = _joined([loaded.run(run) for run in samples.runs], batched)
    tell("running the interpreter")
    want = _joined([run_reference(reference, run, batched) for run in samples.runs], batched)
    steps = quantization_steps(reference)
    checks = _compare(INTERPRETER, have, want, rtol, steps)
    if second is not None:
        tell("running onnxruntime")
        try:
            checks += _compare(ONNXRUNTIME, have, run_samples(second, samples.runs, batched), rtol, steps)
        except TercetError as error:
            remarks.append(error.what)
    if samples.expected:
        expected = {name: _like(array, have[name]) for name, array in samples.expected.items()}
        checks += _compare(EXPECTED, {name: have[name] for name in expected}, expected, rtol, steps)
    if samples.labels is not None and (accuracy := _accuracy(have, samples.labels)):
        remarks.append(accuracy)
    layers: list[LayerCheck] = []
    if per_layer:
        tell("comparing every layer")
        layers = compare_layers(loaded, kernel_program(loaded.artifact), _first_sample(samples.runs[0], batched), rtol)
        if all(layer.ok for layer in layers) and not all(check.ok for check in checks):
            remarks.append("every kernel computes what its IR says: a pass or the importer changed the meaning")
    return Verification(
        str(loaded.artifact.path), loaded.manifest.target.name, loaded.threads, rtol, samples.source,
        tuple(checks), tuple(layers), tuple(remarks),
    )  # fmt: skip


def open_second_opinion(model: ModelProto | str | Path) -> tuple[Session | None, str]:
    """An onnxruntime session for a source model as it is; or None and why there is none."""
    import onnx

    proto = model if isinstance(model, onnx.ModelProto) else onnx.load(str(model), load_external_data=False)
    if custom := custom_operators(proto):
        return None, f"no second opinion: onnxruntime has no kernels for {', '.join(custom)}"
    try:
        return open_session(model, optimize=False), ""
    except TercetError as error:
        return None, f"no second opinion: {error.what}"


def run_reference(program: Program, inputs: Arrays, batched: bool) -> Arrays:
    """The interpreter's outputs. A program for one sample is applied to every sample of a batch."""
    if not batched or program.batched:
        return interpreter.run(program, inputs)
    count = len(next(iter(inputs.values())))
    parts = [interpreter.run(program, {n: a[i : i + 1] for n, a in inputs.items()}) for i in range(count)]
    return {port.name: np.concatenate([part[port.name] for part in parts]) for port in program.outputs}


def compare_layers(loaded: LoadedModel, program: Program, inputs: Arrays, rtol: float) -> list[LayerCheck]:
    """Every step of a loaded model against the meaning of its kernel, for one sample.

    Each step is run with the steps before it, so a difference shows in every layer after the first one that has it.
    """
    meanings: list[list[np.ndarray]] = []

    def trace(op: Operation, results: list[np.ndarray]) -> None:
        if isinstance(op, KernelOp | ConvertOp):
            meanings.append([np.array(result) for result in results])

    interpreter.run(program, inputs, trace=trace)
    if len(meanings) != len(loaded.layers):
        raise ArtifactError(
            f"the IR has {len(meanings)} steps, the library {len(loaded.layers)}", where=str(loaded.artifact.path)
        )
    checks = []
    for i, (layer, want) in enumerate(zip(loaded.layers, meanings, strict=True)):
        have = loaded.run_until(i, inputs)
        worst = max((difference(a, b, rtol) for a, b in zip(have, want, strict=True)), key=_badness)
        checks.append(LayerCheck(layer.symbol, layer.engine, layer.nodes, worst))
    return checks


def _badness(found: Difference) -> tuple[bool, float]:
    return not found.ok, found.relative


def quantization_steps(program: Program) -> dict[str, float]:
    """For outputs that are dequantized straight from a quantizer: the distance of neighbouring values."""
    steps = {}
    for port, value in zip(program.outputs, program.returned.operands, strict=True):
        op = value.owner
        while isinstance(op, ReshapeOp | TransposeOp):
            op = op.x.owner
        if isinstance(op, DequantizeOp) and isinstance(op.q.owner, QuantizeOp | ThresholdOp):
            scale = program.array(op.scale)
            steps[port.name] = 0.0 if scale is None else float(np.abs(scale).max(initial=0))
    return steps


def _compare(
    against: str,
    have: Mapping[str, np.ndarray],
    want: Mapping[str, np.ndarray],
    rtol: float,
    steps: Mapping[str, float],
) -> list[Check]:
    def compared(name: str) -> Difference:
        if name not in want:
            return Difference(problem="missing")
        return difference(have[name], want[name], rtol, steps.get(name, 0.0))

    return [Check(against, name, compared(name)) for name in have]


def _joined(results: Sequence[Arrays], batched: bool) -> Arrays:
    """All runs' outputs with the samples along axis 0: [samples, ...]; for a model that is not batched [runs, ...]."""
    if batched:
        return results[0]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _like(expected: np.ndarray, have: np.ndarray) -> np.ndarray:
    """Expected results in the shape of the outputs where only axes of size 1 or flattening separate them."""
    same = expected.size == have.size and len(expected) == len(have)
    return expected.reshape(have.shape) if same else expected


def _first_sample(run: Arrays, batched: bool) -> Arrays:
    return {name: array[:1] for name, array in run.items()} if batched else run


def _accuracy(have: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """How often the largest element of the only output is at the label; empty where that means nothing."""
    scores = next(iter(have.values())).reshape(len(labels), -1) if len(have) == 1 else np.zeros((0, 0))
    if len(scores) != len(labels) or scores.shape[1:] < (2,):
        return ""
    hits = int((scores.argmax(axis=1) == labels).sum())
    return f"labels: {hits} of {len(labels)} right ({100 * hits / len(labels):.2f} %)"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
