"""What `bench --against tvm` compares with: a model as TVM imports and builds it, tuned or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..backends.tvm.targets import Target, find_target
from ..ir.errors import TercetError, UnsupportedError
from ..runtime.artifact.manifest import Manifest
from ..runtime.check.bench import TVM_TUNED, PeerModel
from ..runtime.check.ort import read_model, with_ports
from ..runtime.check.tvm_session import PeerLibrary
from .backend import Lowering
from .tvm_backend import TvmBackend, require_tvm, tuner_of

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..backends.tvm.tuning import Tuner


def tvm_libraries(
    peers: Sequence[str], models: Sequence[PeerModel], manifest: Manifest, options: Lowering, batch: int
) -> tuple[list[PeerLibrary], dict[str, str]]:
    """Of each form of a model that TVM takes, and by peer why there is none. manifest: of the artifact. options: how
    many candidates `tvm-tuned` measures of a function, and where. Raises ToolchainError where TVM is not installed."""
    require_tvm()
    target, found, left_out = find_target("native"), list[PeerLibrary](), dict[str, str]()
    trials = options.tune or TvmBackend.candidates
    for one in models:
        model = read_model(one.model)
        shapes = {
            given.name: (batch, *port.shape[1:]) if manifest.batched else port.shape
            for given, port in with_ports(model, manifest.inputs)
        }
        outputs = tuple(port.name for port in model.graph.output)
        for peer in peers:
            how, tuner = "not tuned", None
            if peer == TVM_TUNED:
                how = f"tuned, {trials} candidates a function"
                tuner = tuner_of(target, Lowering(tune=trials, tracker=options.tracker), None)
            try:
                code = _library(model, shapes, target, tuner)
            except TercetError as error:
                left_out[peer] = error.what
            else:
                found.append(PeerLibrary(peer, f"{one.form}, {how}", code, tuple(shapes), outputs))
    return found, left_out


def _library(model: ModelProto, shapes: Mapping[str, Sequence[int]], target: Target, tuner: Tuner | None) -> bytes:
    from ..backends.tvm.build import fused, library_of
    from ..backends.tvm.from_onnx import module_of

    try:
        module = fused(module_of(model, shapes), target)
        return library_of(module if tuner is None else tuner.tuned(module)[0], target)
    except TercetError:
        raise
    except Exception as error:  # of kinds of TVM's own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UnsupportedError(f"TVM does not build it: {lines[-1][:200]}") from error
