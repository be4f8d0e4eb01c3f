#!/usr/bin/env python3
"""Look-up tables of four jet-tagging networks, against published estimates of the same networks.

    python benchmarks/jets.py [--models ../shared/models] [--outputs 8] [--limit 300] [--json FILE]

The networks are MLPs of 16 inputs with ternary (`bit158`) or binary (`bitnet`) weights, from
github.com/nairods/fastml_bitnet_benchmark (Apache-2.0). Published are the C-synthesis estimates of Vitis HLS 2023.1 for
a VU13P (UltraScale+), one inference a cycle, before place and route: means of three trainings, of which the files here
are one each. They compute with fixed-point numbers, inputs of 16 bits (ap_fixed<16,6>), no quantizers between layers,
scales folded into the biases. So do the networks here: every sum exact, biases rounded to the inputs' unit.

What is synthesised: of each layer, `--outputs` neurons in one circuit, spread evenly, times all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tercet.api import import_model
from tercet.backends.ternary_logic.library import DEFAULT_BINARY, read_library
from tercet.backends.ternary_logic.lowering.coding import TWOS_COMPLEMENT
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.yosys.behaviour import behaviour_of, size_of
from tercet.backends.ternary_logic.yosys.cache import Cache
from tercet.backends.ternary_logic.yosys.inferred import forms_of, inferred
from tercet.backends.ternary_logic.yosys.recipes import Fpga, LutCount
from tercet.backends.ternary_logic.yosys.runs import Synthesizer
from tercet.backends.ternary_logic.yosys.tool import find_yosys
from tercet.driver.tuning import cache_folder
from tercet.passes.pipeline import numbered, run_passes

PUBLISHED = {"bit158_64_32_32": 80744, "bitnet_64_32_32": 87325, "bit158_128_32": 94637, "bitnet_128_32": 114887}
"""LUTs, in ascending order."""

UNIT = 2.0**-10
"""Of the inputs."""


@dataclass(frozen=True)
class Layer:
    """An operation of a network. part: how many of its outputs were synthesised, in `luts` and `carries`. times: what
    the whole is of that, by the terms of its sums, which neurons differ in. form: of the circuit. luts is None where it
    ran out of time."""

    name: str
    outputs: int
    part: int
    times: float
    form: str
    luts: int | None
    carries: int

    @property
    def all_luts(self) -> float | None:
        return None if self.luts is None else self.luts * self.times


def quantized(
    weights: NDArray[np.floating], bias: NDArray[np.floating], ternary: bool
) -> tuple[NDArray, NDArray, float]:
    """Weights of -1, 0 and 1, the bias, and the scale, as the networks' authors round them."""
    scale = max(float(np.abs(weights).mean()), 1e-8)
    chosen = np.clip(np.rint(weights / scale), -1, 1) if ternary else np.sign(weights - weights.mean())
    fixed = [np.clip(np.rint(np.asarray(x) / 2**-7) * 2**-7, -1, 1 - 2**-7) for x in (bias, scale)]
    return chosen.astype(np.int64), fixed[0], float(fixed[1])


def network(file: Path) -> onnx.ModelProto:
    """The network on whole numbers: a sum, a bias and a ReLU each layer, of int16 inputs."""
    arrays = np.load(file)
    count = len(arrays.files) // 2
    nodes = [helper.make_node("Cast", ["x"], ["h0"], "cast", to=TensorProto.INT64)]
    constants, total = [], UNIT
    for i in range(count):
        weights, bias, scale = quantized(
            arrays[f"layers.{i}.weight"], arrays[f"layers.{i}.bias"], file.name.startswith("bit158")
        )  # fmt: skip
        total *= scale
        constants += [
            numpy_helper.from_array(weights.T.copy(), f"w{i}"),
            numpy_helper.from_array(np.rint(bias / total).astype(np.int64), f"b{i}"),
        ]
        nodes += [
            helper.make_node("MatMul", [f"h{i}", f"w{i}"], [f"s{i}"], f"layer{i}"),
            helper.make_node("Add", [f"s{i}", f"b{i}"], [f"a{i}"], f"bias{i}"),
        ]
        if i + 1 < count:
            nodes.append(helper.make_node("Relu", [f"a{i}"], [f"h{i + 1}"], f"relu{i}"))
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT16, [1, 16])]
    outputs = [helper.make_tensor_value_info(f"a{count - 1}", TensorProto.INT64, [1, 1])]
    graph = helper.make_graph(nodes, file.stem, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def layers_of(model: onnx.ModelProto, synthesizer: Synthesizer, outputs: int) -> list[Layer]:
    """The operations of a network that have gates."""
    program = import_model(model)
    run_passes(program, numbered(gate_passes()))
    recipe, found = Fpga("xcup"), list[Layer]()
    for tile in tiles(program, read_library(DEFAULT_BINARY), TWOS_COMPLEMENT):
        if not isinstance(tile, Tile):
            raise SystemExit(f"not mapped: {tile}")
        behaviour = behaviour_of(tile, program)
        if behaviour is None or not tile.netlist.gates:
            continue
        whole = len(behaviour.outputs)
        part = min(outputs, whole)
        chosen = behaviour.some(np.linspace(0, whole - 1, part).astype(int).tolist())
        form = forms_of(behaviour)[-1]  # sums as trees of adders: for numbers this wide always the fewest LUTs
        count = synthesizer.run(recipe, form, inferred(chosen, form)).count
        luts, carries = (count.luts, count.carries) if isinstance(count, LutCount) else (None, 0)
        times = sum(map(size_of, behaviour.outputs)) / max(sum(map(size_of, chosen.outputs)), 1)
        found.append(Layer(tile.operation.name, whole, part, times, form, luts, carries))
    return found


def compare(folder: Path, synthesizer: Synthesizer, outputs: int) -> Mapping[str, Sequence[Layer]]:
    return {name: layers_of(network(folder / "jets" / f"{name}.npz"), synthesizer, outputs) for name in PUBLISHED}


def total(layers: Sequence[Layer]) -> float | None:
    """LUTs; None where a layer has none."""
    counts = [layer.all_luts for layer in layers]
    return None if None in counts else sum(count for count in counts if count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("TERCET_MODELS", "../shared/models")))
    parser.add_argument("--outputs", type=int, default=8, help="neurons of a layer that are synthesised (default: 8)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for each run of Yosys (default: 300)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    synthesizer = Synthesizer(find_yosys(), Cache(cache_folder() / "yosys"), options.limit)
    found = compare(options.models, synthesizer, options.outputs)
    for name, layers in found.items():
        have = total(layers)
        published = PUBLISHED[name]
        ratio = "" if have is None else f"{have:9,.0f} LUTs, {have / published:.2f} of {published:,} published"
        print(f"{name:16} {ratio or 'a layer ran out of time'}")
        for layer in layers:
            print(f"    {layer.name:10} {layer.part} of {layer.outputs} outputs: {layer.luts} LUTs, {layer.form}")
    if options.json is not None:
        options.json.write_text(json.dumps({name: [asdict(each) for each in layers] for name, layers in found.items()}))
    totals = [total(layers) for layers in found.values()]
    known = [count for count in totals if count is not None]
    sys.exit(0 if known == sorted(known) and len(known) == len(totals) else "not in the published order")


if __name__ == "__main__":
    main()
