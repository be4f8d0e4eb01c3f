"""Yosys itself: the published 64-input dot products, and reports of small networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jets
import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.mapping import dot
from tercet.backends.ternary_logic.mapping.numbers import Form, positional, sign, sign_pair
from tercet.backends.ternary_logic.yosys.cache import Cache
from tercet.backends.ternary_logic.yosys.explicit import explicit
from tercet.backends.ternary_logic.yosys.inferred import dot_product
from tercet.backends.ternary_logic.yosys.liberty import liberty_of, read_liberty
from tercet.backends.ternary_logic.yosys.network import MAPPED
from tercet.backends.ternary_logic.yosys.recipes import CellCount, Fpga, LutCount, StandardCells
from tercet.backends.ternary_logic.yosys.runs import Run, Synthesizer
from tercet.cli import main
from tercet.ir.errors import InputError

from .helpers import needs_yosys, real_yosys

pytestmark = needs_yosys

LIMIT = 600
WEIGHTS = np.repeat([1, -1, 0], [27, 26, 11])
"""Of 64, as in the published comparison."""


@pytest.fixture(scope="module")
def cells() -> StandardCells:
    return StandardCells(liberty_of(read_library("nangate45-like")))


@pytest.fixture
def synthesizer() -> Synthesizer:
    return Synthesizer(real_yosys(), Cache(None), LIMIT)


def cell_count(run: Run) -> CellCount:
    assert isinstance(run.count, CellCount), run.reason
    return run.count


@pytest.mark.parametrize(
    ("form", "gates", "area", "transistors"),
    [(sign_pair(), 763, 924, 5420), (positional(BINARY, -1, 1), 1163, 1376, 8018)],
    ids=["{neg, pos}", "two's complement"],
)
def test_the_published_inferred_circuits(
    form: Form, gates: int, area: float, transistors: int, cells: StandardCells, synthesizer: Synthesizer
) -> None:
    """Variable weights, from expressions, within 2 % (0.4 % with Yosys 0.70)."""
    lines = dot_product(form, 64, positional(BINARY, -64, 64))
    found = cell_count(synthesizer.run(cells, "inferred", lines))
    assert sum(found.cells.values()) == pytest.approx(gates, rel=0.02)
    assert found.area == pytest.approx(area, rel=0.02)
    assert found.transistors == pytest.approx(transistors, rel=0.02)


@pytest.mark.parametrize(
    ("form", "weights", "gates", "area", "transistors"),
    [(sign_pair(), None, 321, 736, 4636), (sign_pair(), WEIGHTS, 163, 463, 2952), (sign(), None, 129, 363, 2344)],
    ids=["{neg, pos}", "fixed weights", "XNOR and popcount"],
)
def test_the_published_explicit_circuits(
    form: Form, weights: NDArray[np.integer] | None, gates: int, area: float, transistors: int,
    cells: StandardCells, synthesizer: Synthesizer,
) -> None:  # fmt: skip
    """Trees of full adders, which Yosys leaves as they are, and never more than tercet's own count. It takes the offset
    of fixed weights into the last adder of a place, which saves four of the published 163 gates."""
    netlist, total = dot.dot_product(read_library("nangate45-like"), form, 64, weights)
    found = cell_count(synthesizer.run(cells, "explicit", explicit(netlist, cells.adders)))
    adders = {name: netlist.counts.get(name, 0) for name in ("FA", "HA")}
    assert {name: found.cells.get(name, 0) for name in adders} == adders
    assert found.transistors is not None and found.transistors <= netlist.transistors
    assert sum(found.cells.values()) == pytest.approx(gates - (4 if weights is not None else 0), rel=0.02)
    assert found.area == pytest.approx(area, rel=0.02)
    assert found.transistors == pytest.approx(transistors, rel=0.02)
    inferred = cell_count(synthesizer.run(cells, "inferred", dot_product(form, 64, total, weights)))
    assert inferred.size > found.size  # ABC has no full adders to map to


def test_luts(synthesizer: Synthesizer) -> None:
    found = synthesizer.run(Fpga("xc7"), "inferred", dot_product(sign(), 12, positional(BINARY, -12, 12))).count
    assert isinstance(found, LutCount)
    assert 12 <= found.luts < 40 and found.flip_flops == 0
    assert found.luts == sum(n for cell, n in found.cells.items() if cell.startswith(("LUT", "INV")))
    assert {cell.rstrip("123456789") for cell in found.cells} <= {"LUT", "INV", "CARRY", "MUXF"}


CELL = "cell (%s) { area : %d; %s pin (Y) { direction : output; function : \"%s\"; } }"
PINS = "pin (A) { direction : input; } pin (B) { direction : input; }"
INVERTER = CELL % ("NOT_X1", 2, "pin (A) { direction : input; }", "!A")
BUFFER = CELL % ("BUF_X1", 3, "pin (A) { direction : input; }", "A")
NAND = CELL % ("NAND_X1", 4, PINS, "!(A & B)")


def test_a_liberty_file_of_ones_own(tmp_path: Path, synthesizer: Synthesizer) -> None:
    """Its cells and areas, and no transistors, which it does not say."""
    (tmp_path / "mine.lib").write_text(f"library (mine) {{ {INVERTER} {BUFFER} {NAND} }}")
    recipe = StandardCells(read_liberty(tmp_path / "mine.lib"))
    synthesizer.check(recipe)
    found = cell_count(synthesizer.run(recipe, "inferred", dot_product(sign(), 4, positional(BINARY, -4, 4))))
    assert found.cells.keys() <= {"NOT_X1", "BUF_X1", "NAND_X1"}
    areas = {"NOT_X1": 2, "BUF_X1": 3, "NAND_X1": 4}
    assert found.area == sum(areas[cell] * count for cell, count in found.cells.items())
    assert found.transistors is None and found.size == found.area


@pytest.mark.parametrize(
    "text", [f"library (mine) {{ {INVERTER} {NAND}", f"library (mine) {{ {INVERTER} }}", "cells: none of them"],
    ids=["cut off", "too few", "no liberty"],
)  # fmt: skip
def test_a_broken_liberty_file(text: str, tmp_path: Path, synthesizer: Synthesizer) -> None:
    (tmp_path / "mine.lib").write_text(text)
    with pytest.raises(InputError, match=r"mine\.lib: Yosys (cannot map to it|finds too few cells)"):
        synthesizer.check(StandardCells(read_liberty(tmp_path / "mine.lib")))


def small() -> onnx.ModelProto:
    """Integers: a product with ternary weights, a bias, ReLU."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], "cast", to=TensorProto.INT64),
        helper.make_node("MatMul", ["h", "w"], ["s"], "product"),
        helper.make_node("Relu", ["s"], ["y"], "relu"),
    ]
    weights = numpy_helper.from_array(rng.integers(-1, 2, (6, 3)).astype(np.int64), "w")
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 6])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 3])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every operation in every coding, the better of the circuits, and what its number is made of."""
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    onnx.save(small(), tmp_path / "small.onnx")
    assert main(["cost", str(tmp_path / "small.onnx"), "--yosys", "--json", "--time-limit", "600"]) == 0
    found = json.loads(capsys.readouterr().out)
    operations = found["synthesis"]["operations"]
    assert [(one["name"], one["coding"], one["recipe"]) for one in operations] == [
        (name, coding, recipe)
        for coding in ("{neg, pos}", "two's complement")
        for name in ("matmul", "relu")
        for recipe in ("cells of nangate45-like", "LUTs of xcup")
    ]
    own = {(cost["coding"], one["name"]): one for cost in found["costs"] for one in cost["operations"]}
    for one in operations:
        assert one["outputs"] == 3 and one["copies"] == 1
        assert [run["form"] for run in one["pixel"]] == [run["form"] for run in one["output"]]
        assert ("inferred adders" in {run["form"] for run in one["pixel"]}) == (one["name"] == "matmul")
        whole, counts = one["whole"], {run["form"]: run["count"] for run in one["pixel"]}
        if "luts" in whole["count"]:
            assert whole["count"] == min(counts.values(), key=lambda count: count["luts"])
            assert counts[whole["form"]]["luts"] == whole["count"]["luts"]
        else:
            mapped = own[one["coding"], one["name"]]
            sizes = {form: count["transistors"] for form, count in counts.items()} | {MAPPED: mapped["transistors"]}
            assert whole["count"]["transistors"] == min(sizes.values()) == sizes[whole["form"]]
        assert "1 times a pixel" in whole["how"]
    files = set((tmp_path / "yosys").iterdir())
    report = tercet.cost(tmp_path / "small.onnx", synthesis=tercet.Synthesis(limit=600))
    assert set((tmp_path / "yosys").iterdir()) == files
    assert json.loads(json.dumps(report.to_json())) == found
    assert main(["cost", str(tmp_path / "small.onnx"), "--yosys", "--time-limit", "600"]) == 0
    out = capsys.readouterr().out
    assert "extrapolated: 1 times a pixel that was synthesised" in out or "mapped" in out
    assert "LUTs of xcup" in out and "Yosys 0." in out and "at most 600 s a run" in out


def test_a_report_of_what_ran_out_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said for each run, and what has no number at all is in no sum."""
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    report = tercet.cost(small(), codings=["{neg, pos}"], libraries=["nangate45-like"],
                         synthesis=tercet.Synthesis(limit=0.01))  # fmt: skip
    assert report.synthesis is not None
    for one in report.synthesis.operations:
        assert {run.reason for run in one.output} == {"ran out of its 0.01 s"}
        assert {run.reason for run in one.pixel} == {"not tried, as one output ran out of time"}
    forms = [one.whole and one.whole.form for one in report.synthesis.operations]
    assert forms == [MAPPED, None, MAPPED, None]
    text = "\n".join(report.summary())
    assert "in no sum, as nothing came to an end: MatMul:product, Relu:relu" in text


def test_the_jet_networks_as_their_authors_compute(models: Path) -> None:
    """The integers of `benchmarks/jets.py` are the networks' sums, without quantizers, in fixed point."""
    rng = np.random.default_rng(0)
    for name in jets.PUBLISHED:
        file = models / "jets" / f"{name}.npz"
        arrays, model = np.load(file), jets.network(file)
        x = rng.integers(-3 * 1024, 3 * 1024, (1, 16)).astype(np.int16)
        evaluated: Any = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
        have = evaluated[0]
        values, total = x * jets.UNIT, 1.0
        for i in range(len(arrays.files) // 2):
            parts = arrays[f"layers.{i}.weight"], arrays[f"layers.{i}.bias"]
            weights, bias, scale = jets.quantized(*parts, name.startswith("bit158"))
            values, total = values @ weights.T * scale + bias, total * scale
            values = values if i + 1 == len(arrays.files) // 2 else np.maximum(values, 0)
        np.testing.assert_allclose(have * jets.UNIT * total, values, atol=0.02 * max(1.0, float(np.abs(values).max())))


@pytest.mark.nightly
def test_luts_of_the_jet_networks(models: Path) -> None:
    """Within a factor of two of the published estimates. The order is theirs for each kind of weights, and for both
    sizes; the one pair that is not, and why: benchmarks/README.md."""
    synthesizer = Synthesizer(real_yosys(), Cache(None), LIMIT)
    found = {name: jets.total(layers) for name, layers in jets.compare(models, synthesizer, 4).items()}
    luts = {name: count for name, count in found.items() if count is not None}
    assert luts.keys() == jets.PUBLISHED.keys()
    for name, published in jets.PUBLISHED.items():
        assert 0.5 < luts[name] / published < 2
    for kind in ("bit158", "bitnet"):
        assert luts[f"{kind}_64_32_32"] < luts[f"{kind}_128_32"]
    for size in ("64_32_32", "128_32"):
        assert luts[f"bit158_{size}"] < luts[f"bitnet_{size}"]
