"""`tercet.torch.report`: what reviewers ask of a trained network, measured and written as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...frontend.torch.quantizers import quantized_layers
from ...frontend.torch.report import (
    InputSparsity,
    NotApplicable,
    input_sparsity,
    region_signs,
    sparsity_over_training,
    three_values,
    threshold_sensitivity,
)
from ...frontend.torch.report.section import NO_TEST
from ...frontend.torch.report.thresholds import FACTORS, LAYER_FACTORS
from ...frontend.torch.training import accuracy, density
from ...frontend.torch.training.data import Batch
from ...frontend.torch.training.measure import device_of
from ...ir.errors import InputError
from ...runtime.check.bench import ROUNDS
from ...runtime.report.outputs import check_outputs, write_bytes
from .page import report_html
from .result import Report
from .worth import sparsity_worth

TIMED_FACTORS = (2.0,)


def report(
    model: nn.Module,
    example_inputs: Any,
    output: str | Path | None = None,
    *,
    test: Iterable[Batch] | None = None,
    history: Sequence[Mapping[str, Any]] | str | Path | None = None,
    factors: Sequence[float] = FACTORS,
    layer_factors: Sequence[float] = LAYER_FACTORS,
    timed_factors: Sequence[float] = TIMED_FACTORS,
    name: str | None = None,
    threads: int = 1,
    rounds: int = ROUNDS,
    on_progress: Callable[[str], None] = lambda what: None,
    **choices: Any,
) -> Report:
    """Answers what reviewers asked of three papers, of one trained model: how much its thresholds matter, how sparse
    its layers became, what their zeros are worth in time and bytes, how sparse activations are, how even the three
    values, and whether signed-binary regions have the right signs. Questions that do not apply say why.

    model: with layers that `prepare` made; it is copied, and stays as it is. example_inputs, choices (such as target or
        dynamic_shapes): as for `tercet.compile`.
    output: the HTML file, one without scripts or anything from elsewhere.
    test: batches of inputs and class numbers, gone through once for each number that is measured, 20 to 40 times and
        twice for each layer; those of an iterator are kept in memory.
    history: what `train` returned, or the folder of its run, finished or not.
    factors, layer_factors: of all thresholds together, and of one layer's, for their sensitivity, which is measured
        without training. timed_factors: of the thresholds of networks that are compiled and timed beside the trained
        one and the one without zeros.
    name: what the page calls the model (default: its class).
    threads, rounds: of timing. on_progress: told what is being done.

    Raises InputError for what is no module, test batches that are no such pairs, factors that are no numbers from 0, a
    folder without a run and a file that cannot be written, and what `tercet.compile` raises for its options.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"expected a torch module, got {type(model).__name__}")
    check_outputs(output)
    over_training = sparsity_over_training(history)
    batches = list(test) if isinstance(test, Iterator) else test
    copy = deepcopy(model).eval()
    samples = 0 if batches is None else _checked(copy, batches)
    on_progress("what layers read")
    inputs = NO_TEST if batches is None else input_sparsity(copy, batches)
    right = None
    if batches is not None:
        right = inputs.accuracy if isinstance(inputs, InputSparsity) else accuracy(copy, batches)
    worth = sparsity_worth(
        copy, example_inputs, batches, timed_factors, threads=threads, rounds=rounds, tell=on_progress, **choices
    )
    on_progress("sensitivity to thresholds")
    thresholds = NO_TEST if batches is None else threshold_sensitivity(copy, batches, factors, layer_factors)
    read = {} if isinstance(inputs, NotApplicable) else {layer.name: layer.values for layer in inputs.layers}
    layers = [layer for _, layer in quantized_layers(copy)]
    found = Report(
        name or type(model).__name__,
        len(layers),
        sum(layer.weight.numel() for layer in layers if layer.weight_quantizer is not None),
        density(copy),
        samples,
        right,
        thresholds,
        over_training,
        worth,
        inputs,
        three_values(copy, read),
        region_signs(copy),
    )
    if output is not None:
        write_bytes(output, report_html(found).encode())
    return found


def _checked(model: nn.Module, test: Iterable[Batch]) -> int:
    """How many samples there are. Raises InputError unless they are inputs and the numbers of their classes."""
    samples, classes = 0, 0
    for i, batch in enumerate(test):
        pair = isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch)
        if not pair or batch[1].dim() != 1 or batch[1].is_floating_point() or len(batch[0]) != len(batch[1]):
            hint = "leave `test` out for a model that does not classify"
            raise InputError(f"test batch {i}: expected inputs [N, ..] and class numbers [N], two tensors", hint=hint)
        if i == 0:
            with torch.no_grad():
                outputs = model(batch[0].to(device_of(model)))
            if not isinstance(outputs, Tensor) or outputs.dim() != 2:
                what = f"{list(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
                hint = "leave `test` out for a model that does not classify"
                raise InputError(f"the model gives {what}, expected scores [N, classes]", hint=hint)
            classes = outputs.shape[1]
        wrong = batch[1][(batch[1] < 0) | (batch[1] >= classes)]
        if len(wrong):
            raise InputError(f"test batch {i}: expected class numbers from 0 to {classes - 1}, got {int(wrong[0])}")
        samples += len(batch[1])
    if not samples:
        raise InputError("test: there are no batches", hint="leave `test` out")
    return samples
