"""The pass, and the repetition-sparsity report: codings, bounds, counts, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tercet
from tercet.api import repetition
from tercet.backends.c.sum_search import NativeSearch
from tercet.cli import main
from tercet.ir.errors import InputError
from tercet.ir.program import Port, Program
from tercet.ir.sum_graph import SumGraph
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import TERNARY, storage_dtype, tensor_type
from tercet.passes.sum_merge import SumMerge, analyse, filter_matrix
from tercet.passes.sum_merge.repetition import codings, information_bound
from tercet.runtime.report.repetition_html import repetition_html

from .matrices import fill, matrices, merge_sums, plain_adds, random_weights

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


def conv_program(weights: np.ndarray, group: int = 1) -> Program:
    kind = tensor_type((1, weights.shape[1] * group, 8, 8), TERNARY)
    program = Program.new("one", [Port("x", kind, storage_dtype(TERNARY))])
    constant = program.constant("w", weights)
    program.block.add_op(constant)
    conv = ConvOp.make(
        program.block.args[0], constant.result, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=group
    )
    program.block.add_op(conv)
    program.finish([("y", conv.result, np.dtype(np.int16))])
    return program


def graph_of(program: Program) -> SumGraph | None:
    conv = next(op for op in program.ops if isinstance(op, ConvOp))
    name = conv.get("sums")
    return None if name is None else SumGraph.from_array(program.weights[name])


@pytest.mark.parametrize("group", [1, 2, 4])
def test_the_pass_names_a_graph_of_the_filters(group: int) -> None:
    weights = fill(8, 4 // group * 9, 0.6, 1).reshape(8, 4 // group, 3, 3)
    program = conv_program(weights, group)
    assert SumMerge(NativeSearch).apply(program)
    program.drop_unused_weights()
    program.verify()
    graph = graph_of(program)
    assert graph is not None
    x = np.random.default_rng(0).integers(-1, 2, (4, 3, 3))
    per_group = weights.reshape(group, 8 // group, -1)
    want = np.concatenate([w @ part.reshape(-1) for w, part in zip(per_group, np.split(x, group), strict=True)])
    assert np.array_equal(graph.evaluate(x.reshape(-1)), want)
    again = Program.parse(program.text(), program.weights)
    assert again.text() == program.text() and "sums = @w.sums" in program.text()


def test_the_pass_leaves_large_and_other_weights_alone() -> None:
    side = int(SumMerge.most_weights**0.5) + 1
    for weights in (np.ones((side, side, 1, 1), np.int8), np.full((2, 2, 1, 1), 2, np.int8)):
        program = conv_program(weights)
        assert not SumMerge(NativeSearch).apply(program) and graph_of(program) is None


@given(matrices())
def test_blocks_compute_the_matrix(matrix: np.ndarray) -> None:
    assert np.array_equal(SumMerge(NativeSearch).merge_blocks(matrix).to_matrix(), matrix)


def test_rows_that_look_alike_share_a_block() -> None:
    rows = fill(16, 200, 0.9, 0)
    signs = np.random.default_rng(1).choice([-1, 1], 128)[:, None].astype(np.int8)
    matrix = np.tile(rows, (8, 1)) * signs  # every row eight times, up to sign, far apart
    graph = SumMerge(NativeSearch).merge_blocks(matrix)
    assert np.array_equal(graph.to_matrix(), matrix)
    assert graph.adds < plain_adds(rows)


def test_stacking_needs_every_output_once() -> None:
    one = merge_sums(np.array([[1, 1]]))
    with pytest.raises(InputError, match="every output once"):
        SumGraph.stack([([0], one), ([0], one)])
    with pytest.raises(InputError, match="same inputs"):
        SumGraph.stack([([0], one), ([1], merge_sums(np.array([[1, 1, 1]])))])


@settings(max_examples=settings().max_examples // 10)
@given(matrices(), st.sampled_from([1, 2]))
def test_the_report_counts(matrix: np.ndarray, group: int) -> None:
    weights = np.tile(matrix, (group, 1))
    one = analyse(weights, 0.0, search=NativeSearch, group=group)
    assert one.before == group * plain_adds(matrix)
    assert one.fewest <= one.before and one.distinct <= one.patterns
    assert one.density == np.count_nonzero(matrix) / matrix.size
    json.dumps(one.to_json())


@given(matrices())
def test_codings_say_the_same_matrix(matrix: np.ndarray) -> None:
    for name, (coded, extra) in codings(matrix).items():
        if name != "signed-binary":
            assert np.array_equal(coded, matrix) and extra == 0
            continue
        plus, minus = np.split(coded, 2)
        assert np.array_equal(plus - minus, matrix)
        assert extra == int((plus.any(axis=1) & minus.any(axis=1)).sum())


def test_the_bound_is_near_the_estimates_of_prior_work() -> None:
    assert 2000 < information_bound(random_weights("ternary", 64, 576)) < 2600
    assert 1300 < information_bound(random_weights("binary", 64, 576)) < 1700
    assert information_bound(np.zeros((3, 4), np.int8)) == 0
    assert filter_matrix(np.ones((4, 1, 3, 3)), 4).sum() == 36


@pytest.mark.check
@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "repetition.html"
    assert main(["inspect", str(DIGITS), "--repetition", "--budget", "0", "--html", str(page), "-q"]) == 0
    assert page.read_text().count("<circle") > 3
    artifact = tmp_path / "digits.tercet"
    tercet.compile(DIGITS, artifact)
    symbol = repetition(artifact, budget=0)[0].symbol
    times = tmp_path / "bench.json"
    times.write_text(json.dumps({"batch": 2, "layers": [{"symbol": symbol, "seconds": 3e-6}]}))
    capsys.readouterr()
    command = ["inspect", str(artifact), "--repetition", "--budget", "0", "--bench", str(times), "--json"]
    assert main(command) == 0
    layers = json.loads(capsys.readouterr().out)
    assert layers[0]["measured"] == 1.5e-6 and layers[1]["measured"] is None
    assert all(layer["fewest"] <= layer["before"] and layer["engine"] for layer in layers)


def test_no_benchmark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("[]")
    for name, message in (("bench.json", "not a benchmark"), ("none.json", "cannot read")):
        with pytest.raises(InputError, match=message):
            repetition(DIGITS, bench=tmp_path / name)


def test_the_page_names_hostile_layers_safely() -> None:
    layer = analyse(np.eye(3, dtype=np.int8), 0.0, search=NativeSearch, nodes=("Conv:<script>",))
    page = repetition_html("<b>", [layer])
    assert "<script>" not in page and "<b>" not in page
