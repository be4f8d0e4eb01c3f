"""Netlists as Verilog and BLIF, run by others: Icarus Verilog, and a small reader of BLIF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tercet.backends.ternary_logic.formats.bits import bits_of
from tercet.backends.ternary_logic.formats.blif import blif
from tercet.backends.ternary_logic.formats.verilog import bench_files, cells
from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library, shipped
from tercet.backends.ternary_logic.mapping.adders import add_up
from tercet.backends.ternary_logic.mapping.numbers import Number, positional, sign_pair, weighted
from tercet.backends.ternary_logic.mapping.thresholds import at_least
from tercet.backends.ternary_logic.netlist import Builder, Netlist
from tercet.backends.ternary_logic.simulate import every_vector, simulate

from .helpers import icarus, simulated, write_bench


def neuron(library: str, terms: int, rng: np.random.Generator) -> tuple[Netlist, dict[str, np.ndarray]]:
    """Weighted sums of 2 pixels and whether they reach a bound, and digits of 4096 vectors for all of its ports."""
    cells_of, weights = read_library(library), rng.integers(-3, 4, terms)
    form = positional(BALANCED, -1, 1) if cells_of.digits == BALANCED else sign_pair()
    builder = Builder(cells_of)
    total = add_up(builder, weighted(builder, Number(builder.input("x", form.wires, terms, 2), form), weights))
    builder.output("sum", total.nets)
    answer = at_least(builder, Number(total.nets[:, None], total.form), np.array([2]))
    builder.output("y", answer)
    netlist = builder.finish()
    feeds = {"x": form.encode(rng.integers(-1, 2, (terms, 2, 4096)))}
    return netlist, feeds | dict(simulate(netlist, feeds))


@icarus
@pytest.mark.parametrize("library", ["cntfet32-static", "lee2019", "nangate45-like"])
def test_icarus_computes_the_same(library: str, tmp_path: Path) -> None:
    netlist, values = neuron(library, 9, np.random.default_rng(0))
    write_bench(netlist, tmp_path, values, about="a line\nthat would end `endmodule`")
    assert simulated(tmp_path) == "PASS 4096"
    wrong = values["y"].copy()
    wrong[..., 5] = 1 - wrong[..., 5]
    write_bench(netlist, tmp_path, values | {"y": wrong})
    assert simulated(tmp_path) == "FAIL 1 of 4096"


@icarus
@pytest.mark.parametrize("library", shipped())
def test_the_cell_file_is_the_library(library: str, tmp_path: Path) -> None:
    """Every cell on every input, in Icarus."""
    found = read_library(library)
    builder = Builder(found)
    wires = builder.input("x", max(cell.inputs for cell in found.cells.values()))
    outputs = [wire for cell in found.cells.values() for wire in builder.gate(cell, *wires[: cell.inputs])]
    builder.output("y", np.array(outputs))
    vectors = every_vector(found.digits, len(wires))
    netlist = builder.finish()
    write_bench(netlist, tmp_path, {"x": vectors} | simulate(netlist, {"x": vectors}))
    assert simulated(tmp_path) == f"PASS {vectors.shape[1]}"


def models(text: str) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    current = list[list[str]]()
    for line in text.splitlines():
        words = line.split()
        if words[0] == ".model":
            found[words[1]] = current = []
        elif words[0] != ".end":
            current.append(words)
    return found


def evaluated(models_: Mapping[str, list[list[str]]], name: str, nets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a model in BLIF. nets: truth values of its inputs [vectors]."""
    vectors = next(iter(nets.values())).shape
    outputs, table = list[str](), list[str]()
    for words in models_[name]:
        match words[0]:
            case ".outputs":
                outputs = words[1:]
            case ".names":
                table = words[1:]
                nets[table[-1]] = np.zeros(vectors, bool)
            case ".subckt":
                pins = dict(word.split("=") for word in words[2:])
                given = {pin: nets[net] for pin, net in pins.items() if net in nets}
                nets |= {pins[pin]: bits for pin, bits in evaluated(models_, words[1], given).items()}
            case ".inputs":
                assert set(words[1:]) == set(nets)
            case _:
                *given_bits, result = words
                assert result == "1"
                row = np.ones(vectors, bool)
                for net, bit in zip(table[:-1], "".join(given_bits), strict=True):
                    row &= nets[net] == (bit == "1")
                nets[table[-1]] |= row
    return {net: nets[net] for net in outputs}


def bits(port: str, values: np.ndarray, library: str) -> Iterator[tuple[str, np.ndarray]]:
    digits = read_library(library).digits
    legs = ("",) if digits == BINARY else ("_neg", "_pos")
    for i, row in enumerate(values.reshape(-1, values.shape[-1])):
        for j, leg in enumerate(legs):
            yield f"{port}_{i}{leg}", np.array([bits_of(digits, value)[j] == "1" for value in row.tolist()])


@pytest.mark.parametrize("library", ["cntfet32-static", "nangate45-like"])
def test_blif_means_the_same(library: str) -> None:
    netlist, values = neuron(library, 6, np.random.default_rng(1))
    have = evaluated(models("\n".join(blif(netlist, "neuron"))), "neuron", dict(bits("x", values["x"], library)))
    want = dict(bits("sum", values["sum"], library)) | dict(bits("y", values["y"], library))
    assert have.keys() == want.keys()
    for name, row in want.items():
        np.testing.assert_array_equal(have[name], row)


def test_numbers_stand_beside_their_source() -> None:
    text = "\n".join(cells(read_library("lee2019")))
    assert "// 106 transistors, 0 more of inverters: S. Lee, S. Kim and S. Kang" in text
    assert text.count("endmodule") == len(read_library("lee2019").cells)


def test_vectors_that_do_not_fit() -> None:
    netlist, values = neuron("lee2019", 4, np.random.default_rng(2))
    for wrong in ({"x": values["x"]}, values | {"y": values["y"][..., 1:]}, values | {"y": values["y"][:, :1]}):
        with pytest.raises(ValueError, match="neuron: expected vectors of x, sum, y, as many of each"):
            bench_files(netlist, "neuron", wrong)
