"""Broken and malicious ONNX files, each with the message that refuses it. Nothing here is harmful when refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from .helpers import floats, model, node

SECRET = "secret.bin"
"""A file beside the folder of the model, which no import may open."""

Build: TypeAlias = Callable[[Path], "ModelProto | bytes | Path"]


@dataclass(frozen=True)
class Hostile:
    """build writes what it needs into a folder and gives the model, the bytes of its file, or a path."""

    build: Build
    message: str


HOSTILE: dict[str, Hostile] = {}


def hostile(name: str, message: str) -> Callable[[Build], Build]:
    def enter(build: Build) -> Build:
        assert name not in HOSTILE
        HOSTILE[name] = Hostile(build, message)
        return build

    return enter


def add(name: str, message: str, build: Callable[[], ModelProto | bytes]) -> None:
    hostile(name, message)(lambda folder: build())


def base(**weight: Any) -> ModelProto:
    """y = x + w with x and w float32 [2, 3]; weight: fields of w to set after its data is cleared."""
    source = model(node("Add", "x w", name="add"), {"x": floats(2, 3)}, {"w": floats(2, 3)})
    if weight:
        tensor = source.graph.initializer[0]
        tensor.Clear()
        for field, value in {"name": "w", "data_type": TensorProto.FLOAT, "dims": [2, 3], **weight}.items():
            if isinstance(value, list):
                getattr(tensor, field).extend(value)
            else:
                setattr(tensor, field, value)
    return source


def changed(change: Callable[[ModelProto], object]) -> ModelProto:
    source = base()
    change(source)
    return source


def one(proto: NodeProto, *shape: int, **constants: Any) -> ModelProto:
    """A model of one node on an input x."""
    return model(proto, {"x": floats(*shape)}, {k: np.asarray(v) for k, v in constants.items()})


# -- files --------------------------------------------------------------------------------------------------------


class Bomb:
    """Pickled, it would leave a file behind when loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("pickle_was_executed", "w"))


add("empty file", "the file is empty", lambda: b"")
add("noise", "not an ONNX model", lambda: bytes(range(255, 0, -1)) * 9)
add("truncated", "not an ONNX model", lambda: base().SerializeToString()[:-7])
add("pickle", "not an ONNX model", lambda: pickle.dumps(Bomb()))
hostile("folder", "the model is not a regular file")(lambda folder: folder)
hostile("missing", "cannot read the model")(lambda folder: folder / "absent.onnx")
hostile("NUL in path", "cannot read the model")(lambda folder: folder / "a\0b.onnx")


@hostile("pipe", "the model is not a regular file")
def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.onnx")
    return folder / "pipe.onnx"


@hostile("nested 300 deep", "not an ONNX model")
def _nested(folder: Path) -> bytes:
    """Each level is written by hand: the library would refuse to build it."""

    def field(number: int, data: bytes) -> bytes:
        size, head = len(data), bytearray()
        while True:
            head.append(size & 127 | (128 if size > 127 else 0))
            size >>= 7
            if not size:
                return bytes([number << 3 | 2]) + bytes(head) + data

    graph = b""
    for _ in range(300):
        graph = field(1, field(5, field(6, graph)))  # GraphProto.node, NodeProto.attribute, AttributeProto.g
    return bytes([8, 8]) + field(7, graph)


# -- versions and graphs ------------------------------------------------------------------------------------------


def _opsets(*versions: tuple[str, int]) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        source = base()
        del source.opset_import[:]
        source.opset_import.extend(helper.make_opsetid(d, v) for d, v in versions)
        return source

    return build


add("no IR version", "IR version none is not supported", lambda: changed(lambda m: m.ClearField("ir_version")))
add("IR version 99", "IR version 99 is not supported", lambda: changed(lambda m: setattr(m, "ir_version", 99)))
add("no opset", "the opset of standard ONNX is not given", _opsets(("com.example", 1)))
add("opset 99", "opset 99 is not supported", _opsets(("", 99)))
add("opset 5", "opset 5 is not supported", _opsets(("", 5)))
add("two opsets", "the opset of domain '' is given twice: 11 and 13", _opsets(("", 11), ("ai.onnx", 13)))
add("no nodes", "the graph has no nodes", lambda: changed(lambda m: m.graph.ClearField("node")))
add("no outputs", "the graph has no outputs", lambda: changed(lambda m: m.graph.ClearField("output")))
add(
    "missing output",
    "output 'y': no node computes",
    lambda: changed(lambda m: m.graph.node[0].output.__setitem__(0, "z")),
)
add(
    "dangling input",
    "node 'add' (Add): reads 'ghost', which nothing defines",
    lambda: changed(lambda m: m.graph.node[0].input.__setitem__(1, "ghost")),
)
add(
    "cycle",
    "node 'a' (Add): is part of a cycle",
    lambda: model(
        [node("Add", "x c", "a", name="a"), node("Relu", "a", "c", name="b"), node("Relu", "a")], {"x": floats(2)}
    ),
)
add(
    "defined by two nodes",
    "value 'y' is defined twice: by a Add node",
    lambda: changed(lambda m: m.graph.node.append(node("Relu", "x", "y", name="again"))),
)
add(
    "node overwrites a weight",
    "value 'w' is defined twice: by an input or initializer",
    lambda: changed(lambda m: m.graph.node.append(node("Relu", "x", "w"))),
)
add(
    "two inputs of a name",
    "input 'x': the graph has two inputs",
    lambda: changed(lambda m: m.graph.input.append(m.graph.input[0])),
)
add(
    "two weights of a name",
    "initializer 'w': is defined twice",
    lambda: changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
)
add(
    "name that is not UTF-8",
    "NodeProto.name is not UTF-8 text",
    lambda: base().SerializeToString().replace(b"\x1a\x03add", b"\x1a\x03a\xffd"),
)
add("no operator", "has no operator type", lambda: changed(lambda m: m.graph.node[0].ClearField("op_type")))


def _input(*dims: int) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        source = base()
        source.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, dims))
        return source

    return build


add("input of negative size", "input 'x': has a negative dimension in its shape [-4, 3]", _input(-4, 3))
add("input of 2^66 elements", "input 'x': has the absurd shape", _input(2**33, 2**33))
add("input without type", "input 'x': has no type", lambda: changed(lambda m: m.graph.input[0].ClearField("type")))
add(
    "input without shape",
    "input 'x': has no shape",
    lambda: changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
)
add(
    "sequence input",
    "input 'x': is a sequence, not a tensor",
    lambda: changed(lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.__setattr__("elem_type", 1)),
)
add(
    "output of another type",
    "output 'y': is declared as int64, but computed as float32",
    lambda: changed(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64)),
)


@hostile("nested graphs", "operators with nested graphs are not supported")
def _loop(folder: Path) -> ModelProto:
    body = base().graph
    loop = helper.make_node("Loop", ["x", "w"], ["y"], name="loop", body=body)
    return changed(lambda m: m.graph.node[0].CopyFrom(loop))


@hostile("sparse weight", "the model has sparse initializers")
def _sparse(folder: Path) -> ModelProto:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return changed(lambda m: m.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [6])))


# -- tensors ------------------------------------------------------------------------------------------------------

SIX = [0.0] * 6
add("negative dims", "initializer 'w': has a negative dimension in its shape [-2, -3]", lambda: base(dims=[-2, -3]))
add("2^66 elements", "initializer 'w': has the absurd shape", lambda: base(dims=[2**33, 2**33], raw_data=b"1234"))
add("no data", "initializer 'w': has the shape [2, 3] but no data", lambda: base(name="w"))
add("raw_data too short", "raw_data holds 20 bytes, but its shape [2, 3] needs 24", lambda: base(raw_data=b"\0" * 20))
add("float_data too long", "float_data holds 7 values, but its shape", lambda: base(float_data=[*SIX, 0.0]))
add(
    "data given twice",
    "gives its values more than once: in raw_data and float_data",
    lambda: base(raw_data=b"\0" * 24, float_data=SIX),
)
add("data in the wrong field", "gives float32 values in the field int64_data", lambda: base(int64_data=[1] * 6))
add("unknown type", "initializer 'w': has the unknown data type 77", lambda: base(data_type=77, raw_data=b"\0" * 24))
add("type 0", "initializer 'w': has the unknown data type 0", lambda: base(data_type=0, raw_data=b"\0" * 24))
add("strings", "initializer 'w': holds strings", lambda: base(data_type=TensorProto.STRING, string_data=[b""] * 6))
add(
    "complex numbers",
    "initializer 'w': holds complex numbers",
    lambda: base(data_type=TensorProto.COMPLEX64, raw_data=b"\0" * 48),
)
add("NaN", "initializer 'w': holds NaN", lambda: base(float_data=[*SIX[1:], float("nan")]))
add(
    "int8 of 300",
    "int32_data holds values outside int8",
    lambda: base(data_type=TensorProto.INT8, int32_data=[300] * 6),
)
add(
    "boolean of 7",
    "holds booleans other than 0 and 1",
    lambda: base(data_type=TensorProto.BOOL, raw_data=b"\7" * 6),
)
add(
    "int4 too short",
    "raw_data holds 2 bytes, but its shape [2, 3] needs 3",
    lambda: base(data_type=TensorProto.INT4, raw_data=b"\0" * 2),
)


@hostile("segment", "is a segment of a larger tensor")
def _segment(folder: Path) -> ModelProto:
    source = base()
    source.graph.initializer[0].segment.end = 6
    return source


# -- external data ------------------------------------------------------------------------------------------------


def external(
    name: str, message: str, fields: dict[str, str], *, prepare: Callable[[Path], object] = lambda f: None
) -> None:
    """w lies in another file; `fields` are its external_data entries."""

    @hostile(f"external data: {name}", message)
    def build(folder: Path) -> bytes:
        (folder / "weights.bin").write_bytes(b"\0" * 24)
        prepare(folder)
        source = base(data_location=TensorProto.EXTERNAL)
        entries = source.graph.initializer[0].external_data
        for key, value in fields.items():
            entries.add(key=key.rstrip("2"), value=value)
        return source.SerializeToString()


external("parent folder", "the path leaves the model's folder: '../secret.bin'", {"location": "../secret.bin"})
external("hidden parent", "the path leaves the model's folder: 'a/../../s", {"location": "a/../../secret.bin"})
external("absolute", "the path is absolute: '/etc/passwd'", {"location": "/etc/passwd"})
external("drive", "the path is absolute: 'C:secret.bin'", {"location": "C:secret.bin"})
external("backslashes", "not a file path: '..\\secret.bin'", {"location": "..\\secret.bin"})
external("no path", "not a file path: ''", {})
external(
    "symlink",
    "'link.bin' goes through a symlink",
    {"location": "link.bin"},
    prepare=lambda f: (f / "link.bin").symlink_to(f.parent / SECRET),
)
external(
    "symlinked folder",
    "'up/secret.bin' goes through a symlink",
    {"location": "up/secret.bin"},
    prepare=lambda f: (f / "up").symlink_to(f.parent),
)
external("missing file", "cannot open 'absent.bin'", {"location": "absent.bin"})
external(
    "folder",
    "'sub' is not a regular file",
    {"location": "sub"},
    prepare=lambda f: (f / "sub").mkdir(),
)
external("pipe", "'pipe' is not a regular file", {"location": "pipe"}, prepare=lambda f: os.mkfifo(f / "pipe"))
external("past the end", "asks for bytes 8 to 32 of a file of 24 bytes", {"location": "weights.bin", "offset": "8"})
external("wrong length", "length is 23, but the tensor has 24", {"location": "weights.bin", "length": "23"})
external(
    "file too long",
    "external data: 25 bytes, but the tensor has 24",
    {"location": "weights.bin"},
    prepare=lambda f: (f / "weights.bin").write_bytes(b"\0" * 25),
)
external("negative offset", "offset is not a whole number >= 0: '-8'", {"location": "weights.bin", "offset": "-8"})
external("absurd length", "length is not a whole number >= 0: '9999", {"location": "weights.bin", "length": "9" * 9999})
external("checksum", "checksum is 0000, but the file's is", {"location": "weights.bin", "checksum": "0000"})
external("two paths", "'location' is given twice", {"location": "weights.bin", "location2": "../secret.bin"})


def _outside() -> TensorProto:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=f"../{SECRET}")
    return tensor


add(
    "external data in a Constant",
    "attribute 'value': has external data",
    lambda: changed(lambda m: m.graph.node[0].CopyFrom(node("Constant", "", name="c", value=_outside()))),
)
add(
    "external data in ConstantOfShape",
    "node 'fill' (ConstantOfShape), attribute 'value': has external data",
    lambda: one(node("ConstantOfShape", "s", name="fill", value=_outside()), 2, s=np.array([2])),
)
