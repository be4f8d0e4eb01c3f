"""From a model to what it costs in gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..backends.ternary_logic.cost import cost_of
from ..backends.ternary_logic.library import DEFAULT, DEFAULT_BINARY, read_library
from ..backends.ternary_logic.lowering.coding import CODINGS
from ..backends.ternary_logic.lowering.pipeline import gate_passes
from ..backends.ternary_logic.report import CostReport
from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.pipeline import numbered, run_passes
from ..runtime.report.outputs import check_outputs, write_bytes
from .cost_page import cost_html
from .lossy import Calibration, lossy_pass, samples_of
from .netlist_files import SAMPLES, check_folder, netlist_texts, write_folder
from .options import CompileOptions
from .source import Model, program_of


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def network_cost(
    model: Model | Program,
    options: CompileOptions,
    libraries: Sequence[str | Path] | None = None,
    codings: Sequence[str] | None = None,
    calibrate: Calibration | None = None,
    html: str | Path | None = None,
    verilog: str | Path | None = None,
    inputs: Calibration | None = None,
    on_operation: Callable[[str], None] = lambda name: None,
) -> CostReport:
    """See `api.cost`."""
    if inputs is not None and verilog is None:
        raise InputError("inputs: they are for the vectors of test benches alone", hint="say where: --verilog DIR")
    check_outputs(html)
    if verilog is not None:
        check_folder(Path(verilog))
    libraries = (DEFAULT, DEFAULT_BINARY) if libraries is None else libraries
    codings = tuple(CODINGS) if codings is None else codings
    if unknown := [name for name in codings if name not in CODINGS]:
        raise InputError(f"no coding '{unknown[0]}'", hint=f"have: {', '.join(CODINGS)}")
    found = [read_library(name) for name in libraries]
    pairs = [(library, CODINGS[name]) for library in found for name in codings
             if CODINGS[name].digits == library.digits]  # fmt: skip
    if not pairs:
        raise InputError(
            f"no coding of {', '.join(codings)} goes with the digits of {', '.join(library.name for library in found)}",
            hint="name a library or a coding of the same digits",
        )
    program = program_of(model, options).clone()
    given = calibrate if inputs is None else inputs
    samples = None if verilog is None or given is None else samples_of(given, program, SAMPLES)
    lossy = lossy_pass(options.lossy, calibrate)
    run_passes(program, numbered(gate_passes([] if lossy is None else [lossy])))
    costs = tuple(cost_of(program, library, coding, on_operation) for library, coding in pairs)
    if not any(cost.operations for cost in costs):
        reasons = "; ".join(f"{' + '.join(one.nodes) or one.name}: {one.reason}" for one in costs[0].outside[:5])
        raise InputError(f"no operation of the model has gates: {reasons}", hint="see --weights and --activations")
    report = CostReport(program.name, costs)
    if html is not None:
        write_bytes(html, cost_html(report).encode())
    if verilog is not None:
        write_folder(Path(verilog), netlist_texts(program, pairs, samples, on_operation))
    return report
