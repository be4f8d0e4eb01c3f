"""What a training run is: everything that decides its result, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

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


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: SGD with momentum, stage after stage.

    decay: of the rate, to 0 along half a cosine, or by 10 after half and three quarters of a stage. warmup: steps in
    which the rate rises at the start of a stage. distillation: lambda, the share of the loss that compares with the
    teacher; the rest compares with the targets. seed: of data and of everything random in the model. precision: what
    the model computes in where autocast says it may. compiled: by torch.compile, which takes a minute at the start and
    joins the many elementwise operations of quantizers, which take most of the time otherwise.
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
