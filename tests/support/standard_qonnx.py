"""QONNX models in standard float32 operators, exactly: so onnxruntime says what they mean without tercet's import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tercet.ir.errors import UnsupportedError

OPSET = 11
ROUNDINGS = {"ROUND": "Round", "HALF_EVEN": "Round", "CEIL": "Ceil", "FLOOR": "Floor"}


def standard_model(model: ModelProto | str | Path) -> ModelProto:
    """The model with every QONNX operator replaced. Raises UnsupportedError naming a node that has no exact form."""
    proto = onnx.load(str(model)) if isinstance(model, str | Path) else model
    return _Rewriter(proto).run()


class _Rewriter:
    def __init__(self, model: ModelProto) -> None:
        self.model = model
        opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
        if opset < OPSET:
            raise UnsupportedError(f"opset {opset} has no Round and Clip as needed here; expected {OPSET} or later")
        self.constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.ranks = _ranks(model)
        self.nodes: list[NodeProto] = []
        self.count = 0

    def run(self) -> ModelProto:
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            rewrite = REWRITES.get(node.op_type)
            if rewrite is None:
                self.nodes.append(node)
            else:
                rewrite(self, node)
        return self._model()

    # -- building -------------------------------------------------------------------------------------------------

    def op(self, kind: str, *inputs: str | np.ndarray | float, out: str = "", **attributes: Any) -> str:
        """Appends a node. Arrays and numbers become float32 constants. Returns the name of the result."""
        self.count += 1
        result = out or f"tercet.{self.count}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, names, [result], name=result, **attributes))
        return result

    def constant(self, value: np.ndarray | float) -> str:
        self.count += 1
        name = f"tercet.{self.count}"
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def known(self, node: NodeProto, index: int) -> np.ndarray:
        name = node.input[index]
        if name not in self.constants:
            raise UnsupportedError(f"input {index} is computed; expected a constant", where=_where(node))
        return self.constants[name].astype(np.float32)

    def fold(self, node: NodeProto, value: np.ndarray) -> None:
        """Makes a node's result a constant."""
        self.constants[node.output[0]] = value.astype(np.float32)

    def _model(self) -> ModelProto:
        graph, used = self.model.graph, {name for node in self.nodes for name in node.input}
        used |= {output.name for output in graph.output}
        kept = {i.name: i for i in graph.initializer}
        made = {name for node in self.nodes for name in node.output}
        initializers: list[TensorProto] = [
            kept.get(name) or numpy_helper.from_array(array, name)
            for name, array in self.constants.items()
            if name in used and name not in made
        ]
        inputs = [i for i in graph.input if i.name not in self.constants]
        result = helper.make_graph(self.nodes, graph.name or "model", inputs, list(graph.output), initializers)
        opsets = [entry for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")]
        return helper.make_model(result, opset_imports=opsets, ir_version=min(max(self.model.ir_version, 4), 13))


Rewrite: TypeAlias = Callable[[_Rewriter, NodeProto], None]


def _multi_threshold(r: _Rewriter, node: NodeProto) -> None:
    """out_scale * #{T : x >= T} + out_bias."""
    attributes = _attributes(node)
    scale, bias = float(attributes.get("out_scale", 1.0)), float(attributes.get("out_bias", 0.0))
    table = np.sort(r.known(node, 1), axis=-1)
    x, out, shape = node.input[0], node.output[0], _channel_shape(r, node, attributes)
    y = ""
    for k in range(table.shape[1]):
        below = np.nextafter(table[:, k], np.float32(-np.inf)).reshape(shape)  # x > below: x >= T, in any opset
        met = r.op("Cast", r.op("Greater", x, below), to=TensorProto.FLOAT)
        y = r.op("Add", y, met) if y else met
    y = r.op("Mul", y, scale) if scale != 1 else y
    y = r.op("Add", y, bias) if bias else y
    r.op("Identity", y, out=out)


def _quant(r: _Rewriter, node: NodeProto) -> None:
    """(round(clip(x / s + zp, lo, hi)) - zp) * s; on a constant it is folded."""
    attributes = _attributes(node)
    scale, zero, bits = (r.known(node, i) for i in (1, 2, 3))
    signed, narrow = int(attributes.get("signed", 1)), int(attributes.get("narrow", 0))
    width = int(bits.reshape(-1)[0])
    if signed and width == 1:
        if np.any(zero) or not np.all(scale > 0):
            raise UnsupportedError("one signed bit with a zero point or a negative scale", where=_where(node))
        return _bipolar(r, node)
    lo = -(2 ** (width - 1)) + narrow if signed else 0
    hi = 2 ** (width - 1) - 1 if signed else 2**width - 1 - narrow
    kind = _rounding(node, attributes)
    if (x := r.constants.get(node.input[0])) is not None:
        rounded = ROUND[kind](np.clip(x.astype(np.float32) / scale + zero, lo, hi))
        return r.fold(node, (rounded - zero) * scale)
    y = r.op("Div", node.input[0], scale) if np.any(scale != 1) else node.input[0]
    y = r.op("Add", y, zero) if np.any(zero) else y
    y = r.op("Clip", r.op(kind, y), float(lo), float(hi))
    y = r.op("Sub", y, zero) if np.any(zero) else y
    r.op("Mul", y, scale, out=node.output[0])
    return None


def _bipolar(r: _Rewriter, node: NodeProto) -> None:
    """(x >= 0 ? 1 : -1) * s."""
    scale = r.known(node, 1)
    if (x := r.constants.get(node.input[0])) is not None:
        return r.fold(node, np.where(x >= 0, scale, -scale))
    below = np.nextafter(np.float32(0), np.float32(-1))
    r.op("Where", r.op("Greater", node.input[0], below), scale, -scale, out=node.output[0])
    return None


def _trunc(r: _Rewriter, node: NodeProto) -> None:
    """Version 1: y = round(x / s + zp) / 2^(in - out); (mode(y) - zp) * s."""
    if len(node.input) != 5:
        raise UnsupportedError("only Trunc version 1 has a form in standard operators here", where=_where(node))
    scale, zero, wide, narrow = (r.known(node, i) for i in (1, 2, 3, 4))
    divisor = 2.0 ** float(wide.reshape(-1)[0] - narrow.reshape(-1)[0])
    kind = _rounding(node, {"rounding_mode": b"FLOOR"} | _attributes(node))
    if (x := r.constants.get(node.input[0])) is not None:
        return r.fold(node, (ROUND[kind](np.rint(x / scale + zero) / np.float32(divisor)) - zero) * scale)
    y = r.op("Div", r.op("Round", r.op("Add", r.op("Div", node.input[0], scale), zero)), divisor)
    r.op("Mul", r.op("Sub", r.op(kind, y), zero), scale, out=node.output[0])
    return None


REWRITES: Mapping[str, Rewrite] = {
    "MultiThreshold": _multi_threshold,
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Trunc": _trunc,
}
ROUND: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"Round": np.rint, "Ceil": np.ceil, "Floor": np.floor}


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _rounding(node: NodeProto, attributes: Mapping[str, Any]) -> str:
    mode = attributes.get("rounding_mode", b"ROUND").decode().upper()
    if mode not in ROUNDINGS:
        raise UnsupportedError(f"rounding_mode {mode} has no standard operator", where=_where(node))
    return ROUNDINGS[mode]


def _channel_shape(r: _Rewriter, node: NodeProto, attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape that puts thresholds' rows on the channel axis of the operand."""
    rank = r.ranks.get(node.input[0])
    if rank is None:
        raise UnsupportedError("the rank of its operand is not known", where=_where(node))
    last = attributes.get("data_layout", b"").decode().endswith("C")
    axis = rank - 1 if last or rank < 2 else 1
    return tuple(-1 if i == axis else 1 for i in range(rank))


def _ranks(model: ModelProto) -> dict[str, int]:
    """The rank of every value that ONNX's shape inference finds, QONNX operators taken as Identity."""
    plain = ModelProto()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.op_type in REWRITES:
            del node.input[1:], node.attribute[:]
            node.op_type, node.domain = "Identity", ""
    inferred = onnx.shape_inference.infer_shapes(plain).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}


def _where(node: NodeProto) -> str:
    return f"node '{node.name or node.output[0]}' ({node.op_type})"
