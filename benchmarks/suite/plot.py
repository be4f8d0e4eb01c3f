"""The ratios as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .bars import own_candidates
from .measure import Measured


def plot(path: Path, measured: Sequence[Measured], peer: str) -> None:
    """Bars of every candidate's median ratio to a peer, with quartiles, by subject. Raises ImportError without
    matplotlib, ValueError where nothing was measured with the peer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    subjects = [m for m in measured if peer in m.seconds]
    if not subjects:
        raise ValueError(f"nothing was measured with {peer}")
    candidates = own_candidates(subjects)
    figure, axes = pyplot.subplots(figsize=(max(6.0, 1.1 * len(subjects)), 4.5), layout="constrained")
    width = 0.8 / max(1, len(candidates))
    for i, name in enumerate(candidates):
        spreads = [(j, r) for j, m in enumerate(subjects) if (r := m.ratio(name, [peer]))]
        places = [j + (i - (len(candidates) - 1) / 2) * width for j, _ in spreads]
        errors = [[r.median - r.lower for _, r in spreads], [r.upper - r.median for _, r in spreads]]
        axes.bar(places, [r.median for _, r in spreads], width, yerr=errors, label=name, error_kw={"linewidth": 0.7})
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(subjects)), [f"{m.subject}, {m.threads} t" for m in subjects], rotation=35, ha="right")
    axes.set_ylabel(f"time of {peer} / time of tercet")
    axes.legend(fontsize="x-small", ncols=2)
    figure.savefig(path)
    pyplot.close(figure)
