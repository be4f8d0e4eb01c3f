"""The command line: each verb is a thin layer over the public function of the same name.

Exit codes: 0 fine, 1 a check failed, 2 usage or input error, 70 a bug in tercet, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from . import __version__
from .ir.errors import TercetError

if TYPE_CHECKING:
    from .ir.program import Program
    from .runtime.progress import Progress

FINE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Gives its exit code; only argparse raises SystemExit (for --help and bad usage)."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(argv)
    try:
        code = options.verb(options)
        sys.stdout.flush()
        return code
    except TercetError as error:
        return _complain(f"tercet: {error}", USAGE)
    except KeyboardInterrupt:
        return _complain("tercet: interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader had enough (`tercet inspect .. | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception:
        import traceback

        traceback.print_exc()
        return _complain(f"tercet {__version__}: this is a bug; please report it with the lines above", BUG)


def _complain(text: str, code: int) -> int:
    sys.stdout.flush()
    print(text, file=sys.stderr)
    return code


# -- verbs ------------------------------------------------------------------------------------------------------------


def compile_verb(options: argparse.Namespace) -> int:
    from .api import compile
    from .runtime.tables import seconds_text

    wanted = _stages_to_print(options.print_ir_after)
    with _progress(options) as progress:

        def on_stage(label: str, program: Program | None, seconds: float) -> None:
            progress.done(label, seconds)
            if program is not None and label in wanted:
                progress.print(f"// IR after {label}\n{program.text()}")

        progress.begin("compiling")
        made = compile(
            options.model, options.output, target=options.target, batch=options.batch, name=options.name,
            jobs=options.jobs, as_directory=options.directory, engines=options.engines, dump_ir=options.dump_ir,
            on_stage=on_stage,
        )  # fmt: skip
    if not options.quiet:
        total = sum(seconds for _, seconds in made.stages)
        print(
            f"{made.path}: {made.name} for {made.target}, {len(made.layers)} steps, {made.size} bytes, "
            f"{made.arena_bytes} bytes of working memory, in {seconds_text(total)}"
        )
    return FINE


def inspect_verb(options: argparse.Namespace) -> int:
    from .api import inspect
    from .runtime.report_text import inspection_text

    with _progress(options) as progress:
        progress.begin("reading")
        found = inspect(options.path, target=options.target, batch=options.batch, engines=options.engines)
    if options.diff is not None:
        print(found.diff(options.diff) or "no change\n", end="")
    elif options.op is not None:
        print(found.operations(options.op, options.after), end="")
    elif options.after is not None:
        print(found.text_after(options.after), end="")
    elif options.json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        print(inspection_text(found), end="")
    return FINE


def run_verb(options: argparse.Namespace) -> int:
    from .api import load
    from .runtime.outputs import write_arrays
    from .runtime.samples import named_inputs
    from .runtime.tables import table, values_text

    with load(options.artifact, threads=options.threads) as model:
        outputs = model.run(named_inputs(options.input, [port.name for port in model.inputs]))
    if options.output_dir is not None:
        for path in write_arrays(options.output_dir, outputs):
            if not options.quiet:
                print(path)
        return FINE
    rows = [[name, str(a.dtype), str(list(a.shape)), values_text(a)] for name, a in outputs.items()]
    print(table(("output", "dtype", "shape", "values"), rows, width=100))
    return FINE


def verify_verb(options: argparse.Namespace) -> int:
    from .api import verify
    from .runtime.outputs import write_json
    from .runtime.progress import colored
    from .runtime.report_text import verification_text

    with _progress(options) as progress:
        found = verify(
            options.artifact, options.against, inputs=options.inputs, samples=options.samples,
            per_layer=options.per_layer, threads=options.threads, rtol=options.rtol, on_progress=progress.begin,
        )  # fmt: skip
    if options.json is not None:
        write_json(options.json, found.to_json())
    if not options.quiet or not found.ok:
        print(colored(verification_text(found), sys.stdout, options.color), end="")
    return FINE if found.ok else FAILED


def bench_verb(options: argparse.Namespace) -> int:
    from .api import bench
    from .runtime.outputs import write_bytes, write_json
    from .runtime.report_text import bench_text

    peers = [name for name in options.against.split(",") if name and name != "none"]
    with _progress(options) as progress:
        report = bench(
            options.path, source=options.source, against=peers, target=options.target, threads=options.threads,
            batch=options.batch, repeats=options.repeats, per_layer=options.per_layer or options.html is not None,
            on_progress=progress.begin,
        )  # fmt: skip
    if options.json is not None:
        write_json(options.json, report.to_json())
    if options.html is not None:
        write_bytes(options.html, report.to_html().encode())
    if not options.quiet:
        print(bench_text(report), end="")
    return FINE


def targets_verb(options: argparse.Namespace) -> int:
    from .api import targets
    from .runtime.tables import table

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


def _progress(options: argparse.Namespace) -> Progress:
    from .runtime.progress import Progress

    return Progress(quiet=options.quiet, color=options.color)


def _stages_to_print(names: Sequence[str]) -> set[str]:
    """The labels that --print-ir-after means. Raises InputError for unknown passes before anything is compiled."""
    if not names:
        return set()
    from .api import IMPORT_LABEL
    from .backends.c.target import find_target
    from .passes.pipeline import stages
    from .runtime.report import find_stages

    labels = [IMPORT_LABEL, *(stage.label for stage in stages(find_target("generic"), ()))]
    if "all" in names:
        return set(labels)
    return {labels[i] for name in names for i in find_stages(labels, name)}


# -- the parser -------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"tercet: {message}\n  hint: see `{self.prog} --help`\n")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number of 1 or more, have '{text}'")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"want a number from 0 to 1, have '{text}'")
    return value


def _common() -> _Parser:
    """Options of every verb; SUPPRESS, so that they may stand before or after it."""
    common, absent = _Parser(add_help=False), argparse.SUPPRESS
    group = common.add_argument_group("general")
    group.add_argument("-q", "--quiet", action="store_true", default=absent, help="print only what went wrong")
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default=absent, help="coloured output (default: auto)"
    )
    return common


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Imports nothing heavy: --help and completion are quick."""
    parser = _Parser(
        prog="tercet",
        description="Compile ternary and binary neural networks to multiplication-free CPU kernels.",
        epilog="`tercet VERB --help` shows a verb's options and examples. Exit codes: 0 fine, 1 a check failed, "
        "2 usage or input error.",
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"tercet {__version__}")
    parser.set_defaults(quiet=False, color="auto")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, function: Callable[[argparse.Namespace], int], what: str, *examples: str) -> _Parser:
        added = verbs.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", parents=[_common()],
            epilog="examples:\n" + "\n".join(f"  tercet {name} {example}".rstrip() for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.set_defaults(verb=function)
        return added

    v = verb(
        "compile", compile_verb, "compile an ONNX, QDQ or QONNX model to an artifact",
        "model.onnx -o model.tercet",
        "model.onnx -o build/model --directory --target x86-64-v3",
        "model.onnx --dump-ir build/ir --print-ir-after thresholds",
    )  # fmt: skip
    v.add_argument("model", metavar="MODEL", help="an .onnx file")
    v.add_argument("-o", "--output", metavar="OUT", help="the artifact (default: NAME.tercet in this folder)")
    v.add_argument("--directory", action="store_true", help="write the artifact as a folder instead of a file")
    v.add_argument("--name", help="name of the model, and of its C functions (default: the file's)")
    _compiling(v)
    v.add_argument("-j", "--jobs", type=_count, metavar="N", help="C compilers at a time (default: one a CPU)")
    v.add_argument("--dump-ir", metavar="DIR", help="write the IR and its weights after every pass to DIR")
    v.add_argument(
        "--print-ir-after", metavar="PASS", action="append", default=[],
        help="print the IR after a pass, by name or number; may be repeated; `all` prints every one",
    )  # fmt: skip

    v = verb(
        "inspect", inspect_verb, "show what an artifact holds, or what a model becomes; executes nothing from it",
        "model.tercet",
        "model.tercet --after thresholds --op conv2",
        "model.onnx --diff recover-quantizers",
    )  # fmt: skip
    v.add_argument("path", metavar="MODEL|ARTIFACT")
    v.add_argument("--after", metavar="PASS", help="print the IR after a pass, by name or number")
    v.add_argument("--diff", metavar="PASS", help="print what a pass changed in the IR, as a unified diff")
    v.add_argument("--op", metavar="NAME", help="print the operations of a source node (at the end, or --after a pass)")
    v.add_argument("--json", action="store_true", help="print summary and layers as JSON")
    _compiling(v)

    v = verb(
        "run", run_verb, "run an artifact on arrays from files",
        "model.tercet --input image.npy",
        "model.tercet --input a=a.npy --input b=b.npy --output-dir results",
    )  # fmt: skip
    v.add_argument("artifact", metavar="ARTIFACT")
    v.add_argument(
        "--input", "-i", metavar="[NAME=]FILE", action="append", default=[], required=True,
        help="an .npy file (NAME may be left out for a model with one input), or an .npz file with arrays named so",
    )  # fmt: skip
    v.add_argument("--output-dir", "-o", metavar="DIR", help="write every output to DIR/NAME.npy; else print a summary")
    _threads(v)

    v = verb(
        "verify", verify_verb, "check that an artifact computes what its source model means",
        "model.tercet --against model.onnx",
        "model.tercet --against model.onnx --inputs samples.npz --per-layer",
    )  # fmt: skip
    v.add_argument("artifact", metavar="ARTIFACT")
    v.add_argument("--against", metavar="MODEL", required=True, help="the .onnx file it was compiled from")
    v.add_argument(
        "--inputs", metavar="FILE", help="an .npz file with arrays named like the inputs; arrays named like outputs "
        "(`output`, `logits`) are expected results (default: random inputs)",
    )  # fmt: skip
    v.add_argument("--samples", type=_count, metavar="N", help="how many (default: 8 random ones, or the whole file)")
    v.add_argument("--per-layer", action="store_true", help="compare every layer and name the first that diverges")
    v.add_argument("--rtol", type=_tolerance, default=1e-5, help="for floats, of the largest magnitude (default: 1e-5)")
    v.add_argument("--json", metavar="FILE", help="write the result as JSON")
    _threads(v)

    v = verb(
        "bench", bench_verb, "time an artifact against other runtimes, in turns",
        "model.onnx",
        "model.tercet --source model.onnx --threads 2 --per-layer",
        "model.onnx --batch 8 --json bench.json --html bench.html",
    )  # fmt: skip
    v.add_argument("path", metavar="ARTIFACT|MODEL", help="an artifact, or a model that is compiled for this")
    v.add_argument("--source", metavar="MODEL", help="the model that peers run, when an artifact is given")
    v.add_argument("--against", metavar="PEERS", default="onnxruntime", help="onnxruntime (default) or none")
    v.add_argument("--batch", type=_count, default=1, metavar="N", help="samples in one call (default: 1)")
    v.add_argument("--repeats", type=_count, default=25, metavar="N", help="rounds (default: 25)")
    v.add_argument("--per-layer", action="store_true", help="also time every layer")
    v.add_argument("--json", metavar="FILE", help="write the report as JSON")
    v.add_argument("--html", metavar="FILE", help="write the report, with the layers, as one HTML file")
    v.add_argument("--target", default="native", help="for a model: see `tercet targets` (default: native)")
    _threads(v)

    v = verb("targets", targets_verb, "list the targets, and what this machine can build and run", "", "--json")
    v.add_argument("--json", action="store_true", help="print them as JSON")
    v = verb(
        "completion", completion_verb, "print the shell code that completes tercet's options",
        "bash >> ~/.bashrc",
        "fish > ~/.config/fish/completions/tercet.fish",
    )  # fmt: skip
    v.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser


def _compiling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="native", help="see `tercet targets` (default: native)")
    parser.add_argument("--batch", type=_count, metavar="N", help="fix a symbolic batch size to N")
    parser.add_argument(
        "--engine", dest="engines", metavar="NAME", action="append",
        help="choose among these engines only; may be repeated (default: all)",
    )  # fmt: skip


def _threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_count, default=1, metavar="N", help="threads (default: 1)")


if __name__ == "__main__":
    sys.exit(main())
