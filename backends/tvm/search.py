"""The search for schedules by TVM's MetaSchedule, in a process of its own: TVM's threads and builders take Ctrl-C for
an error of theirs, and go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import prod
from types import ModuleType
from typing import Any

from ...ir.progress import listening, tell
from ...ir.worker_process import run_worker, serve
from . import candidate
from .package import derived_object, meta_schedule, tvm
from .targets import find_target
from .tracker import Tracker

AT_ONCE = 16
"""Candidates that are chosen, built and measured together: what is lost at most where the run is killed."""
SECONDS = 60
"""Until a candidate has to be built, and a machine has to have measured it."""
POPULATION = 128
"""Of the search: a quarter of TVM's number, whose mutations take longer than measuring some 64 candidates."""


@dataclass(frozen=True)
class Setting:
    """target: by name. folder: of the records. trials: candidates for each function. tracker: "" measures on this
    machine; machines: that it has. jobs: builds at a time."""

    target: str
    folder: str
    trials: int
    tracker: str
    machines: int
    jobs: int | None


@dataclass(frozen=True)
class Request:
    """A function to search for. module: it alone. have: candidates of it that were measured."""

    name: str
    module: Any
    have: int


def search(requests: Sequence[Request], setting: Setting, lock: int) -> list[str]:
    """Measures candidates and adds them to the records. Returns for each function why the last of its candidates failed
    that did, "" where none did. lock: the file that says who has the records. Raises ToolchainError."""
    problems = list[str]()

    def listener(message: dict[str, str]) -> None:
        if "problem" in message:
            problems.append(message["problem"])
        else:
            tell(message["progress"])

    asked = [{"name": one.name, "module": tvm.ir.save_json(one.module), "have": one.have} for one in requests]
    run_worker(__name__, {"setting": asdict(setting), "requests": asked}, listener, what="tuning", keep=[lock])
    return problems


def main() -> None:
    """The worker."""
    serve(_work)


def _work(request: dict[str, Any], send: Callable[[object], None]) -> None:
    # TVM imports it for any search, which takes 15 s; the rules below use nothing of it
    sys.modules.setdefault("tvm.s_tir.tensor_intrin", ModuleType("tensor_intrin"))
    setting, requests = Setting(**request["setting"]), request["requests"]
    searcher = _Searcher(setting)
    with listening(lambda what: send({"progress": what})):
        for number, one in enumerate(requests, 1):
            tell(f"tuning, {number} of {len(requests)}")
            send({"problem": searcher.search(Request(one["name"], tvm.ir.load_json(one["module"]), one["have"]))})


class _Searcher:
    """What functions are searched with: they share the model that predicts what is fast, builders and machines."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._target = setting, find_target(setting.target)
        self._database = meta_schedule.database.JSONDatabase(work_dir=setting.folder)
        self._model = meta_schedule.CostModel.create("xgb")
        self._builder = meta_schedule.builder.LocalBuilder(
            max_workers=setting.jobs, timeout_sec=SECONDS, f_build=candidate.build
        )
        self._runner = _runner(setting)

    def search(self, request: Request) -> str:
        """Returns why the last candidate failed that did."""
        setting, progress = self._setting, _Progress(request.name, request.have, self._setting.trials)
        context = meta_schedule.TuneContext(
            mod=request.module, target=self._target.for_tvm(), task_name=request.name,
            search_strategy=meta_schedule.search_strategy.EvolutionarySearch(population_size=POPULATION),
            space_generator=meta_schedule.space_generator.PostOrderApply(
                sch_rules=_rules(), postprocs=meta_schedule.Postproc.create("llvm"),
                mutator_probs=meta_schedule.Mutator.create("llvm"),
            ),
            num_threads=setting.jobs or "logical", rand_state=request.have + 1,  # other candidates than those before
        )  # fmt: skip
        trials = min(setting.trials, _candidates(context)) - request.have
        if trials > 0:
            meta_schedule.tune_tasks(
                tasks=[context.clone()], task_weights=[1], work_dir=setting.folder, database=self._database,
                max_trials_global=trials, num_trials_per_iter=AT_ONCE, cost_model=self._model,
                builder=self._builder, runner=self._runner,
                measure_callbacks=[*meta_schedule.MeasureCallback.create("default"), progress],
            )  # fmt: skip
        return progress.problem


def _candidates(context: Any) -> int:
    """How many the function has at most."""
    return sum(prod(map(_choices, schedule.trace.insts)) for schedule in context.generate_design_space())


MANY = 1 << 30


def _choices(instruction: Any) -> int:
    kind = instruction.kind.name
    return len(instruction.attrs[0]) if kind == "SampleCategorical" else MANY if kind.startswith("Sample") else 1


def _runner(setting: Setting) -> Any:
    runner = meta_schedule.runner
    if not setting.tracker:
        return runner.LocalRunner(timeout_sec=SECONDS)
    tracker = Tracker.parse(setting.tracker)
    config = runner.RPCConfig(tracker.host, tracker.port, tracker.key, session_timeout_sec=SECONDS)
    return runner.RPCRunner(config, max_workers=setting.machines)


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
