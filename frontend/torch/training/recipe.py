"""What a training run is: everything that decides its result, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from ....ir.errors import InputError

Part = Literal["weights", "inputs"]
Decay = Literal["cosine", "steps"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Stage:
    """So many epochs under one schedule of the learning rate, which starts at `rate`.

    quantized: what is quantized in it. The rest passes as it is.
    """

    epochs: int
    rate: float
    quantized: tuple[Part, ...] = ("weights", "inputs")

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, "a whole number from 1 on", isinstance(self.epochs, int) and self.epochs >= 1)
        _check("rate", self.rate, "a number above 0", _is_number(self.rate) and self.rate > 0)
        for part in self.quantized:
            _check("quantized", part, "'weights' or 'inputs'", part in get_args(Part))


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: SGD with momentum, stage after stage.

    decay: of the rate, to 0 along half a cosine, or by 10 after half and three quarters of a stage. warmup: steps in
    which the rate rises at the start of a stage. distillation: lambda, the share of the loss that compares with the
    teacher; the rest compares with the targets. seed: of data and of everything random in the model. precision: what
    the model computes in where autocast says it may. compiled: by torch.compile, which takes a minute at the start and
    joins the many elementwise operations of quantizers, which take most of the time otherwise. settled: whether, after
    the last epoch, the running statistics are taken anew from the data of that epoch, see `settle`.
    """

    stages: tuple[Stage, ...]
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay: Decay = "cosine"
    warmup: int = 50
    distillation: float = 0.0
    temperature: float = 1.0
    seed: int = 0
    precision: Precision = "float32"
    compiled: bool = True
    settled: bool = True

    def __post_init__(self) -> None:
        _check("stages", self.stages, "at least one", len(self.stages) > 0)
        for name, choices in _CHOICES.items():
            expected = " or ".join(map(repr, choices))
            _check(name, getattr(self, name), expected, getattr(self, name) in choices)
        for name, (least, most) in _RANGES.items():
            value, expected = getattr(self, name), f"a number from {least:g} to {most:g}"
            _check(name, value, expected if isfinite(most) else f"a number from {least:g} on",
                   _is_number(value) and least <= value <= most)  # fmt: skip

    @classmethod
    def one_stage(cls, epochs: int, rate: float, **options: Any) -> Recipe:
        """Everything quantized from the start."""
        return cls((Stage(epochs, rate),), **options)

    @classmethod
    def two_stages(cls, epochs: tuple[int, int], rate: float, distillation: float = 0.9, **options: Any) -> Recipe:
        """Activations first, with float weights, then both: "Revisiting ternary neural networks towards asymmetric
        thresholds and uniform distribution" (2023), section 4.1."""
        first, second = epochs
        stages = Stage(first, rate, ("inputs",)), Stage(second, rate)
        return cls(stages, distillation=distillation, **options)

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    def stage_of(self, epoch: int) -> tuple[Stage, int]:
        """The stage of an epoch, counted from 0, and how many epochs of it came before."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage, epoch
            epoch -= stage.epochs
        raise IndexError(f"the recipe has {self.epochs} epochs")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


DEFAULTS = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}
_CHOICES: Mapping[str, tuple[str, ...]] = {"decay": get_args(Decay), "precision": get_args(Precision)}
_RANGES = {
    "momentum": (0, 1), "weight_decay": (0, float("inf")), "warmup": (0, float("inf")), "distillation": (0, 1),
    "temperature": (1e-6, float("inf")), "seed": (0, 2**63 - 1),
}  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _check(name: str, value: object, expected: str, holds: bool) -> None:
    if not holds:
        raise InputError(f"recipe: {name}: expected {expected}, got {value!r}")
