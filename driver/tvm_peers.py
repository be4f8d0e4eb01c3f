"""What `bench --against tvm` compares with: a model as TVM imports and builds it, tuned or not."""

from __future__ import annotations

from collections.abc import Sequence

from ..backends.tvm.targets import Target, find_target
from ..ir.errors import TercetError
from ..ir.program import Program
from ..runtime.check.bench import TVM_TUNED, PeerModel
from ..runtime.check.ort import read_model
from ..runtime.check.tvm_session import PeerLibrary
from .backend import Lowering
from .tvm_backend import TvmBackend, require_tvm, tuner_of


def tvm_libraries(
    peer: str, models: Sequence[PeerModel], program: Program, options: Lowering, batch: int
) -> tuple[list[PeerLibrary], str]:
    """Of each form of a model that TVM takes, and why there is none. options: how many candidates `tvm-tuned` measures
    of a function, and where. Raises ToolchainError where TVM is not installed."""
    require_tvm()
    target, found, problem = find_target("native"), list[PeerLibrary](), ""
    trials = options.tune or TvmBackend.candidates
    shapes = {port.name: (batch, *port.shape[1:]) if program.batched else port.shape for port in program.inputs}
    for one in models:
        try:
            code = _library(one, list(shapes.values()), target, peer, Lowering(tune=trials, tracker=options.tracker))
        except TercetError as error:
            problem = error.what
            continue
        graph = read_model(one.model).graph
        how = f"tuned, {trials} candidates a function" if peer == TVM_TUNED else "not tuned"
        constants = {each.name for each in graph.initializer}
        inputs = tuple(port.name for port in graph.input if port.name not in constants)
        found.append(PeerLibrary(peer, f"{one.form}, {how}", code, inputs, tuple(port.name for port in graph.output)))
    return found, "" if found else problem


def _library(one: PeerModel, shapes: Sequence[Sequence[int]], target: Target, peer: str, lowering: Lowering) -> bytes:
    from ..backends.tvm.build import fused, library_of
    from ..backends.tvm.from_onnx import module_of

    model = read_model(one.model)
    constants = {each.name for each in model.graph.initializer}
    names = [port.name for port in model.graph.input if port.name not in constants]
    module = fused(module_of(model, dict(zip(names, shapes, strict=True))), target)
    if peer == TVM_TUNED:
        tuner = tuner_of(target, lowering, None)
        tuner.tune(module)
        module = tuner.apply(module)
    return library_of(module, target)
