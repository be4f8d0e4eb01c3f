"""A program of `tn` as a standard ONNX model that computes the same: integers exactly, floats as float32 does.

What NaN becomes in an integer is not kept: `tn.quantize` gives 0, ONNX leaves it open.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper
from xdsl.ir import Operation, SSAValue

from ...ir.errors import UnsupportedError
from ...ir.locations import SOURCE_KEY, describe, source_names
from ...ir.names import decode_name
from ...ir.program import Program
from ...ir.tn.constant import ConstantOp
from . import elementwise, linear, logic, movement, pool, quant  # noqa: F401  (fill the table)
from .forms import FORMS
from .graph import Graph, Tensor, holds, port

OPSET, IR_VERSION = 20, 10


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def export(program: Program) -> ModelProto:
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
        _write(graph, op, values)
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
    made = helper.make_graph(graph.nodes, program.name or "model", inputs, outputs, graph.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tercet")


def _write(graph: Graph, op: Operation, values: dict[SSAValue, Tensor]) -> None:
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
    made = write(graph, op, *(values[v] for v in op.operands))
    results = [made] if isinstance(made, Tensor) else made
    for value, result in zip(op.results, results, strict=True):
        values[value] = graph.cast(result, holds(value))


