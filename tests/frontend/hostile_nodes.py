"""Hostile functions, nodes and constant subgraphs; the files and tensors are in hostile.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

from .helpers import floats, model, node
from .hostile import add, hostile, one

# -- functions ----------------------------------------------------------------------------------------------------


def _functions(*bodies: tuple[str, list[NodeProto]]) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        source = model(node(bodies[0][0], "x", domain="f"), {"x": floats(2)}, domains=["f"])
        source.functions.extend(helper.make_function("f", n, ["x"], ["y"], body, imports) for n, body in bodies)
        return source

    return build


def _twice(name: str) -> list[NodeProto]:
    return [node(name, "x", "t", domain="f"), node(name, "t", domain="f")]


add(
    "function that calls itself",
    "function 'A' calls itself",
    _functions(("A", [node("B", "x", domain="f")]), ("B", [node("A", "x", domain="f")])),
)
add(
    "functions that double",
    f"its functions unfold to {2**40} nodes",
    _functions(
        *((f"F{i}", _twice(f"F{i + 1}")) for i in range(39)), ("F39", [node("Relu", "x", "t"), node("Relu", "t")])
    ),
)
add(
    "function defined twice",
    "function 'A' is defined twice",
    _functions(("A", [node("Relu", "x")]), ("A", [node("Tanh", "x")])),
)

# -- nodes --------------------------------------------------------------------------------------------------------


def _attribute(**fields: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        source = one(node("LeakyRelu", "x", name="leaky"), 2)
        source.graph.node[0].attribute.append(AttributeProto(name="alpha", **fields))
        return source

    return build


add(
    "attribute of another type",
    "attribute 'alpha': expected a float, got a string",
    _attribute(type=AttributeProto.STRING, s=b"0.1"),
)
add(
    "attribute of a function",
    "attribute 'alpha' refers to a function's attribute",
    _attribute(type=AttributeProto.FLOAT, ref_attr_name="beta"),
)


@hostile("attribute given twice", "attribute 'alpha' is given twice")
def _attributes(folder: Path) -> ModelProto:
    source = _attribute(type=AttributeProto.FLOAT, f=0.5)()
    source.graph.node[0].attribute.append(source.graph.node[0].attribute[0])
    return source


CONV = {"w": floats(4, 3, 3, 3)}
IMAGE = (1, 3, 8, 8)
for _name, _message, _attributes_of in (
    ("stride of zero", "attribute 'strides': expected 2 integers of 1 or more, got [0, 1]", {"strides": [0, 1]}),
    ("one stride", "attribute 'strides': expected 2 integers of 1 or more, got [1]", {"strides": [1]}),
    ("absurd pads", f"got [0, 0, {2**40}, 0]", {"pads": [0, 0, 2**40, 0]}),
    ("large pads", "its result has the absurd shape", {"pads": [0, 0, 2**30, 2**30]}),
    ("kernel of another size", "attribute 'kernel_shape' is [5, 5], but the weight has", {"kernel_shape": [5, 5]}),
    ("group of zero", "attribute 'group': expected 1 or more, got 0", {"group": 0}),
    ("group that does not divide", "(Conv): group: expected", {"group": 2}),
    ("unknown auto_pad", "attribute 'auto_pad' has the unknown value 'HALF'", {"auto_pad": "HALF"}),
    ("kernel larger than the image", "(Conv): kernel: expected", {"dilations": [9, 9]}),
):
    add(
        f"conv with {_name}",
        _message,
        lambda attributes=_attributes_of: one(node("Conv", "x w", name="conv", **attributes), *IMAGE, **CONV),
    )
add(
    "too few inputs",
    "node 'conv' (Conv): expected 2 to 3 inputs, got 1",
    lambda: one(node("Conv", "x", name="conv"), *IMAGE),
)
add("required input left out", "a required input is left out", lambda: one(node("Conv", "x -", name="conv"), *IMAGE))
add(
    "pad of 2^40",
    "are absurd",
    lambda: one(node("Pad", "x p", name="pad"), 2, 3, p=np.array([0, 0, 2**40, 0])),
)
add(
    "resize by 10^9",
    "its result has the absurd shape [3000000000, 3000000000]",
    lambda: one(node("Resize", "x - s", name="resize"), 3, 3, s=np.array([1e9, 1e9], np.float32)),
)
add(
    "reshape to another size",
    "cannot be reshaped to [5, -1]",
    lambda: one(node("Reshape", "x s", name="reshape"), 2, 3, s=np.array([5, -1])),
)
add(
    "axis outside",
    "axis 7 is outside a tensor of rank 2",
    lambda: one(node("ArgMax", "x", name="arg", axis=7), 2, 3),
)
add(
    "slice step of zero",
    "a step is zero",
    lambda: one(node("Slice", "x a a a a", name="slice"), 2, 3, a=np.array([0])),
)
add(
    "split into too much",
    "parts [2, 2] for 2 outputs do not fill axis 1 of size 3",
    lambda: one(node("Split", "x p", "y z", name="split", axis=1), 2, 3, p=np.array([2, 2])),
)
add(
    "concat of different ranks",
    "shapes that differ along axis 1 only",
    lambda: one(node("Concat", "x w", name="concat", axis=1), 2, 3, w=floats(2)),
)
add(
    "float zero point",
    "a quantized tensor or its zero point is not an integer tensor",
    lambda: one(node("MatMulInteger", "x w", name="product"), 2, 3, w=floats(3, 2)),
)
add(
    "shapes that do not broadcast",
    "node 'mul' (Mul): operands: expected",
    lambda: one(node("Mul", "x w", name="mul"), 2, 3, w=floats(4, 5)),
)

# -- constants that explode ---------------------------------------------------------------------------------------


def _folded(name: str, first: list[NodeProto], **constants: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        arrays = {k: np.asarray(v) for k, v in constants.items()}
        return model([*first, node("Add", "x big")], {"x": floats(2)}, arrays)

    return build


def _bomb(name: str, message: str, proto: NodeProto, **constants: Any) -> None:
    add(name, f"node 'bomb' ({proto.op_type}): {message}", _folded(name, [proto], **constants))


LARGE = np.array([2**31, 2**31])
_bomb(
    "2^62 elements by ConstantOfShape",
    f"its constant result would have {2**62} elements",
    node("ConstantOfShape", "s", "big", name="bomb"),
    s=LARGE,
)
_bomb(
    "2^62 elements by Expand",
    f"its constant result would have {2**62} elements",
    node("Expand", "w s", "big", name="bomb"),
    w=floats(1, 1),
    s=LARGE,
)
_bomb(
    "2^62 elements by Tile",
    f"its constant result would have {2**62} elements",
    node("Tile", "w s", "big", name="bomb"),
    w=floats(1, 1),
    s=LARGE,
)
_bomb(
    "endless Range",
    "its constant result would have",
    node("Range", "a b c", "big", name="bomb"),
    a=np.float32(0),
    b=np.float32(1e30),
    c=np.float32(1),
)
_bomb("Range that stands still", "delta is zero", node("Range", "a a a", "big", name="bomb"), a=np.array(0))
_bomb(
    "broken constant arithmetic",
    "cannot be computed from its constant inputs",
    node("Mul", "a b", "big", name="bomb"),
    a=floats(2),
    b=floats(3),
)
_bomb("numbers as text", "holds strings", node("Cast", "a", "big", name="bomb", to=TensorProto.STRING), a=floats(2))


@hostile("doubling Concat", f"its constant result would have {2**27} elements")
def _doubling(folder: Path) -> ModelProto:
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0, name=f"concat{i}") for i in range(60)]
    return model([*nodes, node("Add", "x c60")], {"x": floats(2)}, {"c0": floats(2**20)})
