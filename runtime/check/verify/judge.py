"""Whether ties explain the samples in which two sides differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....ir.errors import TercetError
from ..compare import wrong_elements
from ..ort import Probe
from ..samples import Arrays, Samples
from .layers import LayerCheck, Steps
from .replay import Known, Reference
from .ties import MOST_NAMED

MOST_JUDGED = 100
"""So many differing samples are judged step by step; of more, as many at even distances, and all must be explained."""


@dataclass(frozen=True)
class Judgement:
    """layers: every step on the artifact's own inputs. explained: the outputs whose difference ties explain."""

    layers: Sequence[LayerCheck]
    explained: frozenset[str]
    ties: Sequence[str] = ()


@dataclass
class Judge:
    """Judges samples, each once. have: the artifact's outputs, all samples along axis 0. reference: the imported model,
    None where the import failed."""

    steps: Steps
    reference: Reference | None
    samples: Samples
    batched: bool
    have: Mapping[str, np.ndarray]
    rtol: float
    judged: dict[int, Judgement] = field(default_factory=dict)

    def artifact(self, index: int) -> Judgement:
        """The artifact against the model on one sample."""
        if index not in self.judged:
            inputs = self.samples.inputs_of(index, self.batched)
            results = self.steps.results(inputs)
            layers, explained, named = self.steps.judge(inputs, results, self.rtol), frozenset(), []
            if self.reference is not None and all(layer.ok for layer in layers):
                known = [
                    Known(frozenset(layer.nodes), values)
                    for layer, found in zip(layers, results, strict=True)
                    for values in found
                ]
                replay = self.reference.replay(inputs, known, self._of(self.have, index), self.rtol)
                explained, named = replay.right, replay.ties.named
            self.judged[index] = Judgement(layers, explained, named)
        return self.judged[index]

    def second(self, index: int, probe: Probe | None, outputs: Mapping[str, np.ndarray]) -> frozenset[str]:
        """Those of onnxruntime's outputs for one sample that ties explain."""
        if self.reference is None or probe is None:
            return frozenset()
        inputs = self.samples.inputs_of(index, self.batched)
        try:
            found = probe.session.run(inputs)
        except Exception as error:  # onnxruntime's own have no common base
            raise TercetError(f"onnxruntime fails on the model: {error}") from error
        known = [Known(frozenset([node]), np.asarray(found[name])) for name, node in probe.results.items()]
        return self.reference.replay(inputs, known, self._of(outputs, index), self.rtol, floats=True).right

    def named(self) -> list[str]:
        """The first few ties of all samples judged, each once."""
        return list(dict.fromkeys(text for one in self.judged.values() for text in one.ties))[:MOST_NAMED]

    def _of(self, outputs: Mapping[str, np.ndarray], index: int) -> Arrays:
        return {name: y[index : index + 1] if self.batched else y[index] for name, y in outputs.items()}


def differing(have: np.ndarray, want: np.ndarray, rtol: float) -> np.ndarray:
    """The samples with a wrong element, in order; none where shapes differ, which has nothing to do with samples."""
    if have.shape != want.shape or not have.size:
        return np.zeros(0, np.int64)
    return np.flatnonzero(wrong_elements(have, want, rtol).reshape(len(have), -1).any(axis=1))


def chosen(indices: np.ndarray) -> np.ndarray:
    """Those that are judged."""
    if len(indices) <= MOST_JUDGED:
        return indices
    return indices[np.linspace(0, len(indices) - 1, MOST_JUDGED).astype(np.int64)]
