"""What Yosys is given: liberty files, and circuits as netlists and expressions, which Icarus finds to be the same."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tercet.api import opt
from tercet.backends.ternary_logic.formats.bits import lines_of
from tercet.backends.ternary_logic.formats.verilog import bench, cells
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.mapping.dot import dot_product
from tercet.backends.ternary_logic.mapping.numbers import Form, positional, sign, sign_pair
from tercet.backends.ternary_logic.netlist import Netlist
from tercet.backends.ternary_logic.simulate import simulate
from tercet.backends.ternary_logic.yosys import inferred as expressions
from tercet.backends.ternary_logic.yosys.behaviour import RULES, Sum, behaviour_of
from tercet.backends.ternary_logic.yosys.explicit import cone, explicit
from tercet.backends.ternary_logic.yosys.inferred import SUMS, forms_of, inferred
from tercet.backends.ternary_logic.yosys.liberty import liberty_of, read_liberty
from tercet.backends.ternary_logic.yosys.recipes import Fpga, StandardCells
from tercet.ir.errors import InputError
from tercet.ir.program import Program

from .helpers import needs_icarus

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "digits_ternary.onnx"
LIBRARY = "nangate45-like"
VECTORS = 256


@cache
def digits() -> Program:
    return opt(DIGITS, ",".join(map(str, gate_passes())))


def digits_tiles(coding: str) -> Iterator[Tile]:
    for tile in tiles(digits(), read_library(LIBRARY), CODINGS[coding]):
        if isinstance(tile, Tile) and tile.netlist.gates:
            yield tile


def test_the_liberty_file_is_the_library() -> None:
    library, liberty = read_library(LIBRARY), liberty_of(read_library(LIBRARY))
    found = re.split(r"\n  cell \((\w+)\) \{\n", liberty.text)
    texts = dict(zip(found[1::2], found[2::2], strict=True))
    assert list(texts) == list(library.cells)
    for name, text in texts.items():
        cell = library.cells[name]
        assert f"area : {cell.area};" in text
        for output, function in cell.outputs.items():
            (expression,) = re.findall(rf'pin \({output}\) {{ direction : output; function : "(.*)"; }}', text)
            code = expression.replace("!", " not ").replace("&", " and ").replace("|", " or ")
            for values in product((0, 1), repeat=cell.inputs):
                assert bool(eval(code, dict(zip(cell.pins, values, strict=True)))) == bool(function(*values))
    assert liberty.transistors["FA"] == 28 and liberty.adders == ("HA", "FA")
    assert not re.search("timing|delay|power|capacitance|leakage", liberty.text)  # nothing that no source gave


def test_what_is_no_liberty_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs binary cells"):
        liberty_of(read_library("lee2019"))
    text = (Path(expressions.__file__).parents[1] / "cells" / f"{LIBRARY}.toml").read_text()
    (tmp_path / "bare.toml").write_text(re.sub(r"(?m)^area = .*$", "", text))
    with pytest.raises(InputError, match="has no area for INV, "):
        liberty_of(read_library(tmp_path / "bare.toml"))
    (tmp_path / "empty.lib").write_text("library (none) {}")
    with pytest.raises(InputError, match="no cells"):
        read_liberty(tmp_path / "empty.lib")
    (tmp_path / "other.lib").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read the liberty file"):
        read_liberty(tmp_path / "other.lib")


def test_the_scripts() -> None:
    recipe = StandardCells(liberty_of(read_library(LIBRARY)))
    assert recipe.script.splitlines() == [
        "read_verilog design.v", "synth -flatten -top top", "abc -liberty cells.lib", "opt_clean -purge",
        "tee -q -o result.json stat -json -liberty cells.lib",
    ]  # fmt: skip
    assert "synth_xilinx -family xc7 -top top -flatten -noiopad -noclkbuf -nodsp" in Fpga("xc7").script
    stat = '{"design": {"num_cells_by_type": {"LUT2": 3, "LUT6": 4, "INV": 1, "CARRY4": 2, "FDRE": 5, "MUXF7": 1}}}'
    found = Fpga().read(stat)
    assert (found.luts, found.carries, found.flip_flops) == (8, 2, 5)
    known = recipe.read('{"design": {"num_cells_by_type": {"NAND2": 2, "FA": 1}, "area": 5.852}}')
    assert (known.transistors, known.area) == (36, 5.852)
    other = recipe.read('{"design": {"num_cells_by_type": {"NAND2_X1": 2}, "area": 0}}')
    assert (other.transistors, other.area, other.size) == (None, None, 2)


def test_which_forms_there_are() -> None:
    """Adders of two numbers only where numbers lie in places; every operation of the demo has an expression."""
    kinds = set()
    for tile in digits_tiles("{neg, pos}"):
        behaviour = behaviour_of(tile, digits())
        assert behaviour is not None
        kinds.add(type(tile.part))
        sums = isinstance(behaviour.outputs[0], Sum)
        in_places = all(form.positional for form, _ in behaviour.inputs)
        assert forms_of(behaviour) == (list(SUMS) if sums and in_places else ["inferred"])
    assert kinds == {kind for kind in RULES if kind.name in
                     ("tn.conv", "tn.matmul", "tn.add", "tn.max_pool", "tn.threshold")}  # fmt: skip
    (conv, *_) = digits_tiles("{neg, pos}")
    behaviour = behaviour_of(conv, digits())
    assert behaviour is not None
    terms = [len(output.places) for output in behaviour.outputs if isinstance(output, Sum)]
    assert abs(terms[behaviour.middle] - np.mean(terms)) == np.abs(np.array(terms) - np.mean(terms)).min()


def assert_same(lines: list[str], netlist: Netlist, feeds: dict[str, np.ndarray], folder: Path) -> None:
    """Icarus, on the vectors of a netlist."""
    values = feeds | dict(simulate(netlist, feeds))
    for port, digits_of_port in values.items():
        (folder / f"top_{port}.mem").write_text("\n".join(lines_of(BINARY, digits_of_port.reshape(-1, VECTORS))) + "\n")
    boxes = [line for line in cells(netlist.library)]
    text = [line for line in lines if "blackbox" not in line]
    (folder / "top.v").write_text("\n".join([*text, *boxes, *bench(netlist, "top", VECTORS), ""]))
    subprocess.run(["iverilog", "-g2005", "-o", "bench", "top.v"], cwd=folder, check=True, timeout=300)
    done = subprocess.run(["vvp", "bench"], cwd=folder, capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == f"PASS {VECTORS}"


def operands(form: Form, size: int, rng: np.random.Generator) -> np.ndarray:
    numbers = rng.integers(form.low, form.high + 1, (size, VECTORS))
    if form.weights == (2,):
        numbers = np.where(numbers > 0, 1, -1)
    numbers[:, 0], numbers[:, 1] = form.low, form.high
    return form.encode(numbers)


@needs_icarus
@pytest.mark.parametrize("coding", ["{neg, pos}", "two's complement"])
def test_every_operation_as_the_netlist_has_it(coding: str, tmp_path: Path) -> None:
    """One output of each operation of the demo: as gates, and as expressions of each kind."""
    rng = np.random.default_rng(0)
    for tile in digits_tiles(coding):
        behaviour = behaviour_of(tile, digits())
        assert behaviour is not None
        chosen = behaviour.middle
        nets = tile.netlist.outputs["y"].reshape(tile.output.wires, -1)[:, chosen]
        alone = cone(tile.netlist, "y", nets)
        assert 0 < alone.gates <= tile.netlist.gates
        feeds = {name: operands(form, size, rng).reshape(*alone.inputs[name].shape, VECTORS)
                 for name, (form, size) in zip(alone.inputs, behaviour.inputs, strict=True)}  # fmt: skip
        whole = simulate(tile.netlist, feeds)["y"].reshape(tile.output.wires, -1, VECTORS)
        np.testing.assert_array_equal(simulate(alone, feeds)["y"], whole[:, chosen])
        assert_same(list(explicit(alone, ("HA", "FA"))), alone, feeds, tmp_path)
        assert_same(list(explicit(alone, ())), alone, feeds, tmp_path)
        for form in forms_of(behaviour):
            assert_same(list(inferred(behaviour.some([chosen]), form)), alone, feeds, tmp_path)


@needs_icarus
@pytest.mark.parametrize("form", [sign_pair(), sign(), positional(BINARY, -1, 1)], ids=lambda form: form.name)
def test_dot_products_as_the_netlist_has_them(form: Form, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    library, terms = read_library(LIBRARY), 20
    fixed = rng.choice([-1, 1], terms)
    for weights in (None, fixed):
        if weights is None and form.positional:  # no netlist of ours: compared with the one of sign pairs
            continue
        netlist, total = dot_product(library, form, terms, weights)
        ports = {name: f"x{i}" for i, name in enumerate(netlist.inputs)}
        renamed = Netlist(library, netlist.wires, netlist.blocks,
                          {ports[name]: nets for name, nets in netlist.inputs.items()}, netlist.outputs)  # fmt: skip
        feeds = {port: operands(form, terms, rng) for port in ports.values()}
        assert_same(list(expressions.dot_product(form, terms, total, weights)), renamed, feeds, tmp_path)


@needs_icarus
def test_a_product_in_twos_complement(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    library, terms, form = read_library(LIBRARY), 20, positional(BINARY, -1, 1)
    netlist, total = dot_product(library, sign_pair(), terms)
    a, b = rng.integers(-1, 2, (2, terms, VECTORS))
    want = simulate(netlist, {"a": sign_pair().encode(a), "b": sign_pair().encode(b)})["y"]
    (tmp_path / "top.v").write_text(
        "\n".join([*expressions.dot_product(form, terms, total), f"""
            module bench; reg [{2 * terms - 1}:0] x0, x1; wire [{total.wires - 1}:0] y;
            reg [{2 * terms - 1}:0] a [0:{VECTORS - 1}], b [0:{VECTORS - 1}]; integer i;
            top dut(x0, x1, y);
            initial begin $readmemb("a.mem", a); $readmemb("b.mem", b);
            for (i = 0; i < {VECTORS}; i = i + 1) begin x0 = a[i]; x1 = b[i]; #1 $display("%b", y); end end
            endmodule
        """])
    )  # fmt: skip
    for name, numbers in (("a", a), ("b", b)):
        (tmp_path / f"{name}.mem").write_text("\n".join(lines_of(BINARY, form.encode(numbers).reshape(-1, VECTORS))))
    subprocess.run(["iverilog", "-g2005", "-o", "bench", "top.v"], cwd=tmp_path, check=True, timeout=300)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.split() == lines_of(BINARY, want)
