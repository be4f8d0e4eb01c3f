"""The options of the command line. Imports nothing heavy: --help and completion are quick."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

from ..version import __version__
from .groups import compiling, lossy, model_or_ir, sizes, synthesis, threads
from .values import count, name, path, peers, seconds, share, tolerance

USAGE = 2
"""Exit code for usage and input errors."""

Verb: TypeAlias = "Callable[[argparse.Namespace], int]"


class _Parser(argparse.ArgumentParser):
    """Errors name the help of the verb that they are about, and what was probably meant."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"tercet: {message}\n  hint: {_meant(self, message)}see `{self.prog} --help`\n")

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Refuses unknown arguments itself, so that a verb's error comes from its own parser."""
        known, rest = super().parse_known_args(None if args is None else list(args), namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return known, rest


def _meant(parser: argparse.ArgumentParser, message: str) -> str:
    """"did you mean X? ", for what looks like one of the parser's options, verbs or choices."""
    unknown = re.search(r"(?:unrecognized arguments:|invalid choice:) '?([^\s'=]+)", message)
    if unknown is None:
        return ""
    known = [name for action in parser._actions for name in (*action.option_strings, *(action.choices or ()))]
    close = difflib.get_close_matches(unknown[1], map(str, known), n=1)
    return f"did you mean {close[0]}? " if close else ""


def _common() -> _Parser:
    """Options of every verb; SUPPRESS, so that they can be given before or after it."""
    common, absent = _Parser(add_help=False), argparse.SUPPRESS
    group = common.add_argument_group("general")
    group.add_argument("-q", "--quiet", action="store_true", default=absent, help="print only errors")
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default=absent, help="coloured output (default: auto)"
    )
    return common


def build_parser(functions: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """The whole command line; functions: what each verb runs."""
    parser = _Parser(
        prog="tercet",
        description="Compile ternary, binary and few-bit neural networks to CPU kernels that avoid multiplications.",
        epilog="`tercet VERB --help` shows a verb's options and examples. Exit codes: 0 success, 1 a check failed, "
        "2 usage or input error.",
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"tercet {__version__}")
    parser.set_defaults(quiet=False, color="auto")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, what: str, *examples: str) -> _Parser:
        added = verbs.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", parents=[_common()],
            epilog="examples:\n" + "\n".join(f"  tercet {name} {example}".rstrip() for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.set_defaults(verb=functions[name])
        return added

    v = verb(
        "compile", "compile an ONNX, QDQ, QONNX or PyTorch model to an artifact",
        "model.onnx -o model.tercet",
        "model.onnx -o build/model --directory --target x86-64-v3,generic",
        "exported.pt2 --tune",
        "float.onnx --weights ternary --calibrate samples.npz --keep 'layer1.*'",
        "model.onnx --dump-ir build/ir --print-ir-after thresholds",
    )  # fmt: skip
    v.add_argument("model", metavar="MODEL", help="an .onnx or .pt2 file")
    v.add_argument(
        "-o", "--output", type=path, metavar="OUT",
        help="the artifact (default: NAME.tercet in this folder)",
    )  # fmt: skip
    v.add_argument("--directory", action="store_true", help="write the artifact as a folder instead of a file")
    v.add_argument("--name", type=name, help="name of the model and its C functions (default: the file's name)")
    compiling(v)
    lossy(v, "keep")
    v.add_argument("-j", "--jobs", type=count, metavar="N", help="C compilers at a time (default: one per CPU)")
    v.add_argument("--dump-ir", type=path, metavar="DIR", help="write the IR and its weights after every pass to DIR")
    v.add_argument(
        "--print-ir-after", metavar="PASS", action="append", default=[],
        help="print the IR after a pass, by name or number; may be repeated; `all` prints it after every pass",
    )  # fmt: skip

    v = verb(
        "inspect", "show what an artifact holds, or what a model becomes; execute nothing from the file",
        "model.tercet",
        "model.tercet --after thresholds --op conv2",
        "model.onnx --diff recover-quantizers",
        "model.tercet --why conv2",
        "model.onnx --repetition --budget 5 --html repetition.html",
    )  # fmt: skip
    v.add_argument("path", metavar="MODEL|ARTIFACT")
    v.add_argument("--after", metavar="PASS", help="print the IR after a pass, by name or number")
    v.add_argument("--diff", metavar="PASS", help="print what a pass changed in the IR, as a unified diff")
    v.add_argument(
        "--op", metavar="NAME",
        help="print a step (by symbol or number) or a source node, in the final IR or --after a pass",
    )  # fmt: skip
    v.add_argument(
        "--why", metavar="LAYER",
        help="print, for a layer, each engine's schedule, predicted and measured cycles, or why it refuses",
    )  # fmt: skip
    v.add_argument("--json", action="store_true", help="print the summary and the layers as JSON")
    v.add_argument(
        "--repetition", action="store_true",
        help="print density, repeated patterns and shared sums of layers with weights of -1, 0 and 1",
    )  # fmt: skip
    v.add_argument(
        "--budget", type=seconds, metavar="SECONDS",
        help="with --repetition: CPU time of the search for each layer and coding (default: 1)",
    )  # fmt: skip
    v.add_argument(
        "--bench", metavar="FILE",
        help="with --repetition: take times from JSON of `tercet bench --per-layer`",
    )  # fmt: skip
    v.add_argument(
        "--html", type=path, metavar="FILE",
        help="with --repetition: write the report, with a plot, as one HTML file",
    )  # fmt: skip
    compiling(v)

    v = verb(
        "opt", "run passes on a model or its IR, and print the resulting IR",
        "model.onnx -p 'recover-quantizers,thresholds{most-levels=15}'",
        "ir/05-recover-quantizers -p fold-batch-norm -o after --verify-passes",
        "model.onnx --target generic --engine loops --dump-ir ir",
    )  # fmt: skip
    model_or_ir(v)
    v.add_argument("--after", metavar="PASS", help="for an artifact: begin after this pass (default: after import)")
    v.add_argument(
        "-p", "--passes", metavar="PASSES",
        help="'name{option=value,..},name,..'; see docs/passes.md (default: all passes of `compile`)",
    )  # fmt: skip
    v.add_argument(
        "-o", "--output", type=path, metavar="DIR",
        help="write program.mlir and weights.npz to DIR; print nothing",
    )  # fmt: skip
    v.add_argument("--dump-ir", type=path, metavar="DIR", help="write the IR and its weights after every pass to DIR")
    v.add_argument(
        "--verify-passes", action="store_true", help="check after every pass what it ensures"
    )
    compiling(v)

    v = verb(
        "export", "write a model, or its IR after a pass, as an ONNX model",
        "model.qonnx.onnx --onnx standard.onnx",
        "model.pt2 --onnx model.onnx --dialect qcdq",
        "model.tercet --after thresholds --onnx thresholds.onnx",
    )  # fmt: skip
    model_or_ir(v)
    v.add_argument("--onnx", type=path, metavar="FILE", required=True, help="the file to write")
    v.add_argument(
        "--dialect", choices=("standard", "qcdq", "qonnx"), default="standard",
        help="how quantizers are written (default: standard, as arithmetic)",
    )  # fmt: skip
    v.add_argument("--after", metavar="PASS", help="of an artifact: the IR after this pass (default: the import)")
    sizes(v)

    v = verb(
        "sensitivity", "show which layers of a float model to leave unchanged, by changing one at a time",
        "float.onnx --calibrate samples.npz",
        "float.onnx --calibrate samples.npz --weights signed-binary --keep '*depthwise*'",
    )  # fmt: skip
    v.add_argument("model", metavar="MODEL", help="an .onnx or .pt2 file")
    sizes(v)
    v.add_argument("--json", action="store_true", help="print the layers as JSON")
    lossy(v, "ternary")

    v = verb(
        "cost", "count the ternary and binary logic gates that a network needs",
        "model.onnx",
        "model.onnx --library lee2019 --library nangate45-like --coding ternary --coding '{neg, pos}' --csv cost.csv",
        "float.onnx --calibrate samples.npz --weights ternary --activations ternary --json",
        "model.onnx --html cost.html --verilog netlists --inputs samples.npz",
    )  # fmt: skip
    v.add_argument("model", metavar="MODEL", help="an .onnx or .pt2 file")
    v.add_argument(
        "--library", action="append", metavar="NAME",
        help="a cell library, or a .toml file of one; can be given several times (default: one ternary, one binary)",
    )
    v.add_argument(
        "--coding", action="append", metavar="NAME",
        help="how integers lie on wires: ternary, '{neg, pos}' or \"two's complement\"; can be given several times "
        "(default: all that go with a library)",
    )
    v.add_argument(
        "--own-sums", action="store_true",
        help="each output adds up all of its inputs itself (default: outputs share sums that several of them have)",
    )
    v.add_argument(
        "--lanes", metavar="N", type=count,
        help="also arrays that multiply N pairs a step, for weights from a memory",
    )  # fmt: skip
    v.add_argument("--csv", metavar="FILE", type=path, help="write the table as CSV")
    v.add_argument("--json", action="store_true", help="print everything as JSON")
    v.add_argument("--html", type=path, metavar="FILE", help="write the report, with plots, as one HTML file")
    v.add_argument(
        "--verilog", type=path, metavar="DIR",
        help="write a tile of each operation as Verilog, with a test bench, and as BLIF; DIR/README.md says more",
    )  # fmt: skip
    v.add_argument(
        "--inputs", metavar="FILE",
        help="an .npz file with samples of the inputs: how many outputs of gates change from one to the next; their "
        "activations become the vectors of --verilog (default: those of --calibrate, else random and extreme numbers)",
    )  # fmt: skip
    sizes(v)
    synthesis(v)
    lossy(v, "keep")

    v = verb(
        "run", "run an artifact on arrays from files",
        "model.tercet --input image.npy",
        "model.tercet --input a=a.npy --input b=b.npy --output-dir results",
    )  # fmt: skip
    v.add_argument("artifact", metavar="ARTIFACT")
    v.add_argument(
        "--input", "-i", metavar="[NAME=]FILE", action="append", default=[], required=True,
        help="an .npy file (NAME can be omitted for a model with one input), or an .npz file with an array per input",
    )  # fmt: skip
    v.add_argument(
        "--output-dir", "-o", type=path, metavar="DIR",
        help="write outputs to DIR/NAME.npy (default: print a summary)",
    )  # fmt: skip
    threads(v)

    v = verb(
        "verify", "check that an artifact computes what its source model means",
        "model.tercet --against model.onnx",
        "model.tercet --against model.onnx --inputs samples.npz --per-layer",
    )  # fmt: skip
    v.add_argument("artifact", metavar="ARTIFACT")
    v.add_argument("--against", metavar="MODEL", required=True, help="the model it was compiled from")
    v.add_argument(
        "--inputs", metavar="FILE", help="an .npz file with arrays named like the inputs; arrays named like outputs "
        "(`output`, `logits`) are expected results (default: random inputs)",
    )  # fmt: skip
    v.add_argument(
        "--samples", type=count, metavar="N",
        help="how many samples (default: 8 random ones, or all in the file)",
    )  # fmt: skip
    v.add_argument("--per-layer", action="store_true", help="compare every layer, and name the first that diverges")
    v.add_argument("--bisect", action="store_true", help="name the passes that change the result of the interpreter")
    v.add_argument(
        "--max-mismatch", type=share, default=0.02, metavar="SHARE",
        help="how many elements may differ from expected results in model and artifact alike (default: 2%%)",
    )  # fmt: skip
    v.add_argument(
        "--rtol", type=tolerance, default=1e-5,
        help="relative to the largest magnitude, for floats (default: 1e-5)",
    )  # fmt: skip
    v.add_argument("--json", type=path, metavar="FILE", help="write the result as JSON")
    threads(v)

    v = verb(
        "bench", "time an artifact against other runtimes, alternately",
        "model.onnx",
        "model.tercet --source model.onnx --threads 2 --per-layer",
        "model.onnx --samples 8 --json bench.json --html bench.html",
    )  # fmt: skip
    v.add_argument("path", metavar="ARTIFACT|MODEL", help="an artifact, or a model, which is compiled first")
    v.add_argument("--source", metavar="MODEL", help="the model that the other runtimes run, when an artifact is given")
    v.add_argument(
        "--against", metavar="PEERS", type=peers,
        help="onnxruntime (default), tvm, tvm-tuned (tuned first, which takes long), several between commas, or none",
    )  # fmt: skip
    v.add_argument("--samples", type=count, default=1, metavar="N", help="samples per call (default: 1)")
    v.add_argument("--repeats", type=count, default=25, metavar="N", help="rounds (default: 25)")
    v.add_argument("--per-layer", action="store_true", help="also time every layer")
    v.add_argument("--json", type=path, metavar="FILE", help="write the report as JSON")
    v.add_argument("--html", type=path, metavar="FILE", help="write the report, with the layers, as one HTML file")
    threads(v)
    compiling(v)

    v = verb("targets", "list the targets, and what this machine can build and run", "", "--json")
    v.add_argument("--json", action="store_true", help="print them as JSON")
    v = verb(
        "completion", "print shell code for completing tercet's options",
        "bash >> ~/.bashrc",
        "fish > ~/.config/fish/completions/tercet.fish",
    )  # fmt: skip
    v.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser
