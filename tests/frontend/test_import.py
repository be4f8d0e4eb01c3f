"""What the importer does around single operators: batches, folding, names, functions, lists of what is unsupported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tercet.frontend.onnx import import_model
from tercet.ir.errors import InputError, ModelError, UnsupportedError
from tercet.ir.locations import source_names
from tercet.ir.tn.movement import ReshapeOp

from .helpers import assert_close, floats, interpreted, model, node, onnxruntime

F32, I64 = np.float32, np.int64


def network(target: list[int]) -> onnx.ModelProto:
    """Conv, Reshape, Gemm with a symbolic batch."""
    feeds = {"x": floats(5, 2, 4, 4)}
    constants = {"w": floats(3, 2, 3, 3), "s": np.array(target, I64), "v": floats(12, 5)}
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c s", "f"), node("Gemm", "f v")]
    return model(nodes, feeds, constants, symbolic=True)


@pytest.mark.parametrize("target", [[-1, 12], [0, -1], [0, 12]])
def test_symbolic_batch(target: list[int]) -> None:
    program = import_model(network(target))
    assert program.batched
    assert program.inputs[0].shape == (1, 2, 4, 4)
    for batch in (1, 5):
        feeds = {"x": floats(batch, 2, 4, 4)}
        assert_close(interpreted(program, feeds)["y"], onnxruntime(network(target), feeds)["y"])


def test_symbolic_batch_by_its_shape() -> None:
    """What torch exports for x.view(x.shape[0], -1)."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "x target"),
    ]
    constants = {"zero": np.array(0, I64), "axis": np.array([0], I64), "rest": np.array([-1], I64)}
    feeds = {"x": floats(3, 2, 4)}
    program = import_model(model(nodes, feeds, constants, symbolic=True))
    assert [type(op) for op in program.ops] == [ReshapeOp]
    assert_close(interpreted(program, feeds)["y"], feeds["x"].reshape(3, 8))


def test_batch_can_be_fixed() -> None:
    program = import_model(network([-1, 12]), batch=5)
    assert not program.batched
    assert program.inputs[0].shape == (5, 2, 4, 4)
    feeds = {"x": floats(5, 2, 4, 4)}
    assert_close(interpreted(program, feeds)["y"], onnxruntime(network([-1, 12]), feeds)["y"])


def test_batch_must_fit() -> None:
    fixed = model(node("Relu", "x"), {"x": floats(2, 3)})
    with pytest.raises(InputError, match="fixed leading sizes"):
        import_model(fixed, batch=3)
    with pytest.raises(InputError, match="expected 1 or more"):
        import_model(network([-1, 12]), batch=0)
    assert not import_model(fixed, batch=2).batched


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ReduceMean", "x", axes=[0])], {}),
        ([node("Transpose", "x")], {}),
        ([node("Softmax", "x", axis=0)], {}),
        ([node("Flatten", "x", axis=0)], {}),
        ([node("Concat", "x x", axis=0)], {}),
        ([node("Reshape", "x s")], {"s": np.array([-1], I64)}),
        ([node("Unsqueeze", "x s")], {"s": np.array([0], I64)}),
        ([node("Slice", "x s e s")], {"s": np.array([0], I64), "e": np.array([1], I64)}),
        ([node("Gather", "x s", axis=0)], {"s": np.array([0], I64)}),
        ([node("Transpose", "x", "t"), node("MatMul", "t x")], {}),
        ([node("MatMul", "w x")], {"w": floats(1, 1)}),
        ([node("Add", "x w")], {"w": floats(2, 1, 4)}),
        ([node("Split", "x", "y z", axis=0, split=[1, 0])], {}),
        ([node("Pad", "x s")], {"s": np.array([1, 0, 0, 0], I64)}),
    ],
)
def test_samples_of_a_batch_are_never_mixed(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
    opset = 11 if nodes[0].op_type == "Split" else 13
    source = model(nodes, {"x": floats(2, 4)}, constants, symbolic=True, opset=opset)
    with pytest.raises(UnsupportedError, match="batch"):
        import_model(source)


def test_an_output_without_samples_is_refused() -> None:
    nodes = [node("Relu", "x"), node("Add", "w w", "z")]
    source = model(nodes, {"x": floats(2, 4)}, {"w": floats(3)}, symbolic=True, outputs={"y": F32, "z": F32})
    with pytest.raises(UnsupportedError, match="output 'z': does not depend on the input"):
        import_model(source)


def test_symbolic_sizes_elsewhere() -> None:
    source = model(node("Relu", "x"), {"x": floats(2, 3, 4)})
    dims = source.graph.input[0].type.tensor_type.shape.dim
    dims[2].ClearField("dim_value")
    dims[2].dim_param = "width"
    with pytest.raises(UnsupportedError, match=r"input 'x': the size of 'width' in \[2, 3, width\] is not known"):
        import_model(source)
    both = model(node("Add", "a b"), {"a": floats(2, 3), "b": floats(2, 3)})
    both.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    with pytest.raises(UnsupportedError, match="batch=N"):
        import_model(both)
    assert import_model(both, batch=2).inputs[0].shape == (2, 3)


def test_everything_unsupported_comes_in_one_error() -> None:
    nodes = [
        node("Det", "x", "a", name="first"),
        node("Mystery", "a", "b", name="second", domain="com.example"),
        node("LSTM", "b b b", "c", name="third", hidden_size=3),
        node("Relu", "x", "d"),
        node("Resize", "d - s", "e", name="fourth", mode="lanczos"),
        node("MaxPool", "e", "f g", name="fifth", kernel_shape=[1]),
    ]
    feeds, constants = {"x": floats(1, 2, 4)}, {"s": np.array([1, 1, 2], F32)}
    outputs = dict.fromkeys("cefg", F32)
    source = model(nodes, feeds, constants, outputs={**outputs, "g": I64}, domains=["com.example"])
    source.graph.output[1].CopyFrom(helper.make_tensor_value_info("e", TensorProto.FLOAT, [1, 2, 8]))
    with pytest.raises(UnsupportedError) as caught:
        import_model(source)
    text = str(caught.value)
    for part in (
        "5 things are not supported",
        "node 'first' (Det): operator Det is not supported",
        "node 'second' (Mystery): operator com.example.Mystery is not supported",
        "node 'third' (LSTM)",
        "node 'fourth' (Resize): mode 'lanczos'",
        "node 'fifth' (MaxPool): the output Indices",
    ):
        assert part in text


def test_dead_nodes_are_skipped() -> None:
    nodes = [node("Mystery", "x", "dead", domain="com.example"), node("Relu", "x")]
    program = import_model(model(nodes, {"x": floats(2)}, domains=["com.example"]))
    assert len(list(program.ops)) == 1


def test_any_order_of_nodes_and_names_of_the_nameless() -> None:
    nodes = [node("Relu", "b", "y"), node("Relu", "a", "b"), node("Relu", "x", "a")]
    named = [node("Relu", "y", "z", name="same"), node("Relu", "z", "out", name="same")]
    program = import_model(model(nodes + named, {"x": floats(2)}, outputs={"out": F32}))
    locations = [name for op in program.ops for name in source_names(op.location)]
    assert locations == ["Relu:Relu_a", "Relu:Relu_b", "Relu:Relu_y", "Relu:same", "Relu:same.1"]


def test_names_of_any_kind_survive_the_text() -> None:
    feeds = {'in"put\n%\u00e9_1': floats(2)}
    nodes = [
        helper.make_node("Relu", list(feeds), ["\ta_7"], name='no"de\\'),
        helper.make_node("Relu", ["\ta_7"], ["y"], name="\u6f22"),
    ]
    y = interpreted(model(nodes, feeds), feeds)
    assert list(y) == ["y"]
    assert source_names(next(import_model(model(nodes, feeds)).ops).location) == ['Relu:no"de\\']


def test_initializers_may_be_inputs_too() -> None:
    source = model(node("Add", "x w"), {"x": floats(3)}, {"w": floats(3, seed=1)})
    source.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]))
    assert [port.name for port in import_model(source).inputs] == ["x"]


def test_dtypes_outside_tn_fold_but_do_not_run() -> None:
    feeds, constants = {"x": floats(3)}, {"w": floats(3).astype(np.float16)}
    cast = [node("Cast", "w", "f", to=TensorProto.FLOAT), node("Add", "x f")]
    assert_close(interpreted(model(cast, feeds, constants), feeds)["y"], feeds["x"] + constants["w"].astype(F32))
    x = np.ones(3, np.uint64)
    with pytest.raises(UnsupportedError, match="input 'x': dtype uint64 is not supported"):
        import_model(model(node("Identity", "x"), {"x": x}, outputs={"y": np.uint64}))


def test_a_passed_through_input_and_a_constant_output() -> None:
    feeds = {"x": floats(2, 3)}
    nodes = [node("Identity", "x"), node("Shape", "x", "s")]
    have = interpreted(model(nodes, feeds, outputs={"y": F32, "s": I64}), feeds)
    assert_close(have["y"], feeds["x"])
    assert_close(have["s"], np.array([2, 3]))


def test_latent_weights_fold() -> None:
    """torch.export writes div, round, clamp, mul over latent weights."""
    feeds = {"x": floats(2, 4)}
    constants = {"w": floats(4, 3), "s": np.array(0.5, F32), "lo": np.array(-1, F32), "hi": np.array(1, F32)}
    nodes = [
        node("Div", "w s", "a"),
        node("Round", "a", "b"),
        node("Clip", "b lo hi", "c"),
        node("Mul", "c s", "d"),
        node("MatMul", "x d"),
    ]
    source = model(nodes, feeds, constants)
    assert len(list(import_model(source).ops)) == 2
    assert_close(interpreted(source, feeds)["y"], onnxruntime(source, feeds)["y"])


def test_model_functions_are_inlined() -> None:
    body = [node("Relu", "a", "t"), node("Add", "t a", "b")]
    inner = helper.make_function("local", "Inner", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    calls = [node("Inner", "a", "t", domain="local"), node("Inner", "t", "b", domain="local")]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    outer = helper.make_function("local", "Outer", ["a"], ["b"], calls, imports)
    feeds = {"x": floats(5)}
    source = model(node("Outer", "x", domain="local"), feeds, domains=["local"])
    source.functions.extend([inner, outer])
    assert_close(interpreted(source, feeds)["y"], onnxruntime(source, feeds)["y"])


def test_a_function_that_carries_a_qonnx_operator_stays_one() -> None:
    wrong = helper.make_function(
        "onnx.brevitas", "BipolarQuant", ["x", "s"], ["y"], [node("Mul", "x s")], [helper.make_opsetid("", 17)]
    )
    feeds = {"x": floats(5)}
    source = model(node("BipolarQuant", "x s", domain="onnx.brevitas"), feeds, {"s": np.array(2, F32)})
    source.functions.append(wrong)
    source.opset_import.append(helper.make_opsetid("onnx.brevitas", 1))
    assert_close(interpreted(source, feeds)["y"], np.where(feeds["x"] >= 0, F32(2), F32(-2)))


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    feeds, constants = {"x": floats(2, 300)}, {"w": floats(300, 7), "v": floats(7, 200)}
    source = model([node("MatMul", "x w", "h"), node("MatMul", "h v")], feeds, constants)
    want = interpreted(source, feeds)["y"]
    path = tmp_path / "model.onnx"
    onnx.save_model(source, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    program = import_model(path)
    assert program.name == "model"
    assert_close(interpreted(program, feeds)["y"], want)
    with pytest.raises(ModelError, match="initializer 'w': has external data"):
        import_model(onnx.load(path, load_external_data=False))


def test_the_model_is_not_changed() -> None:
    source = network([-1, 12])
    before = source.SerializeToString(deterministic=True)
    import_model(source)
    assert source.SerializeToString(deterministic=True) == before
