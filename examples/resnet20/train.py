"""Trains the ResNet-20 with one scheme of quantization, from a float one.

python examples/resnet20/train.py ttq --from resnet20_recompressed.pt --train cifar10_train.npz --test cifar10_test.npz

A run that was stopped goes on where it was. Runs are kept in $TERCET_RUNS, or in the user's cache folder.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from cifar10 import Cifar10
from kept import keep, restore
from model import ResNet20, load

import tercet


@dataclass(frozen=True)
class Setting:
    """epochs and rate: by default. distilled: whether the float network is the teacher."""

    scheme: str
    epochs: int
    rate: float
    distilled: bool = False


SETTINGS = {
    "ternary": Setting("ternary", 60, 0.05),
    "ternary-distilled": Setting("ternary", 60, 0.05, distilled=True),
    "ttq": Setting("ttq", 30, 0.02),
    "signed-binary": Setting("signed-binary-slices", 30, 0.02),
    "binary": Setting("binary", 30, 0.02),
    "twn": Setting("twn", 30, 0.02),
    "lsq4": Setting("lsq4", 30, 0.02),
    "float": Setting("float", 30, 0.02),
}
LAMBDA = 0.9


def runs_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TERCET_RUNS") or cache / "tercet" / "runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS), help="what is quantized, and how")
    parser.add_argument("--from", dest="state", required=True, help="the state dict of the float network")
    parser.add_argument("--train", required=True, help="CIFAR-10 training images, .npz of JPEGs")
    parser.add_argument("--test", required=True, help="CIFAR-10 test images")
    parser.add_argument("--epochs", type=int, help="of the whole run (default: the setting's)")
    parser.add_argument("--stop-after", type=int, help="stop after this epoch for now; the run can go on later")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoint in runs/, to be committed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="two runs of one thread beat one of two (default: 1)")
    parser.add_argument("--runs", type=Path, default=None, help="folder of all runs (default: $TERCET_RUNS or a cache)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    for path in (options.state, options.train, options.test):
        if not Path(path).is_file():
            parser.error(f"there is no file '{path}'")
    torch.set_num_threads(options.threads)
    setting, runs = SETTINGS[options.setting], options.runs or runs_folder()
    data = Cifar10(options.train, options.test, runs, seed=options.seed)
    model = tercet.torch.prepare(load(options.state), setting.scheme, example_inputs=(torch.zeros(1, 3, 32, 32),))
    teacher: ResNet20 | None = load(options.state) if setting.distilled else None
    recipe = tercet.torch.Recipe.one_stage(
        options.epochs or setting.epochs,
        setting.rate,
        distillation=LAMBDA if setting.distilled else 0.0,
        seed=options.seed,
        precision=options.precision,
    )
    folder = runs / f"resnet20-{options.setting}-{recipe.epochs}"
    restore(folder)
    history = tercet.torch.train(
        model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        data, recipe, folder, teacher=teacher, epochs=options.stop_after,
    )  # fmt: skip
    if history:
        if options.keep:
            print(f"{keep(folder)}: kept")
        print(f"{folder}: {100 * history[-1]['test_accuracy']:.2f} % after {len(history)} of {recipe.epochs} epochs")


if __name__ == "__main__":
    main()
