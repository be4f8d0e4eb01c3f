"""Where a model's threads come from: its own pool, OpenMP or nowhere. Results are the same to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.backends.c.toolchain import THREADING, find_compiler
from tercet.ir.errors import InputError


def network() -> onnx.ModelProto:
    """A ternary convolution of a map large enough for the copy of the input to be shared, and a mean."""
    weights = np.random.default_rng(0).integers(-1, 2, (5, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("GlobalAveragePool", ["relu"], ["y"], name="mean"),
    ]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 80, 81])]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("relu", "y")]
    graph = helper.make_graph(nodes, "threads", ports, results, [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_same_results(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 80, 81)).astype(np.float32)
    want: dict[str, np.ndarray] | None = None
    for threading in THREADING:
        if threading == "openmp" and find_compiler().name == "zig":
            continue  # it brings no OpenMP
        made = tercet.compile(network(), tmp_path / f"{threading}.tercet", target="generic", threading=threading)
        for threads in (1, 2, 3, 7):
            with tercet.load(made.path, threads=threads) as model:
                assert model.manifest.options.get("threading", "pool") == threading
                have = model.run({"x": x})
            want = want or have
            for name, array in want.items():
                np.testing.assert_array_equal(have[name], array, err_msg=f"{threading}, {threads} threads")


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown kind of threads 'fibres'") as error:
        tercet.compile(network(), tmp_path / "x.tercet", threading="fibres")
    assert error.value.hint == "one of: pool, openmp, none"
