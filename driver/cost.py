"""From a model to what it costs in gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..backends.c.sum_search import compiled_search
from ..backends.ternary_logic.arrays import longest_sum
from ..backends.ternary_logic.cell import Library
from ..backends.ternary_logic.cost import cost_of
from ..backends.ternary_logic.functions import BINARY
from ..backends.ternary_logic.library import DEFAULT, DEFAULT_BINARY, read_library
from ..backends.ternary_logic.lowering.coding import CODINGS, Coding
from ..backends.ternary_logic.lowering.graph import ON_FLOATS
from ..backends.ternary_logic.lowering.pipeline import gate_passes
from ..backends.ternary_logic.lowering.tiles import parts
from ..backends.ternary_logic.lowering.vectors import followed
from ..backends.ternary_logic.report import CostReport
from ..backends.ternary_logic.yosys.cache import Cache
from ..backends.ternary_logic.yosys.liberty import liberty_of, read_liberty
from ..backends.ternary_logic.yosys.network import NetworkSynthesis, synthesise_network
from ..backends.ternary_logic.yosys.options import Synthesis
from ..backends.ternary_logic.yosys.recipes import Fpga, StandardCells
from ..backends.ternary_logic.yosys.runs import Synthesizer
from ..backends.ternary_logic.yosys.tool import find_yosys
from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.pipeline import numbered, run_passes
from ..runtime.report.outputs import check_outputs, write_bytes
from .cost_page import cost_html
from .lossy import Calibration, lossy_pass, samples_of
from .netlist_files import SAMPLES, Given, check_folder, netlist_texts, write_folder
from .options import CompileOptions
from .source import Model, program_of
from .tuning import cache_folder

PIXELS = 4
"""So many of an operation are followed from sample to sample to see how often wires change."""


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def network_cost(
    model: Model | Program,
    options: CompileOptions,
    *,
    libraries: Sequence[str | Path] | None = None,
    codings: Sequence[str] | None = None,
    calibrate: Calibration | None = None,
    shared: bool = True,
    lanes: int = 0,
    html: str | Path | None = None,
    verilog: str | Path | None = None,
    inputs: Calibration | None = None,
    synthesis: Synthesis | None = None,
    on_operation: Callable[[str], None] = lambda name: None,
) -> CostReport:
    """See `api.cost`."""
    check_outputs(html, read=[model, calibrate, inputs], folder=verilog)
    if verilog is not None:
        check_folder(Path(verilog))
    if type(lanes) is not int or lanes < 0:
        raise InputError(f"lanes: expected a whole number from 1, or 0 for no array, got {lanes!r}")
    pairs = _circuits(libraries, tuple(CODINGS) if codings is None else codings)
    synthesise = None if synthesis is None else _synthesis(synthesis, pairs, on_operation)  # its errors come first
    program = program_of(model, options).clone()
    given = calibrate if inputs is None else inputs
    wanted = verilog is not None or inputs is not None
    samples = None
    if wanted and given is not None:
        samples = Given.of(samples_of(given, program, SAMPLES), batched=program.batched)
        if verilog is None and len(samples.runs) < 2:
            what = "inputs: expected two samples or more, from one to the next of which outputs change, got one"
            raise InputError(what)
    lossy = lossy_pass(options.lossy, calibrate)
    run_passes(program, numbered(gate_passes([] if lossy is None else [lossy], compiled_search() if shared else None)))
    if 0 < (longest := longest_sum(program)) < lanes:
        raise InputError(f"lanes: no sum of the model has more than {longest:,} products, got {lanes:,}")
    read = None
    if inputs is not None and samples is not None and len(samples.runs) > 1:
        on_operation("what operations read")
        read = followed(program, list(parts(program)), samples.runs, PIXELS)
    costs = tuple(cost_of(program, library, coding, on_operation, lanes, read) for library, coding in pairs)
    if not any(cost.operations for cost in costs):
        outside = costs[0].outside
        reasons = "; ".join(f"{' + '.join(one.nodes) or one.name}: {one.reason}" for one in outside[:5])
        floats = any(one.reason == ON_FLOATS for one in outside)
        raise InputError(
            f"no operation of the model has gates: {reasons or 'it only moves numbers'}",
            hint="see --weights and --activations" if floats else "",
        )
    report = CostReport(program.name, costs, None if synthesise is None else synthesise(program))
    if html is not None:
        write_bytes(html, cost_html(report).encode())
    if verilog is not None:
        write_folder(Path(verilog), netlist_texts(program, pairs, samples, on_operation))
    return report


def _circuits(libraries: Sequence[str | Path] | None, codings: Sequence[str]) -> list[tuple[Library, Coding]]:
    """Each library with each coding of its digits, once. Without libraries a ternary and a binary one, where codings
    have such digits."""
    for name, names in (("libraries", libraries), ("codings", codings)):
        if isinstance(names, str | Path):
            raise InputError(f"{name}: expected a list of names, got {str(names)!r}")
    if unknown := [name for name in codings if name not in CODINGS]:
        raise InputError(f"no coding '{unknown[0]}'", hint=f"have: {', '.join(CODINGS)}")
    wanted = {CODINGS[name].digits for name in codings}
    both = [library for library in map(read_library, (DEFAULT, DEFAULT_BINARY)) if library.digits in wanted]
    found = both if libraries is None else list(dict.fromkeys(map(read_library, libraries)))
    names = [library.name for library in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two cell libraries are called '{twice[0]}'", hint="change the name in one of the files")
    pairs = [(library, CODINGS[name]) for library in found for name in dict.fromkeys(codings)
             if CODINGS[name].digits == library.digits]  # fmt: skip
    used = [library.name for library, _ in pairs]
    if alone := [library for library in found if library.name not in used]:
        raise InputError(
            f"no coding of {', '.join(codings)} goes with {alone[0].name}, whose digits are {alone[0].digits.name}",
            hint="name a library or a coding of the same digits",
        )
    return pairs


def _synthesis(
    wanted: Synthesis, pairs: Sequence[tuple[Library, Coding]], on_operation: Callable[[str], None]
) -> Callable[[Program], NetworkSynthesis]:
    """The synthesis of a program in the binary codings of the first binary library."""
    library = next((library for library, coding in pairs if coding.digits == BINARY), None)
    if library is None:
        raise InputError("Yosys makes binary circuits alone", hint="add a binary library, such as nangate45-like")
    codings = [coding for each, coding in pairs if each is library]
    liberty = liberty_of(library) if wanted.liberty is None else read_liberty(wanted.liberty)
    recipes = [StandardCells(liberty), Fpga(wanted.family)]
    synthesizer = Synthesizer(find_yosys(), Cache(cache_folder() / "yosys"), wanted.limit)
    return lambda program: synthesise_network(program, library, codings, recipes, synthesizer, on_operation)
