"""tercet cost: the table, its CSV and JSON, and what is wrong with options."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tercet
from tercet.backends.ternary_logic.cost import Outside
from tercet.backends.ternary_logic.library import SHIPPED
from tercet.backends.ternary_logic.report import HINT, break_even
from tercet.backends.ternary_logic.yosys.network import NetworkSynthesis, OperationSynthesis, Whole
from tercet.backends.ternary_logic.yosys.recipes import CellCount
from tercet.cli import main
from tercet.ir.errors import InputError

DIGITS = str(Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx")


def test_the_table_says_who_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", DIGITS, "--csv", str(tmp_path / "cost.csv")]) == 0
    out = capsys.readouterr().out
    report = tercet.cost(DIGITS)
    ternary, pairs, complement = report.costs
    factor = ternary.transistors / min(pairs.transistors, complement.transistors)
    assert f"Binary wins: the ternary circuit has {factor:.2f} times as many" in out
    edge = break_even(ternary, min(pairs.transistors, complement.transistors))
    assert f"It turns at a ternary full adder of {edge:.0f} transistors" in out and "cntfet32-static has 126" in out
    assert "in no sum (it works on floats): image.quantize (quantize), fc2 (dequantize), fc2.add_bias (add)" in out
    assert "--activations" not in out
    rows = list(csv.DictReader((tmp_path / "cost.csv").open()))
    totals = [row for row in rows if row["operation"] == "all"]
    assert [int(row["transistors"]) for row in totals] == [c.transistors for c in (ternary, pairs, complement)]
    assert sum(int(row["gates"]) for row in rows if row["coding"] == totals[0]["coding"]) == 2 * ternary.gates
    assert not any("," in row["cells"] for row in rows) and any(" FA" in row["cells"] for row in rows)


def test_json_leaves_out_nothing_and_makes_up_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", DIGITS, "--library", "lee2019", "--library", "nangate45-like", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["library"], one["coding"]) for one in found["costs"]] == [
        ("lee2019", "ternary"), ("nangate45-like", "{neg, pos}"), ("nangate45-like", "two's complement"),
    ]  # fmt: skip
    lee, pairs, _ = found["costs"]
    assert lee["area"] is None and lee["supply"] is None and pairs["area"] > 0
    assert not {"delay", "energy", "power", "seconds"} & {key for one in found["costs"] for key in one}
    assert lee["sources"]["FA"]["verified"] is False and "Quine-McCluskey" in lee["sources"]["FA"]["citation"]
    assert sum(one["transistors"] for one in lee["operations"]) == lee["transistors"]
    assert [one["reason"] for one in lee["outside"]] == ["it works on floats"] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--library", "cmos"], "no cell library 'cmos'"),
        (["--coding", "gray"], "no coding 'gray'"),
        (["--library", "lee2019", "--coding", "{neg, pos}"], "no coding of {neg, pos} goes with lee2019, whose digits"),
        (["--library", "lee2019", "--library", "nangate45-like", "--coding", "ternary"], "goes with nangate45-like"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", DIGITS, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_floats_is_not_counted_as_nothing(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "act")], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "relu.onnx")
    with pytest.raises(InputError, match="no operation of the model has gates: Relu:act: it works on floats"):
        tercet.cost(tmp_path / "relu.onnx")


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    libraries = [word for name in ("cntfet32-static", "lee2019", "nangate45-like") for word in ("--library", name)]
    assert main(["cost", DIGITS, *libraries, "--html", str(tmp_path / "cost.html")]) == 0
    page, report = (tmp_path / "cost.html").read_text(), tercet.cost(DIGITS, libraries=libraries[1::2])
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    for sentence in report.verdict():
        assert f'<p class="headline">{escape(sentence)}</p>' in page
    for cost in report.costs:
        assert f"{cost.transistors:,}" in page and f"{cost.zeros_save:,}" in page
        for cell in cost.library.cells.values():
            assert f"<td>{cell.name}</td>" in page and cell.source.citation in page
    ternary, binary = report.best(binary=False), report.best(binary=True)
    assert ternary is not None and binary is not None and ternary.library.name == "lee2019"
    for one, other in zip(ternary.operations, binary.operations, strict=True):
        row = f'<td class="number">{one.transistors:,}</td><td class="number">{other.transistors:,}</td>'
        assert f'{row}<td class="number">{one.transistors / other.transistors:.2f}</td>' in page
    assert f"even at {break_even(ternary, binary.transistors):.1f}" in page
    assert page.count("<circle") == 2 * 8 + 2, "two lines, and what each library has"
    assert page.count("it works on floats") == 3 and "What is not modelled" in page
    assert "<td>yes</td><td>Nangate" in page and "<td>no</td><td>S. Lee" in page


def test_the_page_of_one_kind_alone(tmp_path: Path) -> None:
    """Without a circuit to compare with there is nothing to say of who wins, and no ratio."""
    for library in ("lee2019", "nangate45-like"):
        report = tercet.cost(DIGITS, libraries=[library], html=tmp_path / "cost.html")
        page = (tmp_path / "cost.html").read_text()
        assert "wins" not in page and "Not shown: it needs a ternary circuit" in page and not report.verdict()
        assert f"{report.costs[0].transistors:,}" in page


def test_outputs_that_cannot_be_written_are_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for option, where in (("--html", tmp_path), ("--verilog", tmp_path / "file"), ("--csv", tmp_path)):
        assert main(["cost", "no model.onnx", option, str(where)]) == 2
        assert str(where) in capsys.readouterr().err
    same = str(tmp_path / "cost.html")
    assert main(["cost", "no model.onnx", "--html", same, "--csv", same]) == 2
    assert "is given for two results" in capsys.readouterr().err
    inside = str(tmp_path / "out" / "cost.csv")
    assert main(["cost", DIGITS, "--csv", inside, "--verilog", str(tmp_path / "out")]) == 2
    assert "which is for other results alone" in capsys.readouterr().err
    model = tmp_path / "model.onnx"
    model.write_bytes(Path(DIGITS).read_bytes())
    assert main(["cost", str(model), "--html", str(model)]) == 2
    assert "is read, and would be written over" in capsys.readouterr().err
    assert model.read_bytes() == Path(DIGITS).read_bytes()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"lanes": 2.5}, "lanes: expected a whole number from 1, or 0 for no array, got 2.5"),
        ({"lanes": True}, "got True"),
        ({"lanes": 10**9}, "lanes: no sum of the model has more than 576 products, got 1,000,000,000"),
        ({"libraries": "lee2019"}, "libraries: expected a list of names, got 'lee2019'"),
        ({"codings": "ternary"}, "codings: expected a list of names, got 'ternary'"),
    ],
)
def test_wrong_arguments(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        tercet.cost(DIGITS, **choices)


def test_what_is_given_twice_is_counted_once(tmp_path: Path) -> None:
    report = tercet.cost(DIGITS, libraries=["lee2019", "lee2019"], codings=["ternary", "ternary"])
    assert len(report.costs) == 1
    text = (SHIPPED / "lee2019.toml").read_text()
    (tmp_path / "other.toml").write_text(text.replace("transistors = 106", "transistors = 90"))
    with pytest.raises(InputError, match="two cell libraries are called 'lee2019'"):
        tercet.cost(DIGITS, libraries=["lee2019", tmp_path / "other.toml"])


def test_operations_without_gates_are_in_the_verdict() -> None:
    report = tercet.cost(DIGITS, shared=False)
    left_out = Outside("cast", ("wrap",), "tn.cast has no gates")
    costs = tuple(replace(cost, outside=(*cost.outside, left_out)) for cost in report.costs)
    assert replace(report, costs=costs).verdict()[-1] == "In neither are operations on integers without gates: wrap."


def test_the_hint_is_for_layers_on_floats(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    nodes.append(helper.make_node("Relu", ["i"], ["o"], "act"))
    ports = [("x", TensorProto.FLOAT, [1, 4]), ("i", TensorProto.INT8, [1, 4])]
    results = [("y", TensorProto.FLOAT, [1, 3]), ("o", TensorProto.INT8, [1, 4])]
    inputs, outputs = ([helper.make_tensor_value_info(*port) for port in side] for side in (ports, results))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "mixed.onnx")
    report = tercet.cost(tmp_path / "mixed.onnx", html=tmp_path / "cost.html")
    assert f"hint: {HINT}" in report.summary() and "--activations" in (tmp_path / "cost.html").read_text()


def test_the_verdict_on_what_yosys_makes() -> None:
    """Where its circuits are smaller and all are known, they are what the ternary one is compared with."""
    report = tercet.cost(DIGITS)
    binary = report.best(binary=True)
    assert binary is not None and len(report.verdict()) == 2

    def synthesis(transistors: int | None, *, missing: bool = False) -> NetworkSynthesis:
        whole = Whole(CellCount({"INV": 1}, transistors, None), "explicit", "1 times a pixel")
        wholes = [whole, None if missing else whole]
        each = [OperationSynthesis("conv", ("a",), "{neg, pos}", "cells", 1, 1, (), (), one) for one in wholes]
        return NetworkSynthesis("Yosys 0.70", 60.0, tuple(each))

    half = replace(report, synthesis=synthesis(binary.transistors // 4)).verdict()
    ternary = report.best(binary=False)
    assert ternary is not None and half[:2] == report.verdict()
    factor = ternary.transistors / (2 * (binary.transistors // 4))
    assert f"the ternary circuit has {factor:.2f} times as many transistors" in half[2]
    assert "{neg, pos}, the smallest circuits of Yosys and tercet" in half[2]
    for other in (synthesis(binary.transistors), synthesis(None), synthesis(1, missing=True)):
        assert replace(report, synthesis=other).verdict() == report.verdict()
