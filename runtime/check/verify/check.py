"""Does a compiled artifact compute what its source model means?

The reference is the numpy interpreter on the imported model. Where onnxruntime can run the model as it is, its result
(graph optimisation off) is a second opinion. Results that came with the inputs get a verdict of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....backends.reference import interpreter
from ....backends.reference.batch import run_batch
from ....ir.errors import TercetError
from ....ir.program import Program
from ...artifact.stored_ir import kernel_program
from ...load.loader import LoadedModel
from ..compare import Difference, difference, wrong_elements
from ..ort import Session, approximate_operators, open_probe, open_session, read_model, run_samples
from ..samples import Arrays, Samples
from .expected import compare_expected
from .judge import MOST_JUDGED, Judge, chosen, differing
from .layers import LayerCheck, Steps, worst_of
from .remarks import accuracy_text, distance_text, nonfinite_text, top1
from .replay import Reference
from .result import INTERPRETER, ONNXRUNTIME, Check, Verification

if TYPE_CHECKING:
    from onnx import ModelProto

RTOL = 1e-5
MAX_MISMATCH = 0.02
ENOUGH = 3
"""Samples without explanation: the verdict is clear."""


@dataclass(frozen=True)
class SecondOpinion:
    """onnxruntime's session (None: why tells) for a source model as it is, or for the export of its import, which why
    says. approximate: operators in it that its own kernels compute inexactly."""

    model: ModelProto | Path | None
    session: Session | None
    why: str = ""
    approximate: Sequence[str] = ()

    @property
    def note(self) -> str:
        """What to say of it; nothing where the model as it is was run."""
        return self.why if self.session is not None else f"no second opinion: {self.why}"


def open_second_opinion(model: ModelProto | Path, why: str = "") -> SecondOpinion:
    """Never fails: a model that onnxruntime does not take has no second opinion. why: the model is an export."""
    try:
        operators = approximate_operators(read_model(model, external=False))
        return SecondOpinion(model, open_session(model, optimize=False), why, operators)
    except TercetError as error:
        return SecondOpinion(model, None, error.what)


def verify_program(
    loaded: LoadedModel,
    reference: Program | None,
    samples: Samples,
    *,
    second: SecondOpinion | None = None,
    original: Program | None = None,
    notes: Sequence[str] = (),
    per_layer: bool = False,
    rtol: float = RTOL,
    max_mismatch: float = MAX_MISMATCH,
    same_source: bool = True,
    on_progress: Callable[[str], None] | None = None,
) -> Verification:
    """Compares an artifact with its model on `samples`.

    reference: the program whose meaning counts; None where the source model cannot be imported, then onnxruntime's
    alone counts. original: of a lossy artifact, the imported source model, to which the distance is told. per_layer:
    also compares every step, for the first sample; samples in which outputs differ are always compared so.
    max_mismatch: the share of elements in which expected results may differ from the model and the artifact alike.
    same_source: whether the artifact was compiled from this model. on_progress: told what is being done. Raises
    InputError where the samples do not fit, ArtifactError where the artifact's IR is damaged. Differences are not
    errors: they are in the result.
    """
    tell = on_progress or (lambda what: None)
    batched, remarks = loaded.manifest.batched, [*samples.notes, *notes]
    tell("running the artifact")
    have = joined([loaded.run(run) for run in samples.runs], batched)
    imported = None if reference is None else Reference(reference)
    judge = Judge(Steps(loaded, kernel_program(loaded.artifact, loaded.target)), imported, samples, batched, have, rtol)
    checks: list[Check] = []
    opinions: dict[str, Mapping[str, np.ndarray]] = {}
    unexplained: set[tuple[str, int]] = set()
    if reference is not None:
        tell("running the interpreter")
        want = joined([run_reference(reference, run, batched) for run in samples.runs], batched)
        opinions[INTERPRETER] = want
        tell("judging the samples that differ")
        checks += compare_outputs(INTERPRETER, have, want, rtol, lambda i: judge.artifact(i).explained, unexplained)
    if second is not None and second.session is not None:
        tell("running onnxruntime")
        try:
            outputs = run_samples(second.session, samples.runs, batched)
        except TercetError as error:
            remarks.append(error.what)
        else:
            opinions[ONNXRUNTIME] = outputs
            explain = _second_explained(judge, second, outputs, unexplained)
            found = compare_outputs(ONNXRUNTIME, have, outputs, rtol, explain, set())
            if second.approximate and checks and all(check.ok for check in checks):
                found, remark = _its_own(found, second.approximate)
                remarks += [remark] if remark else []
            checks += found
    told = ""
    if samples.expected:
        others = opinions.get(ONNXRUNTIME) or opinions.get(INTERPRETER) or {}
        whose = ONNXRUNTIME if ONNXRUNTIME in opinions else INTERPRETER
        moved = {
            name: np.array([i for i, one in judge.judged.items() if name in one.explained], np.int64) for name in have
        }
        found, told = compare_expected(have, samples.expected, others, whose, moved, rtol, max_mismatch)
        checks += found
    if per_layer:
        tell("comparing every layer")
        judge.artifact(0)
    layers = worst_of([one.layers for one in judge.judged.values()])
    remarks += _remarks(samples, have, judge, checks, layers, same_source)
    distance = ""
    if original is not None:
        tell("running the model before its lossy passes")
        truth = joined([run_reference(original, run, batched) for run in samples.runs], batched)
        distance = distance_text(have, truth)
    return Verification(
        artifact=str(loaded.artifact.path), target=loaded.target, threads=loaded.threads, rtol=rtol,
        samples=samples.source, meaning=_meaning(list(opinions), original), checks=tuple(checks),
        layers=tuple(layers), judged=len(judge.judged), ties=tuple(judge.named()), distance=distance, expected=told,
        max_mismatch=max_mismatch, notes=tuple(remarks),
    )  # fmt: skip


def _second_explained(
    judge: Judge, second: SecondOpinion, outputs: Arrays, unexplained: set[tuple[str, int]]
) -> Callable[[int], frozenset[str]]:
    """onnxruntime's difference is explained where the artifact's from the import is, and its own too."""
    nodes = frozenset() if judge.reference is None else judge.reference.boundary_nodes()
    probe = None

    def explained(index: int) -> frozenset[str]:
        nonlocal probe
        wrong = judge.reference is None or not all(layer.ok for layer in judge.artifact(index).layers)
        if wrong or second.model is None:
            return frozenset()
        probe = probe or open_probe(second.model, nodes)
        found = judge.second(index, probe, outputs)
        return frozenset(name for name in found if (name, index) not in unexplained)

    return explained


def _its_own(checks: Sequence[Check], operators: Sequence[str]) -> tuple[list[Check], str]:
    """onnxruntime's differences where the artifact is right by the import and onnxruntime's kernels are inexact."""
    if all(check.ok for check in checks):
        return list(checks), ""
    names = ", ".join(operators)
    remark = f"onnxruntime's kernels for {names} are not exact: its differences are not the artifact's"
    return [replace(check, allowed=True) for check in checks], remark


def compare_outputs(
    against: str,
    have: Mapping[str, np.ndarray],
    want: Mapping[str, np.ndarray],
    rtol: float,
    explained: Callable[[int], frozenset[str]],
    unexplained: set[tuple[str, int]],
) -> list[Check]:
    """A check for every output. explained: the outputs of a sample, by its number, whose difference ties explain. To
    unexplained those are added that they do not."""
    checks = []
    for name, array in have.items():
        if name not in want:
            checks.append(Check(against, name, Difference(problem="missing")))
            continue
        found = difference(array, want[name], rtol)
        samples = differing(array, want[name], rtol)
        judged = chosen(samples)
        right = _explained(name, judged, explained)
        unexplained |= {(name, int(i)) for i in np.setdiff1d(judged, right)}
        if len(right) == len(judged):
            right = samples
        if len(right):
            found = found.explain(int(wrong_elements(array, want[name], rtol)[right].sum()))
        share = top1(array, want[name]) if array.shape == want[name].shape else None
        checks.append(Check(against, name, found, len(samples), len(right), share))
    return checks


def _explained(name: str, judged: np.ndarray, explained: Callable[[int], frozenset[str]]) -> np.ndarray:
    """Those of the samples in which an output is explained. After ENOUGH that are not, no more are looked at."""
    right, wrong = [], 0
    for index in map(int, judged):
        if name in explained(index):
            right.append(index)
        elif (wrong := wrong + 1) == ENOUGH:
            break
    return np.array(right, np.int64)


def run_reference(program: Program, inputs: Arrays, batched: bool) -> Arrays:
    """The interpreter's outputs. A program for one sample is applied to every sample of a batch."""
    if not batched or program.batched:
        return run_batch(program, inputs)
    count = len(next(iter(inputs.values())))
    parts = [interpreter.run(program, {n: a[i : i + 1] for n, a in inputs.items()}) for i in range(count)]
    return {port.name: np.concatenate([part[port.name] for part in parts]) for port in program.outputs}


def joined(results: Sequence[Arrays], batched: bool) -> Arrays:
    """All runs' outputs with the samples along axis 0: [samples, ...]; for a model that is not batched [runs, ...]."""
    if batched:
        return results[0]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _meaning(opinions: Sequence[str], original: Program | None) -> str:
    """Whose meaning counts, as it stands in a sentence."""
    if original is not None:
        return "its own IR, which is the model after its lossy passes"
    texts = {INTERPRETER: "as imported, run by the interpreter", ONNXRUNTIME: "as onnxruntime runs it"}
    return "the model " + " and ".join(texts[name] for name in opinions)


def _remarks(
    samples: Samples,
    have: Arrays,
    judge: Judge,
    checks: Sequence[Check],
    layers: Sequence[LayerCheck],
    same_source: bool,
) -> list[str]:
    remarks = [nonfinite_text(samples.runs, have)]
    if samples.labels is not None:
        remarks.append(accuracy_text(have, samples.labels))
    most = max((check.samples for check in checks if check.against in (INTERPRETER, ONNXRUNTIME)), default=0)
    if most > MOST_JUDGED:
        remarks.append(f"{MOST_JUDGED} of {most} differing samples were judged step by step")
    failed = [check for check in checks if check.against == INTERPRETER and not check.ok]
    if failed and layers and all(layer.ok for layer in layers):
        why = "a pass or the importer changed the meaning" if same_source else "it is that of another model"
        remarks.append(f"every kernel computes what its IR says: {why}")
    return [text for text in remarks if text]
