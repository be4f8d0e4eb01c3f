"""The public names, and that `import tercet` costs nothing until one is used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tercet

NAMES = {
    "load", "compile", "cost", "export", "inspect", "sensitivity", "run", "verify", "bench", "targets", "import_model",
    "CompileOptions",
    "LossyOptions", "Synthesis", "TercetError",
}  # fmt: skip
HEAVY = {"numpy", "onnx", "onnxruntime", "torch", "xdsl"}

PROBE = """
import json, sys, time
start = time.perf_counter()
import tercet
print(json.dumps({"seconds": time.perf_counter() - start, "modules": list(sys.modules)}))
"""


def import_tercet(folder: Path) -> dict:
    """Import it in a process of its own, away from the checkout."""
    return json.loads(subprocess.check_output([sys.executable, "-c", PROBE], cwd=folder))


def test_all_names_the_public_api() -> None:
    assert set(tercet.__all__) == NAMES | {"__version__"}
    assert dir(tercet) == sorted([*tercet.__all__, "torch"])  # a module that `import *` leaves out: it needs an extra


@pytest.mark.parametrize("name", sorted(NAMES))
def test_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(tercet, name)
    assert callable(value)
    assert value.__doc__, f"tercet.{name} has no docstring"


def test_error_is_an_exception() -> None:
    assert issubclass(tercet.TercetError, Exception)


def test_other_names_are_not_looked_up() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'setup_module'"):
        _ = tercet.setup_module  # pyright: ignore[reportAttributeAccessIssue]


def test_import_is_light_and_quick(tmp_path: Path) -> None:
    runs = [import_tercet(tmp_path) for _ in range(5)]
    assert not HEAVY & set(runs[0]["modules"])
    assert min(run["seconds"] for run in runs) < 0.3
