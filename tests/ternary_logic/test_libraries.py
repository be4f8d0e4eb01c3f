"""Cell libraries: every cell does what its table says and its name means, and bad files are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import tercet
from tercet.backends.ternary_logic.cell import PINS
from tercet.backends.ternary_logic.functions import (
    BALANCED,
    BINARY,
    UNBALANCED,
    Digits,
    Function,
    adder,
    negation,
    signed_product,
    sum_and_carry,
    unary_functions,
)
from tercet.backends.ternary_logic.library import SHIPPED, read_library, shipped
from tercet.backends.ternary_logic.netlist import Builder
from tercet.backends.ternary_logic.simulate import every_vector, simulate
from tercet.ir.errors import InputError

from .helpers import DIGITS

MEANINGS: dict[str, Callable[..., int]] = {
    "STI": lambda a: -a,
    "NTI": lambda a: 1 if a == -1 else -1,
    "PTI": lambda a: -1 if a == 1 else 1,
    "TNAND": lambda a, b: -min(a, b),
    "TNOR": lambda a, b: -max(a, b),
    "SUM": lambda a, b: (a + b + 4) % 3 - 1,
    "CARRY": lambda a, b: (a + b > 1) - (a + b < -1),
    "ANY": lambda a, b: (a + b > 0) - (a + b < 0),
    "MUL": lambda a, b: a * b,
    "CMP": lambda a, b: (a > b) - (a < b),
    "INV": lambda a: 1 - a,
    "NAND2": lambda a, b: 1 - a * b,
    "NOR2": lambda a, b: 1 - max(a, b),
    "AND2": lambda a, b: a * b,
    "OR2": max,
    "XOR2": lambda a, b: a ^ b,
    "XNOR2": lambda a, b: 1 - (a ^ b),
    "BUF": lambda a: a,
    "NAND3": lambda a, b, c: 1 - a * b * c,
    "NAND4": lambda a, b, c, d: 1 - a * b * c * d,
    "NOR3": lambda *inputs: 1 - max(inputs),
    "NOR4": lambda *inputs: 1 - max(inputs),
    "AND3": lambda a, b, c: a * b * c,
    "AND4": lambda a, b, c, d: a * b * c * d,
    "OR3": max,
    "OR4": max,
    "MUX2": lambda a, b, chosen: b if chosen else a,
    "AOI21": lambda a, b, c: 1 - max(a * b, c),
    "AOI22": lambda a, b, c, d: 1 - max(a * b, c * d),
    "AOI211": lambda a, b, c, d: 1 - max(a * b, c, d),
    "AOI221": lambda a, b, c, d, e: 1 - max(a * b, c * d, e),
    "AOI222": lambda a, b, c, d, e, f: 1 - max(a * b, c * d, e * f),
    "OAI21": lambda a, b, c: 1 - max(a, b) * c,
    "OAI22": lambda a, b, c, d: 1 - max(a, b) * max(c, d),
    "OAI211": lambda a, b, c, d: 1 - max(a, b) * c * d,
    "OAI221": lambda a, b, c, d, e: 1 - max(a, b) * max(c, d) * e,
    "OAI222": lambda a, b, c, d, e, f: 1 - max(a, b) * max(c, d) * max(e, f),
    "OAI33": lambda a, b, c, d, e, f: 1 - max(a, b, c) * max(d, e, f),
}  # fmt: skip
CELLS = [(library, name) for library in shipped() for name in read_library(library).cells]


@pytest.mark.parametrize(("library", "name"), CELLS)
def test_every_cell_on_every_input(library: str, name: str) -> None:
    found = read_library(library)
    cell, builder = found.cells[name], Builder(found)
    pins = [builder.input(pin) for pin in PINS[: cell.inputs]]
    for output, wire in zip(cell.outputs, builder.gate(cell, *pins), strict=True):
        builder.output(output, wire)
    vectors = every_vector(found.digits, cell.inputs)
    have = simulate(builder.finish(), dict(zip(PINS, vectors, strict=False)))
    for i, values in enumerate(vectors.T.tolist()):
        outputs = [int(have[output][i]) for output in cell.outputs]
        if "carry" in cell.outputs:
            assert outputs[0] + found.digits.radix * outputs[1] == sum(values)
        else:
            assert outputs == [MEANINGS[name](*values)]


@pytest.mark.parametrize("library", shipped())
def test_every_number_has_its_source(library: str) -> None:
    found = read_library(library)
    assert found.technology and found.inverters in ("separate", "included")
    assert found.carry == range(found.digits.low, found.digits.values[-1] + 1)
    for cell in found.cells.values():
        assert cell.source.citation and cell.transistors > 0
        assert cell.delay is None and cell.energy is None, "no source gives these"
        assert found.inverters == "separate" or cell.source.verified or not cell.inverters


def test_counts_of_the_literature() -> None:
    counts = {
        name: tuple(read_library(name).cells[cell].all_transistors for cell in ("HA", "FA", "MUL"))
        for name in shipped() if read_library(name).digits == BALANCED
    }  # fmt: skip
    assert counts == {
        "cntfet32-static": (50, 126, 26),
        "srinivasu2017": (58, 105, 43),
        "vudadha2018": (36, 96, 30),
        "lee2019": (48, 106, 30),
    }


@pytest.mark.parametrize("digits", [BINARY, BALANCED, UNBALANCED], ids=lambda digits: digits.name)
def test_functions_are_tables(digits: Digits) -> None:
    assert len(unary_functions(digits)) == digits.radix**digits.radix
    for inputs in (2, 3):
        stay, carry = adder(digits, inputs)
        for values in every_vector(digits, inputs).T.tolist():
            assert stay(*values) + digits.radix * carry(*values) == sum(values)
        assert Function.parse(digits, str(stay)) == stay and len(str(carry).split()) == digits.radix ** (inputs - 1)
    for total in range(-30, 30):
        digit, carry_ = sum_and_carry(digits, total)
        assert digit in digits and digit + digits.radix * carry_ == total


def test_products_and_negation_of_unbalanced_digits() -> None:
    product, inverse = signed_product(UNBALANCED), negation(UNBALANCED)
    for a, b in every_vector(BALANCED, 2).T.tolist():
        assert product(a + 1, b + 1) == a * b + 1 and inverse(a + 1) == -a + 1


GOOD = """
name = "mine"
title = "Mine"
digits = "balanced ternary"
technology = "paper"
inverters = "included"
[sources.me]
citation = "me"
verified = false
[cells.STI]
outputs = { y = "+0-" }
transistors = 6
source = "me"
[cells.BUF]
outputs = { y = "-0+" }
transistors = 12
delay = 3.5
source = "me"
built = ["u = STI a", "y = STI u"]
"""
WRONG = {
    "no field": ('title = "Mine"', "", "field 'title' is missing: a text"),
    "unknown field": ("transistors = 6", "transistors = 6\ncolour = 1", "cells.STI: unknown field 'colour'"),
    "kind": ("transistors = 6", 'transistors = "6"', "STI: transistors: expected a whole number, 0 or more, got '6'"),
    "negative": ("transistors = 6", "transistors = -6", "expected a whole number, 0 or more, got -6"),
    "truth": ("transistors = 6", "transistors = true", "expected a whole number, 0 or more, got True"),
    "not a number": ("delay = 3.5", "delay = nan", "expected a number, 0 or more, got nan"),
    "symbols": ('"+0-"', '"+02"', "cells.STI: outputs.y: expected -0+ alone, got 2"),
    "length": ('"+0-"', '"+0"', "expected 3, 9, 27, 81, 243, 729 symbols, got 2"),
    "digits": ('"balanced ternary"', '"quaternary"', "digits: expected one of binary, balanced ternary, unbalanced"),
    "policy": ('"included"', '"shared"', "inverters: expected separate or included, got 'shared'"),
    "source": ('source = "me"\n[cells.BUF', 'source = "you"\n[cells.BUF', "source: expected one of me, got 'you'"),
    "does something else": ('"-0+"', '"-0-"', "cells.BUF: built: y of [1] is 1, the table has -1"),
    "built of nothing": ('"u = STI a"', '"u = NOT a"', "expected 'OUTPUTS = CELL INPUTS' with a cell of the library"),
    "pins": ('"u = STI a"', '"u = STI a a"', "STI has 1 inputs and 1 outputs"),
    "no value": ('"u = STI a"', '"u = STI v"', "'v' has no value yet"),
    "no output": ('"y = STI u"', '"z = STI u"', "no line gives 'y'"),
    "no base": ('name = "mine"', 'name = "mine"\nextends = "yours"', "no cell library 'yours'"),
    "other base": ('name = "mine"', 'name = "mine"\nextends = "nangate45-like"', "'nangate45-like' is binary, this"),
    "drops": ('name = "mine"', 'name = "mine"\nextends = "lee2019"\ndrops = ["XOR"]', "'lee2019' has no cell XOR"),
    "word of Verilog": ("cells.BUF", "cells.buf", "cells: name 'buf': is a word of Verilog"),
    "output of Verilog": ('outputs = { y = "-0+" }', 'outputs = { reg = "-0+" }', "name 'reg': is a word of Verilog"),
    "input": ('outputs = { y = "-0+" }', 'outputs = { a = "-0+" }', "cells.BUF: outputs: name 'a': is taken"),
    "register": ('outputs = { y = "-0+" }', 'outputs = { started = "-0+" }', "outputs: name 'started': is taken"),
    "module": ("cells.BUF", "cells.whole", "cells: name 'whole': is taken"),
    "letters": ("cells.BUF", 'cells."B\u00dcF"', "cells: name 'B\u00dcF': is not ASCII"),
    "no toml": ("[sources.me]", "[sources.me", "cannot read the cell library"),
}  # fmt: skip


def test_adders_are_found_by_what_they_compute(tmp_path: Path) -> None:
    """Whatever they are called, and in whichever order their outputs stand."""
    text = (SHIPPED / "lee2019.toml").read_text()
    lines = [re.sub(r"(sum = .*?), (carry = .*?) }", r"\2, \1 }", line) for line in text.splitlines()]
    text = "\n".join(lines).replace("cells.FA]", "cells.ADD3]").replace('name = "lee2019"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(text)
    found = read_library(tmp_path / "mine.toml")
    assert found.full_adder is found.cells["ADD3"] and list(found.cells["ADD3"].outputs) == ["sum", "carry"]
    costs = tercet.cost(DIGITS, libraries=[tmp_path / "mine.toml", "lee2019", "nangate45-like"], shared=False)
    mine, theirs = (one for one in costs.costs if not one.binary)
    assert mine.transistors == theirs.transistors and mine.full_adders == theirs.full_adders > 0
    assert "turns at" in costs.verdict()[1]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    found = read_library(tmp_path / "mine.toml")
    assert found.cells["BUF"].delay == 3.5 and found.supply is None and found.carry is None
    assert found.find(Function.parse(BALANCED, "+0-")) is found.cells["STI"]
    assert found.find(Function.parse(BALANCED, "---")) is None


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_file_is_said(case: str, tmp_path: Path) -> None:
    before, after, message = WRONG[case]
    assert GOOD.count(before) >= 1
    (tmp_path / "mine.toml").write_text(GOOD.replace(before, after, 1))
    with pytest.raises(InputError) as error:
        read_library(tmp_path / "mine.toml")
    assert message in str(error.value)


def test_libraries_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no cell library 'cmos'\n.*have: cntfet32-static, lee2019"):
        read_library("cmos")
    with pytest.raises(InputError, match="cannot read the cell library"):
        read_library(tmp_path / "none.toml")


def test_a_library_that_extends_itself(tmp_path: Path) -> None:
    text = (SHIPPED / "lee2019.toml").read_text()
    assert 'extends = "cntfet32-static"' in text
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(text.replace('"cntfet32-static"', f'"{one}"', 1))
    with pytest.raises(InputError, match="extends: the library extends itself"):
        read_library(one)
    one.write_text(text.replace('"cntfet32-static"', f'"{other}"', 1))
    other.write_text(text.replace('"cntfet32-static"', f'"{one}"', 1))
    with pytest.raises(InputError, match="extends this library again"):
        read_library(one)
