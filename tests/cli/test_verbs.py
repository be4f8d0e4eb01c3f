"""What every verb does when all is well, and what it says when a check fails."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest

import tercet
from tercet.backends.c.engines import ENGINES
from tercet.runtime.artifact.stored_ir import kernel_program
from tercet.runtime.check.verify.layers import Steps

from .conftest import Files
from .models import WEIGHTS, little_model, save_model

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"

# -- compile ----------------------------------------------------------------------------------------------------------


def test_compile_writes_an_artifact_and_says_so(files: Files, tmp_path: Path, tercet_cli) -> None:
    out = tmp_path / "new" / "little.tercet"
    done = tercet_cli("compile", files.model, "-o", out, "--target", "generic", "--jobs", "1")
    assert done.code == 0
    assert done.out.startswith(f"{out}: little for generic, ")
    assert out.read_bytes() == files.artifact.read_bytes()
    assert [p.name for p in out.parent.iterdir()] == ["little.tercet"]


def test_compile_can_be_quiet_write_a_folder_and_dump_the_ir(files: Files, tmp_path: Path, tercet_cli) -> None:
    out, dump = tmp_path / "artifact", tmp_path / "ir"
    done = tercet_cli(
        "compile", files.model, "-o", out, "--directory", "--quiet", "--dump-ir", dump, "--name", "other",
        "--batch", "2", "--engine", "loops",
    )  # fmt: skip
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (out / "include" / "other.h").is_file()
    names = sorted(p.name for p in dump.iterdir())
    assert names[0].startswith("00-import")
    assert len(names) > 10


def test_compile_prints_the_ir_after_passes(files: Files, tmp_path: Path, tercet_cli) -> None:
    done = tercet_cli(
        "compile", files.model, "-o", tmp_path / "a.tercet", "--target", "generic", "--print-ir-after", "import",
        "--print-ir-after", "plan-memory",
    )  # fmt: skip
    assert done.code == 0
    assert done.out.count("// IR after ") == 2
    assert done.out.index("// IR after 00-import") < done.out.index("plan-memory")
    assert "kn.kernel" in done.out.partition("plan-memory")[2]


def test_compile_prints_the_ir_of_each_of_several_targets(files: Files, tmp_path: Path, tercet_cli) -> None:
    done = tercet_cli(
        "compile", files.model, "-o", tmp_path / "a.tercet", "--target", "generic,x86-64-v3", "--print-ir-after",
        "plan-memory",
    )  # fmt: skip
    assert done.code == 0
    assert re.findall(r"// IR after (.*)/\d+-plan-memory\n", done.out) == ["x86-64-v3", "generic"]


# -- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect_shows_summary_layers_and_passes(files: Files, tercet_cli) -> None:
    done = tercet_cli("inspect", files.artifact)
    assert done.code == 0
    for text in ("little", "generic", "x  float32 [N, 1, 6, 6]", "36 ternary", "conv", "00-import", "plan-memory"):
        assert text in done.out


def test_inspect_json(files: Files, tercet_cli) -> None:
    value = json.loads(tercet_cli("inspect", files.artifact, "--json").out)
    assert value["summary"]["model"] == "little"
    weighted = [layer for layer in value["layers"] if layer["weight_count"]]
    assert [(layer["weights"], layer["weight_count"]) for layer in weighted] == [("ternary", 36)]
    assert any("Conv:conv" in layer["nodes"] for layer in value["layers"])


@pytest.mark.parametrize(("options", "in_code"), [(("--engine", "adder_graph"), True), (("--optimize", "size"), False)])
def test_inspect_tells_weights_in_code(options: tuple, in_code: bool, tmp_path: Path, tercet_cli) -> None:
    out = tmp_path / "digits.tercet"
    assert tercet_cli("compile", DIGITS, "-o", out, *options).code == 0
    layers = json.loads(tercet_cli("inspect", out, "--json").out)["layers"]
    assert any(layer["weights_in_code"] for layer in layers) == in_code
    assert (" code " in tercet_cli("inspect", out).out) == in_code
    sums = tercet_cli("inspect", DIGITS, "--diff", "sum-merge", *options).out
    assert (sums != "no change\n") == in_code


def test_why_a_layer_is_computed_as_it_is(files: Files, tercet_cli) -> None:
    steps = json.loads(tercet_cli("inspect", files.artifact, "--why", "conv", "--json").out)
    assert all("Conv:conv" in step["nodes"] for step in steps)
    (layer,) = [step for step in steps if step["weight_count"]]
    text = tercet_cli("inspect", files.artifact, "--why", layer["symbol"]).out
    assert text.startswith(f"{layer['symbol']}: conv")
    chosen = [c for c in layer["candidates"] if (c["engine"], c["schedule"]) == (layer["engine"], layer["schedule"])]
    assert [c["cycles"] for c in chosen] == [layer["cycles"]]
    assert {c["engine"] for c in layer["candidates"]} == {engine.name for engine in ENGINES}
    assert all(bool(c["refusal"]) != bool(c["cycles"]) for c in layer["candidates"])
    for line, candidate in zip(text.splitlines()[3:], layer["candidates"], strict=True):
        assert line.startswith("*") == (candidate in chosen)
        assert line[1:].split()[0] == candidate["engine"]
        assert line.endswith(candidate["refusal"] or f" {candidate['cycles']:.0f}")


def test_why_is_the_same_for_a_model_and_its_artifact(files: Files, tercet_cli) -> None:
    for layer in ("0", json.loads(tercet_cli("inspect", files.artifact, "--json").out)["layers"][0]["symbol"]):
        of_model = tercet_cli("inspect", files.model, "--target", "generic", "--why", layer).out
        assert of_model == tercet_cli("inspect", files.artifact, "--why", layer).out
    assert "there is no layer 'conv9'" in tercet_cli("inspect", files.artifact, "--why", "conv9").err


def test_inspect_of_a_model_runs_the_passes_in_memory(files: Files, tercet_cli) -> None:
    from_model = tercet_cli("inspect", files.model, "--target", "generic", "--after", "plan-memory")
    from_artifact = tercet_cli("inspect", files.artifact, "--after", "plan-memory")
    assert from_model.code == from_artifact.code == 0
    assert from_model.out == from_artifact.out
    assert "36 ternary" in tercet_cli("inspect", files.model).out


def test_inspect_takes_a_pass_by_name_label_or_number(files: Files, tercet_cli) -> None:
    texts = {tercet_cli("inspect", files.artifact, "--after", name).out for name in ("import", "00-import", "0")}
    assert len(texts) == 1
    assert "tn.conv" in texts.pop()


def test_inspect_diff(files: Files, tercet_cli) -> None:
    done = tercet_cli("inspect", files.artifact, "--diff", "select-engines")
    assert done.code == 0
    assert "\n+++ after " in done.out
    assert any(line.startswith("+") and "kn.kernel" in line for line in done.out.splitlines())
    assert tercet_cli("inspect", files.artifact, "--diff", "import").out == "no change\n"


@pytest.mark.parametrize("node", ["conv", "Conv:conv"])
def test_inspect_op_shows_the_operations_of_a_source_node(node: str, files: Files, tercet_cli) -> None:
    done = tercet_cli("inspect", files.artifact, "--after", "import", "--op", node)
    assert done.code == 0
    assert [line.split(" = ")[1].split()[0] for line in done.out.splitlines()] == ["tn.constant", "tn.conv"]
    assert "kn.kernel" in tercet_cli("inspect", files.artifact, "--op", node).out


# -- run --------------------------------------------------------------------------------------------------------------


def test_run_prints_a_summary(files: Files, tercet_cli) -> None:
    done = tercet_cli("run", files.artifact, "--input", files.image, "--threads", "2")
    assert done.code == 0
    assert "y       float32  [2, 4]" in done.out


def test_run_writes_outputs(files: Files, tmp_path: Path, tercet_cli) -> None:
    out = tmp_path / "a" / "b"
    done = tercet_cli("run", files.artifact, "--input", f"x={files.image}", "--output-dir", out)
    assert (done.code, done.out) == (0, f"{out / 'y.npy'}\n")
    assert [p.name for p in out.iterdir()] == ["y.npy"]
    want = tercet.run(files.artifact, np.load(files.image))["y"]
    assert np.array_equal(np.load(out / "y.npy"), want)


def test_run_takes_an_npz_file_with_arrays_named_like_inputs(files: Files, tmp_path: Path, tercet_cli) -> None:
    np.savez(tmp_path / "in.npz", x=np.load(files.image), other=np.zeros(3))
    assert tercet_cli("run", files.artifact, "-i", tmp_path / "in.npz").code == 0


# -- verify -----------------------------------------------------------------------------------------------------------


def test_verify_with_random_inputs(files: Files, tercet_cli) -> None:
    done = tercet_cli("verify", files.artifact, "--against", files.model, "--samples", "3")
    assert done.code == 0
    assert "on 3 random samples (seed 0)" in done.out
    assert "ok      interpreter  y: " in done.out
    assert "ok      onnxruntime  y: " in done.out
    assert "computes what the model means" in done.out


def test_verify_with_inputs_expected_results_and_labels_from_a_file(files: Files, tmp_path: Path, tercet_cli) -> None:
    report = tmp_path / "report.json"
    done = tercet_cli(
        "verify", files.artifact, "--against", files.model, "--inputs", files.samples, "--per-layer", "--json", report
    )
    assert done.code == 0
    assert "5 samples of samples.npz" in done.out
    assert "ok      expected results               y: identical" in done.out
    assert "ok      expected results, onnxruntime  y: " in done.out
    assert "reshaped from [5, 36] to [5, 1, 6, 6]" in done.out
    assert "labels: 4 of 5 right (80.00 %)" in done.out
    value = json.loads(report.read_text())
    assert value["ok"] is True
    assert value["first_diverging"] is None
    assert len(value["layers"]) == len(json.loads(tercet_cli("inspect", files.artifact, "--json").out)["layers"])


def test_verify_fails_against_other_weights(files: Files, tmp_path: Path, tercet_cli) -> None:
    other = save_model(tmp_path / "other.onnx", -WEIGHTS)
    done = tercet_cli("verify", files.artifact, "--against", other, "--per-layer", "--quiet")
    assert done.code == 1
    assert "FAILED  interpreter  y: max abs " in done.out
    assert "elements differ, worst at [" in done.out
    assert "every kernel computes what its IR says: it is that of another model" in done.out
    assert "compiled from a different file than this model" in done.out
    assert "DIFFERS from the model" in done.out


def test_verify_fails_on_wrong_expected_results(files: Files, tmp_path: Path, tercet_cli) -> None:
    arrays = dict(np.load(files.samples))
    arrays["output"] = arrays["output"] + np.float32(0.5)
    np.savez(tmp_path / "wrong.npz", **arrays)
    done = tercet_cli("verify", files.artifact, "--against", files.model, "--inputs", tmp_path / "wrong.npz")
    assert done.code == 1
    assert "FAILED  expected results               y: max abs 0.5" in done.out
    assert "ok      interpreter" in done.out


def test_the_first_diverging_layer_is_named(files: Files) -> None:
    """A program with one weight changed: its layer is the first that differs, and its source node is known."""
    with tercet.load(files.artifact) as model:
        program, inputs = kernel_program(model.artifact), {"x": np.load(files.image)[:1]}
        steps = Steps(model, program)
        results = steps.results(inputs)
        assert all(check.ok for check in steps.judge(inputs, results, 1e-5))
        name = next(name for name in program.weights if program.weights[name].shape == (4, 1, 3, 3))
        changed = -program.weights[name]
        del program.weights[name]
        program.weights[name] = changed
        checks = Steps(model, program).judge(inputs, results, 1e-5)
    (wrong,) = [check for check in checks if not check.ok]  # and no other: every step is judged on its own inputs
    assert "Conv:conv" in wrong.nodes


def test_verify_colours_the_verdict_on_request(files: Files, tercet_cli) -> None:
    plain = tercet_cli("verify", files.artifact, "--against", files.model, "--color", "never")
    coloured = tercet_cli("verify", files.artifact, "--against", files.model, "--color", "always")
    assert "\033[" not in plain.out
    assert "\033[32mok\033[0m" in coloured.out


# -- bench ------------------------------------------------------------------------------------------------------------


class _Links(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_bench_reports_ratios_as_text_json_and_html(files: Files, tmp_path: Path, tercet_cli) -> None:
    done = tercet_cli(
        "bench", files.artifact, "--source", files.model, "--repeats", "3", "--samples", "2", "--threads", "2",
        "--json", tmp_path / "b.json", "--html", tmp_path / "b.html",
    )  # fmt: skip
    assert done.code == 0
    assert "than onnxruntime (median of 3 rounds; quartiles " in done.out
    assert "onnxruntime runs the model as it is; same outputs" in done.out
    assert "Times depend on this machine" in done.out
    value = json.loads((tmp_path / "b.json").read_text())
    assert (value["threads"], value["batch"], len(value["seconds"])) == (2, 2, 3)
    ratio = value["peers"][0]["ratio"]
    assert 0 < ratio["minimum"] <= ratio["lower"] <= ratio["median"] <= ratio["upper"] <= ratio["maximum"]
    page = _Links()
    page.feed((tmp_path / "b.html").read_text())
    assert page.found == []
    assert "script" not in page.tags
    assert "link" not in page.tags


def test_bench_of_a_model_compiles_it(files: Files, tercet_cli) -> None:
    done = tercet_cli("bench", files.model, "--against", "none", "--repeats", "1", "--target", "generic", "--per-layer")
    assert done.code == 0
    assert "all steps" in done.out
    assert "onnxruntime" not in done.out


def test_bench_of_an_artifact_alone_has_no_peers(files: Files, tercet_cli) -> None:
    done = tercet_cli("bench", files.artifact, "--repeats", "1")
    assert done.code == 0
    assert "note: no peers: they need the source model, which an artifact does not hold (--source names it)" in done.out


def test_bench_with_nothing_to_compare_is_no_success(files: Files, tmp_path: Path, tercet_cli) -> None:
    done = tercet_cli("bench", files.artifact, "--repeats", "1", "--against", "onnxruntime")
    assert done.code == 2 and "does not hold its source model, which onnxruntime would run" in done.err
    assert "--source" in done.err and "--against none" in done.err
    model = little_model(WEIGHTS)
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 9
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    done = tercet_cli("bench", files.artifact, "--repeats", "1", "--against", "onnxruntime", "--source", other)
    assert done.code == 1 and "nothing was compared: none of onnxruntime ran; see the notes" in done.err
    assert "no peers: the source's input 'x' has the shape [?, 1, 6, 9], the artifact's 'x' [1, 1, 6, 6]" in done.out


def test_bench_names_each_peer_once(files: Files, tercet_cli) -> None:
    done = tercet_cli("bench", files.model, "--repeats", "1", "--against", "onnxruntime,onnxruntime")
    assert done.code == 0 and done.out.count("than onnxruntime") == 1
    for against in ("", "onnxruntime,", "none,onnxruntime"):
        done = tercet_cli("bench", files.model, "--against", against)
        assert done.code == 2 and f"expected names between commas, or none, got '{against}'" in done.err


# -- targets ----------------------------------------------------------------------------------------------------------


def test_targets(tercet_cli) -> None:
    done = tercet_cli("targets")
    assert done.code == 0
    for text in ("(native)", "generic", "x86-64-v3", "x86-64-v4", "aarch64", "loops", "table"):
        assert text in done.out
    listed = json.loads(tercet_cli("targets", "--json").out)
    assert [t["native"] for t in listed].count(True) == 1
    assert all(not t["problem"] for t in listed if t["native"])
