"""Makes a network that fails smaller, as long as it fails in the same way, and writes it as a model file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from tercet.backends.c.target import TARGETS, find_target

from .graphs.network import Network
from .oracle import Report, check

TRIES = 400
"""So many smaller networks are tried at most."""


def keep_smallest(network: Network, report: Report, *, folder: Path) -> Path:
    """Writes what is left of a failing network to folder/NAME.onnx and NAME.npz (inputs as `in:NAME`)."""
    failure = report.failures[0]
    smallest = shrink(network, failure.stage, failure.kind)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network.name}.onnx"
    onnx.save(smallest.model, path)
    np.savez(path.with_suffix(".npz"), **{f"in:{k}": v for k, v in smallest.inputs.items()})  # type: ignore[arg-type]
    path.with_suffix(".txt").write_text(f"{failure}\nengines: {network.engines}\n")
    return path


def shrink(network: Network, stage: str, kind: str) -> Network:
    """The smallest network found that fails at the same stage in the same way; the network itself if none does."""
    targets = [TARGETS[stage]] if stage in TARGETS else [find_target("native")]

    def fails(candidate: Network) -> bool:
        report = check([candidate], [targets])
        return any(f.kind == kind and _same_stage(f.stage, stage) for f in report.failures)

    tries = 0
    if network.twin_of is not None or not fails(network):
        return network
    shrinking = True
    while shrinking and tries < TRIES:
        shrinking = False
        for candidate in smaller(network):
            tries += 1
            if tries > TRIES:
                break
            try:
                if not fails(candidate):
                    continue
            except Exception:  # a candidate may be broken in any way
                continue
            network, shrinking = candidate, True
            break
    return network


def _same_stage(have: str, want: str) -> bool:
    """A smaller network may show a wrong value after an earlier or later pass."""
    passes = have[:2].isdigit() and want[:2].isdigit()
    return have == want or passes


def smaller(network: Network) -> Iterator[Network]:
    """Networks with less in them: outputs, samples, nodes, or simpler weights and inputs."""
    model = network.model
    for i in range(len(model.graph.output)):
        if len(model.graph.output) > 1:
            yield _changed(network, lambda m, i=i: m.graph.output.pop(i))
    info = {v.name: v for v in (*model.graph.value_info, *model.graph.input)}
    if len(model.graph.output) == 1:
        made_by = {name: node for node in model.graph.node for name in node.output}
        node = made_by.get(model.graph.output[0].name)
        for name in node.input if node else ():
            if name in info and name in made_by:
                yield _changed(network, lambda m, name=name: _output(m, info[name]))
    for i, node in enumerate(model.graph.node):
        for name in node.input if node.op_type != "Identity" else ():
            if name in info and len(node.output) == 1 and _alike(info, name, node.output[0]):
                yield _changed(network, lambda m, i=i, name=name: _bypass(m, i, name))
    batched = any(v.type.tensor_type.shape.dim and v.type.tensor_type.shape.dim[0].dim_param for v in model.graph.input)
    if batched and len(next(iter(network.inputs.values()))) > 1:
        for i in range(len(next(iter(network.inputs.values())))):
            yield replace(network, inputs={k: v[i : i + 1] for k, v in network.inputs.items()})
    for name, array in network.inputs.items():
        simple = np.asarray(np.rint(array) if array.dtype.kind == "f" else array)
        if array.dtype.kind == "f" and not np.array_equal(simple, array):
            yield replace(network, inputs={**network.inputs, name: simple.astype(array.dtype)})
    for axis in (2, 3):
        yield from _cropped(network, axis)
    for i, tensor in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.size > 1 and np.count_nonzero(array) > 1 and array.dtype.kind in "fi" and array.ndim > 1:
            for half in (slice(None, array.size // 2), slice(array.size // 2, None)):
                less = array.copy()
                less.reshape(-1)[half] = 0
                if not np.array_equal(less, array):
                    yield _changed(network, lambda m, i=i, less=less: _replace(m, i, less))


def _changed(network: Network, change: Callable[[ModelProto], object]) -> Network:
    model = ModelProto()
    model.CopyFrom(network.model)
    change(model)
    _drop_dead(model)
    kept = {v.name for v in model.graph.input}
    return replace(network, model=model, inputs={k: v for k, v in network.inputs.items() if k in kept})


def _drop_dead(model: ModelProto) -> None:
    """Removes nodes, constants and inputs that no output needs; one input at least stays."""
    needed = {v.name for v in model.graph.output}
    live: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            live.insert(0, node)
            needed.update(node.input)
    del model.graph.node[:]
    model.graph.node.extend(live)
    for field in (model.graph.initializer, model.graph.input):
        for i in reversed(range(len(field))):
            if field[i].name not in needed and (field is not model.graph.input or len(field) > 1):
                field.pop(i)


def _output(model: ModelProto, value: onnx.ValueInfoProto) -> None:
    del model.graph.output[:]
    model.graph.output.append(value)


def _alike(info: dict[str, onnx.ValueInfoProto], a: str, b: str) -> bool:
    return a in info and b in info and info[a].type == info[b].type


def _bypass(model: ModelProto, index: int, by: str) -> None:
    """Lets everything read `by` in the place of a node's output."""
    gone = model.graph.node[index].output[0]
    if any(v.name == gone for v in model.graph.output):
        node = helper.make_node("Identity", [by], [gone], name=f"bypass_{gone}")
        model.graph.node[index].CopyFrom(node)
        return
    model.graph.node.pop(index)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == gone:
                node.input[i] = by


def _cropped(network: Network, axis: int) -> Iterator[Network]:
    """All inputs with half of an axis; the declared shapes of everything after them are then forgotten."""
    if not all(v.ndim > axis and v.shape[axis] > 1 for v in network.inputs.values()):
        return
    inputs = {k: np.take(v, range((v.shape[axis] + 1) // 2), axis) for k, v in network.inputs.items()}

    def change(model: ModelProto) -> None:
        for value in model.graph.input:
            if value.name in inputs:
                value.type.tensor_type.shape.dim[axis].dim_value = inputs[value.name].shape[axis]
        for value in (*model.graph.value_info, *model.graph.output):
            dims = value.type.tensor_type.shape.dim
            for i in range(2, len(dims)):
                dims[i].Clear()

    changed = _changed(network, change)
    yield replace(changed, inputs={k: inputs[k] for k in changed.inputs})


def _replace(model: ModelProto, index: int, array: np.ndarray) -> None:
    tensor = model.graph.initializer[index]
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
