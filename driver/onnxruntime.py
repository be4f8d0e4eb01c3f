"""What onnxruntime and other peers are given of a model: the model itself, or its program in standard operators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..backends.onnx.export import export
from ..frontend.source_model import open_source
from ..ir.errors import UnsupportedError
from ..ir.program import Program
from ..passes.pipeline import graph_passes
from ..runtime.artifact.manifest import Manifest
from ..runtime.check.bench import NO_PEERS, TVM, TVM_TUNED, PeerModel, Peers
from ..runtime.check.ort import custom_operators, difference_of_inputs, open_session, read_model
from .options import CompileOptions
from .source import Model, program_of
from .tvm_peers import tvm_libraries

if TYPE_CHECKING:
    from onnx import ModelProto


def standard_model(model: Model) -> tuple[ModelProto | Path | None, str]:
    """The model as it is where it is ONNX and all its operators are ONNX's or onnxruntime's own, else None and why."""
    given = open_source(model).onnx()
    if given is None:
        return None, "the model is not ONNX"
    if custom := custom_operators(read_model(given, external=False)):
        return None, f"onnxruntime has no kernels for {', '.join(custom)}"
    return given, ""


def peers_of(
    model: Model | Program, options: CompileOptions, manifest: Manifest, against: Sequence[str], batch: int
) -> Peers:
    """What `bench` compares an artifact with; without any where the model has no form that onnxruntime could run, or is
    another one. Raises ToolchainError where a peer is not installed."""
    if not against:
        return NO_PEERS
    try:
        models = _peer_models(model, options)
    except UnsupportedError as error:
        return Peers([], error.what)
    for one in models:
        proto = read_model(one.model, external=False)
        if problem := difference_of_inputs(proto, manifest.inputs, batched=manifest.batched):
            return Peers([], problem)
    if not (built := [peer for peer in (TVM, TVM_TUNED) if peer in against]):
        return Peers(models)
    libraries, left_out = tvm_libraries(built, models, manifest, options.lowering, batch)
    return Peers(models, libraries=libraries, left_out=left_out)


def _peer_models(model: Model | Program, options: CompileOptions) -> list[PeerModel]:
    """The model as it is; where onnxruntime does not take that, exports of the program as imported and as the passes
    leave it, of which `bench` times the faster one."""
    if not isinstance(model, Program):
        given, _ = standard_model(model)
        if given is not None and _takes(given):
            return [PeerModel("the model as it is", given)]
    program = program_of(model, options).clone()
    found = [PeerModel("its import in fp32 operators", export(program))]
    for step in graph_passes():
        step.apply(program)
    try:
        return [*found, PeerModel("its integer program in fp32 operators", export(program))]
    except UnsupportedError:  # an operation that only passes make
        return found


def _takes(model: ModelProto | Path) -> bool:
    try:
        open_session(model)
    except UnsupportedError:
        return False
    return True
