"""`tercet.torch` is there when it is asked for, and nobody else needs torch."""

from __future__ import annotations

import subprocess
import sys

import tercet

HIDDEN = "import sys\nsys.modules['torch'] = None\n"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)


def test_nothing_imports_torch_unless_asked() -> None:
    code = "import sys, tercet, tercet.api, tercet.cli\nfrom tercet import *\ntercet.compile\n"
    done = python(code + "assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr
    assert "torch" in dir(tercet) and "torch" not in tercet.__all__


def test_without_torch_the_extra_is_named() -> None:
    done = python(HIDDEN + "import tercet\ntercet.torch")
    assert done.returncode and "pip install 'tercet[torch]'" in done.stderr.splitlines()[-1]
