"""verify tells a float32 tie from a wrong result, whatever the quantizer and whatever stands in front of it.

Inputs and weights are whole tenths and the steps of the quantizers are 0.04, so that about every fourth sum divided by
the step is exactly half way between two levels, but for the roundings of float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper
from quantized_nets import Net, deep

import tercet
from tercet.runtime.artifact.stored_ir import kernel_program
from tercet.runtime.check.verify.layers import Steps
from tercet.runtime.check.verify.result import Verification
from tercet.runtime.report.verification_text import verification_text

STEP = 0.04
SHAPE: list[int | str] = ["n", 2, 6, 6]


def verified(model: ModelProto, folder: Path, compiled: ModelProto | None = None, samples: int = 40) -> Verification:
    """The artifact of `compiled` (default: the model itself) against the model."""
    onnx.save(model, str(folder / "model.onnx"))
    made = tercet.compile(model if compiled is None else compiled, folder / "model.tercet", target="generic")
    return tercet.verify(made.path, folder / "model.onnx", samples=samples)


def _kinds() -> ModelProto:
    """int8, uint8, int16, uint16, and steps for each channel."""
    net = Net()
    x = net.quantized("x", 0.1, np.int8)
    kinds = [(np.int8, 3), (np.uint8, 128), (np.int16, 0), (np.uint16, 1000)]
    ys = [net.quantized(net.even_conv(x, 2, 3), STEP, dtype, zero) for dtype, zero in kinds]
    ys.append(net.quantized(net.even_conv(x, 2, 3), np.array([0.04, 0.02, 0.04]), np.int8))
    return net.model(ys, SHAPE)


def _few_bits() -> ModelProto:
    """Two signed, three and two unsigned bits of QONNX, and thresholds on a float sum."""
    net = Net(1)
    x = net.quant("x", 0.1, 4)
    ys = [net.quant(net.even_conv(x, 2, 3), 0.6, 2), net.quant(net.even_conv(x, 2, 3), 0.2, 3)]
    ys.append(net.quant(net.even_conv(x, 2, 3), 0.2, 2, signed=False))
    table = net.constant(np.sort(np.arange(-3, 4, dtype=np.float32)[None] * np.float32(0.1), axis=1))
    ys.append(net.node("MultiThreshold", net.even_conv(x, 2, 3), table, domain="qonnx.custom_op.general"))
    return net.model(ys, SHAPE)


def _behind() -> ModelProto:
    """A quantizer after an addition, a relu, a pool, an average and a batch normalisation."""
    net = Net(2)
    x = net.quantized("x", 0.1, np.int8)
    one, two = net.even_conv(x, 2, 3), net.even_conv(x, 2, 3)
    four = net.constant(np.array([1, 1, 1], np.float32))
    zero = net.constant(np.zeros(3, np.float32))
    values = [
        net.node("Add", one, net.quantized(two, STEP, np.int8)),
        net.node("Relu", net.even_conv(x, 2, 3)),
        net.node("MaxPool", net.even_conv(x, 2, 3), kernel_shape=[2, 2]),
        net.node("BatchNormalization", net.even_conv(x, 2, 3), four, zero, zero, four, epsilon=0.0),
    ]
    return net.model([net.quantized(value, STEP, np.int8) for value in values], SHAPE)


@pytest.mark.parametrize("make", [pytest.param(_kinds, marks=pytest.mark.check), _few_bits, _behind])
def test_ties_are_explained(make: Callable[[], ModelProto], tmp_path: Path) -> None:
    found = verified(make(), tmp_path)
    text = verification_text(found)
    assert found.ok, text
    checks = [check for check in found.checks if check.against == "interpreter"]
    assert all(check.ties == check.samples > 0 for check in checks), text  # or nothing was tried
    assert found.ties
    assert "  tie: node '" in text
    assert "but for float32 ties" in text


def _altered(model: ModelProto, change: Callable[[np.ndarray], None], rank: int) -> ModelProto:
    """The model with its last constant of a rank changed."""
    other = ModelProto()
    other.CopyFrom(model)
    tensor = [t for t in other.graph.initializer if len(t.dims) == rank and t.data_type != onnx.TensorProto.FLOAT][-1]
    array = numpy_helper.to_array(tensor).copy()
    change(array)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return other


def _one_weight(array: np.ndarray) -> None:
    array[1, 1, 1, 1] += 1 if array[1, 1, 1, 1] < 7 else -1


@pytest.mark.parametrize("make", [_kinds, _few_bits, _behind, deep])
def test_one_wrong_weight_fails(make: Callable[[], ModelProto], tmp_path: Path) -> None:
    """The artifact's own IR has it as well, so only the comparison with the import can tell."""
    model = make()
    found = verified(model, tmp_path, _altered(model, _one_weight, 4))
    assert not found.same
    assert all(layer.ok for layer in found.layers)
    assert "DIFFERS from the model" in verification_text(found)


def test_a_threshold_off_by_one_fails(tmp_path: Path) -> None:
    model = _few_bits()
    other = ModelProto()
    other.CopyFrom(model)
    table = next(t for t in other.graph.initializer if list(t.dims) == [1, 7])
    array = numpy_helper.to_array(table).copy()
    array[0, 3] += np.float32(0.015)  # past the next sum there is, which is 0.01
    table.CopyFrom(numpy_helper.from_array(array, table.name))
    found = verified(model, tmp_path, other)
    failed = [check for check in found.checks if not check.ok]
    assert {check.output for check in failed} == {model.graph.output[-1].name}


def test_ties_of_a_deep_network_do_not_grow(tmp_path: Path) -> None:
    found = verified(deep(), tmp_path, samples=200)
    assert found.ok, verification_text(found)
    (check,) = [check for check in found.checks if check.against == "interpreter"]
    assert check.samples
    assert check.ties == check.samples
    assert len(found.ties) <= 3


@dataclass(frozen=True)
class FloatSum:
    """A loaded model whose kernel holds a float sum and its quantizer, one sample, and the exact sums over the step:
    the first is a hair's breadth from a boundary, the second half way between two."""

    steps: Steps
    at: int
    inputs: dict[str, np.ndarray]
    exact: np.ndarray


@pytest.fixture(scope="module")
def float_sum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloatSum]:
    net = Net(5)
    x = net.rng.standard_normal((1, 64)).astype(np.float32)
    weights = net.rng.standard_normal((64, 8)).astype(np.float32)
    step = float(np.float32(0.05))
    for column, part in ((0, 0.5), (1, 0.0)):
        level = float(x[0].astype(np.float64) @ weights[:, column]) / step
        weights[0, column] += np.float32((np.rint(level) % 100 + part - level) * step / x[0, 0])
    y = net.quantized(net.node("MatMul", "x", net.constant(weights)), 0.05, np.int16)
    made = tercet.compile(net.model(y, [1, 64]), tmp_path_factory.mktemp("float") / "m.tercet", target="generic")
    with tercet.load(made.path) as loaded:
        program = kernel_program(loaded.artifact)
        at = next(i for i, op in enumerate(program.ops) if any(inner.name == "tn.quantize" for inner in op.walk()))
        yield FloatSum(Steps(loaded, program), at, {"x": x}, x[0].astype(np.float64) @ weights / step)


@pytest.mark.parametrize(("column", "levels", "right"), [(0, 1, True), (0, 2, False), (1, 1, False), (1, -1, False)])
def test_a_step_may_be_off_only_at_a_tie_and_by_one_level(
    column: int, levels: int, right: bool, float_sum: FloatSum
) -> None:
    """Results are changed by hand, by so many levels across the nearest boundary."""
    results = float_sum.steps.results(float_sum.inputs)
    assert all(layer.ok for layer in float_sum.steps.judge(float_sum.inputs, results, 1e-5))
    level = float_sum.exact[column]
    assert abs(level % 1 - (0.5 if column == 0 else np.rint(level % 1))) < 1e-4
    values = results[float_sum.at][0].reshape(-1)
    assert values.dtype.kind == "f"
    low = np.floor(level)
    across = (low + 1 if np.rint(values[column] / np.float32(0.05)) == low else low) if column == 0 else np.rint(level)
    other = across + (levels - 1) * np.sign(across - level) if column == 0 else across + levels
    values[column] = np.float32(other) * np.float32(0.05)
    layer = float_sum.steps.judge(float_sum.inputs, results, 1e-5)[float_sum.at]
    assert layer.ok == right
    assert layer.difference.ties == int(right)
