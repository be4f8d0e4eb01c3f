"""Layouts: packing and unpacking are inverse, positions are distinct, and the text form round-trips."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xdsl.parser import Parser

from tercet.ir.kn.layout import MapType, PlanesLayout, buffer_bytes, pack, planes_of, unpack
from tercet.ir.program import context
from tercet.ir.types import TERNARY, element_of, int_type, shape_of, tensor_type


@st.composite
def maps(draw: st.DrawFn) -> MapType:
    channels, height, width = (draw(st.integers(1, 5)) for _ in range(3))
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    stride = draw(st.integers(1, 3))
    rows, pitch = -(-(top + height + bottom) // stride), -(-(left + width + right) // stride)
    layout = PlanesLayout.of(
        top=top, left=left, pitch=pitch, size=rows * pitch * stride**2, stride=stride, zero=draw(st.integers(0, 1))
    )
    element = draw(st.sampled_from((TERNARY, int_type(0, 200), int_type(-999, 5))))
    return MapType(tensor_type((1, channels, height, width), element), layout)


@given(maps(), st.integers(0, 2**32 - 1))
def test_pack_and_unpack(kind: MapType, seed: int) -> None:
    kind.verify()
    shape = shape_of(kind.tensor)
    x = np.random.default_rng(seed).integers(-1, 2, shape)
    if element_of(kind.tensor) != TERNARY:
        x = np.abs(x)
    buffer = pack(x, kind)
    assert buffer.nbytes == buffer_bytes(kind)
    np.testing.assert_array_equal(unpack(buffer, kind), x)
    layout = planes_of(kind)
    assert layout is not None
    positions = layout.positions(kind.tensor)
    assert len(np.unique(positions)) == positions.size
    if layout.field("zero"):
        planes = buffer.reshape(shape[1], -1).copy()
        planes[:, positions.reshape(-1)] = 0
        assert not planes.any()


@given(maps())
def test_text_round_trip(kind: MapType) -> None:
    assert Parser(context(), str(kind)).parse_attribute() == kind
