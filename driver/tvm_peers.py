"""What `bench --against tvm` compares with: a model as TVM imports and builds it, tuned or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..backends.tvm.targets import Target, find_target
from ..ir.errors import TercetError
from ..ir.program import Program
from ..runtime.check.bench import TVM_TUNED, PeerModel
from ..runtime.check.ort import read_model
from ..runtime.check.tvm_session import PeerLibrary
from .backend import Lowering
from .tvm_backend import TvmBackend, require_tvm, tuner_of

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..backends.tvm.tuning import Tuner


def tvm_libraries(
    peer: str, models: Sequence[PeerModel], program: Program, options: Lowering, batch: int
) -> tuple[list[PeerLibrary], str]:
    """Of each form of a model that TVM takes, and why there is none. options: how many candidates `tvm-tuned` measures
    of a function, and where. Raises ToolchainError where TVM is not installed."""
    require_tvm()
    target, found, problem = find_target("native"), list[PeerLibrary](), ""
    trials = options.tune or TvmBackend.candidates
    how = f"tuned, {trials} candidates a function" if peer == TVM_TUNED else "not tuned"
    tuner = tuner_of(target, Lowering(tune=trials, tracker=options.tracker), None) if peer == TVM_TUNED else None
    shapes = [(batch, *port.shape[1:]) if program.batched else port.shape for port in program.inputs]
    for one in models:
        graph = (model := read_model(one.model)).graph
        constants = {each.name for each in graph.initializer}
        inputs = [port.name for port in graph.input if port.name not in constants]
        try:
            code = _library(model, dict(zip(inputs, shapes, strict=True)), target, tuner)
        except TercetError as error:
            problem = error.what
            continue
        outputs = tuple(port.name for port in graph.output)
        found.append(PeerLibrary(peer, f"{one.form}, {how}", code, tuple(inputs), outputs))
    return found, "" if found else problem


def _library(model: ModelProto, shapes: Mapping[str, Sequence[int]], target: Target, tuner: Tuner | None) -> bytes:
    from ..backends.tvm.build import fused, library_of
    from ..backends.tvm.from_onnx import module_of

    module = fused(module_of(model, shapes), target)
    return library_of(module if tuner is None else tuner.tuned(module)[0], target)
