"""onnxruntime as a second opinion (`verify`) and as a peer (`bench`). Imported only when used."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import InputError, TercetError, UnsupportedError
from ...ir.locations import SOURCE_KEY
from .ort_exact import saturates, with_unsigned_weights

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from ..artifact.manifest import PortInfo


class Session:
    """An onnxruntime session that takes and gives arrays by name."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: list[str] = [port.name for port in session.get_inputs()]
        self.outputs: list[str] = [port.name for port in session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


def read_model(model: ModelProto | str | Path, *, external: bool = True) -> ModelProto:
    """The model itself, or that of a file. external: with the weights that lie in other files.

    Raises InputError for a file that is not there, cannot be read or holds no model.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.checker import ValidationError  # external data outside the folder, or none

    if not isinstance(model, str | Path):
        return model
    try:
        return onnx.load(str(model), load_external_data=external)
    except (OSError, ValidationError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the model: {why}", where=str(model)) from error
    except (DecodeError, ValueError) as error:
        raise InputError(f"not an ONNX model: {error}", where=str(model)) from error


def graph_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that a caller gives: old files list their initializers among them."""
    constants = {each.name for each in model.graph.initializer}
    return [port for port in model.graph.input if port.name not in constants]


def with_batch(model: ModelProto, batch: int) -> ModelProto:
    """The model, or for batches a copy whose inputs and outputs have the leading size `batch` where the file says 1."""
    if batch == 1:
        return model
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    for port in [*graph_inputs(copy), *copy.graph.output]:
        dims = port.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == 1:
            dims[0].dim_value = batch
    del copy.graph.value_info[:]
    return copy


def with_ports(model: ModelProto, ports: Sequence[PortInfo]) -> list[tuple[ValueInfoProto, PortInfo]]:
    """A model's inputs in order, each with an artifact's: of its name, or where names differ of its place. As many as
    both have."""
    found, by_name = graph_inputs(model), {port.name: port for port in ports}
    same = set(by_name) == {each.name for each in found}
    return list(zip(found, [by_name[each.name] for each in found] if same else ports, strict=False))


def difference_of_inputs(model: ModelProto, ports: Sequence[PortInfo], *, batched: bool) -> str:
    """How a model's inputs differ from those of an artifact, "" where they do not. Sizes that the model leaves open are
    any."""
    if (count := len(graph_inputs(model))) != len(ports):
        return f"the source has {count} inputs, the artifact {len(ports)}"
    for given, port in with_ports(model, ports):
        shape, first = given.type.tensor_type.shape, 1 if batched else 0
        sizes = [dim.dim_value or -1 for dim in shape.dim]
        fits = [have in (-1, want) for have, want in zip(sizes[first:], port.shape[first:], strict=False)]
        if given.type.tensor_type.HasField("shape") and (len(sizes) != len(port.shape) or not all(fits)):
            have, want = ", ".join("?" if size < 0 else str(size) for size in sizes), ", ".join(map(str, port.shape))
            return f"the source's input '{given.name}' has the shape [{have}], the artifact's '{port.name}' [{want}]"
    return ""


def custom_operators(model: ModelProto) -> list[str]:
    """The operators of a model that are neither standard ONNX nor onnxruntime's own, each once."""
    from onnx import defs

    known = {(entry.domain, entry.name) for entry in defs.get_all_schemas()}
    kinds = {node.op_type: ("" if node.domain == "ai.onnx" else node.domain, node.op_type) for node in model.graph.node}
    return sorted(name for name, kind in kinds.items() if kind not in known and kind[0] != "com.microsoft")


APPROXIMATE = frozenset(("QLinearAdd", "QLinearSoftmax"))
"""Operators that onnxruntime's own kernels compute from tables or with other factors: an element may be a step off."""
POWER = "Pow of integers"
"""Goes through float64, so that what leaves the type does not always wrap as the product does."""


def approximate_operators(model: ModelProto) -> list[str]:
    """Those of a model, and `POWER`, each once."""
    from onnx import TensorProto

    found = {node.op_type for node in model.graph.node if node.op_type in APPROXIMATE}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    constants = [node for node in model.graph.node if node.op_type == "Constant" and node.output]
    kinds |= {node.output[0]: attribute.t.data_type for node in constants for attribute in node.attribute}
    powers = [node for node in model.graph.node if node.op_type == "Pow" and len(node.input) == 2]
    if any(kinds.get(node.input[1]) in (TensorProto.INT32, TensorProto.INT64) for node in powers):
        found.add(POWER)
    return sorted(found)


def open_session(model: ModelProto | str | Path, *, threads: int = 1, optimize: bool = True) -> Session:
    """A session on the CPU with that many threads.

    optimize: all of onnxruntime's graph optimisations (for speed), or none (for a reference: some are inexact; 8-bit
    weights then become unsigned where its kernels would saturate).
    Raises UnsupportedError where onnxruntime has no kernel for an operator, TercetError where it cannot be imported,
    InputError where a file cannot be read.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise TercetError(f"onnxruntime cannot be imported: {error}", hint="pip install onnxruntime") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    if not optimize and saturates():
        model = with_unsigned_weights(read_model(model))
    source = str(model) if isinstance(model, str | Path) else model.SerializeToString()
    try:
        return Session(ort.InferenceSession(source, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # its exception classes have no common base below Exception
        raise UnsupportedError(f"onnxruntime does not take the model: {_first_line(error)}") from error


def open_probe(model: ModelProto | str | Path, nodes: Container[str]) -> Probe | None:
    """A session (no optimisation) that also gives what the named nodes (`OpType:name`, where a node without a name is
    called after its operator and first output) compute; in an export, what came of them. None where that cannot be
    had."""
    import onnx
    from google.protobuf.message import EncodeError  # a model of over 2 GB cannot be handed over

    proto = onnx.ModelProto()
    proto.CopyFrom(read_model(model))
    have, results = {port.name for port in proto.graph.output}, {}
    for node in proto.graph.node:
        name = next((output for output in node.output if output), "")
        sources = [p.value for p in node.metadata_props if p.key == SOURCE_KEY]
        called = sources[0] if sources else f"{node.op_type}:{node.name or f'{node.op_type}_{name}'}"
        if name and called in nodes:
            results[name] = called
            if name not in have:
                proto.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        return Probe(open_session(proto, optimize=False), results)
    except (TercetError, EncodeError):
        return None


@dataclass(frozen=True)
class Probe:
    """session: gives intermediate results beside the outputs. results: the node `OpType:name` of each."""

    session: Session
    results: Mapping[str, str]


def run_samples(session: Session, runs: Sequence[Mapping[str, np.ndarray]], batched: bool) -> dict[str, np.ndarray]:
    """The outputs of all runs, as `verify` joins them. A batched run is given sample by sample: models whose file fixes
    the batch to 1 take nothing else. Raises TercetError where onnxruntime fails."""
    results = []
    for run in runs:
        count = len(next(iter(run.values()))) if batched and run else 1
        for i in range(count):
            inputs = {name: array[i : i + 1] if batched else array for name, array in run.items()}
            try:
                results.append(session.run(inputs))
            except Exception as error:
                raise TercetError(f"onnxruntime fails on the model: {_first_line(error)}") from error
    join = np.concatenate if batched else np.stack
    return {name: join([result[name] for result in results]) for name in session.outputs}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
