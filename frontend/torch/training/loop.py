"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

from ....ir.errors import InputError
from ..quantizers.base import Quantizer
from ..quantizers.prepare import quantized_layers
from . import checkpoint
from .data import Batch, Data
from .distillation import Loss, frozen, loss_of
from .distributed import Process, processes
from .measure import Metric, density, metric_of, predictions, shares
from .optimizer import optimizer_of, rate_at, set_rate
from .recipe import Recipe, Stage
from .show import Show
from .statistics import settle


def train(
    model: nn.Module,
    data: Data,
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    teacher: nn.Module | None = None,
    loss: Loss | None = None,
    metric: Metric | None = None,
    process: Process | None = None,
    epochs: int | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Trains a model, which `prepare` has quantized, in place. Returns what was measured after each epoch.

    folder: where a checkpoint is written after each epoch; a run whose folder has one goes on from there, and ends with
    the same numbers, to the bit on a CPU, as one that was not interrupted. teacher: of the recipe's distillation.
    loss: of outputs and targets; absent, cross entropy. metric: what the test data are measured by, from the outputs
    and targets of each batch; it has its function's name in the history (`test_NAME`). Absent, the accuracy, or the
    mean of a loss of one's own. process: this one of several, see `processes`. epochs: of the run, the number after
    which to stop for now.

    Raises InputError where the checkpoint is another run's, the loss is not finite, or recipe and teacher do not fit.
    """
    if bool(recipe.distillation) != (teacher is not None):
        raise InputError("distillation takes both: a share of the loss in the recipe, and a teacher")
    with processes() if process is None else nullcontext(process) as found:
        return _Run(model, data, recipe, folder, teacher, loss, metric, found, quiet).go(epochs)


class _Run:
    def __init__(
        self,
        model: nn.Module,
        data: Data,
        recipe: Recipe,
        folder: str | Path | None,
        teacher: nn.Module | None,
        loss: Loss | None,
        metric: Metric | None,
        process: Process,
        quiet: bool,
    ) -> None:
        self.model, self.data, self.recipe, self.process = model.to(process.device), data, recipe, process
        self.loss, (self.measured, self.metric) = loss, metric_of(loss, metric)
        self.folder = None if folder is None else Path(folder)
        self.optimizer = optimizer_of(model, recipe)
        self.quantizers: Sequence[Quantizer] = [m for m in model.modules() if isinstance(m, Quantizer)]
        self.progress = checkpoint.Progress()
        if self.folder is not None:
            self.progress = checkpoint.resume(self.folder, model, self.optimizer, recipe.as_dict())
        self.teacher = None if teacher is None else frozen(teacher.to(process.device))
        self.called: Any = DistributedDataParallel(model) if process.count > 1 else model
        if recipe.compiled:
            self.called = torch.compile(self.called)
            self.teacher = self.teacher and torch.compile(self.teacher)  # type: ignore[assignment]
        self.steps = data.steps // process.count
        self.show = Show(self.steps, recipe.epochs, self.folder, quiet=quiet or not process.first)

    def go(self, epochs: int | None) -> list[dict[str, Any]]:
        stop = self.recipe.epochs if epochs is None else min(epochs, self.recipe.epochs)
        while self.progress.epochs < stop:
            record = self.epoch(self.progress.epochs)
            self.progress.history.append(record)
            self.progress.epochs += 1
            self.save()
            self.show.measured(record)
        if self.recipe.settled and self.progress.epochs == self.recipe.epochs and not self.progress.settled:
            self.settle(self.progress.history[-1])
        return self.progress.history

    def save(self) -> None:
        if self.process.first and self.folder is not None:
            checkpoint.save(self.folder, self.model, self.optimizer, self.progress, self.recipe.as_dict())

    def settle(self, last: dict[str, Any]) -> None:
        """Takes the running statistics anew and measures again; what the last epoch's record had is kept in it."""
        started, number = time.process_time(), self.recipe.epochs - 1
        self.begin(self.recipe.stages[-1], number)
        batches = self.data.batches(number, self.process.rank, self.process.count)
        inputs = (inputs for inputs, _ in batches)
        if settle(self.model, inputs, called=self.called, mean=self.process.mean_of):
            last["before_settling"] = last[f"test_{self.measured}"]
            last[f"test_{self.measured}"] = self.measure()
            last["cpu_seconds"] += time.process_time() - started
            self.show.settled(last)
        self.progress.settled = True
        self.save()

    def measure(self) -> float:
        return float(self.metric(predictions(self.model, self.data.test())))

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains for an epoch, counted from 0. What is random in it follows from the seed and the number."""
        stage, before = self.recipe.stage_of(number)
        self.begin(stage, number)
        started, losses, right = time.process_time(), 0.0, 0.0
        with self.show.epoch(number) as bar:
            for i, batch in enumerate(self.data.batches(number, self.process.rank, self.process.count)):
                value, hits = self.step(batch, stage, before * self.steps + i)
                losses, right = losses + value, right + hits
                bar.step(losses / (i + 1), right / (i + 1) if self.loss is None else None)
        steps = max(self.steps, 1)
        return {
            "epoch": number + 1,
            "loss": self.process.mean(losses / steps),
            **({"train_accuracy": self.process.mean(right / steps)} if self.loss is None else {}),
            f"test_{self.measured}": self.measure(),
            "density": density(self.model),
            "shares": shares(self.model),
            "cpu_seconds": time.process_time() - started,
        }

    def begin(self, stage: Stage, number: int) -> None:
        torch.manual_seed(self.recipe.seed * 1_000_003 + number)
        self.model.train()
        for _, layer in quantized_layers(self.model):
            for part, quantizer in (("weights", layer.weight_quantizer), ("inputs", layer.input_quantizer)):
                if quantizer is not None:
                    quantizer.enabled = part in stage.quantized

    def step(self, batch: Batch, stage: Stage, number: int) -> tuple[float, float]:
        """One step; its number is counted from the start of the stage. Returns loss and share of right answers."""
        inputs, targets = tree_map(lambda tensor: tensor.to(self.process.device), batch)
        total = stage.epochs * self.steps
        set_rate(self.optimizer, rate_at(number, total, stage, self.recipe))
        for quantizer in self.quantizers:
            quantizer.progress(number / total)
        outputs, taught = self.outputs(inputs)
        loss = loss_of(outputs, targets, taught, self.recipe.distillation, self.recipe.temperature, self.loss)
        if not torch.isfinite(loss):
            raise InputError(f"the loss is {loss.item()} in step {number + 1} of its stage", hint="lower the rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        for quantizer in self.quantizers:
            quantizer.constrain()
        right = (outputs.argmax(1) == targets).float().mean().item() if self.loss is None else 0.0
        return loss.item(), right

    def outputs(self, inputs: Tensor) -> tuple[Any, Any]:
        """The model's and the teacher's, float32."""
        device, low = self.process.device.type, self.recipe.precision == "bfloat16"
        with torch.autocast(device, torch.bfloat16, enabled=low):
            outputs = tree_map(Tensor.float, self.called(inputs))
            if self.teacher is None:
                return outputs, None
            with torch.no_grad():
                return outputs, tree_map(Tensor.float, self.teacher(inputs))
