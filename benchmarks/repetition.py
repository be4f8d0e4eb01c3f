"""The repetition-sparsity report of trained models, and of the int8 weights in a torch state dict.

    python benchmarks/repetition.py [--budget 1] [--html DIR] MODEL.onnx ... STATE.pt ...

A state dict (a .pt file, or a .zip with one) is read with `torch.load(weights_only=True)`, from the torch extra: every
matrix or filter of int8 values in {-1, 0, 1} is a layer. It does not say which layers are grouped: filters of depthwise
layers count as if all of them read the same channel. Each factoring is evaluated back to its weights.
"""

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tercet.api import repetition
from tercet.backends.c.sum_search import NativeSearch
from tercet.ir.repetition import LayerRepetition
from tercet.passes.sum_merge import analyse
from tercet.runtime.report.repetition_html import repetition_html
from tercet.runtime.report.repetition_text import HEADER, repetition_rows


def state_layers(path: Path, budget: float) -> list[LayerRepetition]:
    """The layers of a state dict whose stored values are weights of -1, 0 and 1."""
    import torch

    data: Path | io.BytesIO = path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".pt", ".pth"))]
            if len(names) != 1:
                raise SystemExit(f"{path}: expected one .pt file inside, got {names}")
            data = io.BytesIO(archive.read(names[0]))
    state = torch.load(data, weights_only=True, map_location="cpu")
    found = []
    for name, value in _tensors(state):
        array = value.numpy()
        if array.dtype == np.int8 and array.ndim >= 2 and np.isin(array, (-1, 0, 1)).all():
            found.append(analyse(array, budget, search=NativeSearch, symbol=name, nodes=(f"Parameter:{name}",)))
    return found


def _tensors(state: object, prefix: str = "") -> list[tuple[str, Any]]:
    """The tensors of nested dictionaries by their dotted names."""
    if isinstance(state, dict):
        return [found for key, value in state.items() for found in _tensors(value, f"{prefix}{key}.")]
    return [(prefix.rstrip("."), state)] if hasattr(state, "numpy") else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--budget", type=float, default=1, help="CPU seconds for each coding of each layer")
    parser.add_argument("--html", type=Path, metavar="DIR", help="write a page with a plot for each model")
    options = parser.parse_args()
    for path in options.models:
        onnx = path.suffix == ".onnx"
        layers = repetition(path, budget=options.budget) if onnx else state_layers(path, options.budget)
        print(f"\n{path.name}\n\n| {' | '.join(HEADER)} |\n{'| --- ' * len(HEADER)}|")
        for row in repetition_rows(layers):
            print(f"| {' | '.join(row)} |", flush=True)
        if options.html is not None:
            options.html.mkdir(parents=True, exist_ok=True)
            (options.html / f"{path.stem}.html").write_text(repetition_html(path.stem, layers))


if __name__ == "__main__":
    main()
