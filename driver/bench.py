"""Timing an artifact, or a model that is compiled first, against other runtimes on the source model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..ir.errors import InputError
from ..ir.host import scratch_folder
from ..ir.program import Program
from ..runtime.artifact.artifact import Artifact
from ..runtime.check.bench import ONNXRUNTIME, bench_artifact, check_batch, check_peers
from ..runtime.check.bench_report import BenchReport
from .artifacts import is_artifact, refuse_choices
from .compile import compile_model
from .onnxruntime import peers_of
from .options import CompileOptions
from .source import Model


def run_bench(
    model: Model | Program,
    options: CompileOptions,
    *,
    source: Model | None,
    against: Sequence[str] | None,
    threads: int,
    samples: int,
    repeats: int,
    per_layer: bool,
    on_progress: Callable[[str], None] | None,
) -> BenchReport:
    """See `api.bench`. against: None is onnxruntime, where there is a model that it can run."""
    names = tuple(dict.fromkeys((ONNXRUNTIME,) if against is None else against))
    check_peers(names)
    timed = partial(
        bench_artifact, against=names, threads=threads, batch=samples, repeats=repeats, per_layer=per_layer,
        on_progress=on_progress,
    )  # fmt: skip
    if is_artifact(model):
        refuse_choices(options)
        if source is None:
            if against:
                what = f"an artifact does not hold its source model, which {' and '.join(names)} would run"
                hint = "name the model with --source, or time the artifact alone with --against none"
                raise InputError(what, where=str(model), hint=hint)
            return timed(model)
        manifest = Artifact.open(model).manifest
        check_batch(manifest, samples)
        made_with = CompileOptions.from_json(manifest.options)
        return timed(model, peers=peers_of(source, made_with, manifest, names, samples))
    with scratch_folder() as folder:
        if on_progress is not None:
            on_progress("compiling")
        made = compile_model(model, folder / "model.tercet", options).path
        manifest = Artifact.open(made).manifest
        check_batch(manifest, samples)
        return timed(made, peers=peers_of(model if source is None else source, options, manifest, names, samples))
