"""Kernels that copy a map [1, C, H, W] from one layout to another, written for exactly one pair of layouts."""

from __future__ import annotations

from math import lcm

from ...ir.kn.kernel import ConvertOp
from ...ir.kn.layout import PlanesLayout, bit_rows_of, bits_of, planes_of, tensor_in
from ...ir.types import element_of, shape_of, storage_dtype
from .bit_maps import emit_bits_convert
from .bit_rows import emit_bit_rows_convert
from .engine import KernelCode
from .planes import column_offset, layout_or_dense, row_c
from .text import Lines, kernel_head, storage_c


def emit_convert(op: ConvertOp, symbol: str) -> KernelCode:
    """C for one kn.convert; every plane is written whole where its layout promises zeros. Parallel over channels."""
    if bit_rows_of(op.x.type) or bit_rows_of(op.y.type):
        return emit_bit_rows_convert(op, symbol)
    if bits_of(op.x.type) or bits_of(op.y.type):
        return emit_bits_convert(op, symbol)
    tensor = tensor_in(op.x.type)
    shape, c_type = shape_of(tensor), storage_c(element_of(tensor))
    item = storage_dtype(element_of(tensor)).itemsize
    if planes_of(op.x.type) is None and planes_of(op.y.type) is None:
        return _copy(symbol, shape, c_type)
    _, channels, height, width = shape
    source, target = layout_or_dense(op.x.type), layout_or_dense(op.y.type)

    out = Lines()
    with out.block(kernel_head(symbol)):
        out.add(f"const {c_type} *restrict in = task->in[0];", f"{c_type} *restrict out = task->out[0];")
        out.add("int64_t begin, end;", f"tercet_share(task, {channels}, 1, &begin, &end);")
        with out.block("for (int64_t c = begin; c < end; c++)"):
            out.add(f"const {c_type} *restrict from = in + c * {source.field('size')};")
            out.add(f"{c_type} *restrict to = out + c * {target.field('size')};")
            if planes_of(op.y.type) and target.field("zero"):
                out.add(f"memset(to, 0, {target.field('size') * item});")
            with out.block(f"for (int64_t y = 0; y < {height}; y++)"):
                _copy_row(out, source, target, width, item)
    return KernelCode(out.text())


def _copy_row(out: Lines, source: PlanesLayout, target: PlanesLayout, width: int, item: int) -> None:
    """Copies row y: at once where both rows are contiguous, else by residue of x, where both step evenly."""
    if source.field("stride") == target.field("stride") == 1:
        out.add(
            f"memcpy(to + {row_c(target)}{_plus(column_offset(target, 0))}, "
            f"from + {row_c(source)}{_plus(column_offset(source, 0))}, {width * item});"
        )
        return
    period = lcm(source.field("stride"), target.field("stride"))
    out.add(f"const int64_t read = {row_c(source)}, write = {row_c(target)};")
    for x in range(min(period, width)):
        count = -(-(width - x) // period)
        read = _step(period // source.field("stride"), column_offset(source, x))
        write = _step(period // target.field("stride"), column_offset(target, x))
        out.add(f"for (int64_t j = 0; j < {count}; j++) to[write + {write}] = from[read + {read}];")


def _plus(value: int) -> str:
    return f" + {value}" if value else ""


def _step(step: int, start: int) -> str:
    return (f"{step} * j" if step != 1 else "j") + _plus(start)


def _copy(symbol: str, shape: tuple[int, ...], c_type: str) -> KernelCode:
    """Dense to dense of any rank."""
    count = 1
    for size in shape:
        count *= size
    out = Lines()
    with out.block(kernel_head(symbol)):
        out.add("int64_t begin, end;", f"tercet_share(task, {count}, 64, &begin, &end);")
        out.add(
            f"memcpy(({c_type} *)task->out[0] + begin, (const {c_type} *)task->in[0] + begin, "
            f"(size_t)(end - begin) * sizeof({c_type}));"
        )
    return KernelCode(out.text())
