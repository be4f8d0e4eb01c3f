"""What zeros in weights are worth once a network is compiled: its time and bytes against the same network without them,
and with thresholds moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...api import compile
from ...frontend.torch.dtypes import without_bfloat16
from ...frontend.torch.quantizers import quantized_layers
from ...frontend.torch.report import NotApplicable, with_thresholds, without_zeros
from ...frontend.torch.report.section import NO_WEIGHTS
from ...frontend.torch.report.variants import movable
from ...frontend.torch.training import accuracy, settle
from ...frontend.torch.training.data import Batch
from ...ir.errors import ModelError, UnsupportedError
from ...ir.host import scratch_folder
from ...runtime.artifact.layers import Layer
from ...runtime.check.side_by_side import ArtifactTimes, time_side_by_side
from ...runtime.check.timing import Spread

AS_TRAINED, WITHOUT_ZEROS = "as trained", "without zeros"


@dataclass(frozen=True)
class LayerTime:
    """A quantized layer as compiled. density: of its weights. seconds: the median of a call. share: of all steps' time.
    ratio: its time over that of the same layer of the trained network, round by round. stored_bytes: its constants.
    bits: of a weight among them; None where the code holds the weights."""

    name: str
    density: float
    engine: str
    seconds: float
    share: float
    ratio: Spread
    stored_bytes: int
    bits: float | None


@dataclass(frozen=True)
class Variant:
    """A network that was compiled. accuracy: with the statistics of norms taken anew from a batch; None without test
    batches. seconds: of a call. ratio: over the trained network's, round by round; steps_ratio: the same of the sum of
    its steps, each a median of some runs, which other work on the machine disturbs less. library_bytes: the code with
    its weights. artifact_bytes: with the IR and the C source, too."""

    label: str
    density: float
    accuracy: float | None
    seconds: Spread
    ratio: Spread
    steps_ratio: Spread
    library_bytes: int
    artifact_bytes: int
    layers: tuple[LayerTime, ...]


@dataclass(frozen=True)
class SparsityWorth:
    """trained: the network as it is. others: the same without zeros, then with thresholds moved. float_bytes: of the
    weights that are quantized, as float32. cpus: that the process was pinned to, () where it was not."""

    trained: Variant
    others: tuple[Variant, ...]
    float_bytes: int
    cpu: str
    cpus: tuple[int, ...]
    target: str
    threads: int
    rounds: int


def sparsity_worth(
    model: nn.Module,
    example_inputs: Any,
    test: Iterable[Batch] | None,
    factors: Sequence[float],
    *,
    threads: int,
    rounds: int,
    tell: Callable[[str], None],
    **choices: Any,
) -> SparsityWorth | NotApplicable:
    """factors: of thresholds of weights. choices: as for `tercet.compile`. Inputs are of the test batches where these
    have the shapes of the example inputs: kernels that skip zeros depend on them."""
    sizes = {name: x.weight.numel() for name, x in quantized_layers(model) if x.weight_quantizer is not None}
    if not sizes:
        return NO_WEIGHTS
    if all(density == 1 for density in _densities(model, sizes).values()):
        return NotApplicable("No weight is zero.")
    networks = {AS_TRAINED: deepcopy(model), WITHOUT_ZEROS: without_zeros(model)}
    if movable(model, "weights"):
        networks |= {f"thresholds times {f:g}": with_thresholds(model, f) for f in factors}
    first = None if test is None else next(iter(test))[0]
    if first is not None:
        for network in networks.values():
            settle(network, [first])
    rights = [None if test is None else accuracy(network, test) for network in networks.values()]
    networks[AS_TRAINED] = deepcopy(model)  # only its accuracy is compared with statistics taken anew
    with scratch_folder() as folder:
        paths = list[Path]()
        try:
            for label, network in networks.items():
                tell(f"compiling the network {label}")
                made = compile(network.cpu(), example_inputs, folder / f"{len(paths)}.tercet", name="model", **choices)
                paths.append(made.path)
        except (ModelError, UnsupportedError) as error:
            return NotApplicable(f"The network was not compiled: {error}.")
        tell("timing")
        times = time_side_by_side(paths, _inputs(example_inputs, first), threads=threads, rounds=rounds)
    trained, *others = (
        _variant(label, _densities(network, sizes), sizes, right, artifact, times.artifacts[0])
        for (label, network), right, artifact in zip(networks.items(), rights, times.artifacts, strict=True)
    )
    return SparsityWorth(
        trained, tuple(others), 4 * sum(sizes.values()), times.cpu, times.cpus, times.target, times.threads,
        times.rounds,
    )  # fmt: skip


def _variant(
    label: str,
    densities: Mapping[str, float],
    sizes: Mapping[str, int],
    right: float | None,
    times: ArtifactTimes,
    trained: ArtifactTimes,
) -> Variant:
    layers = []
    every = _total(times, range(len(times.layers)))
    for name, density in densities.items():
        mine, theirs = _steps_of(name, times.layers), _steps_of(name, trained.layers)
        if mine and theirs:
            seconds, steps = _total(times, mine), [times.layers[i] for i in mine]
            in_code = any(step.weights_in_code for step in steps)
            layers.append(
                LayerTime(
                    name,
                    density,
                    " + ".join(dict.fromkeys(step.engine for step in steps)),
                    Spread.of(seconds).median,
                    Spread.of_ratio(seconds, every).median,
                    Spread.of_ratio(seconds, _total(trained, theirs)),
                    sum(step.weight_bytes_stored for step in steps),
                    None if in_code else 8 * sum(step.digit_bytes_stored for step in steps) / sizes[name],
                )
            )
    density = sum(densities[name] * size for name, size in sizes.items()) / sum(sizes.values())
    return Variant(
        label, density, right, Spread.of(times.seconds), Spread.of_ratio(times.seconds, trained.seconds),
        Spread.of_ratio(every, _total(trained, range(len(trained.layers)))),
        times.library_bytes, times.stored_bytes, tuple(layers),
    )  # fmt: skip


@torch.no_grad()
def _densities(network: nn.Module, names: Iterable[str]) -> dict[str, float]:
    """Of the weights that layers compute with."""
    weights = {name: layer.quantized_weight() for name, layer in quantized_layers(network)}
    return {name: int((weights[name] != 0).sum()) / weights[name].numel() for name in names}


def _steps_of(name: str, steps: Sequence[Layer]) -> list[int]:
    """The steps that compute a layer: those with weights and a node named as the layer, or as an operator in it."""
    found = []
    for i, step in enumerate(steps):
        paths = [node.partition(":")[2] for node in step.nodes]
        own = any(path == name or (path.startswith(f"{name}.") and "." not in path[len(name) + 1 :]) for path in paths)
        if step.weight_count and own:
            found.append(i)
    return found


def _total(times: ArtifactTimes, steps: Sequence[int]) -> list[float]:
    """Of some steps together, in each round."""
    return [sum(parts) for parts in zip(*(times.steps[i] for i in steps), strict=True)]


def _inputs(example_inputs: Any, first: Tensor | None) -> Any:
    """What artifacts are run with."""
    if isinstance(example_inputs, Mapping):
        return {name: _array(value) for name, value in example_inputs.items()}
    given = [example_inputs] if isinstance(example_inputs, Tensor) else list(example_inputs)
    if first is not None and len(given) == 1 and isinstance(given[0], Tensor):
        example = given[0]
        sample = first[: example.shape[0]]
        if sample.shape == example.shape and sample.dtype == example.dtype:
            return [_array(sample)]
    return [_array(value) for value in given]


def _array(value: Any) -> Any:
    return without_bfloat16(value).detach().cpu().contiguous().numpy() if isinstance(value, Tensor) else value
