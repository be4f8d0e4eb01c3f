"""The benchmarks' graphs: valid ONNX, activations of a sensible size, quantizers that mean the same in both forms."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from suite.layers import KINDS, LAYERS, Conv, Layer, Linear, input_of, int8_model, kind_model, output_shape, uint8_input
from suite.measure import kinds_of
from suite.resnet18 import resnet18
from suite.weights import ZEROS, int8_per_filter, integer_weights, two_scales

from tercet.api import import_model
from tercet.backends.reference.interpreter import run
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import is_float
from tercet.passes.pipeline import graph_passes

SMALL = {
    "chain": Layer("chain", (Conv(6, 6, 3, 1, 5),) * 2),
    "strided": Layer("strided", (Conv(3, 8, 7, 2, 9),)),
    "linear": Layer("linear", (Linear(3, 16, 10),)),
}
FORMS = {
    "ternary": partial(resnet18, "ternary"),
    "float shortcut": partial(resnet18, "ternary", shortcut="float", weights="signed-binary"),
    "int8 ends": partial(resnet18, "ternary", ends="int8", weights="binary"),
    "ttq": partial(resnet18, "ttq"),
    "twn": partial(resnet18, "twn"),
    "float32": partial(resnet18, "float32"),
    "int8": partial(resnet18, "int8"),
}


def computed(model: onnx.ModelProto, x: np.ndarray, *more: str) -> list[np.ndarray]:
    """The output and further tensors, by onnxruntime without optimisations."""
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, {"x": x})]


@pytest.mark.parametrize("form", FORMS)
def test_networks_are_valid_and_keep_their_activations_in_bounds(form: str) -> None:
    make = partial(FORMS[form], size=64, classes=10, width=16)
    onnx.checker.check_model(make())
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    standard = make(standard=True)
    quantizers = [node.name for node in make().graph.node if node.op_type == "Quant" and node.name.endswith("quant")]
    y, *ternary = computed(standard, x, *quantizers)
    assert y.shape == (1, 10) and np.isfinite(y).all() and 0.1 < y.std() < 100
    for name, values in zip(quantizers, ternary, strict=True):
        levels, counts = np.unique(values, return_counts=True)
        assert len(levels) == 3 and counts.min() / values.size > 0.1, f"{name}: {levels} {counts}"


def test_the_same_seed_gives_the_same_network() -> None:
    first, second, other = (resnet18("ternary", size=32, width=4, seed=seed).SerializeToString() for seed in (0, 0, 1))
    assert first == second != other


def test_the_quantized_shortcut_leaves_only_integers_between_the_layers() -> None:
    program = import_model(resnet18("ternary", size=32, width=8))
    for step in graph_passes():
        step.apply(program)
    convs = [op for op in program.ops if isinstance(op, ConvOp)]
    assert len(convs) == 20
    assert [is_float(op.x) for op in convs] == [True] + [False] * 19


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", SMALL)
def test_a_layer_means_the_same_to_tercet_and_to_onnxruntime(layer: str, kind: str) -> None:
    case, what = SMALL[layer], KINDS[kind]
    model = kind_model(case, what)
    onnx.checker.check_model(model, full_check=True)
    x = uint8_input(case) if what.weights == "int8" and not case.linear else input_of(case)
    (want,) = computed(kind_model(case, what, standard=True), x)
    have = run(import_model(model), {"x": x})["y"]
    assert have.shape == want.shape == output_shape(case)
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("active", [0.33, 0.67])
def test_the_share_of_active_inputs_is_what_was_asked_for(active: float) -> None:
    case = Layer("chain", (Conv(64, 64, 3, 1, 12),) * 2)
    model = kind_model(case, replace(KINDS["ternary/ternary"], active=active), standard=True)
    (y,) = computed(model, input_of(case))
    inside = y[:, :, 2:-2, 2:-2]  # sums beside the padding are smaller
    assert abs((inside != 0).mean() - active) < 0.05
    assert [*kinds_of(case, ["ternary/ternary", "binary/binary"], (0.33, 0.67))] == [
        "ternary/ternary 33%", "ternary/ternary 67%", "binary/binary",
    ]  # fmt: skip


def test_a_chain_in_channels_last_is_the_same_chain() -> None:
    case = SMALL["chain"]
    (want,) = computed(int8_model(case), uint8_input(case))
    (have,) = computed(int8_model(case, channels_last=True), uint8_input(case, channels_last=True))
    assert np.array_equal(np.moveaxis(have, -1, 1), want)


def test_chains_fit_together() -> None:
    for layer in LAYERS.values():
        for a, b in zip(layer.convs, layer.convs[1:], strict=False):
            assert (a.outputs, a.size) == (b.inputs, b.size * b.stride), layer.name


@pytest.mark.parametrize("kind", ZEROS)
def test_integer_weights_have_their_share_of_zeros(kind: str) -> None:
    w = integer_weights(kind, (64, 32, 3, 3), np.random.default_rng(0))
    assert abs((w == 0).mean() - ZEROS[kind]) < 0.02 and set(np.unique(w)) <= {-1, 0, 1}
    if kind == "signed-binary":
        assert w[:32].min() == 0 and w[32:].max() == 0
        assert w[:32].max() == 1 and w[32:].min() == -1


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 9))
def test_int8_weights_are_the_nearest(seed: int, filters: int, inputs: int) -> None:
    w = np.random.default_rng(seed).normal(size=(filters, inputs)).astype(np.float32)
    q, scale = int8_per_filter(w)
    assert (np.abs(q).max(axis=1) == 127).all()
    assert (np.abs(q * scale[:, None] - w) <= 0.501 * scale[:, None]).all()


def test_two_scales_keep_signs_and_zeros() -> None:
    assert two_scales(np.array([-1, 0, 1], np.int8), 0.5, 0.25).tolist() == [-0.25, 0.0, 0.5]
