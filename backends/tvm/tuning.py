"""Tuning by TVM's MetaSchedule: for each primitive function, candidates for its schedule are built and measured, here
or on machines behind a tracker. Records are kept, and a later run goes on where one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...ir.interruption import signals_kept
from .context import OPAQUE
from .lowering.module import MAIN
from .package import meta_schedule, relax, tvm
from .records import Records
from .search import Request, Setting, search
from .targets import Target
from .tracker import Tracker


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

    @signals_kept()
    def tuned(self, module: Any) -> tuple[Any, list[Tuned]]:
        """A fused module with the fastest schedule for each function that no engine has a schedule for. Raises
        InputError for records that cannot be used, ToolchainError for a tracker without machines."""
        machines = self.tracker.servers() if self.tracker is not None else 1
        with Records(self.folder) as records:
            tasks = tasks_of(module, self.target)
            before = [records.count(task.dispatched[0]) for task in tasks]
            asked = [i for i, task in enumerate(tasks) if self._is_wanted(task, before[i], records)]
            problems = self._search([(tasks[i], before[i]) for i in asked], records, machines)
            found = list[Tuned]()
            for i, task in enumerate(tasks):
                function, problem = task.dispatched[0], problems[asked.index(i)] if i in asked else ""
                tried = records.count(function)
                if i in asked and tried < self.trials and not problem:
                    records.mark_exhausted(function)
                found.append(Tuned(task.task_name, tried, tried - before[i], records.best_seconds(function), problem))
            with records.database, self.target.for_tvm():
                return relax.transform.MetaScheduleApplyDatabase()(module), found

    def _is_wanted(self, task: Any, have: int, records: Records) -> bool:
        return have < self.trials and not records.is_exhausted(task.dispatched[0])

    def _search(self, asked: Sequence[tuple[Any, int]], records: Records, machines: int) -> Sequence[str]:
        """Returns for each function why the last of those candidates failed that did."""
        if not asked:
            return []
        setting = Setting(
            self.target.name, str(self.folder), self.trials, str(self.tracker or ""), machines, self.jobs
        )  # fmt: skip
        requests = [Request(task.task_name, task.dispatched[0], have) for task, have in asked]
        problems = search(requests, setting, records.lock)
        records.reload()
        return problems


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
