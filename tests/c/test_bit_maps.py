"""Conversions to and from maps in bits equal the layouts' numpy meaning, for every layout, width and thread count."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import NATIVE, plan_offsets, planes_type, random_array
from library import Library
from portable import portable
from xdsl.ir import Attribute

from tercet.backends.c.target import Target, find_target
from tercet.ir.kn.bit_rows import BitRowsLayout, row_bits
from tercet.ir.kn.bits import BitsLayout
from tercet.ir.kn.kernel import ConvertOp, planned_offsets
from tercet.ir.kn.layout import MapType, bit_rows_of, bits_of, pack, unpack
from tercet.ir.kn.requests import Planes
from tercet.ir.program import Port, Program
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, Element, int_type, set_type, storage_dtype, tensor_type

ELEMENTS = (TERNARY, BIPOLAR, BOOL, int_type(-1, 0), set_type([3, 100]), int_type(200, 201), int_type(1, 1))
SHAPES = [
    ((1, 70, 5, 17), 1), ((1, 6, 1, 1), 1), ((1, 3, 2, 135), 1), ((1, 9, 4, 70), 3), ((1, 66, 3, 5), 2),
    ((1, 2, 3, 5), 0), ((2, 65, 9), 1), ((3, 130), 1), ((40,), 0), ((2, 3, 8), 2), ((2, 4, 9), 0),
]  # fmt: skip


def steps(element: Element) -> list[tuple[Attribute, list[Attribute]]]:
    """Tensors, and the types they are converted to one after the other."""
    found: list[tuple[Attribute, list[Attribute]]] = []
    for shape, axis in SHAPES:
        kind = tensor_type(shape, element)
        bits: list[Attribute] = [MapType(kind, BitsLayout.of(axis, g)) for g in (1, 2) if shape[axis] % g == 0]
        way: list[Attribute] = [*bits, kind]
        rows: list[Attribute] = []
        if len(shape) == 4 and row_bits(element):
            rows = [MapType(kind, BitRowsLayout.of(kind))]
            for each in bits:
                way += [rows[0], each, rows[0], kind]
        if len(shape) == 4 and axis == 1:
            for request, slack in ((Planes(1, 2, 0, 1, zero=True), 0), (Planes(2, 1, 1, 0, stride=2, zero=True), 1)):
                way += [planes_type(kind, request, slack), *rows, planes_type(kind, request, slack), bits[0]]
            way.append(kind)
        found.append((kind, way))
    return found


@pytest.mark.parametrize(
    "target",
    [NATIVE, *(pytest.param(t, marks=pytest.mark.check) for t in (find_target("generic"), portable("x86-64-v4")))],
    ids=lambda t: t.name,
)
def test_conversions(target: Target) -> None:
    cases = [case for element in ELEMENTS for case in steps(element)]
    ports = [Port(f"x{i}", kind, storage_dtype(kind.element_type)) for i, (kind, _) in enumerate(cases)]  # type: ignore[attr-defined, arg-type]
    program = Program.new("bits", ports)
    outputs, checked = [], []
    for i, (argument, (kind, way)) in enumerate(zip(program.block.args, cases, strict=True)):
        value = argument
        for want in way:
            op = ConvertOp.create(operands=[value], result_types=[want])
            program.block.add_op(op)
            value = op.y
            if bits_of(want) or bit_rows_of(want):
                checked.append((i, op))
        outputs.append((f"y{i}", value, storage_dtype(kind.element_type)))  # type: ignore[attr-defined]
    program.finish(outputs)
    plan_offsets(program)
    program.verify()
    library, rng = Library(program, target), np.random.default_rng(0)
    arrays = [random_array(rng, kind.get_shape(), kind.element_type) for kind, _ in cases]  # type: ignore[attr-defined]
    for threads in (1, 3):
        results = library.run([a[None] for a in arrays], threads=threads)
        for array, result in zip(arrays, results, strict=True):
            np.testing.assert_array_equal(result[0], array)
        for i, op in checked:
            want = pack(arrays[i], op.y.type)
            have = library.arena[planned_offsets(op)[0] :][: want.nbytes].view(want.dtype)
            if bit_rows_of(op.y.type):  # which leave bits unspecified
                have, want = unpack(have, op.y.type), unpack(want, op.y.type)
            np.testing.assert_array_equal(have, want, err_msg=f"{cases[i][0]} in {op.y.type}")


def test_one_value_takes_a_bit_that_is_zero() -> None:
    for element, axis in product((int_type(1, 1), int_type(0, 0)), (0, 1)):
        kind = MapType(tensor_type((3, 5), element), BitsLayout.of(axis))
        assert not pack(np.full((3, 5), element.lo.data), kind).any()
