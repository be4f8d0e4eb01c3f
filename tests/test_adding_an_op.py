"""docs/adding-an-op.md, followed step by step in a copy of the checkout: the operation works from import to C."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-an-op.md"
FOLDERS = ("ir", "frontend", "passes", "backends", "runtime", "driver", "cli", "tests")
DIFF = re.compile(r"^```diff (?P<file>\S+)\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_FILES = 4
"""Of the product, for an elementwise operation; and one of the tests."""

USE = """
import numpy as np, onnxruntime, tercet
from onnx import helper
from tercet.backends.reference import run

ports = [helper.make_tensor_value_info(name, 1, [1, 3, 5]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Atan", ["x"], ["y"])], "g", ports[:1], ports[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
x = np.linspace(-40, 40, 15, dtype=np.float32).reshape(1, 3, 5)
want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
program = tercet.import_model(model)
assert [op.name for op in program.ops] == ["tn.atan"]
np.testing.assert_allclose(run(program, {"x": x})["y"], want, rtol=1e-5)
tercet.compile(model, "atan.tercet", target="generic")
with tercet.load("atan.tercet") as loaded:
    np.testing.assert_allclose(loaded.run({"x": x})["y"], want, rtol=1e-5)
"""

TESTS = (
    "tests/ir/test_facts.py",
    "tests/reference/test_elementwise.py::test_unary_is_onnxruntimes",
    "tests/reference/test_elementwise.py::test_functions_are_rounded_once",
    "tests/fuzz/test_bounds.py::test_every_operation_has_a_rule",
    "tests/fuzz/test_rules.py::test_every_operator_of_the_import_list_has_a_rule",
)


def steps() -> list[tuple[str, str, str]]:
    """(file, what stands there, what is to stand there) of every diff of the page."""
    found = []
    for match in DIFF.finditer(PAGE.read_text("utf-8")):
        lines = [line or " " for line in match["lines"].splitlines()]
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[0] in kept) for kept in (" -", " +"))
        found.append((match["file"], old, new))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy after all steps, in a folder called tercet."""
    copy = tmp_path_factory.mktemp("op") / "tercet"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for file in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(file, copy)
    for file, old, new in steps():
        text = (copy / file).read_text("utf-8")
        assert text.count(old) == 1, f"{PAGE.name}: {file} has {text.count(old)} places like\n{old}"
        (copy / file).write_text(text.replace(old, new), "utf-8")
    return copy


def python(checkout: Path, *arguments: str, folder: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(checkout.parent), "TERCET_CACHE": str(checkout.parent / "cache")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_few_files_are_touched() -> None:
    files = {file for file, _, _ in steps()}
    assert len({file for file in files if not file.startswith("tests/")}) <= MOST_FILES
    assert len(files) <= MOST_FILES + 1


@pytest.mark.slow
def test_the_operation_works_from_import_to_c(checkout: Path) -> None:
    python(checkout, "-c", USE, folder=checkout.parent)


@pytest.mark.slow
def test_the_tests_that_walk_every_operation_find_it(checkout: Path) -> None:
    python(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, folder=checkout)
