"""What a network costs: what zeros save is checked against networks without them; sentences on what is not modelled
are those of the docs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercet.backends.ternary_logic.cost import cost_of
from tercet.backends.ternary_logic.library import read_library, shipped
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.report import NOT_MODELLED
from tercet.ir.tn.linear import ConvOp, MatMulOp

from .helpers import DIGITS, LIBRARIES, program_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("coding", CODINGS)
def test_what_zeros_save(coding: str) -> None:
    """The estimate is within 4 % of what the demo network's circuits have more where every zero is 1 or -1, and no
    sums are shared."""
    library, code = read_library(LIBRARIES[coding]), CODINGS[coding]
    program, rng = program_of(DIGITS).clone(), np.random.default_rng(0)
    for op in program.ops:
        op.properties.pop("sums", None)
    before = cost_of(program, library, code)
    for op in program.ops:
        weights = program.array(op.operands[1]) if isinstance(op, ConvOp | MatMulOp) else None
        if weights is not None and weights.dtype.kind == "i":
            weights = weights.copy()
            weights[weights == 0] = rng.choice([-1, 1], int(np.count_nonzero(weights == 0)))
            program.weights[op.operands[1].owner.get("value")] = weights  # pyright: ignore[reportAttributeAccessIssue]
    after = cost_of(program, library, code)
    assert before.zeros > 0 and after.zeros == 0 and after.zeros_save == 0 and before.factors == after.factors
    more = after.transistors - before.transistors
    assert before.zeros_save == pytest.approx(more, rel=0.04)


def test_a_library_without_full_adders_says_nothing_of_zeros(tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text('''
        name = "few"
        title = "Few"
        digits = "balanced ternary"
        technology = "as the base"
        inverters = "separate"
        extends = "cntfet32-static"
        drops = ["FA"]
        sources.none = {citation = "none", verified = false}
        cells.BUF = {outputs = {y = "-0+"}, transistors = 4, source = "none"}
    ''')
    cost = cost_of(program_of(DIGITS), read_library(tmp_path / "few.toml"), CODINGS["ternary"])
    assert cost.zeros > 0 and cost.zeros_save is None and "FA" not in cost.cells


def test_the_docs_have_the_cells_of_the_libraries() -> None:
    text = (ROOT / "docs" / "ternary-logic.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    found, names = dict[tuple[str, str], str](), list[str]()
    for row in rows:
        if row[:2] == ["cell", "computes"]:
            names = [name.strip("`") for name in row[2:]]
        elif len(row) > 3 and row[0].isupper():
            of = names if "um2" not in names else ["nangate45-like"]
            found |= {(library, row[0]): number for library, number in zip(of, row[2:], strict=False) if number}
            if "um2" in names:
                assert float(row[3]) == read_library("nangate45-like").cells[row[0]].area
    assert found == {
        (name, cell.name): f"{cell.transistors}" + (f" + {cell.inverters}" if cell.inverters else "")
        for name in shipped() for cell in read_library(name).cells.values()
    }  # fmt: skip


def test_the_docs_say_what_is_not_modelled() -> None:
    text = " ".join((ROOT / "docs" / "ternary-logic.md").read_text(encoding="utf-8").split())
    assert [sentence for sentence in NOT_MODELLED if sentence not in text] == []
