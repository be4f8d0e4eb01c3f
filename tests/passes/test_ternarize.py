"""The lossy pass on small networks: what it changes, leaves alone and tells, and that what follows is exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import _Builder
from xdsl.ir import SSAValue

from tercet.api import compile, inspect, load, sensitivity, verify
from tercet.backends.reference.interpreter import run
from tercet.driver.lossy import calibration_data
from tercet.ir.errors import InputError
from tercet.ir.program import Program
from tercet.ir.tn.elementwise import AddOp, ReluOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.movement import ReshapeOp
from tercet.ir.tn.pool import ReduceMeanOp
from tercet.ir.tn.quant import QuantizeOp
from tercet.ir.types import shape_of
from tercet.passes.classify_weights import find_integers
from tercet.passes.lossy.options import LossyOptions
from tercet.passes.lossy.statistics import moments
from tercet.passes.lossy.ternarize import Ternarize
from tercet.passes.pipeline import graph_passes, passes_before_lossy
from tercet.runtime.artifact.losses import losses_from_json, losses_to_json

CHANGED = ("body", "deep")


class Net(_Builder):
    """A small float network; layers are called by the names of their weights."""

    def conv(
        self, x: SSAValue, name: str, outputs: int, *, size: int = 3, group: int = 1, bias: bool = False
    ) -> SSAValue:
        shape = (outputs, shape_of(x)[1] // group, size, size)
        w = self.named(f"{name}.weight", self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))
        operands = [x, w, *([self.named(f"{name}.bias", self.rng.normal(size=outputs))] if bias else [])]
        pad = size // 2
        return self.add(ConvOp, *operands, strides=(1, 1), pads=(pad,) * 4, dilations=(1, 1), group=group)

    def norm(self, x: SSAValue, name: str) -> SSAValue:
        n = shape_of(x)[1]
        arrays = (self.rng.random(n) + 0.5, self.rng.normal(size=n), self.rng.normal(size=n), self.rng.random(n) + 0.5)
        return self.add(BatchNormOp, x, *(self.named(f"{name}.{i}", a) for i, a in enumerate(arrays)), epsilon=1e-5)

    def named(self, name: str, array: np.ndarray) -> SSAValue:
        op = self.program.constant(name, np.asarray(array, np.float32))
        self.program.block.add_op(op)
        return op.result


def network(seed: int = 0, *, norm: bool = True, bias: bool = False, group: int = 1) -> Program:
    """stem, body + skip, deep (1x1), mean, head: x [1, 3, 5, 5] -> y [1, 4]."""
    b = Net(3, (5, 5), np.random.default_rng(seed))

    def after(y: SSAValue, name: str) -> SSAValue:
        return b.add(ReluOp, b.norm(y, f"{name}.norm") if norm else y)

    y = after(b.conv(b.program.block.args[0], "stem", 8), "stem")
    y = b.add(AddOp, after(b.conv(y, "body", 8, group=group, bias=bias), "body"), y)
    y = after(b.conv(y, "deep", 6, size=1, bias=bias), "deep")
    y = b.add(ReduceMeanOp, y, axes=(2, 3), keepdims=1)
    y = b.add(ReshapeOp, y, shape=(1, 6))
    y = b.add(MatMulOp, y, b.named("head.weight", b.rng.normal(size=(6, 4))))
    b.program.finish([("y", y, np.dtype(np.float32))])
    return b.program


def samples(count: int = 24, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 5, 5)).astype(np.float32)


def prepared(program: Program) -> Program:
    for step in passes_before_lossy():
        step.apply(program)
    return program


def apply(program: Program, options: LossyOptions, data: Any = None) -> Ternarize:
    made = Ternarize(options, None if data is None else calibration_data(data))
    made.apply(program)
    program.drop_unused_weights()
    program.verify()
    return made


def layer_weights(program: Program, name: str) -> np.ndarray:
    found = [program.array(op.operands[1]) for op in program.ops if isinstance(op, ConvOp | MatMulOp)]
    names = ("stem", "body", "deep", "head")
    array = found[names.index(name)]
    assert array is not None
    return array


ONE_SCALE = st.sampled_from(("ternary", "twn", "asymmetric", "uniform", "signed-binary"))


@settings(max_examples=settings().max_examples // 5)
@given(ONE_SCALE, st.sampled_from(("tensor", "channel")), st.booleans(), st.booleans(), st.sampled_from((1, 2, 8)))
def test_weights_become_integers_with_scales(weights: str, per: str, calibrated: bool, norm: bool, group: int) -> None:
    program = prepared(network(group=group, norm=norm))
    before = {name: layer_weights(program, name) for name in ("stem", "head")}
    made = apply(program, LossyOptions(weights, per), samples(8) if calibrated else None)
    for name in CHANGED:
        found = find_integers(layer_weights(program, name), 0)
        assert found is not None and np.abs(found.q).max() <= 1
        assert per == "channel" or found.scale.size == 1
    for name, array in before.items():
        np.testing.assert_array_equal(layer_weights(program, name), array)
    assert [(layer.layer, layer.kept) for layer in made.losses.layers] == [
        ("stem", "first layer"), ("body", ""), ("deep", ""), ("head", "last layer"),
    ]  # fmt: skip
    assert losses_from_json(losses_to_json(made.losses)) == made.losses


def test_ttq_has_two_scales_a_layer() -> None:
    program = prepared(network())
    apply(program, LossyOptions("ttq", "tensor"))
    for name in CHANGED:
        values = np.unique(layer_weights(program, name))
        assert len(values) == 3 and values[0] < 0 == values[1] < values[2] != -values[0]


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_calibration_matches_moments(norm: bool, bias: bool) -> None:
    """On the calibration data, every channel after a changed layer has the float network's mean and deviation."""
    plain, data = prepared(network(norm=norm, bias=bias)), samples(32)
    lossy = plain.clone()
    apply(lossy, LossyOptions("ternary"), data)

    def body(program: Program) -> list[np.ndarray]:
        wanted, found = ("BatchNormOp" if norm else "ConvOp", 1), []
        for sample in data:
            seen: list[np.ndarray] = []
            run(
                program, {"x": sample[None]},
                trace=lambda op, y, seen=seen: seen.append(y[0]) if type(op).__name__ == wanted[0] else None,
            )  # fmt: skip
            found.append(seen[wanted[1]])
        return found

    for have, want in zip(moments(body(lossy), 1), moments(body(plain), 1), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-3)


def test_calibration_helps() -> None:
    """On fresh, correlated data: fitted to outputs is better than fitted to weights, and that better than no data."""
    data, fresh = smooth(64, 1), smooth(24, 9)
    errors = np.zeros(3)
    for seed in range(3):
        plain = prepared(network(seed))
        want = run(plain, {"x": fresh})["y"]
        options = LossyOptions("twn")
        tried = ((options, None), (replace(options, fit="weights"), data), (options, data))
        for i, (how, given_data) in enumerate(tried):
            lossy = plain.clone()
            apply(lossy, how, given_data)
            errors[i] += float(((run(lossy, {"x": fresh})["y"] - want) ** 2).sum())
    assert errors[2] < errors[1] < errors[0]


def smooth(count: int, seed: int) -> np.ndarray:
    """Samples whose pixels are much alike, as in images."""
    common = np.random.default_rng(seed).normal(size=(count, 3, 1, 1)).astype(np.float32)
    return samples(count, seed) * np.float32(0.3) + common


@settings(max_examples=max(2, settings().max_examples // 25))
@given(
    st.sampled_from(("ternary", "ttq", "signed-binary")),
    st.sampled_from(("keep", "int8", "ternary")),
    st.booleans(),
    st.sampled_from((1, 8)),
)
def test_later_passes_are_exact(weights: str, activations: str, norm: bool, group: int) -> None:
    program, x = prepared(network(norm=norm, group=group)), samples(3, seed=4)
    options = LossyOptions(weights, activations=activations)
    apply(program, options, samples(8))
    want = run(program, {"x": x})["y"]
    for step in graph_passes():
        step.apply(program)
        program.verify()
        have = run(program, {"x": x})["y"]
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_the_artifact_equals_the_lossy_program(tmp_path: Path) -> None:
    model, data, x = network(), samples(16), samples(5, seed=3)
    options = LossyOptions("ternary", activations="int8")
    lossy = prepared(model.clone())
    losses = apply(lossy, options, data).losses
    path = tmp_path / "net.tercet"
    made = compile(model, path, weights=options, calibrate={"x": data})
    assert made.losses == losses
    assert inspect(path).losses == losses
    want = run(lossy, {"x": x})["y"]
    with load(path) as loaded:
        np.testing.assert_allclose(loaded.run(x)["y"], want, rtol=0, atol=1e-5 * np.abs(want).max())
        assert loaded.manifest.options["weights"] == "ternary"


def test_the_same_data_gives_the_same_program() -> None:
    texts = []
    for _ in range(2):
        program = prepared(network())
        apply(program, LossyOptions("ttq", activations="int8"), samples(8))
        texts.append((program.text(), program.weights.to_bytes()))
    assert texts[0] == texts[1]


def test_activations_are_quantized_once_for_all_their_readers() -> None:
    program = prepared(network())
    apply(program, LossyOptions("ternary", activations="int8"), samples(8))
    quantizers = [op for op in program.ops if isinstance(op, QuantizeOp)]
    assert [(op.get("lo"), op.get("hi")) for op in quantizers] == [(0, 255), (0, 255)]


def test_few_bit_weights_are_left_alone() -> None:
    program = prepared(network())
    apply(program, LossyOptions("ternary"))
    made = apply(program, LossyOptions("uniform", ends=True))
    assert [layer.kept for layer in made.losses.layers] == ["", *["has few-bit weights"] * 2, ""]


def test_keep_takes_names_and_patterns() -> None:
    for keep in (("body",), ("b*y",), ("tn.conv:node4",), ("node4", "body.weight")):
        made = apply(prepared(network()), LossyOptions("ternary", keep=keep))
        assert [layer.layer for layer in made.losses.layers if not layer.kept] == ["deep"]
    made = apply(prepared(network()), LossyOptions("ternary", ends=True))
    assert not any(layer.kept for layer in made.losses.layers)


def test_sensitivity_ranks_layers() -> None:
    """The head alone decides the classes; a layer of zeros does not matter."""
    found = sensitivity(network(), samples(16))
    assert {row.layer for row in found} == {"stem", "body", "deep", "head"}
    ratios = [row.output_snr for row in found if row.output_snr is not None]
    assert ratios == sorted(ratios)
    assert {row.layer for row in sensitivity(network(), samples(4), keep=["head"])} == {"stem", "body", "deep"}


# -- what is refused --------------------------------------------------------------------------------------------------


def with_weights(value: float) -> Program:
    program = network()
    (body,) = [op for i, op in enumerate(o for o in program.ops if isinstance(o, ConvOp)) if i == 1]
    array = layer_weights(program, "body").copy()
    array.flat[0] = value
    constant = program.constant("bad.weight", array)
    program.block.insert_op_before(constant, body)
    body.operands[1] = constant.result
    return program


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "terrnary"}, "there is no 'terrnary'"),
        ({"weights": "ternary", "per": "row"}, "there is no 'row'"),
        ({"weights": "ternary", "threshold": 0.1}, "only for weights 'ttq'"),
        ({"weights": "ttq", "threshold": 1.5}, "expected a number from 0 to 1"),
        ({"weights": "ttq", "threshold": float("nan")}, "expected a number from 0 to 1"),
        ({"weights": "signed-binary", "regions": "3"}, "not a shape of signed-binary regions"),
        ({"weights": "ternary", "activations": "int9"}, "there is no 'int9'"),
        ({"weights": "keep", "keep": ("body",)}, "nothing is changed"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LossyOptions(**options)


def refused(call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    refused(lambda: apply(prepared(with_weights(value)), LossyOptions("ternary")), "bad", "not all finite", "--keep")
    apply(prepared(with_weights(value)), LossyOptions("ternary", keep=("bad",)))


def test_wishes_that_do_not_fit_the_network() -> None:
    options = LossyOptions("ternary")
    refused(lambda: apply(prepared(network()), replace(options, keep=("nose",))), "no layer 'nose'", "body", "head")
    refused(lambda: apply(prepared(network()), replace(options, keep=("*",))), "nothing to change", "body")
    refused(lambda: Ternarize(LossyOptions("ternary", activations="int8")), "need calibration data", "--calibrate")
    refused(lambda: compile(network(), calibrate=samples()), "but nothing is to be changed")
    refused(lambda: sensitivity(network(), samples(), weights="keep"), "nothing is changed")
    refused(lambda: sensitivity(network(), samples(), keep=["*"]), "no layer with float weights", "random")


def test_bad_calibration_data(tmp_path: Path) -> None:
    def attempt(data: Any) -> Callable[[], object]:
        return lambda: apply(prepared(network()), LossyOptions("ternary"), data)

    def file(**arrays: np.ndarray) -> str:
        np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
        return str(tmp_path / "data.npz")

    bad = samples()
    bad[0, 0, 0, 0] = np.nan
    refused(attempt(bad), "not all finite", "'x'")
    refused(attempt({"z": samples()}), "no array for the input 'x'")
    refused(attempt(samples()[:0]), "no samples")
    refused(attempt(samples()[:, :2]), "expected shape")
    refused(attempt(str(tmp_path / "none.npz")), "no such file", "none.npz")
    refused(attempt(file(x=samples().astype(np.float64) + 1e-9)), "expected dtype float32", "data.npz")
    (tmp_path / "text.npz").write_text("no numbers")
    refused(attempt(str(tmp_path / "text.npz")), "not a NumPy file", "text.npz")


def test_an_artifact_with_losses_is_verified_against_itself(tmp_path: Path) -> None:
    path = tmp_path / "net.tercet"
    onnx_model = float_model(tmp_path / "net.onnx")
    compile(onnx_model, path, weights=LossyOptions("ternary", ends=True))
    found = verify(path, onnx_model)
    assert found.ok and any("compiled with losses" in note for note in found.notes)


def float_model(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(4, 1, 3, 3)), "v": rng.normal(size=(5, 4, 3, 3))}
    nodes: Sequence[onnx.NodeProto] = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "v"], ["y"], name="second"),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5, 4, 4])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
