"""The verbs: each is a thin layer over the public function of the same name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..ir.errors import InputError
from .stdout import print_error

if TYPE_CHECKING:
    from ..api import Choices, CompileOptions
    from ..ir.program import Program
    from ..runtime.report.progress import Progress

FINE, FAILED = 0, 1
SECONDS = 1.0
"""Of searching for shared sums, for each layer and coding, where --budget does not say how many."""


def compile_verb(options: argparse.Namespace) -> int:
    from ..api import compile
    from ..runtime.report.losses_text import losses_text
    from ..runtime.report.tables import seconds_text
    from ..runtime.report.tuning_text import tuning_text

    chosen = _chosen(options)
    wanted = _stages_to_print(options.print_ir_after, chosen)
    with _progress(options) as progress:

        def on_stage(label: str, program: Program | None, seconds: float) -> None:
            progress.done(label, seconds)
            if program is not None and label.rpartition("/")[2] in wanted:  # in front, of several targets, which one
                progress.print(f"// IR after {label}\n{program.text()}")

        progress.begin("compiling")
        made = compile(
            options.model, options.output, options=chosen, name=options.name, jobs=options.jobs,
            as_directory=options.directory, calibrate=options.calibrate, dump_ir=options.dump_ir, on_stage=on_stage,
        )  # fmt: skip
        for label, script in made.scripts:
            if label in wanted:
                progress.print(f"# after {label}\n{script}\n")
    for note in made.notes:
        print_error(f"tercet: note: {note}")
    if not options.quiet:
        for hint in made.hints:
            print_error(f"tercet: hint: {hint}")
        if made.losses is not None:
            print(losses_text(made.losses))
        if chosen.tune:
            print(made.tuned or tuning_text(made.layers), end="")
        total = sum(seconds for _, seconds in made.stages)
        path = f"{made.path} (replaced)" if made.replaced else str(made.path)
        print(
            f"{path}: {made.name} for {made.target}, {len(made.layers)} steps, {made.size} bytes, "
            f"{made.arena_bytes} bytes of working memory, in {seconds_text(total)}"
        )
    return FINE


def inspect_verb(options: argparse.Namespace) -> int:
    from ..api import inspect
    from ..runtime.report.text import inspection_text, why_text

    _check_questions(options)
    if options.repetition:
        return _repetition(options)
    with _progress(options) as progress:
        progress.begin("reading")
        found = inspect(options.path, options=_chosen(options))
    if options.diff is not None:
        print(found.diff(options.diff) or "no change\n", end="")
    elif options.op is not None:
        print(found.operations(options.op, options.after), end="")
    elif options.after is not None:
        print(found.text_after(options.after), end="")
    elif options.why is not None:
        rows = found.why(options.why)
        print(json.dumps(list(map(asdict, rows)), indent=1) if options.json else why_text(rows).rstrip())
    elif options.json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        print(inspection_text(found), end="")
    return FINE


def _check_questions(options: argparse.Namespace) -> None:
    """Raises InputError for questions that are not answered together, and for options that do nothing without one."""
    of_ir = "op" if options.op is not None else "after"
    asked = [name for name in ("repetition", "diff", "why", of_ir) if getattr(options, name) not in (None, False)]
    if len(asked) > 1:
        raise InputError(f"--{asked[0]} and --{asked[1]} are not shown together", hint="ask for one of them")
    if options.json and asked and asked[0] not in ("repetition", "why"):
        raise InputError(f"--{asked[0]} is not shown as JSON", hint="leave out --json")
    for name in ("budget", "bench", "html"):
        if getattr(options, name) is not None and not options.repetition:
            raise InputError(f"--{name} does nothing without --repetition", hint="add --repetition, or leave it out")


def _repetition(options: argparse.Namespace) -> int:
    from ..api import repetition
    from ..runtime.report.outputs import check_outputs, write_bytes
    from ..runtime.report.repetition_html import repetition_html
    from ..runtime.report.repetition_text import HEADER, repetition_rows
    from ..runtime.report.tables import table

    check_outputs(options.html)
    with _progress(options) as progress:
        progress.begin("reading")
        found = repetition(
            options.path, budget=SECONDS if options.budget is None else options.budget, bench=options.bench,
            options=_chosen(options), on_layer=progress.begin,
        )  # fmt: skip
    if options.html is not None:
        write_bytes(options.html, repetition_html(Path(options.path).stem, found).encode())
    if options.json:
        print(json.dumps([layer.to_json() for layer in found], indent=1))
    elif not options.quiet:
        print(table(HEADER, repetition_rows(found), "<<>>>>>>>>>>>><>>"))
    return FINE


def opt_verb(options: argparse.Namespace) -> int:
    from ..api import opt

    with _progress(options) as progress:
        progress.begin("running passes")
        program = opt(
            options.path, options.passes, options=_chosen(options), output=options.output, dump_ir=options.dump_ir,
            after=options.after, verify_passes=options.verify_passes,
        )  # fmt: skip
    if options.output is None:
        print(program.text(), end="")
    return FINE


def export_verb(options: argparse.Namespace) -> int:
    from ..api import export

    with _progress(options) as progress:
        progress.begin("exporting")
        chosen = _chosen(options)
        model = export(
            options.path, options.onnx, after=options.after, dialect=options.dialect, batch=chosen.batch,
            shapes=chosen.shapes_by_name,
        )
    if not options.quiet:
        print(f"{options.onnx}: {len(model.graph.node)} nodes")
    return FINE


def sensitivity_verb(options: argparse.Namespace) -> int:
    from ..api import sensitivity
    from ..runtime.report.losses_text import sensitivity_text

    with _progress(options) as progress:
        found = sensitivity(
            options.model, options.calibrate, options=_chosen(options),
            on_progress=lambda layer: progress.begin(f"changing {layer}"),
        )  # fmt: skip
    if options.json:
        from dataclasses import asdict

        print(json.dumps([asdict(layer) for layer in found], indent=1))
    else:
        print(sensitivity_text(found))
    return FINE


def cost_verb(options: argparse.Namespace) -> int:
    from ..api import Synthesis, cost
    from ..runtime.report.outputs import check_outputs, write_bytes
    from ..runtime.report.tables import csv_text, table

    sources = [options.model, options.calibrate, options.inputs, options.liberty, *(options.library or ())]
    check_outputs(options.csv, options.html, read=sources, folder=options.verilog)
    if options.liberty and not options.yosys:
        raise InputError("--liberty is for Yosys", hint="add --yosys")
    wanted = Synthesis(options.liberty, options.fpga, options.time_limit) if options.yosys else None
    with _progress(options) as progress:
        found = cost(
            options.model, libraries=options.library, codings=options.coding, calibrate=options.calibrate,
            shared=not options.own_sums, lanes=options.lanes or 0, html=options.html, verilog=options.verilog,
            inputs=options.inputs, synthesis=wanted, options=_chosen(options),
            on_operation=lambda name: progress.begin(f"mapping {name}"),
        )  # fmt: skip
    if options.csv is not None:
        write_bytes(options.csv, csv_text(found.HEADER, found.rows()).encode())
    if options.json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        print(table(found.HEADER, found.rows(), found.SIDES))
        if found.synthesis is not None:
            print()
            print(table(found.synthesis.HEADER, found.synthesis.rows(), found.synthesis.SIDES))
        print("\n".join(("", *found.summary())))
    return FINE


def run_verb(options: argparse.Namespace) -> int:
    from ..api import load
    from ..runtime.check.samples import named_inputs
    from ..runtime.report.outputs import write_arrays
    from ..runtime.report.tables import table, values_text

    with load(options.artifact, threads=options.threads) as model:
        outputs = model.run(named_inputs(options.input, [port.name for port in model.inputs]))
        chosen = model.target if len(model.manifest.targets) > 1 else ""
    if options.output_dir is not None:
        for path in write_arrays(options.output_dir, outputs):
            if not options.quiet:
                print(path)
        return FINE
    rows = [[name, str(a.dtype), str(list(a.shape)), values_text(a)] for name, a in outputs.items()]
    print(table(("output", "dtype", "shape", "values"), rows, width=100))
    if chosen:
        print(f"computed by target {chosen}")
    return FINE


def verify_verb(options: argparse.Namespace) -> int:
    from ..api import verify
    from ..runtime.report.outputs import check_outputs, write_json
    from ..runtime.report.progress import colored
    from ..runtime.report.verification_text import verification_text

    check_outputs(options.json)
    with _progress(options) as progress:
        found = verify(
            options.artifact, options.against, inputs=options.inputs, samples=options.samples,
            per_layer=options.per_layer, threads=options.threads, rtol=options.rtol,
            max_mismatch=options.max_mismatch, bisect=options.bisect, on_progress=progress.begin,
        )  # fmt: skip
    if options.json is not None:
        write_json(options.json, found.to_json())
    if not options.quiet or not found.ok:
        print(colored(verification_text(found), sys.stdout, options.color), end="")
    return FINE if found.ok else FAILED


def bench_verb(options: argparse.Namespace) -> int:
    from ..api import bench
    from ..runtime.report.bench_html import bench_html
    from ..runtime.report.outputs import check_outputs, write_bytes, write_json
    from ..runtime.report.text import bench_text

    check_outputs(options.json, options.html)
    with _progress(options) as progress:
        report = bench(
            options.path, source=options.source, against=options.against, threads=options.threads,
            samples=options.samples, repeats=options.repeats,
            per_layer=options.per_layer or options.html is not None, options=_chosen(options),
            on_progress=progress.begin,
        )  # fmt: skip
    if options.json is not None:
        write_json(options.json, report.to_json())
    if options.html is not None:
        write_bytes(options.html, bench_html(report).encode())
    if not options.quiet:
        print(bench_text(report), end="")
    if options.against and not report.peers:
        print_error(f"tercet: nothing was compared: none of {', '.join(options.against)} ran; see the notes")
        return FAILED
    return FINE


def targets_verb(options: argparse.Namespace) -> int:
    from ..api import targets
    from ..runtime.report.tables import table

    found = targets()
    if options.json:
        from dataclasses import asdict

        print(json.dumps([asdict(target) for target in found], indent=1))
        return FINE
    rows = []
    for t in found:
        name, runs = f"{t.name} (native)" if t.native else t.name, "no" if t.problem else "yes"
        rows.append([name, t.machine, str(t.vector_bits), runs, t.compiler])
    print(table(("target", "machine", "vector bits", "runs here", "C compiler"), rows, "<<><<", width=60))
    print("".join(f"\n{t.problem}" for t in found if t.problem))
    print(f"\n{table(('engine', 'what it computes'), found[0].engines, width=120)}")
    return FINE


def completion_verb(options: argparse.Namespace) -> int:
    import argcomplete

    print(argcomplete.shellcode(["tercet"], shell=options.shell))
    return FINE


# -- what verbs share -------------------------------------------------------------------------------------------------


def _chosen(options: argparse.Namespace) -> CompileOptions:
    """The options of compiling that a verb has. Raises InputError."""
    from ..api import CompileOptions, LossyOptions

    given = vars(options)
    lossy = {name: given[name] for name in LOSSY if name in given}
    if lossy:
        lossy["keep"] = tuple(lossy["keep"])
        lossy.setdefault("ends", True)
    choices: dict[str, Any] = {name: given[name] for name in CHOICES if name in given}
    if "tune" in given:
        choices["tune"] = _candidates(options)
    choices |= {"shapes": _shapes(options), "weights": LossyOptions(**lossy)}
    return CompileOptions.of(choices=cast("Choices", choices))


CHOICES = ("backend", "target", "batch", "engines", "optimize", "threading", "tracker")
"""The options of a verb that are choices of compiling, as they are."""

LOSSY = ("weights", "per", "keep", "ends", "threshold", "regions", "assign", "activations")
"""The options of a verb that are fields of LossyOptions."""


def _shapes(options: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """Raises InputError for an input that has two."""
    found = dict(options.shapes)
    if len(found) < len(options.shapes):
        raise InputError("--shape: given twice for an input", hint="leave one of them out")
    return found


def _candidates(options: argparse.Namespace) -> int:
    """How many candidates of a layer are measured. Raises InputError where none are, but a number was given."""
    if options.tune_candidates is not None and not options.tune:
        raise InputError("--tune-candidates does nothing without --tune", hint="add --tune, or leave it out")
    if not options.tune:
        return 0
    from ..api import default_candidates

    return options.tune_candidates or default_candidates(options.backend)


def _progress(options: argparse.Namespace) -> Progress:
    from ..runtime.report.progress import Progress

    return Progress(quiet=options.quiet, color=options.color)


def _stages_to_print(names: Sequence[str], options: CompileOptions) -> set[str]:
    """The labels that --print-ir-after means. Raises InputError for unknown passes before anything is compiled."""
    if not names:
        return set()
    from ..api import stage_labels
    from ..runtime.report.inspection import find_stages

    labels = stage_labels(lossy=options.lossy.lossy, backend=options.backend, tuned=options.tune > 0)
    if "all" in names:
        return set(labels)
    return {labels[i] for name in names for i in find_stages(labels, name)}


VERBS = {
    "compile": compile_verb,
    "inspect": inspect_verb,
    "opt": opt_verb,
    "export": export_verb,
    "sensitivity": sensitivity_verb,
    "cost": cost_verb,
    "run": run_verb,
    "verify": verify_verb,
    "bench": bench_verb,
    "targets": targets_verb,
    "completion": completion_verb,
}
