"""onnxruntime's QLinear operators: dequantize the operands, the standard operator in float32, quantize the result.

Source: the operator schemas of com.microsoft (onnxruntime's docs/ContribOperators.md). Averages are the exact ones
rounded half to even; onnxruntime's own kernels for QLinearSoftmax and QLinearAdd may be a step off that at ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ....ir.tn.elementwise import MulOp
from ....ir.tn.quant import DequantizeOp
from ...emitter import Emitter
from ...forms.quantizers import check_divisor, check_scale, saturated, shifted
from ...values import FLOAT, Refusal, Value
from ..node import Node
from ..registry import MICROSOFT, TABLE, register
from .channels_last import first, last
from .quantized_ops import one_number, requantized, times


@dataclass(frozen=True)
class Form:
    """What a QLinear operator's inputs are, in order.

    plain: operands that stay as they are, before the others. quantized: how many triples of tensor, scale and zero
    point follow (zero points may be left out), None for any number. result_first: whether scale and zero point of the
    result come first (else last). channels_last: the attribute of that name turns [N, *S, C] round.
    """

    standard: str
    quantized: int | None = 1
    plain: int = 0
    result_first: bool = False
    channels_last: bool = False


FORMS = {
    "QLinearAdd": Form("Add", 2),
    "QLinearMul": Form("Mul", 2),
    "QLinearAveragePool": Form("AveragePool", channels_last=True),
    "QLinearGlobalAveragePool": Form("GlobalAveragePool", channels_last=True),
    "QLinearConcat": Form("Concat", None, result_first=True),
    "QLinearLeakyRelu": Form("LeakyRelu"),
    "QLinearSigmoid": Form("Sigmoid"),
    "QLinearSoftmax": Form("Softmax"),
    "QLinearReduceMean": Form("ReduceMean"),
    "QLinearWhere": Form("Where", 2, plain=1),
}


@dataclass(frozen=True)
class Quantized:
    """One operand: integers without their zero point, and the scale."""

    whole: Value
    scale: Value

    def real(self, e: Emitter) -> Value:
        return e.op(DequantizeOp, self.whole, self.scale, dtype=FLOAT)


def _import(form: Form, e: Emitter, node: Node, *inputs: Value | None) -> Value:
    parts = list(inputs)
    plain, parts = parts[: form.plain], parts[form.plain :]
    if form.result_first:
        (y_scale, y_zero), parts = (*parts[:2], None, None)[:2], parts[2:]
        count = -(-len(parts) // 3)
    else:
        count = form.quantized or 1
        y_scale, y_zero = (*parts[3 * count :], None, None)[:2]
        extra, parts = parts[3 * count + 2 :], parts[: 3 * count]
        if extra:
            raise node.error(f"expected at most {len(inputs) - len(extra)} inputs, got {len(inputs)}")
    parts += [None] * (3 * count - len(parts))
    if y_scale is None or not count or any(p is None for p in (*plain, *parts[::3], *parts[1::3])):
        raise node.error("a required input is left out")
    operands = [_operand(e, node, form, *parts[i : i + 3]) for i in range(0, 3 * count, 3)]
    tensor = next(p for p in parts if p is not None)
    dtype = tensor.dtype if y_zero is None else y_zero.dtype
    if form.standard == "Mul":
        a, b = operands
        y = requantized(e, e.op(MulOp, a.whole, b.whole), times(e, a.scale, b.scale), y_scale, y_zero, dtype)
    else:
        real = _standard(e, node, form.standard, [*plain, *(o.real(e) for o in operands)])
        scale = one_number(e, check_divisor(e, y_scale, "the scale of the result"))
        y = saturated(e, real, scale, None if y_zero is None else one_number(e, y_zero), dtype)
    return last(e, y) if _turned(form, node) else y


def _turned(form: Form, node: Node) -> bool:
    return form.channels_last and bool(node.int("channels_last", 0))


def _operand(
    e: Emitter, node: Node, form: Form, q: Value | None, scale: Value | None, zero: Value | None = None
) -> Quantized:
    assert q is not None and scale is not None
    if zero is not None and zero.dtype != q.dtype:
        raise node.error(f"a zero point is {zero.dtype.name}, its tensor {q.dtype.name}")
    q = first(e, q) if _turned(form, node) else q
    whole = shifted(e, q, None if zero is None else one_number(e, zero))
    return Quantized(whole, one_number(e, check_scale(e, scale, "the scale of an operand")))


def _standard(e: Emitter, node: Node, op_type: str, operands: Sequence[Value | None]) -> Value:
    """The standard operator with the node's attributes. QLinearSoftmax says which opset's meaning it has."""
    entry = TABLE.get(("", op_type))
    if entry is None:
        raise Refusal(f"operator {op_type} is not supported")
    if node.has("opset"):
        node = replace(node, opset=node.int("opset"))
    result = entry.function(e, node, *operands)
    value = result if isinstance(result, Value) else result[0]
    assert value is not None
    return value


for _op_type, _form in FORMS.items():
    register(_op_type, partial(_import, _form), MICROSOFT)
