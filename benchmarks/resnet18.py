"""Writes a ResNet-18 in one of the forms of `suite/resnet18.py`: python benchmarks/resnet18.py FORM [-o FILE]"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import suite.resnet18


def main() -> None:
    parser = argparse.ArgumentParser(
        description=suite.resnet18.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=suite.resnet18.FORMS)
    parser.add_argument("-o", "--output", type=Path, help="the .onnx file (default: the model's name)")
    parser.add_argument("--shortcut", choices=("quantized", "float"), default="quantized")
    parser.add_argument("--weights", choices=("ternary", "binary", "signed-binary"), default="ternary")
    parser.add_argument("--ends", choices=("float32", "int8"), default="float32", help="the first and last layer")
    parser.add_argument("--size", type=int, default=224, help="pixels of the square input")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    model = suite.resnet18.resnet18(
        o.form, shortcut=o.shortcut, weights=o.weights, ends=o.ends, seed=o.seed, size=o.size
    )
    path = o.output or Path(f"{model.graph.name}.onnx")
    onnx.save(model, str(path))
    print(path)


if __name__ == "__main__":
    main()
