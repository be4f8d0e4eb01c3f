"""What Yosys may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FAMILIES = ("xcup", "xcu", "xc7", "xc6v", "xc6s", "xc5v")
"""Of FPGAs, for `synth_xilinx`: those with look-up tables of six inputs, UltraScale+ first."""


@dataclass(frozen=True)
class Synthesis:
    """liberty: a file of standard cells; None writes one from the binary library, of areas and functions. family: one
    of FAMILIES. limit: seconds for each run of Yosys."""

    liberty: str | Path | None = None
    family: str = FAMILIES[0]
    limit: float = 60.0
