"""What else can be said of outputs: classes, accuracy, distance, NaN and infinities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def top1(have: np.ndarray, want: np.ndarray) -> float | None:
    """The share of rows whose largest element is at the same place along the last axis; None where that means nothing:
    outputs that are no floats, have no axis beside the samples, or one element along the last."""
    if have.ndim < 2 or have.shape[-1] < 2 or not have.size or want.dtype.kind != "f":
        return None
    return float((have.argmax(axis=-1) == want.argmax(axis=-1)).mean())


def accuracy_text(have: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """How often the largest element of the only output is at the label; empty where that means nothing."""
    scores = next(iter(have.values())).reshape(len(labels), -1) if len(have) == 1 else np.zeros((0, 0))
    if len(scores) != len(labels) or scores.shape[1:] < (2,):
        return ""
    hits = int((scores.argmax(axis=1) == labels).sum())
    return f"labels: {hits} of {len(labels)} right ({100 * hits / len(labels):.2f} %)"


def nonfinite_text(runs: Sequence[Mapping[str, np.ndarray]], outputs: Mapping[str, np.ndarray]) -> str:
    """Where inputs or outputs hold NaN or infinities, and what becomes of them; empty where none do."""
    sides = []
    for side, arrays in (("inputs", [a for run in runs for a in run.values()]), ("outputs", list(outputs.values()))):
        floats = [a for a in arrays if a.dtype.kind == "f"]
        nan, inf = (sum(int(test(a).sum()) for a in floats) for test in (np.isnan, np.isinf))
        if nan or inf:
            sides.append(f"{side} hold {nan} NaN and {inf} infinities")
    if not sides:
        return ""
    return (
        f"{', '.join(sides)}: a quantizer makes 0 of NaN before it adds the zero point, and of an infinity an end "
        "of its range; a threshold counts NaN as below all; float operations hand both on"
    )


def distance_text(have: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> str:
    """How far outputs are from the model's: signal to noise, and the same largest element."""
    texts = []
    for name, y in have.items():
        want = truth[name].astype(np.float64)
        noise, signal = float(np.square(y - want).sum()), float(np.square(want).sum())
        snr = f"{10 * np.log10(signal / noise):.1f} dB" if noise and signal else "infinite"
        share = top1(y, truth[name])
        same = "" if share is None else f", the same top class in {100 * share:.2f} %"
        texts.append(f"{name} has SNR {snr}{same}")
    return "; ".join(texts)
