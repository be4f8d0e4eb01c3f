"""Tuning by TVM's MetaSchedule: for each primitive function, candidates for its schedule are built and measured, here
or on machines behind a tracker. Records are kept, and a later run goes on where one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...ir.progress import counted, tell
from .context import OPAQUE
from .lowering.module import MAIN
from .package import derived_object, meta_schedule, relax, tvm
from .records import Records
from .targets import Target
from .tracker import Tracker

AT_ONCE = 16
"""Candidates that are chosen, built and measured together: what is lost at most where the run is killed."""
SECONDS = 60
"""Until a candidate has to be built, and a machine has to have measured it."""
POPULATION = 128
"""Of the search: a quarter of TVM's number, whose mutations take longer than measuring some 64 candidates."""


@dataclass(frozen=True)
class Tuned:
    """One function. tried: candidates that were measured, now and before; now: of them in this run. seconds: of the
    fastest; None where none ran. problem: why the last of those failed that did; "" where none did."""

    name: str
    tried: int
    now: int
    seconds: float | None
    problem: str = ""


@dataclass(frozen=True)
class Tuner:
    """folder: of the records. trials: candidates for each function. tracker: None measures on this machine. jobs:
    builds at a time."""

    target: Target
    folder: Path
    trials: int
    tracker: Tracker | None = None
    jobs: int | None = None

    def tuned(self, module: Any) -> tuple[Any, list[Tuned]]:
        """A fused module with the fastest schedule for each function that no engine has a schedule for. Raises
        InputError for records that cannot be used, ToolchainError for a tracker without machines."""
        machines = self.tracker.servers() if self.tracker is not None else 1
        with Records(self.folder) as records:
            model, found = meta_schedule.CostModel.create("xgb"), list[Tuned]()
            for task in counted("tuning", tasks_of(module, self.target)):
                function = task.dispatched[0]
                have = records.count(function)
                wanted = have < self.trials and not records.is_exhausted(function)
                problem = self._tune(task, have, records, machines, model) if wanted else ""
                tried = records.count(function)
                if wanted and tried < self.trials and not problem:
                    records.mark_exhausted(function)
                found.append(Tuned(task.task_name, tried, tried - have, records.best_seconds(function), problem))
            with records.database, self.target.for_tvm():
                return relax.transform.MetaScheduleApplyDatabase()(module), found

    def _tune(self, task: Any, have: int, records: Records, machines: int, model: Any) -> str:
        """Returns why the last of those candidates failed that did."""
        context = meta_schedule.TuneContext(
            mod=task.dispatched[0], target=self.target.for_tvm(), task_name=task.task_name,
            search_strategy=meta_schedule.search_strategy.EvolutionarySearch(population_size=POPULATION),
            space_generator=meta_schedule.space_generator.PostOrderApply(sch_rules=_rules()),
            num_threads=self.jobs or "logical", rand_state=have + 1,  # other candidates than those before
        ).clone()  # fmt: skip
        progress = _Progress(task.task_name, have, self.trials)
        meta_schedule.tune_tasks(
            tasks=[context], task_weights=[1], work_dir=str(self.folder), database=records.database,
            max_trials_global=self.trials - have, num_trials_per_iter=AT_ONCE, cost_model=model,
            builder=meta_schedule.builder.LocalBuilder(max_workers=self.jobs, timeout_sec=SECONDS),
            runner=self._runner(machines),
            measure_callbacks=[*meta_schedule.MeasureCallback.create("default"), progress],
        )  # fmt: skip
        return progress.problem

    def _runner(self, machines: int) -> Any:
        runner = meta_schedule.runner
        if self.tracker is None:
            return runner.LocalRunner(timeout_sec=SECONDS)
        config = runner.RPCConfig(self.tracker.host, self.tracker.port, self.tracker.key, session_timeout_sec=SECONDS)
        return runner.RPCRunner(config, max_workers=machines)


def tasks_of(module: Any, target: Target) -> list[Any]:
    """The functions that `main` of a fused module calls and that may be tuned: not those of engines, which have a
    schedule."""
    network = tvm.IRModule({
        place: function for place, function in module.functions.items()
        if place.name_hint == MAIN or not isinstance(function, relax.Function)
    })  # fmt: skip
    found = meta_schedule.relax_integration.extract_tasks(network, target.for_tvm())
    return [task for task in found if not _has_schedule(task.dispatched[0])]


def _has_schedule(module: Any) -> bool:
    (function,) = module.functions.values()
    return int(function.attrs.get("op_pattern", 0)) == OPAQUE


def _rules() -> Sequence[Any]:
    """TVM's own for CPUs, but that no loop runs on several threads (an artifact runs on the calling one), and none is
    unrolled to 512 steps, which LLVM takes up to a minute for."""
    alone = meta_schedule.schedule_rule.ParallelizeVectorizeUnroll(
        max_jobs_per_core=-1, max_vectorize_extent=64, unroll_max_steps=[0, 16, 64], unroll_explicit=True
    )
    rules = meta_schedule.ScheduleRule.create("llvm")
    return [alone if type(rule) is type(alone) else rule for rule in rules]


@derived_object
class _Progress(meta_schedule.measure_callback.PyMeasureCallback):
    """Tells how far it has come after each batch. problem: of the last candidate that could not be measured."""

    def __init__(self, name: str, have: int, trials: int) -> None:
        super().__init__()
        self.name, self.count, self.trials = name, have, trials
        self.best, self.problem = float("inf"), ""

    def apply(self, scheduler: Any, task: int, candidates: Any, built: Sequence[Any], ran: Sequence[Any]) -> None:
        self.count += len(ran)
        for place, run in zip(built, ran, strict=True):
            if run.run_secs:
                self.best = min(self.best, *map(float, run.run_secs))
            else:
                self.problem = str(place.error_msg or run.error_msg or "no reason given").strip()
        tell(f"tuning {self.name}, {self.count} of {self.trials} candidates, the best of them {self.best * 1e3:.3g} ms")
