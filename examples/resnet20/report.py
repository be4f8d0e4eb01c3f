"""Writes what reviewers ask of a trained ResNet-20 as a page, from the checkpoint of a run, finished or not.

python examples/resnet20/report.py ttq --test cifar10_test.npz -o ttq.html
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import torch
from cifar10 import TestImages
from kept import CHECKPOINT, restore
from train import SETTINGS, runs_folder
from trained import read

import tercet

IMAGES = 1000
EXAMPLE = torch.zeros(1, 3, 32, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS), help="what was trained, see train.py")
    parser.add_argument("--test", required=True, help="CIFAR-10 test images, .npz of JPEGs")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"how many of them (default: {IMAGES})")
    parser.add_argument("--epochs", type=int, help="of the whole run (default: the setting's)")
    parser.add_argument("--runs", type=Path, default=None, help="folder of all runs (default: $TERCET_RUNS or a cache)")
    parser.add_argument("--threads", type=int, default=1, help="of torch; networks are timed on one (default: 1)")
    parser.add_argument("-o", "--output", type=Path, help="the page (default: SETTING.html)")
    options = parser.parse_args()
    if not Path(options.test).is_file():
        parser.error(f"there is no file '{options.test}'")
    torch.set_num_threads(options.threads)
    setting, runs = SETTINGS[options.setting], options.runs or runs_folder()
    folder = runs / f"resnet20-{options.setting}-{options.epochs or setting.epochs}"
    restore(folder)
    if not (folder / CHECKPOINT).is_file():
        parser.error(f"there is no run in '{folder}': train.py makes one")
    try:
        network = read(folder / CHECKPOINT, options.setting)
    except (KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        parser.error(f"{folder / CHECKPOINT}: not a checkpoint of this setting: {error}")
    output = options.output or Path(f"{options.setting}.html")
    tercet.torch.report(
        network.module.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        EXAMPLE, output, test=TestImages(options.test, runs, options.images), history=folder,
        name=f"ResNet-20, {options.setting}, {network.epochs} epochs", on_progress=print,
    )  # fmt: skip
    print(f"{output}: written")


if __name__ == "__main__":
    main()
