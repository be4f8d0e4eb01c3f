"""A program of `tn` as a standard ONNX model that computes the same: integers exactly, floats as float32 does.

What NaN becomes in an integer is not kept: `tn.quantize` gives 0, ONNX leaves it open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, helper
from xdsl.ir import Operation, SSAValue

from ...ir.errors import UnsupportedError
from ...ir.locations import SOURCE_KEY, describe, source_names
from ...ir.names import decode_name
from ...ir.program import Program
from ...ir.tn.constant import ConstantOp
from . import elementwise, linear, logic, movement, pool, quant  # noqa: F401  (fill the table)
from .forms import FORMS, DialectForm
from .graph import Graph, Tensor, holds, port
from .qcdq import QCDQ
from .qonnx import QONNX

IR_VERSION = 10
Dialect = Literal["standard", "qcdq", "qonnx"]
DIALECTS: Mapping[Dialect, Mapping[type[Operation], DialectForm]] = {"standard": {}, "qcdq": QCDQ, "qonnx": QONNX}
"""How quantizers are written. standard: as arithmetic. qcdq: QuantizeLinear, Clip and DequantizeLinear, weights as
small integers. qonnx: Quant, BipolarQuant and MultiThreshold. What a dialect has no form for is arithmetic, too."""


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def export(program: Program, dialect: Dialect = "standard") -> ModelProto:
    """The model: same names, shapes and dtypes of inputs and outputs, nodes named after those of the source model.

    A batched program gives a model with the symbolic leading axis `batch`. Raises UnsupportedError for an operation
    without a form in ONNX (those of `kn` have none), naming it.
    """
    graph = Graph(program)
    values: dict[SSAValue, Tensor] = {}
    inputs, outputs = [], []
    for argument, declared in zip(program.block.args, program.inputs, strict=True):
        given = Tensor(graph.unique(declared.name), declared.dtype)
        inputs.append(port(given.name, declared.shape, declared.dtype, batched=program.batched))
        values[argument] = graph.cast(given, holds(argument))
    given = {p.name: v for p, v in zip(program.inputs, program.block.args, strict=True)}
    passed_on = [given.get(p.name) is v for p, v in zip(program.outputs, program.returned.operands, strict=True)]
    names = [p.name if same else graph.unique(p.name) for p, same in zip(program.outputs, passed_on, strict=True)]
    last: dict[str, NodeProto] = {}
    for op in program.ops:
        before = len(graph.nodes)
        _write(graph, op, values, DIALECTS[dialect])
        if len(graph.nodes) > before:
            last |= dict.fromkeys(source_names(op.location), graph.nodes[-1])
    for source, node in last.items():
        node.metadata_props.add(key=SOURCE_KEY, value=source)
    graph.node = "output"
    results = zip(names, passed_on, program.outputs, program.returned.operands, strict=True)
    for name, same, declared, value in results:
        if not same:
            result = graph.cast(values[value], declared.dtype)
            graph.nodes.append(helper.make_node("Identity", [result.name], [name], name=graph.unique("output")))
        outputs.append(port(name, declared.shape, declared.dtype, batched=program.batched))
    graph.prune([port.name for port in outputs])
    made = helper.make_graph(graph.nodes, program.name or "model", inputs, outputs, graph.initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.domains.items()]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tercet")


def _write(
    graph: Graph, op: Operation, values: dict[SSAValue, Tensor], dialect: Mapping[type[Operation], DialectForm]
) -> None:
    """Writes one operation and notes its results."""
    if isinstance(op, ConstantOp):
        array = graph.known(op.result)
        assert array is not None
        values[op.result] = graph.constant(array, decode_name(op.get("value")))
        return
    write = FORMS.get(type(op))
    if write is None:
        raise UnsupportedError(f"{op.name} has no form in ONNX", where=describe(op))
    sources = source_names(op.location)
    graph.node = sources[-1].partition(":")[2] if sources else op.name
    operands, own = [values[v] for v in op.operands], dialect.get(type(op))
    made = None if own is None else own(graph, op, *operands)
    made = write(graph, op, *operands) if made is None else made
    results = [made] if isinstance(made, Tensor) else made
    for value, result in zip(op.results, results, strict=True):
        values[value] = graph.cast(result, holds(value))


