"""Faults that a tester from outside found, and their neighbours; onnxruntime without optimisation has the results."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto

import tercet
from tercet.backends.reference import interpreter
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import is_float
from tercet.passes.pipeline import graph_passes
from tercet.runtime.report.outputs import check_outputs, write_bytes

from .faults import check_compiled, compare
from .quantized_cases import I8, U8, Case, bundle, floats, integers, node, onnxruntime, scale, triples, zero


def between(name: str, result: str, by: str) -> list[NodeProto]:
    """A quantizer of `name` with the scale and zero point of `by`."""
    return [
        node("QuantizeLinear", f"{name} {by}s {by}z", f"{result}q"),
        node("DequantizeLinear", f"{result}q {by}s {by}z", result),
    ]


IMAGE = floats(1, 3, 6, 6)
ACTIVATIONS = triples(U8, x=(0.05, 3), y=(0.07, -9))


def on_quantized(*nodes: NodeProto, **constants: np.ndarray) -> Case:
    """nodes from `a`, a quantized image, to `c`, which is quantized with other parameters."""
    chain = [*between("x", "a", "x"), *nodes, *between("c", "y", "y")]
    return Case(chain, {"x": IMAGE}, {**ACTIVATIONS, **constants})


OPERANDS = {
    # onnxruntime's quantizer writes the value of a border so
    "border": on_quantized(
        node("DequantizeLinear", "v vs vz", "vf"), node("Pad", "a pads vf", "c"),
        pads=np.array([0, 0, 1, 2, 0, 0, 2, 1]), v=zero(U8, 3), vs=scale(0.05), vz=zero(U8, 3),
    ),
    "border that is not zero": on_quantized(
        node("DequantizeLinear", "v vs vz", "vf"), node("Pad", "a pads vf", "c"),
        pads=np.array([0, 0, 1, 0, 0, 0, 0, 1]), v=zero(U8, 44), vs=scale(0.05), vz=zero(U8, 3),
    ),
    # onnxruntime 25113: the scales of a Resize, which are then not whole numbers any more
    "sizes of a resize": on_quantized(
        node("DequantizeLinear", "r rs rz", "rf"),
        node("Resize", "a - rf", "c", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        r=np.array([128, 128, 255, 255], U8), rs=scale(2 / 255), rz=np.array(0, U8),
    ),
    "shape": on_quantized(
        node("DequantizeLinear", "h hs", "hf"), node("Cast", "hf", "shape", to=7), node("Reshape", "a shape", "c"),
        h=np.array([2, -1], I8), hs=scale(1),
    ),
    "bounds": on_quantized(
        node("DequantizeLinear", "v vs vz", "vf"), node("Clip", "a - vf", "c"),
        v=zero(U8, 20), vs=scale(0.02), vz=zero(U8, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERANDS)
def test_operands_that_are_dequantized_constants(name: str) -> None:
    case = OPERANDS[name]
    want = onnxruntime(case.model(), case.feeds)
    compare(interpreter.run(tercet.import_model(case.model()), case.feeds), want)
    assert all(len(np.unique(y)) > 3 for y in want.values())


def test_an_operand_that_depends_on_the_input_is_still_refused() -> None:
    nodes = [*between("x", "a", "x"), node("ReduceMax", "a", "v", keepdims=0), node("Pad", "a pads v", "y")]
    case = Case(nodes, {"x": IMAGE}, {**ACTIVATIONS, "pads": np.array([0, 0, 1, 0, 0, 0, 0, 1])})
    with pytest.raises(tercet.TercetError, match="the constant value must be constant"):
        tercet.import_model(case.model())


def scaled(product: str, s: float, t: float) -> Case:
    """Activations with the scale s and ternary weights with t. Where products are infinite, a sum has only one."""
    x = np.zeros((2, 4), np.float32)
    x[1] = np.array([0, 0, 3, 0] if abs(s * t) > 1e38 else [2, -1, 3, 0]) * np.float32(s)
    weights = integers(I8, 4, 3, most=1).astype(np.float32) * np.float32(t)
    if product == "Conv":
        x, weights = x[:, :, None], np.ascontiguousarray(weights.T)[:, :, None]
    return Case(
        [*between("x", "a", "x"), node(product, "a w")], {"x": x},
        {"xs": scale(s), "xz": np.array(0, I8), "w": weights},
    )  # fmt: skip


SCALES = {
    "infinite": (1e20, 1e20), "negative and infinite": (-1e25, 1e15), "denormal": (1e-3, 1e-42),
    "denormal by the product": (1e-22, 1e-17), "zero by the product": (1e-25, 1e-25),
}  # fmt: skip


@pytest.mark.parametrize("product", ["Conv", "MatMul"])
@pytest.mark.parametrize("name", SCALES)
def test_scales_whose_product_is_no_normal_number(product: str, name: str) -> None:
    """A sum of zeros times an infinite scale was NaN, and a denormal scale has few digits."""
    case = scaled(product, *SCALES[name])
    want = onnxruntime(case.model(), case.feeds)
    program = tercet.import_model(case.model())
    for step in graph_passes():
        step.apply(program)
    compare(interpreter.run(program, case.feeds), want)
    assert [is_float(op.result) for op in program.ops if isinstance(op, ConvOp | MatMulOp)] == [True]


def test_scales_whose_product_is_normal_are_taken_out() -> None:
    program = tercet.import_model(scaled("MatMul", 1e-20, 1e-17).model())
    for step in graph_passes():
        step.apply(program)
    assert [is_float(op.result) for op in program.ops if isinstance(op, MatMulOp)] == [False]


@pytest.mark.slow
def test_compiled(tmp_path: Path) -> None:
    cases = {name.replace(" ", "_"): case for name, case in OPERANDS.items()}
    cases |= {f"{op}_{i}": scaled(op, *pair) for op in ("Conv", "MatMul") for i, pair in enumerate(SCALES.values())}
    model, feeds = bundle(cases)
    check_compiled(model, feeds, onnxruntime(model, feeds), tmp_path)


# -- outputs that are no plain files ----------------------------------------------------------------------------------


def test_devices_stay_devices(tmp_path: Path) -> None:
    """`--json /dev/null` replaced the device where the user may write to /dev. Here they are copies of devices."""
    zero, full = tmp_path / "null", tmp_path / "full"
    try:
        for path, minor in ((zero, 3), (full, 7)):
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        zero.write_bytes(b"")
    except OSError as error:
        pytest.skip(f"no devices can be made here: {error}")
    check_outputs(zero, full)
    write_bytes(zero, b"{}")
    with pytest.raises(tercet.TercetError, match="full: cannot be written: No space left on device"):
        write_bytes(full, b"{}")
    assert all(stat.S_ISCHR(os.stat(path).st_mode) for path in (zero, full)) and len(list(tmp_path.iterdir())) == 2


def test_open_files_are_written_to(tmp_path: Path) -> None:
    """As in `--json /dev/stdout > file`: whoever has the file open sees what is written."""
    with open(tmp_path / "file", "wb+") as file:
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            check_outputs(name)
            write_bytes(name, name.encode())
            file.seek(0)
            assert file.read() == name.encode()


def test_names_as_long_as_file_systems_allow(tmp_path: Path) -> None:
    for name in ("n" * 255, "\u00fc" * 127):
        write_bytes(tmp_path / name, b"{}")
        assert [path.name for path in tmp_path.iterdir() if path.read_bytes() == b"{}"] == [name]
        (tmp_path / name).unlink()


def test_pipes_are_written_to(tmp_path: Path) -> None:
    """As in `--json >(jq .)`."""
    os.mkfifo(path := tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    check_outputs(path)
    write_bytes(path, b"{}")
    reader.join()
    assert read == [b"{}"] and stat.S_ISFIFO(os.stat(path).st_mode)


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link.json", tmp_path / "there" / "target.json"
    link.symlink_to(target)
    for data in (b"first", b"second"):  # the link leads nowhere before the first
        check_outputs(link)
        write_bytes(link, data)
        assert link.is_symlink() and target.read_bytes() == data
    assert [path.name for path in target.parent.iterdir()] == ["target.json"]


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(tercet.TercetError, match="cannot be written: Is a directory"):
        write_bytes(tmp_path, b"")
    assert list(tmp_path.iterdir()) == []
