"""What `inspect` shows of an artifact, or of a source model after its passes: summary, layers, IR text, diffs.

Nothing here executes anything from an artifact.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xdsl.ir import Attribute

from ...ir.errors import ArtifactError, InputError
from ...ir.kn.kernel import ConvertOp, KernelOp, step_symbol
from ...ir.kn.layout import layout_of, tensor_in
from ...ir.kn.memory import arena_bytes, live_bytes
from ...ir.locations import source_names
from ...ir.losses import Losses
from ...ir.program import Port, Program
from ...ir.tn.constant import ConstantOp
from ...ir.types import element_of, is_float, shape_of
from ...ir.weights import WeightStore
from ..artifact.artifact import Artifact
from ..artifact.layers import CANDIDATE, Candidate, Layer
from ..artifact.losses import LOSSES, losses_from_json
from ..artifact.manifest import Manifest, TargetInfo
from ..artifact.stored_ir import kernel_program, stored_scripts, stored_stages
from ..artifact.weights import values_text, weights_of


@dataclass(frozen=True)
class LayerRow:
    """One step. inputs, outputs: shape, values and layout in words. weights: kind and number of weights, "" without.

    bits_per_weight: of the weights as stored in the artifact; None where that is unknown, or where code holds them
    (weights_in_code). stored_bytes: all constants of the step there, thresholds and scales too. live_bytes: of the
    arena's values that are alive while the step runs. cycles: predicted for one sample on one core; measured: the same
    by tuning; 0 where there is none. candidates: what every engine says of the step.
    """

    symbol: str
    engine: str
    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    schedule: Mapping[str, int | str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: str
    weight_count: int
    bits_per_weight: float | None
    weights_in_code: bool
    stored_bytes: int | None
    live_bytes: int
    cycles: float
    measured: float
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, repr=False)
class Inspection:
    """summary: label and text, in order. stages: label (`03-fold-constants`) and IR text after every pass, in order.
    losses: what lossy passes did, None without. scripts: label and text of every stage after the passes, for backends
    that have some."""

    title: str
    summary: tuple[tuple[str, str], ...]
    layers: tuple[LayerRow, ...]
    stages: tuple[tuple[str, str], ...]
    losses: Losses | None = None
    scripts: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Inspection({self.title!r}, {len(self.layers)} layers, {len(self._texts)} stages)"

    @property
    def _texts(self) -> tuple[tuple[str, str], ...]:
        return (*self.stages, *self.scripts)

    @property
    def passes(self) -> list[str]:
        """The labels of all stages."""
        return [label for label, _ in self._texts]

    def text_after(self, name: str | None = None) -> str:
        """The IR after a pass, by default the last, or the script after a stage. Raises InputError for unknown ones."""
        return self._texts[self._last(name)][1] if name is not None else self.stages[-1][1]

    def diff(self, name: str) -> str:
        """A unified diff of the IR across every pass of that name; empty where nothing changed."""
        parts = []
        for i in find_stages(self.passes, name):
            (old, before), (new, after) = self._texts[max(i - 1, 0)], self._texts[i]
            lines = difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), f"after {old}", f"after {new}"
            )
            parts.append("".join(lines))
        return "".join(parts)

    def operations(self, name: str, after: str | None = None) -> str:
        """The operations of a step or source node, after a pass (default: the last).

        name: a step's symbol (`k01_conv2`) or number from 0, or a source node (`conv2` or `Conv:conv2`); a node comes
        before a number. Before the steps are there, those that come from the step's nodes. Raises InputError for a
        name that is none of these.
        """
        if after is not None:
            check_operations(self.passes[self._last(after)], dict(self.scripts))
        program = Program.parse(self.text_after(after), WeightStore(), origin=self.title)
        ops = list(program.ops)
        steps = {row.symbol: row for row in self.layers}
        found = [op for op in ops if any(_names(node, name) for node in source_names(op.location))]
        if name.isdecimal() and not found and int(name) < len(self.layers):
            name = self.layers[int(name)].symbol
        if name in steps:
            nodes = set(steps[name].nodes)
            found = [op for op in ops if isinstance(op, KernelOp | ConvertOp) and _symbol(op) == name]
            found = found or [op for op in ops if nodes & set(source_names(op.location))]
        if not found:
            known = sorted({node for op in ops for node in source_names(op.location)})
            raise InputError(
                f"no operation comes from a step or node '{name}'",
                hint=f"steps: {', '.join(steps)}; nodes: {', '.join(known)}",
            )
        return "\n".join(map(program.text_of, found)) + "\n"

    def why(self, layer: str) -> list[LayerRow]:
        """The steps of a layer, whose candidates say why each is computed as it is. layer: a source node (`conv1` or
        `Conv:conv1`), a step's symbol, or its number.

        Raises InputError for what names no step.
        """
        found = [
            row
            for i, row in enumerate(self.layers)
            if layer in (row.symbol, str(i)) or any(_names(name, layer) for name in row.nodes)
        ]
        if not found:
            known = [f"{i} {row.symbol}" for i, row in enumerate(self.layers)]
            raise InputError(f"there is no layer '{layer}'", hint=f"layers: {', '.join(known)}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Summary, layers and the names of the passes as plain values for json.dump."""
        return {
            "title": self.title,
            "summary": dict(self.summary),
            "layers": [asdict(row) for row in self.layers],
            "passes": self.passes,
            "losses": None if self.losses is None else asdict(self.losses),
        }

    def _last(self, name: str) -> int:
        return find_stages(self.passes, name)[-1]


def find_stages(labels: Sequence[str], name: str) -> list[int]:
    """The indices of the stages that `name` means: `03-fold-constants`, `fold-constants` (each of that name) or `3`.

    Raises InputError for a name that fits none.
    """
    found = [i for i, label in enumerate(labels) if label == name or label.partition("-")[2] == name]
    if not found and name.isdecimal():
        found = [i for i, label in enumerate(labels) if int(label.partition("-")[0]) == int(name)]
    if not found:
        known = f"passes: {', '.join(labels)}"
        elsewhere = ELSEWHERE.get(name.lstrip("0123456789-"), "")
        raise InputError(f"there is no pass '{name}'", hint=f"{elsewhere}; {known}" if elsewhere else known)
    return found


ELSEWHERE = {
    "tvm-relax": "--backend tvm has it", "tvm-fused": "--backend tvm has it",
    "tvm-tuned": "`compile --backend tvm --tune` has it, and the artifact that it makes",
}  # fmt: skip
"""Stages that not every compilation has."""


def check_operations(label: str, scripts: Collection[str]) -> None:
    """Raises InputError for a stage that is a script."""
    if label in scripts:
        hint = "take the stage of a pass; `tercet inspect --after` shows the text of this one"
        raise InputError(f"after '{label}' there are no operations of tercet", hint=hint)


def inspect_artifact(path: str | Path, target: str | None = None) -> Inspection:
    """What an artifact says about itself, with layers and IR for one of its targets, by default the best. Raises
    ArtifactError where it is damaged, InputError for a target that it is not for."""
    artifact = Artifact.open(path)
    target = artifact.target(target)
    layers = artifact.layers_of(target)
    stages, program = tuple(stored_stages(artifact, target)), kernel_program(artifact, target)
    rows = describe_steps(program, layers)
    manifest, size = artifact.manifest, sum(info.bytes for info in artifact.manifest.files.values())
    summary = (
        *_artifact_summary(manifest, size, target), *_weight_summary(rows, layers), _memory_summary(rows, program),
    )  # fmt: skip
    losses = losses_from_json(artifact.read(LOSSES), f"{path}: {LOSSES}") if LOSSES in artifact.names else None
    return Inspection(manifest.name, summary, rows, stages, losses, tuple(stored_scripts(artifact)))


def inspect_program(
    program: Program,
    stages: Sequence[tuple[str, str]],
    target: str,
    candidates: Mapping[str, Sequence[Mapping[str, Any]]],
    scripts: Sequence[tuple[str, str]] = (),
) -> Inspection:
    """The same for a program at kernel level that is not compiled. stages: label and IR text after every pass.
    candidates: of each kernel, by its symbol. scripts: as `Inspection` has them."""
    rows = tuple(
        replace(row, candidates=tuple(CANDIDATE(c, row.symbol) for c in candidates.get(row.symbol, ())))
        for row in describe_steps(program)
    )
    summary = (
        ("model", program.name),
        ("target", target),
        ("batch", "any number of samples" if program.batched else "fixed"),
        *(("input", _port(port)) for port in program.inputs),
        *(("output", _port(port)) for port in program.outputs),
        *_weight_summary(rows, ()),
        _memory_summary(rows, program),
    )
    return Inspection(program.name, summary, rows, tuple(stages), scripts=tuple(scripts))


def describe_steps(program: Program, layers: Sequence[Layer] = ()) -> tuple[LayerRow, ...]:
    """A row for every kernel and conversion of a program at kernel level. layers: of the artifact, if there is one."""
    ops = [op for op in program.ops if isinstance(op, KernelOp | ConvertOp)]
    if layers and len(layers) != len(ops):
        raise ArtifactError(f"the IR has {len(ops)} steps, layers.json {len(layers)}", where=program.name)
    live = live_bytes(program.block)
    return tuple(_row(op, program, layers[i] if layers else None, i, live[i]) for i, op in enumerate(ops))


def _row(op: KernelOp | ConvertOp, program: Program, layer: Layer | None, index: int, live: int) -> LayerRow:
    kernel = op if isinstance(op, KernelOp) else None
    inner = [o for o in kernel.inner if not isinstance(o, ConstantOp)] if kernel else []
    kind, count = weights_of(inner, program)
    return LayerRow(
        symbol=step_symbol(op, index),
        engine=kernel.engine.data if kernel else "convert",
        nodes=tuple(source_names(op.location)),
        ops=tuple(o.name for o in inner) or (op.name,),
        schedule=kernel.schedule_values if kernel else {},
        inputs=tuple(map(describe_type, (v.type for v in op.operands))),
        outputs=tuple(map(describe_type, (v.type for v in op.results))),
        weights=kind,
        weight_count=count,
        bits_per_weight=layer.bits_per_weight if layer else None,
        weights_in_code=layer is not None and layer.weights_in_code,
        stored_bytes=layer.weight_bytes_stored if layer else None,
        live_bytes=layer.live_bytes if layer else live,
        cycles=kernel.predicted_cycles if kernel else 0,
        measured=kernel.measured_cycles if kernel else 0,
        candidates=layer.candidates if layer else (),
    )


def describe_type(kind: Attribute) -> str:
    """A dense or laid-out tensor type in words: `1x64x30x30 int -1:1, planes`."""
    tensor = tensor_in(kind)
    shape = "x".join(map(str, shape_of(tensor))) or "scalar"
    layout = layout_of(kind)
    where = "" if layout is None else f", {layout.WORDS}"
    return f"{shape} {values_text(element_of(tensor))}{where}"


def _port(port: Port) -> str:
    values = "" if is_float(port.type) else f", values {values_text(element_of(port.type))}"
    return f"{port.name}  {port.dtype.name} [{', '.join(map(str, port.shape))}]{values}"


def _artifact_summary(manifest: Manifest, size: int, shown: str) -> tuple[tuple[str, str], ...]:
    def ports(kind: str) -> list[tuple[str, str]]:
        rest = 1 if manifest.batched else 0
        found = manifest.inputs if kind == "input" else manifest.outputs
        return [(kind, f"{p.name}  {p.dtype} [{', '.join([*['N'][:rest], *map(str, p.shape[rest:])])}]") for p in found]

    def needs(target: TargetInfo) -> str:
        text = f"{target.name}; machine {target.machine}; needs {' '.join(target.features) or 'no CPU features'}"
        return f"{text}; shown here" if len(manifest.targets) > 1 and target.name == shown else text

    return (
        ("model", manifest.name),
        *(("target", needs(target)) for target in manifest.targets),
        ("batch", "any number of samples" if manifest.batched else "fixed"),
        *ports("input"),
        *ports("output"),
        ("compiled by", f"tercet {manifest.tool_version} with {manifest.compiler.version}"),
        ("source", f"SHA-256 {manifest.source_sha256}"),
        ("size", f"{size} bytes in {len(manifest.files)} files"),
    )


def _weight_summary(rows: Sequence[LayerRow], layers: Sequence[Layer]) -> list[tuple[str, str]]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.weight_count:
            counts[row.weights] = counts.get(row.weights, 0) + row.weight_count
    text = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
    stored = sum(layer.weight_bytes_stored for layer in layers)
    return [("weights", f"{text}; all constants {stored} bytes" if layers else text)]


def _memory_summary(rows: Sequence[LayerRow], program: Program) -> tuple[str, str]:
    most = max((row.live_bytes for row in rows), default=0)
    return "arena", f"{arena_bytes(program.block)} bytes a sample; {most} of them alive at most"


def _symbol(op: KernelOp | ConvertOp) -> str:
    return "" if op.symbol is None else op.symbol.data


def _names(name: str, wanted: str) -> bool:
    return wanted in (name, name.partition(":")[2])
