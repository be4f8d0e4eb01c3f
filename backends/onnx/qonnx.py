"""QONNX, the dialect of FINN and Brevitas: Quant, BipolarQuant, MultiThreshold over float tensors."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation

from ...ir.tn.constant import ConstantOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ...ir.types import BIPOLAR, element_of, is_float, range_of, shape_of
from .forms import DialectForm, dialect_form
from .graph import FLOAT, Graph, Tensor, holds

QONNX: dict[type[Operation], DialectForm] = {}
DOMAIN = "qonnx.custom_op.general"
MODES = {"round": "ROUND", "floor": "FLOOR", "ceil": "CEIL"}


@dialect_form(QONNX, QuantizeOp)
def quantize(graph: Graph, op: QuantizeOp, x: Tensor, scale: Tensor) -> Tensor | None:
    """The integers, as float32: Quant divided by its scale. A dequantize behind it takes the Quant itself."""
    bits = _bits(op.get("lo"), op.get("hi"))
    if bits is None or op.get("mode") not in MODES or graph.known(op.scale) is None or holds(op.y) != FLOAT:
        return None
    real = _quant(graph, x, scale, bits, MODES[op.get("mode")])
    whole = graph.op("Round", graph.op("Div", real, scale))
    graph.quantized[whole.name] = real, graph.known(op.scale)
    return whole


@dialect_form(QONNX, DequantizeOp)
def dequantize(graph: Graph, op: DequantizeOp, q: Tensor, scale: Tensor) -> Tensor | None:
    if q.name in graph.quantized:
        real, known = graph.quantized[q.name]
        return real if (step := graph.known(op.scale)) is not None and np.array_equal(step, known) else None
    step, codes = graph.known(op.scale), graph.known(op.q)
    if step is None or codes is None or not isinstance(op.q.owner, ConstantOp) or is_float(op.q) or not step.all():
        return None
    weights = graph.constant(codes.astype(FLOAT) * step, f"{graph.node}.weights")
    if element_of(op.q) == BIPOLAR and (step > 0).all():  # it looks at the sign of the weights
        return graph.op("BipolarQuant", weights, scale, domain=DOMAIN)
    bits = _bits(*_needed(*range_of(element_of(op.q))))
    return None if bits is None else _quant(graph, weights, scale, bits, "ROUND")


@dialect_form(QONNX, ThresholdOp)
def threshold(
    graph: Graph, op: ThresholdOp, x: Tensor, thresholds: Tensor, sign: Tensor | None = None
) -> Tensor | None:
    table, rank = graph.known(op.thresholds), len(shape_of(op.x))
    channels_second = table is not None and (len(table) == 1 or op.get("axis") % max(rank, 1) == 1)
    if table is None or not is_float(op.x) or sign is not None or not channels_second or not table.shape[1]:
        return None
    return graph.op(
        "MultiThreshold", x, table, domain=DOMAIN, out_dtype=_dtype(op), out_scale=float(op.get("step")),
        out_bias=float(op.get("base")), data_layout="NCHW"[:rank] if rank in (2, 4) else "",
    )  # fmt: skip


def _dtype(op: ThresholdOp) -> str:
    """The integers that come out, as QONNX names them."""
    lo, hi = range_of(element_of(op.y))
    if (lo, hi) == (-1, 1):
        return "BIPOLAR" if op.get("step") == 2 else "TERNARY"
    bits = max(int(hi).bit_length(), 1) if lo >= 0 else max((-lo - 1).bit_length(), int(hi).bit_length()) + 1
    return f"UINT{bits}" if lo >= 0 else f"INT{bits}"


def _quant(graph: Graph, x: Tensor, scale: Tensor, bits: tuple[int, int, int], mode: str) -> Tensor:
    width, signed, narrow = bits
    zero, count = np.array(0, FLOAT), np.array(width, FLOAT)
    return graph.op(
        "Quant", x, scale, zero, count, domain=DOMAIN, signed=signed, narrow=narrow, rounding_mode=mode
    )


def _needed(lo: int, hi: int) -> tuple[int, int]:
    """The smallest range of a Quant that holds these integers."""
    if lo >= 0:
        return 0, 2 ** max(hi.bit_length(), 1) - 1
    most = 2 ** max(hi.bit_length(), (-lo - 1).bit_length(), 1) - 1
    return (-most, most) if lo >= -most else (-most - 1, most)


def _bits(lo: int, hi: int) -> tuple[int, int, int] | None:
    """(bit width, signed, narrow) of a Quant with exactly this range of integers; None where there is none."""
    for signed in (0, 1):
        for narrow in (0, 1):
            width = hi.bit_length() + signed if not (narrow and not signed) else (hi + 1).bit_length()
            least = -(2 ** (width - 1)) + narrow if signed else 0
            most = 2 ** (width - 1) - 1 if signed else 2**width - 1 - narrow
            if (least, most) == (lo, hi) and 1 <= width <= 32:
                return width, signed, narrow
    return None

