"""Every step has one name: in the IR, the C and its files, layers.json and reports; and inspect takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tercet.api import compile, inspect
from tercet.ir.errors import InputError
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.report.inspection import Inspection
from tercet.runtime.report.text import inspection_text

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return Artifact.open(compile(DIGITS, tmp_path_factory.mktemp("names") / "digits.tercet", engines="table").path)


@pytest.fixture(scope="module")
def found(artifact: Artifact) -> Inspection:
    return inspect(artifact.path)


def test_one_name_everywhere(artifact: Artifact, found: Inspection) -> None:
    symbols = [layer.symbol for layer in artifact.layers_of(artifact.best)]
    assert any(re.fullmatch(r"t\d\d_convert", s) for s in symbols) and "k02_conv2" in symbols
    assert [row.symbol for row in found.layers] == symbols
    assert re.findall(r'\bsymbol = "(\w+)"', found.text_after()) == symbols
    assert {f"src/{symbol}.c" for symbol in symbols} <= set(artifact.names)
    for symbol in symbols:
        assert f"void {symbol}(const struct tercet_task *task)" in artifact.read_text(f"src/{symbol}.c")
    steps = artifact.read_text("src/definition.c").partition("struct tercet_step steps[] = {")[2]
    assert re.findall(r"^    \{(\w+), ", steps, re.MULTILINE)[: len(symbols)] == symbols
    shown = inspection_text(found).partition("\nstep ")[2].splitlines()[2:]
    assert [line.split()[0] for line in shown[: len(symbols)]] == symbols


def test_inspect_takes_symbol_number_and_node(found: Inspection) -> None:
    for i, row in enumerate(found.layers):
        text = found.operations(row.symbol)
        assert text == found.operations(str(i))
        assert text.count("kn.") >= 1 and f'symbol = "{row.symbol}"' in text
        assert text.count('symbol = "') == 1
    conv2 = next(row for row in found.layers if row.symbol == "k02_conv2")
    assert conv2.engine == "table"
    assert found.operations("k02_conv2") in found.operations("conv2")
    assert "tn.conv " in found.operations("k02_conv2", after="import")


@pytest.mark.parametrize("name", ["k99_conv2", "99", "-1", "conv9"])
def test_names_of_nothing(found: Inspection, name: str) -> None:
    with pytest.raises(InputError, match="no operation comes from a step or node") as error:
        found.operations(name)
    assert "k02_conv2" in error.value.hint and "Conv:conv2" in error.value.hint
