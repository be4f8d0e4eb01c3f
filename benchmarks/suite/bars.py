"""What the project holds itself to: ratios to peers, and to tercet's own kernels, on one thread unless said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import NETWORK, OURS, Measured

SQUARE = ("3x3 64@56", "3x3 128@28", "3x3 256@14", "3x3 512@7")


@dataclass(frozen=True)
class Bar:
    """`ours` against the fastest of `theirs` that was measured, on each of `subjects`. each, mean: the least ratio on
    every subject and the least geometric mean; 0: none is asked for."""

    name: str
    subjects: tuple[str, ...]
    ours: str
    theirs: tuple[str, ...]
    each: float = 0.0
    mean: float = 0.0
    threads: tuple[int, ...] = (1,)


BARS = (
    Bar("ternary x ternary", SQUARE, "tercet ternary/ternary", ("onednn int8",), 1.7, 2.0),
    Bar("binary x binary", SQUARE, "tercet binary/binary", ("openvino binary",), 1.0),
    Bar("binary x binary, int8", SQUARE, "tercet binary/binary", ("onednn int8",), mean=2.5),
    Bar(
        "signed-binary against binary", SQUARE, "tercet signed-binary/ternary", ("tercet binary/ternary",), mean=1.26
    ),
    Bar(
        "signed-binary against ternary", SQUARE, "tercet signed-binary/ternary", ("tercet ternary/ternary",), mean=1.75
    ),
    Bar("ternary x int8", SQUARE, "tercet ternary/int8", ("onednn int8",), mean=0.9),
    Bar("ternary x fp32", SQUARE, "tercet ternary/fp32", ("onednn fp32", "onnxruntime fp32"), mean=1.5),
    Bar("ttq x fp32", SQUARE, "tercet ttq/fp32", ("onednn fp32", "onnxruntime fp32"), mean=1.5),
    Bar("int8 x int8", SQUARE, "tercet int8/int8", ("onednn int8",), mean=0.7),
    Bar("fp32 x fp32", SQUARE, "tercet fp32/fp32", ("onednn fp32",), mean=0.7),
    Bar("stem, fp32", ("7x7/2 3-64@224",), "tercet fp32/fp32", ("onednn fp32",), 0.7),
    Bar("linear, 1 row", ("linear 4096 x1",), "tercet ternary/int8", ("onnxruntime 2-bit",), 1.2),
    Bar("linear, 1 row, fp32", ("linear 4096 x1",), "tercet ternary/fp32", ("onednn fp32", "onnxruntime fp32"), 4.0),
    Bar("linear, 8 rows", ("linear 4096 x8",), "tercet ternary/int8", ("onnxruntime dynamic int8",), 2.0),
    Bar("linear, 32 rows", ("linear 4096 x32",), "tercet ternary/int8", ("onednn int8",), 1.0),
    Bar("linear, 128 rows", ("linear 4096 x128",), "tercet ternary/int8", ("onednn int8",), 1.0),
    Bar("ResNet-18 ternary", (NETWORK,), "tercet ternary", ("openvino int8",), 1.7, threads=(1, 2)),
    Bar("ResNet-18 ternary, float shortcut", (NETWORK,), "tercet ternary, float shortcut", ("openvino int8",), 1.7,
        threads=(1, 2)),
    Bar("ResNet-18 ternary x fp32", (NETWORK,), "tercet ttq/fp32", ("openvino fp32", "onnxruntime fp32"), 1.5),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A bar and what was measured for it: ratios by subject, in their order; None for a subject that is missing."""

    bar: Bar
    threads: int
    ratios: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        present = [r for r in self.ratios if r is not None]
        return geometric_mean(present) if len(present) == len(self.ratios) else None

    @property
    def met(self) -> bool | None:
        """None where something is missing that could decide it."""
        if any(r is not None and r < self.bar.each for r in self.ratios):
            return False
        return None if self.mean is None else self.mean >= self.bar.mean


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values, at least one."""
    return math.exp(sum(map(math.log, values)) / len(values))


def judge(measured: Sequence[Measured]) -> list[Verdict]:
    """The bars for which anything was measured."""
    found = []
    for bar in BARS:
        for threads in bar.threads:
            by_subject = {m.subject: m for m in measured if m.threads == threads}
            spreads = [by_subject[s].ratio(bar.ours, bar.theirs) if s in by_subject else None for s in bar.subjects]
            if any(spreads):
                found.append(Verdict(bar, threads, tuple(None if s is None else s.median for s in spreads)))
    return found


def own_candidates(measured: Sequence[Measured]) -> list[str]:
    """tercet's candidates that were measured anywhere, in order."""
    return list(dict.fromkeys(name for m in measured for name in m.seconds if name.startswith(OURS)))
