"""Lets the tests of this folder use the cases that the C engines are tested with."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "c"), str(Path(__file__).parents[1])]
