"""The examples in the documentation run; its operators are the importer's, its formulas have the numbers of costs.toml,
and its reference of the IR is what the docstrings say.

A code block is run when `<!-- test -->` stands in the line above it: `sh` by bash -e, `python` by this interpreter,
all blocks of a file one after the other in one folder that has the checkout's examples. `<!-- test: NAME -->` writes
the block to a file of that name instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tercet.backends.c.costs import read_costs
from tercet.frontend.onnx import import_model  # noqa: F401  (fills the table)
from tercet.frontend.onnx.registry import TABLE

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(page for room in ("docs", "examples", "benchmarks") for page in (ROOT / room).rglob("*.md")),
]
FILES = (
    "README.md", "docs/cli.md", "docs/pytorch.md", "docs/sum-merge.md", "docs/ternary-logic.md", "docs/training.md",
    "docs/tvm.md",
)  # fmt: skip
NEEDS = {"docs/pytorch.md": "torch", "docs/training.md": "torch", "docs/tvm.md": "tvm"}
"""Page -> the package that its examples need."""
MARKED = re.compile(
    r"^<!-- test(?:: (?P<file>\S+))? -->\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A marked code block. file: where it is written; empty when it is run. line: of its first line."""

    kind: str
    text: str
    file: str
    line: int


def blocks(name: str) -> Iterator[Block]:
    text = (ROOT / name).read_text(encoding="utf-8")
    for found in MARKED.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(found["kind"], found["text"], found["file"] or "", line)


def environment(folder: Path) -> dict[str, str]:
    """With a `tercet` command of this interpreter in front of the path, and `python3` being this interpreter."""
    scripts = folder / "bin"
    scripts.mkdir()
    for name, arguments in (("tercet", "-m tercet "), ("python3", "")):
        (scripts / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (scripts / name).chmod(0o755)
    cache = str(folder / "cache")
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "TERCET_CACHE": cache}


@pytest.mark.slow
@pytest.mark.check
@pytest.mark.parametrize("name", FILES)
def test_examples_run(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed: pip install 'tercet[{NEEDS[name]}]'")
    found = list(blocks(name))
    assert found, f"{name} has no marked examples"
    work = tmp_path / "work"
    shutil.copytree(ROOT / "examples", work / "examples")
    variables = environment(tmp_path)
    for block in found:
        if block.file:
            (work / block.file).write_text(block.text)
            continue
        if "pkg-config" in block.text and shutil.which("pkg-config") is None:
            continue
        command = {"sh": ["bash", "-e", "-c"], "python": [sys.executable, "-c"]}[block.kind]
        done = subprocess.run(
            [*command, block.text], cwd=work, env=variables, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{name}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"


def test_the_first_screen_says_how_to_begin() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert any(line.startswith("make demo ") for line in first) and any(line.startswith("make test ") for line in first)


def test_the_listed_operators_are_those_of_the_importer() -> None:
    listed = re.search(r"\*\*Operators\*\*: (.*?)\.\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert listed is not None
    assert (
        listed[1].replace("\n", " ").replace("  ", " ").split() == f"{', '.join(sorted({n for _, n in TABLE}))}".split()
    )


@pytest.mark.parametrize("name", sorted(str(page.relative_to(ROOT)) for page in PAGES))
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"


def test_the_reference_of_the_ir_is_up_to_date(update_golden: bool) -> None:
    """`pytest tests/test_docs.py --update-golden` writes it."""
    done = subprocess.run([sys.executable, ROOT / "docs" / "ir_reference.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = ROOT / "docs" / "ir.md"
    if update_golden:
        page.write_text(done.stdout, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == done.stdout, "docs/ir.md: pytest tests/test_docs.py --update-golden"


@pytest.mark.parametrize("engine", read_costs()["x86-64-v4-vnni"])
def test_cost_formulas_name_every_number(engine: str) -> None:
    """docs/engines.md: the words in capitals of an engine's section are its numbers in costs.toml."""
    sections = re.split(r"^## ", (ROOT / "docs" / "engines.md").read_text("utf-8"), flags=re.MULTILINE)
    (section,) = (s for s in sections if engine in s.partition("\n")[0].split(", "))
    formula = section[section.index("\nCost: ") :].partition("\n\n")[0]
    named = {word.lower() for word in re.findall(r"\b[A-Z][A-Z_]*[A-Z](?:_L2)?\b", formula)}
    assert named == set(read_costs()["x86-64-v4-vnni"][engine])
