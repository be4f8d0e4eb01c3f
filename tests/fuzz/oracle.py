"""What must hold for a network: the import is what onnxruntime computes, every pass keeps it, and so does the code.

Integers are equal and floats within 1e-5 of a tensor's largest magnitude. Where float32 sums meet the edge of a
quantizer, another order of summation is right as well: an element may then differ if it lies within its bounds
(bounds.py), and counts as explained.
"""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from standard_qonnx import standard_model
from xdsl.ir import Attribute

from tercet.api import compile, load, verify
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import Target
from tercet.backends.reference.interpreter import run
from tercet.driver.c_backend import choose_engines
from tercet.driver.source import import_model
from tercet.ir.errors import TercetError, ToolchainError, UnsupportedError
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.program import Program
from tercet.ir.types import element_of, is_float, range_of
from tercet.passes.pipeline import Stage, graph_passes
from tercet.runtime.check.ort import open_session

from .batch import RUNS, CompiledBatch, Run
from .bounds import bounds
from .graphs.network import Arrays, Network
from .intervals import Interval

RTOL = 1e-5


@dataclass(frozen=True)
class Failure:
    """stage: `import`, `onnxruntime`, a pass's label, or a target. kind: what a smaller network shows as well."""

    network: str
    stage: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.network} at {self.stage}: {self.kind}\n{self.detail}".rstrip()


@dataclass
class Report:
    """What became of networks. refused: messages of networks that tercet does not compile, each by how many."""

    networks: int = 0
    compared: int = 0
    with_onnxruntime: int = 0
    twins: int = 0
    artifacts: int = 0
    explained: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    engines: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


@dataclass
class _Ready:
    """A network whose programs are at kernel level. want: the import's outputs."""

    network: Network
    want: Arrays
    imported: Program
    programs: dict[str, Program]


class Broken(Exception):
    """A comparison failed, or something raised what it may not."""

    def __init__(self, stage: str, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.stage, self.kind, self.detail = stage, kind, detail


def check(
    networks: Sequence[Network],
    targets: Sequence[Sequence[Target]],
    *,
    runs: Sequence[Run] = RUNS,
    flags: Sequence[str] = ("-O0",),
    jobs: int = 1,
    report: Report | None = None,
    artifacts: bool = False,
) -> Report:
    """Checks networks, each on its targets. artifacts: the first one also as an artifact."""
    report = report or Report()
    ready: list[_Ready] = []
    for network, chosen in zip(networks, targets, strict=True):
        report.networks += 1
        report.pairs.update(network.pairs)
        try:
            ready.append(_prepared(network, chosen, report))
        except Broken as broken:
            report.failures.append(Failure(network.name, broken.stage, broken.kind, broken.detail))
        except UnsupportedError as refusal:
            report.refused[_short(refusal)] += 1
    if artifacts and ready:
        try:
            _as_artifact(ready[0], report)
        except Broken as broken:
            report.failures.append(_failure(ready[0].network, broken))
    for target in {t.name: t for chosen in targets for t in chosen}.values():
        _compiled([r for r in ready if target.name in r.programs], target, runs, flags, jobs, report)
    return report


# -- import and passes ------------------------------------------------------------------------------------------------


def _prepared(network: Network, targets: Sequence[Target], report: Report) -> _Ready:
    try:
        imported = import_model(network.model)
        imported.verify()
        want = run(imported, network.inputs)
    except UnsupportedError:
        raise
    except Exception as error:
        raise _broken("import", error) from error
    bound = _Bounds(imported, network.inputs)
    if network.twin_of is not None:
        first = import_model(network.twin_of.model)
        report.twins += 1
        report.explained += compare("twin", want, run(first, network.inputs), _Bounds(first, network.inputs))
    given = onnxruntime(network)
    if given is not None:
        report.with_onnxruntime += 1
        report.explained += compare("onnxruntime", want, given, bound)
    program, programs = imported.clone(), {}
    common = len(graph_passes())
    for stage in stages(targets[0], *choose_engines(network.engines or ()))[:common] if targets else []:
        _apply(stage, program, network.inputs, want, bound, report)
    for target in targets:
        programs[target.name] = program.clone()
        for stage in stages(target, *choose_engines(network.engines or ()))[common:]:
            _apply(stage, programs[target.name], network.inputs, want, bound, report)
    for name, made in list(programs.items())[:1]:
        text = made.text()
        if Program.parse(text, made.weights).text() != text:
            raise Broken(name, "another text", text)
    for name, made in programs.items():
        report.engines.update(_engines(made, name))
    return _Ready(network, want, imported, programs)


def _apply(stage: Stage, program: Program, inputs: Arrays, want: Arrays, bound: _Bounds, report: Report) -> None:
    try:
        if not stage.step.apply(program):
            return
        program.drop_unused_weights()
        program.verify()
        have = run(program, inputs)
    except UnsupportedError:
        raise
    except Exception as error:
        raise _broken(stage.label, error) from error
    report.explained += compare(stage.label, have, want, bound)


def onnxruntime(network: Network) -> Arrays | None:
    """Its outputs with graph optimisation off; None where it cannot run the network, as it is or rewritten."""
    try:
        try:
            session = open_session(network.model, optimize=False)
        except UnsupportedError:
            session = open_session(standard_model(network.model), optimize=False)
        return session.run(network.inputs)
    except Exception:  # its exceptions have no common base below Exception
        return None


# -- compiled code ----------------------------------------------------------------------------------------------------


def _compiled(
    ready: Sequence[_Ready], target: Target, runs: Sequence[Run], flags: Sequence[str], jobs: int, report: Report
) -> None:
    if not ready:
        return
    programs = [r.programs[target.name] for r in ready]
    try:
        batch = CompiledBatch(programs, target, flags=flags, jobs=jobs)
    except Exception as error:
        if len(ready) == 1:
            report.failures.append(_failure(ready[0].network, _broken(target.name, error)))
            return
        half = len(ready) // 2
        for part in (ready[:half], ready[half:]):
            _compiled(part, target, runs, flags, jobs, report)
        return
    feeds = [[r.network.inputs[port.name] for port in p.inputs] for r, p in zip(ready, programs, strict=True)]
    for r, program, outcome in zip(ready, programs, batch.run_all(feeds, runs), strict=True):
        try:
            if isinstance(outcome, str):
                raise Broken(target.name, f"the code {outcome}")
            want, bound = run(program, r.network.inputs), _Bounds(program, r.network.inputs)
            for how, outputs in zip(runs, outcome, strict=True):
                have = {p.name: y.astype(p.dtype) for p, y in zip(program.outputs, outputs, strict=True)}
                try:
                    report.explained += compare(target.name, have, want, bound)
                except Broken as broken:
                    broken.detail += f"\n{how}"
                    raise
            report.compared += 1
        except Broken as broken:
            report.failures.append(_failure(r.network, broken))


def _as_artifact(ready: _Ready, report: Report) -> None:
    """The network as a user has it: compiled to a file, loaded, run, and verified against the model."""
    network = ready.network
    with tempfile.TemporaryDirectory(prefix="tercet-fuzz-") as folder:
        try:
            path = Path(folder) / "network.tercet"
            compile(network.model, path, target="generic", engines=network.engines, jobs=1)
            with load(path, threads=2) as model:
                have = model.run(network.inputs)
            (Path(folder) / "model.onnx").write_bytes(network.model.SerializeToString())
            verified = verify(path, Path(folder) / "model.onnx", samples=2)
        except Exception as error:
            raise _broken("artifact", error) from error
    report.explained += compare("artifact", have, ready.want, _Bounds(ready.imported, network.inputs))
    if not verified.ok:
        raise Broken("artifact", "verify says that it differs", str(verified))
    report.artifacts += 1


# -- comparing --------------------------------------------------------------------------------------------------------


class _Bounds:
    """The bounds of a program's outputs, computed when first asked for."""

    def __init__(self, program: Program, inputs: Mapping[str, np.ndarray]) -> None:
        self._program, self._inputs = program.clone(), inputs
        self._found: dict[str, Interval] | None = None

    def __getitem__(self, name: str) -> Interval:
        if self._found is None:
            self._found = bounds(self._program, self._inputs)
        return self._found[name]


def compare(stage: str, have: Arrays, want: Arrays, bound: _Bounds) -> int:
    """How many elements differ and are explained. Raises Broken where one is not, or shape or dtype differ."""
    if set(have) != set(want):
        raise Broken(stage, "other outputs", f"{sorted(have)}, not {sorted(want)}")
    explained = 0
    for name, right in want.items():
        if have[name].shape != right.shape or have[name].dtype != right.dtype:
            got = f"{have[name].dtype}{list(have[name].shape)}"
            raise Broken(stage, "another shape or dtype", f"{name}: {got}, not {right.dtype}{list(right.shape)}")
        wrong = different(have[name], right)
        if not wrong.any():
            continue
        interval = bound[name]
        given = have[name].astype(np.float64)
        size = tolerance(right)
        outside = (
            wrong
            & ~((interval.lo - size <= given) & (given <= interval.hi + size))
            & ~(np.isnan(given) & np.isinf(interval.lo) & np.isinf(interval.hi))
        )
        if outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0]) if right.ndim else ()
            raise Broken(
                stage, "another value",
                f"{name}{list(at)}: {have[name][at]!r}, not {right[at]!r} ({int(outside.sum())} of {right.size}; "
                f"within {interval.lo[at]!r} .. {interval.hi[at]!r})",
            )  # fmt: skip
        explained += int(wrong.sum())
    return explained


def different(have: np.ndarray, want: np.ndarray) -> np.ndarray:
    if want.dtype.kind != "f":
        return have != want
    a, b = have.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return ~(same | (np.abs(a - b) <= tolerance(want)))


def tolerance(want: np.ndarray) -> float:
    """Of floats, from the largest finite magnitude; 0 for integers."""
    if want.dtype.kind != "f":
        return 0.0
    wide = np.abs(want.astype(np.float64))
    return RTOL * float(np.max(wide, where=np.isfinite(wide), initial=0.0)) + 1e-40


# -- errors and coverage ----------------------------------------------------------------------------------------------


def _broken(stage: str, error: Exception) -> Broken:
    if isinstance(error, ToolchainError):
        return Broken(stage, "the C compiler fails", str(error))
    first = traceback.extract_tb(error.__traceback__)[-1]
    what = str(error) if isinstance(error, TercetError) else f"{error}"
    where = f"{first.filename.rpartition('/')[2]}:{first.name}"
    return Broken(
        stage, f"{type(error).__name__} in {where}", f"{what}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"
    )


def _failure(network: Network, broken: Broken) -> Failure:
    return Failure(network.name, broken.stage, broken.kind, broken.detail)


def _short(error: TercetError) -> str:
    """A refusal without the names in it."""
    reasons = [line.partition("): ")[2] or line for line in error.what.splitlines()[-1:]]
    return (reasons or [""])[0][:90]


def _engines(program: Program, target: str) -> list[tuple[str, str, str]]:
    """(engine, operation, class of the range of its first operand) of every operation in every kernel."""
    found = []
    for kernel in program.ops:
        if isinstance(kernel, KernelOp):
            for op in kernel.inner:
                if op.operands:
                    found.append((kernel.engine.data, op.name.removeprefix("tn."), range_class(op.operands[0].type)))
    return found


def range_class(kind: Attribute) -> str:
    element = element_of(kind)
    if is_float(kind):
        return "float"
    lo, hi = range_of(element)
    for name, (least, most) in CLASSES.items():
        if least <= lo and hi <= most:
            return name
    return "64-bit"


CLASSES = {
    "bit": (0, 1), "ternary": (-1, 1), "int4": (-8, 7), "uint4": (0, 15), "int8": (-128, 127), "uint8": (0, 255),
    "int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1),
}  # fmt: skip
