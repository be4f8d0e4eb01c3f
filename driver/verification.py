"""What an artifact is verified against: the import, the model or its export in onnxruntime, and expected results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.onnx.export import export
from ..ir.errors import InputError, UnsupportedError
from ..ir.program import Program
from ..runtime.artifact.losses import LOSSES
from ..runtime.artifact.manifest import Manifest
from ..runtime.artifact.stored_ir import kernel_program
from ..runtime.check.samples import Samples, file_samples, random_samples
from ..runtime.check.verify.bisect import bisection_notes, changing_passes
from ..runtime.check.verify.check import SecondOpinion, open_second_opinion, verify_program
from ..runtime.load.loader import load
from .onnxruntime import standard_model
from .options import CompileOptions
from .source import Model, import_model, source_hash

if TYPE_CHECKING:

    from ..runtime.check.verify.result import Verification

RANDOM_SAMPLES = 8


def verify_artifact(
    artifact: str | Path,
    against: Model,
    *,
    inputs: str | Path | None,
    samples: int | None,
    per_layer: bool,
    threads: int,
    rtol: float,
    max_mismatch: float,
    bisect: bool,
    on_progress: Callable[[str], None] | None,
) -> Verification:
    """See `api.verify`."""
    if samples is not None and samples < 1:
        raise InputError(f"samples: expected at least 1, got {samples}")
    with load(artifact, threads=threads) as loaded:
        manifest, lossy = loaded.manifest, LOSSES in loaded.artifact.names
        reference, second, same_source, notes = _opinions(against, manifest, lossy=lossy)
        chosen, original = _samples(manifest, inputs, samples), None
        if lossy:
            # The artifact is meant to differ from the model: it is compared with what its lossy passes made of it.
            original, reference, second = reference, kernel_program(loaded.artifact, loaded.target), None
            chosen = replace(chosen, expected={})
            notes.append("compiled with losses: compared with the artifact's own IR, not with the model")
        if bisect:
            tell = on_progress or (lambda what: None)
            notes += bisection_notes(changing_passes(loaded, None if lossy else reference, chosen, rtol, tell))
        return verify_program(
            loaded, reference, chosen, second=second, original=original, notes=notes, per_layer=per_layer, rtol=rtol,
            max_mismatch=max_mismatch, same_source=lossy or same_source, on_progress=on_progress,
        )  # fmt: skip


def _opinions(
    model: Model, manifest: Manifest, *, lossy: bool
) -> tuple[Program | None, SecondOpinion, bool, list[str]]:
    """The model's import, None where that fails, and onnxruntime on the model as it is or on the export of the import;
    whether the artifact was compiled from this model; and what to say of all that.

    Raises TercetError where neither says what the model means, or its ports are others."""
    made, notes = CompileOptions.from_json(manifest.options), list[str]()
    standard, why = standard_model(model)
    second = SecondOpinion(None, None, why) if standard is None else open_second_opinion(standard)
    reference = None
    try:
        reference = import_model(model, batch=made.batch, shapes=made.shapes_by_name)
    except UnsupportedError as error:
        if second.session is None or lossy:
            raise
        notes.append(f"the model cannot be imported, so only onnxruntime says what it means: {error}")
    if reference is not None:
        _check_same_ports(manifest, reference)
        if second.session is None:
            second = _on_export(reference, second.why)
    if not (same_source := source_hash(model) == manifest.source_sha256):
        notes.append("the artifact was compiled from a different file than this model")
    if second.note:
        notes.append(second.note)
    return reference, second, same_source, notes


def _on_export(reference: Program, why: str) -> SecondOpinion:
    """onnxruntime on the export. why: it does not run the model."""
    try:
        return open_second_opinion(export(reference), f"{why}, so it runs the export of the import")
    except UnsupportedError as error:
        return SecondOpinion(None, None, f"{why}, and the import has no export: {error}")


def _samples(manifest: Manifest, inputs: str | Path | None, count: int | None) -> Samples:
    if inputs is not None:
        return file_samples(inputs, manifest.inputs, manifest.outputs, batched=manifest.batched, limit=count)
    ranges = {port.name: (port.range[0], port.range[1]) for port in manifest.inputs if port.range}
    return random_samples(manifest.inputs, batched=manifest.batched, count=count or RANDOM_SAMPLES, ranges=ranges)


def _check_same_ports(manifest: Manifest, reference: Program) -> None:
    """The artifact and the model must have the same inputs and outputs. Raises InputError."""

    def texts(ports: Sequence[Any]) -> list[str]:
        return [f"{port.name} {port.dtype} {list(port.shape)}" for port in ports]

    sides = (
        ("inputs", texts(manifest.inputs), texts(reference.inputs)),
        ("outputs", texts(manifest.outputs), texts(reference.outputs)),
    )
    for kind, have, want in sides:
        if have != want:
            raise InputError(
                f"the artifact's {kind} are {'; '.join(have)}; the model's are {'; '.join(want)}",
                hint="verify it against the model it was compiled from",
            )
