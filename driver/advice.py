"""What may give a better artifact, as far as options and layers tell."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.artifact.layers import Layer
from .options import CompileOptions

MOST_NAMES = 5
"""Steps that a hint names; of more it says how many."""


def advice(options: CompileOptions, layers: Sequence[Layer]) -> list[str]:
    """Hints, a sentence each."""
    found = []
    if options.lossy.lossy and options.lossy.activations == "keep" and options.lossy.weights != "ttq":
        found.append("activations stay float; activations=int8 or int4 makes the changed layers integer, often faster")
    left = [layer for layer in layers if layer.weight_count and options.engines and layer.engine not in options.engines]
    if left:
        names = ", ".join(layer.symbol for layer in left[:MOST_NAMES])
        more = f" and {len(left) - MOST_NAMES} more" if len(left) > MOST_NAMES else ""
        others = ", ".join(sorted({layer.engine for layer in left}))
        found.append(f"the chosen engines refuse {names}{more}, so {others} computes them; inspect --why says why")
    return found
