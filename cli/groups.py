"""Options that several verbs have, and groups of them."""

from __future__ import annotations

import argparse

from .values import count, seconds, shape, tolerance, tracker


def model_or_ir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="MODEL|IR",
        help="a model, an .mlir file (weights.npz beside it), a folder from --dump-ir, or an artifact",
    )  # fmt: skip


def sizes(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The sizes that a model leaves open."""
    parser.add_argument("--batch", type=count, metavar="N", help="fix a symbolic batch size to N")
    parser.add_argument(
        "--shape", dest="shapes", metavar="[NAME=]N,N,..", action="append", type=shape, default=[],
        help="fix sizes that the model leaves open, such as image=?,3,224,224 (`?` keeps one open); may be repeated; "
        "NAME can be omitted for a model with one input",
    )  # fmt: skip


def compiling(parser: argparse.ArgumentParser) -> None:
    """What decides how a model is compiled, for every verb that compiles one: fields of CompileOptions."""
    group = parser.add_argument_group("compiling a model")
    group.add_argument("--backend", choices=("c", "tvm"), default="c",
                       help="what makes the artifact: c (default), or tvm, for TVM's runtime")  # fmt: skip
    group.add_argument(
        "--target", default="native", metavar="NAME[,NAME..]",
        help="see `tercet targets` (default: native); `compile` and `bench` take several for one artifact, `inspect` "
        "and `opt` take the one of an artifact that they show",
    )  # fmt: skip
    sizes(group)
    group.add_argument(
        "--engine", dest="engines", metavar="NAME", action="append",
        help="choose among these engines only; may be repeated (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--optimize", choices=("speed", "size"), default="speed",
        help="speed (default): small layers may become straight-line code (about 20 bits per weight); "
        "size: keep weights packed (at most 1.6 bits per ternary weight)",
    )  # fmt: skip
    group.add_argument(
        "--tune", action="store_true",
        help="measure the candidates for every layer on this machine and take the fastest; measurements are kept",
    )  # fmt: skip
    group.add_argument(
        "--tune-candidates", type=count, metavar="N",
        help="with --tune: at most N candidates per layer (default: 6, with the TVM backend 64)",
    )  # fmt: skip
    group.add_argument(
        "--tracker", type=tracker, default=argparse.SUPPRESS, metavar="KEY@HOST:PORT",
        help="with --tune and the TVM backend: measure on the machines of that key behind an RPC tracker of TVM's",
    )  # fmt: skip
    group.add_argument(
        "--threading", choices=("pool", "openmp", "none"), default="pool",
        help="threads that the model runs on: its own (default), those of OpenMP, or only the caller's",
    )  # fmt: skip


WEIGHTS = ("keep", "ternary", "twn", "ttq", "asymmetric", "uniform", "signed-binary")
"""As `passes.lossy.options.WEIGHTS`, which is too heavy to import here; a test compares them."""


def lossy(parser: argparse.ArgumentParser, default: str) -> None:
    group = parser.add_argument_group("changing weights and activations (lossy; see docs/ternarize.md)")
    group.add_argument("--weights", choices=WEIGHTS, default=default, help=f"what weights become (default: {default})")
    group.add_argument(
        "--calibrate", metavar="FILE", required=default != "keep",
        help="an .npz file with samples of the inputs: weights are fitted to what the layers compute on them",
    )  # fmt: skip
    group.add_argument(
        "--keep", metavar="LAYER", action="append", default=[],
        help="leave a layer unchanged: a node, its weights or a pattern such as 'layer1.*'; may be repeated",
    )  # fmt: skip
    if default == "keep":
        group.add_argument(
            "--all-layers", dest="ends", action="store_true", help="change the first and last layers too"
        )
    group.add_argument("--per", choices=("tensor", "channel"), default="channel", help="what shares a scale")
    group.add_argument("--threshold", type=tolerance, metavar="T", help="for ttq: t of t * max |w| (default: chosen)")
    group.add_argument(
        "--regions", default="filter", metavar="SHAPE",
        help="for signed-binary: `filter`, or output by input channels as in 1x16, 4xall, allx8 (default: filter)",
    )  # fmt: skip
    group.add_argument(
        "--assign", choices=("rule", "balanced", "free"), default="free",
        help="signs of signed-binary regions: alternating (rule), or of least error, with half of each (balanced) or "
        "any number (free, the default)",
    )  # fmt: skip
    group.add_argument(
        "--activations", choices=("keep", "int8", "int4", "ternary"), default="keep",
        help="quantize what layers with few-bit weights read (default: keep)",
    )  # fmt: skip


FAMILIES = ("xcup", "xcu", "xc7", "xc6v", "xc6s", "xc5v")
"""As `backends.ternary_logic.yosys.recipes.FAMILIES`; a test compares them."""


def synthesis(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("synthesis by Yosys (pip install 'tercet[yosys]')")
    group.add_argument(
        "--yosys", action="store_true",
        help="synthesise one output and one pixel of every operation in the binary codings: standard cells, FPGA LUTs",
    )  # fmt: skip
    group.add_argument(
        "--liberty", metavar="FILE", help="the standard cells (default: areas and functions of the binary library)"
    )
    group.add_argument(
        "--fpga", choices=FAMILIES, default=FAMILIES[0], help=f"the FPGA's family (default: {FAMILIES[0]})"
    )
    group.add_argument(
        "--time-limit", type=seconds, default=60.0, metavar="SECONDS", help="for each run of Yosys (default: 60)"
    )


def threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="number of threads (default: 1)")
