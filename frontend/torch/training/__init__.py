"""Training, thin over plain torch: schedules in stages, distillation, checkpoints, several processes."""

from .data import Data
from .distributed import processes
from .loop import train
from .measure import accuracy, density, predictions
from .recipe import Recipe, Stage
from .statistics import settle

__all__ = ["Data", "Recipe", "Stage", "accuracy", "density", "predictions", "processes", "settle", "train"]
