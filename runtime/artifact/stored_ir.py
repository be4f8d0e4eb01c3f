"""The IR that an artifact carries: the program after every pass, each of which can be run.

ir/stages.json        every pass in order: the file of its text, and where its large constants are in the weights
ir/NN-pass.mlir       texts; a pass that changed nothing has that of the pass before it
ir/weights.npz        the constants that no text holds, of all stages, each content once
ir/NN-stage.py        what the TVM backend makes of the last program, after each stage: TVMScript, which is only read

With several targets, stages.json and what only one of them has lie in ir/TARGET/.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass

import numpy as np

from ...ir.errors import ArtifactError
from ...ir.program import Program, stored_names
from ...ir.weights import UNREADABLE, WeightStore
from .artifact import Artifact
from .manifest import MOST_JSON_BYTES
from .schema import ALTERED, array, boolean, dump_json, mapping, matching, parse_json, record, text

WEIGHTS = "ir/weights.npz"


def stages_file(folder: str) -> str:
    """The list of the stages of a target. folder: of the target, see `manifest.target_folder`."""
    return f"ir/{folder}stages.json"


@dataclass(frozen=True)
class Stage:
    """A pass's label (`03-fold-constants`) and the file with the text after it. weights: which array of the weights a
    name in that text means, where it is not the one of that name. complete: whether its large constants are there."""

    label: str
    file: str
    weights: Mapping[str, str]
    complete: bool = True


class StageWriter:
    """Gathers the programs after every pass for an artifact."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._texts: list[str] = []
        self._arrays: list[dict[str, np.ndarray]] = []
        self._first_complete = 0
        self._folders: list[str] = []

    def add(self, label: str, program: Program, folder: str = "", *, changed: bool = True) -> None:
        """The program after one more pass. folder: of the target that the pass is for, see `manifest.target_folder`.
        changed: whether the pass changed the program."""
        kept = not changed and len(self._labels) > self._first_complete  # the arrays of the stage before
        self._labels.append(label)
        self._texts.append(program.text() if changed else self._texts[-1])
        self._arrays.append(self._arrays[-1] if kept else dict(program.weights_beside_text()))
        self._folders.append(folder)

    def drop_constants(self) -> None:
        """Keeps only the texts of what was added so far: a lossy pass comes, and the model has those weights."""
        self._first_complete, self._arrays = len(self._labels), [{} for _ in self._labels]

    def copy(self) -> StageWriter:
        """A writer that goes on from here by itself, for one target of several."""
        other = copy(self)
        other._labels, other._texts = [*self._labels], [*self._texts]
        other._arrays, other._folders = [*self._arrays], [*self._folders]
        return other

    def files(self, store: ContentStore) -> tuple[dict[str, bytes], list[Stage]]:
        """The texts by file, and the stages; constants go to the store."""
        contents, stages = dict[str, bytes](), list[Stage]()
        names = [store.add(arrays) for arrays in reversed(self._arrays)][::-1]  # the last program keeps its names
        for i, (label, ir) in enumerate(zip(self._labels, self._texts, strict=True)):
            file = stages[-1].file if i and ir == self._texts[i - 1] else f"ir/{self._folders[i]}{label}.mlir"
            contents[file] = ir.encode()
            stages.append(Stage(label, file, names[i], i >= self._first_complete))
        return contents, stages


def ir_contents(writers: Mapping[str, StageWriter], scripts: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The artifact's files, by name. writers: one for each target, by the target's folder. scripts: texts of stages
    after the passes, by label; only where there is one target."""
    contents, store = dict[str, bytes](), ContentStore()
    for folder, writer in writers.items():
        texts, stages = writer.files(store)
        contents |= {**texts, stages_file(folder): dump_json([asdict(stage) for stage in stages])}
    contents |= {f"ir/{label}.py": script.encode() for label, script in (scripts or {}).items()}
    return {**contents, WEIGHTS: store.weights.to_bytes()}


class ContentStore:
    """Arrays under names that are unique by content."""

    def __init__(self) -> None:
        self.weights, self._names = WeightStore(), dict[bytes, str]()
        self._digests: dict[int, tuple[np.ndarray, bytes]] = {}  # by identity; the array, so that it stays itself

    def add(self, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Stores arrays; of those that are there under another name than their own, that name."""
        others = {}
        for name, values in sorted(arrays.items()):
            digest = self._digest(values)
            if digest not in self._names:
                self._names[digest] = self.weights.add(name, values)
            if self._names[digest] != name:
                others[name] = self._names[digest]
        return others

    def _digest(self, values: np.ndarray) -> bytes:
        if id(values) not in self._digests:
            kind = f"{values.dtype.str} {values.shape}".encode()
            self._digests[id(values)] = values, hashlib.sha256(kind + values.tobytes()).digest()
        return self._digests[id(values)][1]


_LABEL = matching(lambda label: re.fullmatch(r"[0-9]{2,4}-[a-z0-9-]+", label), "a pass such as 03-fold-constants", 100)
_SCRIPT = re.compile(r"ir/(([0-9]{2,4})-[a-z0-9-]+)\.py")
_STAGES = array(
    record(Stage, label=_LABEL, file=text(), weights=mapping(text(), 100_000), complete=boolean), limit=1000
)


def read_stages(artifact: Artifact, target: str | None = None) -> Sequence[Stage]:
    """Every pass in order, for one of the artifact's targets, by default the best. Raises ArtifactError where there is
    no IR, or it is damaged."""
    file = stages_file(artifact.manifest.folder(target or artifact.best))
    if not {file, WEIGHTS} <= set(artifact.names):
        raise ArtifactError("has no IR", where=str(artifact.path))
    where = f"{artifact.path}: {file}"
    stages = _STAGES(parse_json(artifact.read(file), where, MOST_JSON_BYTES), where)
    if not stages or not {stage.file for stage in stages} <= set(artifact.names):
        raise ArtifactError("names no IR, or texts that are missing", where=where, hint=ALTERED)
    return stages


def stored_stages(artifact: Artifact, target: str | None = None) -> list[tuple[str, str]]:
    """Label (`03-fold-constants`) and IR text after every pass, in order. Raises ArtifactError where there is none."""
    stages = read_stages(artifact, target)
    texts = {file: artifact.read_text(file) for file in {stage.file for stage in stages}}
    return [(stage.label, texts[stage.file]) for stage in stages]


def stored_scripts(artifact: Artifact) -> list[tuple[str, str]]:
    """Label (`15-tvm-fused`) and text of every stage after the passes, in order; none of most backends."""
    found = sorted((int(match[2]), match[1], match[0]) for name in artifact.names if (match := _SCRIPT.fullmatch(name)))
    return [(label, artifact.read_text(file)) for _, label, file in found]


def kernel_program(artifact: Artifact, target: str | None = None) -> Program:
    """The program after the last pass, for one of the artifact's targets (default: the best), with its weights. Raises
    ArtifactError or IRError where it is damaged."""
    return stage_programs(artifact, [read_stages(artifact, target)[-1]])[0]


def stage_programs(artifact: Artifact, stages: Sequence[Stage]) -> list[Program]:
    """The programs after passes, with their weights. Raises ArtifactError or IRError where they are damaged, and for
    those before a lossy pass, whose large constants only the model has."""
    arrays, programs = _stored_arrays(artifact), []
    for stage in stages:
        if not stage.complete:
            hint = "take a later pass, or the model"
            raise ArtifactError(f"has no constants of '{stage.label}': a lossy pass follows", hint=hint)
        origin = f"{artifact.path}: {stage.label}"
        program = Program.parse(artifact.read_text(stage.file), WeightStore(), origin=origin)
        for name in {name for op in program.module.walk() for name in stored_names(op)} - set(program.weights):
            if (stored := stage.weights.get(name, name)) in arrays:
                program.weights[name] = arrays[stored]
        program.verify()
        programs.append(program)
    return programs


def _stored_arrays(artifact: Artifact) -> dict[str, np.ndarray]:
    found, where = dict[str, np.ndarray](), f"{artifact.path}: {WEIGHTS}"
    try:
        with np.load(io.BytesIO(artifact.read(WEIGHTS)), allow_pickle=False) as stored:
            for name in stored.files:
                values = stored[name]
                if not isinstance(values, np.ndarray):  # numpy hands over what does not begin as its files do
                    raise ArtifactError(f"'{name}' is not an array", where=where, hint=ALTERED)
                found[name] = values
    except UNREADABLE as error:
        raise ArtifactError(f"the weights cannot be read: {error}", where=where, hint=ALTERED) from error
    return found
