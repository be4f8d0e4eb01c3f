"""Lets the tests of this folder use the cases that the C engines are tested with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "c"))
