"""Which pass changed what a program computes: the interpreter on the IR after every pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....ir.program import Program
from ...artifact.stored_ir import read_stages, stage_programs
from ...load.loader import LoadedModel
from ..compare import difference
from ..samples import Samples
from .check import joined, run_reference

IMPORT = "the model as it is imported now"


def changing_passes(
    loaded: LoadedModel, reference: Program | None, samples: Samples, rtol: float, on_progress: Callable[[str], None]
) -> list[str]:
    """In order, the passes after which an output is another one than before, with the difference in words.

    reference: the imported model, which comes before the stored stages; None without. Integers must be equal, floats
    within rtol of the largest magnitude. The stages are those for the target that runs; those before a lossy pass are
    left out: their constants are not stored.
    """
    artifact, batched, found = loaded.artifact, loaded.manifest.batched, []
    stages = [stage for stage in read_stages(artifact, loaded.target) if stage.complete]
    distinct = [stage for i, stage in enumerate(stages) if i == 0 or stage.file != stages[i - 1].file]
    programs: list[tuple[str, Program]] = [] if reference is None else [(IMPORT, reference)]
    programs += list(zip([stage.label for stage in distinct], stage_programs(artifact, distinct), strict=True))
    before = None
    for label, program in programs:
        on_progress(f"running the IR after {label}")
        after = joined([run_reference(program, run, batched) for run in samples.runs], batched)
        if before is not None:
            gaps = {name: difference(after[name], before[name], rtol) for name in before}
            found += [f"{label}: {name}: {gap.text}" for name, gap in gaps.items() if not gap.ok]
        before = after
    return found


def bisection_notes(found: Sequence[str]) -> list[str]:
    """What `changing_passes` found, as sentences."""
    if not found:
        return ["bisect: no pass changes what the interpreter computes"]
    return [f"bisect: the first change is {found[0]}", *(f"bisect: another change is {one}" for one in found[1:])]
