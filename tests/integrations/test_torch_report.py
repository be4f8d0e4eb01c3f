"""`tercet.torch.report`: its numbers are those of the networks it speaks of, and its page can be read safely."""

from __future__ import annotations

import json
from collections import OrderedDict
from copy import deepcopy
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor, nn

import tercet
from tercet.frontend.torch.report import (
    NotApplicable,
    input_sparsity,
    sparsity_over_training,
    threshold_sensitivity,
    without_zeros,
)
from tercet.integrations.torch_report.page import report_html
from tercet.ir.errors import InputError

pytestmark = pytest.mark.slow
X = torch.zeros(1, 2, 6, 6)
FEW: dict[str, Any] = {"rounds": 2, "factors": (0.5, 2.0), "layer_factors": (2.0,), "timed_factors": ()}
QUICK = {**FEW, "engines": ("loops",)}
"""What is soon measured; with the one engine whose code is soon compiled."""
QUESTIONS = ("thresholds", "training", "worth", "inputs", "values", "regions")
ANSWERED = {
    "ttq": ("thresholds", "training", "worth", "inputs", "values"),
    "twn": ("thresholds", "training", "worth", "inputs", "values"),
    "asymmetric": ("thresholds", "training", "worth", "inputs", "values"),
    "ternary": ("thresholds", "training", "worth", "inputs", "values"),
    "ternary-n2uq2": ("thresholds", "training", "worth", "inputs", "values"),
    "signed-binary": QUESTIONS,
    "signed-binary-slices": QUESTIONS,
    "binary": ("training", "inputs"),
    "lsq2": ("training", "worth", "inputs", "values"),
    "lsq4": ("training", "worth", "inputs"),
    "bitnet": ("training", "worth", "inputs", "values"),
    "float": (),
}
COMPILED = ("ttq", "ternary", "signed-binary")
"""Schemes whose compiled networks are looked at, so that all engines are to choose from."""


class Data:
    """Three kinds of noise that differ in their mean."""

    steps = 4

    def batches(self, epoch: int, rank: int = 0, processes: int = 1) -> list[tuple[Tensor, Tensor]]:
        random, made = torch.Generator().manual_seed(epoch), []
        for _ in range(self.steps):
            labels = torch.randint(0, 3, (16,), generator=random)
            made.append((torch.randn(16, 2, 6, 6, generator=random) + 0.7 * labels.view(-1, 1, 1, 1), labels))
        return made

    def test(self) -> list[tuple[Tensor, Tensor]]:
        return self.batches(1000)


def net(scheme: str, names: tuple[str, str] = ("two", "three")) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[tuple[str, nn.Module]] = [
        ("one", nn.Conv2d(2, 4, 3, padding=1)), ("norm", nn.BatchNorm2d(4)), ("relu", nn.ReLU()),
        (names[0], nn.Conv2d(4, 8, 3, padding=1)), ("norm2", nn.BatchNorm2d(8)), ("relu2", nn.ReLU()),
        (names[1], nn.Conv2d(8, 8, 3)), ("norm3", nn.BatchNorm2d(8)), ("relu3", nn.ReLU()),
        ("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("last", nn.Linear(8, 3)),
    ]  # fmt: skip
    model = nn.Sequential(OrderedDict(parts))
    tercet.torch.prepare(model, scheme, example_inputs=(X,))
    return model


@cache
def reported(scheme: str) -> tuple[nn.Sequential, tercet.torch.Report]:
    model = net(scheme)
    recipe = tercet.torch.Recipe.one_stage(2, 0.05, compiled=False)
    history = tercet.torch.train(model, Data(), recipe, quiet=True)
    options = FEW if scheme in COMPILED else QUICK
    return model, tercet.torch.report(model, X, test=Data().test(), history=history, **options)


class Page(HTMLParser):
    """What a page refers to, what it can be referred to by, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.ids, self.text = set[str](), set[str](), set[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, attrs)
            if name in ("href", "src", "xlink:href", "data", "action"):
                self.links.add(value or "")
            elif name == "id":
                self.ids.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "scheme", [pytest.param(s, marks=() if s in COMPILED else pytest.mark.check) for s in ANSWERED]
)
def test_what_is_answered(scheme: str) -> None:
    """Each question is, or a sentence says why not; the page says all of it."""
    _, found = reported(scheme)
    answered = tuple(q for q in QUESTIONS if not isinstance(getattr(found, q), NotApplicable))
    assert answered == ANSWERED[scheme]
    page = Page(report_html(found))
    for question in set(QUESTIONS) - set(answered):
        reason = getattr(found, question).reason
        assert reason.endswith(".") and reason in page.text
    assert page.text.count("Not answered for this model") == 2 * (len(QUESTIONS) - len(answered))
    assert page.ids == {link[1:] for link in page.links} and not page.tags & {"script", "link", "img", "iframe"}
    json.dumps(found.to_json())


@pytest.mark.parametrize("scheme", COMPILED)
def test_worth_is_that_of_compiled_networks(scheme: str, tmp_path: Path) -> None:
    """Bytes and engines are those of the networks compiled one by one, and densities those of their weights."""
    model, found = reported(scheme)
    assert not isinstance(found.worth, NotApplicable)
    bare = without_zeros(deepcopy(model).eval())
    tercet.torch.settle(bare, [Data().test()[0][0]])
    assert [v.label for v in (found.worth.trained, *found.worth.others)] == ["as trained", "without zeros"]
    for network, variant in ((deepcopy(model).eval(), found.worth.trained), (bare, found.worth.others[0])):
        made = tercet.compile(network, (X,), output=tmp_path / f"{variant.label}.tercet", name="model")
        settled = deepcopy(network)
        tercet.torch.settle(settled, [Data().test()[0][0]])
        assert variant.accuracy == tercet.torch.accuracy(settled, Data().test())
        with tercet.load(made.path) as loaded:
            assert variant.library_bytes == len(loaded.artifact.read(loaded.manifest.library))
        steps = {layer.name: layer for layer in variant.layers}
        assert list(steps) == ["two", "three"]
        for name, time in steps.items():
            (step,) = [s for s in made.layers if s.weight_count and f"conv2d:{name}" in s.nodes]
            weight = network.get_submodule(name).quantized_weight()  # type: ignore[operator]
            assert (time.engine, time.stored_bytes, time.bits) == (
                step.engine, step.weight_bytes_stored, step.bits_per_weight,
            )  # fmt: skip
            assert time.density == pytest.approx((weight != 0).float().mean().item()) and time.seconds > 0
        assert variant.density == pytest.approx(
            (steps["two"].density * 4 * 8 + steps["three"].density * 8 * 8) / (4 * 8 + 8 * 8)
        )
    trained, other = found.worth.trained, found.worth.others[0]
    assert trained.density == pytest.approx(found.density) and other.density == 1
    assert sum(time.share for time in trained.layers) < 1
    assert (
        set(vars(trained.ratio).values()) == set(vars(trained.steps_ratio).values()) == {1.0}
        and other.ratio.minimum > 0
    )
    assert found.worth.float_bytes == 4 * found.weights == 4 * 9 * (4 * 8 + 8 * 8)


def test_moved_thresholds_are_timed_too() -> None:
    model, _ = reported("ttq")
    found = tercet.torch.report(model, X, rounds=1, timed_factors=(2.0, 4.0), target="generic")
    assert not isinstance(found.worth, NotApplicable) and found.worth.target == "generic"
    assert [v.label for v in found.worth.others] == ["without zeros", "thresholds times 2", "thresholds times 4"]
    bare, two, four = (v.density for v in found.worth.others)
    assert bare == 1 > found.density > two > four
    assert all(v.accuracy is None for v in found.worth.others)


@pytest.mark.parametrize("scheme", ["ternary", "signed-binary"])
def test_numbers_are_those_of_the_measures(scheme: str) -> None:
    model, found = reported(scheme)
    test = Data().test()
    assert found.accuracy == tercet.torch.accuracy(model, test) and found.samples == 64
    assert (found.model, found.layers) == ("Sequential", 2)
    assert found.density == tercet.torch.density(model)
    assert found.inputs == input_sparsity(deepcopy(model), test)
    assert found.thresholds == threshold_sensitivity(deepcopy(model), test, (0.5, 2.0), (2.0,))
    assert not isinstance(found.values, NotApplicable) and not isinstance(found.inputs, NotApplicable)
    for values, read in zip(found.values.layers, found.inputs.layers, strict=True):
        assert values.inputs == (read.values if scheme == "ternary" else None)
    page = Page(report_html(found)).text
    assert found.accuracy is not None
    for share in (found.accuracy, found.density, found.inputs.zeros, found.inputs.products):
        assert f"{100 * share:.1f} %" in page


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_as_it_is(training: bool) -> None:
    model = net("ternary").train(training)
    model.norm.eval()  # type: ignore[operator]
    model.two.weight_quantizer.enabled = False  # type: ignore[union-attr]
    model.one.weight.requires_grad_(False)  # type: ignore[union-attr]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [(type(m), m.training, len(m._forward_pre_hooks)) for m in model.modules()]
    tercet.torch.report(model, X, test=iter(Data().test()), **QUICK)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert modes == [(type(m), m.training, len(m._forward_pre_hooks)) for m in model.modules()]
    assert not model.two.weight_quantizer.enabled and model.three.weight_quantizer.enabled  # type: ignore[union-attr]
    assert not model.one.weight.requires_grad and model.two.weight.requires_grad  # type: ignore[union-attr]
    assert all(p.grad is None for p in model.parameters())


def test_without_tests_and_history(tmp_path: Path) -> None:
    model, _ = reported("signed-binary")
    found = tercet.torch.report(model, X, tmp_path / "report.html", name="one & all", **QUICK)
    assert not isinstance(found.worth, NotApplicable) and not isinstance(found.regions, NotApplicable)
    for part in (found.thresholds, found.inputs):
        assert isinstance(part, NotApplicable) and "No test batches" in part.reason
    assert isinstance(found.training, NotApplicable) and found.accuracy is None and found.samples == 0
    page = Page((tmp_path / "report.html").read_text())
    assert "one & all: what its quantization does" in page.text and "Accuracy" not in page.text


def test_a_model_of_bfloat16() -> None:
    model, _ = reported("signed-binary")
    batches = [(x.bfloat16(), labels) for x, labels in Data().test()]
    found = tercet.torch.report(deepcopy(model).bfloat16(), X.bfloat16(), test=batches, **QUICK)
    assert not isinstance(found.worth, NotApplicable) and found.samples > 0


def test_the_history_of_a_detector() -> None:
    """It has a metric of its own and no accuracy: the page shows the zeros alone."""
    _, found = reported("signed-binary")
    records = [
        {"epoch": e, "density": 0.5, "test_average_precision": 0.9, "shares": {"two": {0: 0.5}}} for e in (1, 2)
    ]
    assert "test accuracy" in report_html(found)
    page = report_html(replace(found, training=sparsity_over_training(records)))
    assert "zeros of all quantized weights" in page and "test accuracy" not in page


def test_a_model_without_quantizers(tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    found = tercet.torch.report(plain, X, tmp_path / "report.html", test=Data().test(), history=[], **QUICK)
    assert all(isinstance(getattr(found, question), NotApplicable) for question in QUESTIONS)
    assert found.accuracy == tercet.torch.accuracy(plain, Data().test()) and found.layers == 0


def test_a_model_that_cannot_be_compiled() -> None:
    class Sorts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = tercet.torch.Linear(4, 3, weights=tercet.torch.TTQ(threshold=0.3))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).sort().values

    found = tercet.torch.report(Sorts(), torch.zeros(1, 4), **QUICK)
    assert isinstance(found.worth, NotApplicable) and "sort" in found.worth.reason
    assert not isinstance(found.values, NotApplicable)


def test_the_folder_of_an_unfinished_run(tmp_path: Path) -> None:
    model = net("ttq")
    recipe = tercet.torch.Recipe.one_stage(5, 0.05, compiled=False)
    tercet.torch.train(model, Data(), recipe, tmp_path, epochs=2, quiet=True)
    found = tercet.torch.report(model, X, history=tmp_path, **QUICK)
    assert not isinstance(found.training, NotApplicable) and found.training.epochs == (1, 2)
    assert set(found.training.zeros) == {"two", "three"}


NAMES = ("<script>alert(1)</script>", "'><img src=x onerror=alert(1)> &amp;\u202e")


def test_names_of_layers_are_text() -> None:
    model = net("ternary", NAMES)
    found = tercet.torch.report(model, X, name="</title><b>", test=Data().test(), **QUICK)
    assert not isinstance(found.worth, NotApplicable) and not isinstance(found.inputs, NotApplicable)
    assert tuple(layer.name for layer in found.worth.trained.layers) == NAMES
    assert tuple(layer.name for layer in found.inputs.layers) == NAMES
    text = report_html(found)
    page = Page(text)
    assert NAMES[0] in page.text and "\\n" not in text and " &amp;\\u202e" in page.text and "\u202e" not in text
    assert not page.tags & {"script", "img", "b"} and "default-src 'none'" in text


def test_names_with_line_breaks() -> None:
    """Torch cannot export them, so that the network is not compiled; the page says so on one line."""
    found = tercet.torch.report(net("ttq", ("a\n<b>", 'c"\x1b[31m')), X, test=Data().test(), **QUICK)
    text = report_html(found)
    assert isinstance(found.worth, NotApplicable) and "\x1b" not in text and "b" not in Page(text).tags
    assert "'a\\n<b>'" in Page(text).text


def test_inputs_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = tercet.torch.Linear(8, 4, weights=tercet.torch.TWN())

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.layer(left + right)

    example = {"left": torch.randn(1, 8), "right": torch.randn(1, 8)}
    for given in (example, tuple(example.values())):
        found = tercet.torch.report(Named(), given, **QUICK)
        assert not isinstance(found.worth, NotApplicable) and found.worth.trained.layers[0].name == "layer"


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ([], "there are no batches"),
        ([X], "test batch 0: expected inputs"),
        ([(X, torch.zeros(2, dtype=torch.long))], "test batch 0: expected inputs"),
        ([(X, torch.zeros(1))], "test batch 0: expected inputs"),
        ([(X, torch.tensor([-1]))], "test batch 0: expected class numbers from 0 to 2, got -1"),
        ([(X, torch.tensor([0])), (X, torch.tensor([4]))], "test batch 1: expected class numbers from 0 to 2, got 4"),
    ],
)
def test_batches_that_mean_nothing(test: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tercet.torch.report(net("ttq"), X, test=test, **QUICK)


def test_other_mistakes(tmp_path: Path) -> None:
    batch = [(X, torch.zeros(1, dtype=torch.long))]
    with pytest.raises(InputError, match="expected scores"):
        tercet.torch.report(nn.Conv2d(2, 2, 3), X, test=batch, **QUICK)
    with pytest.raises(InputError, match="expected a torch module, got str"):
        tercet.torch.report("net", X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Is a directory"):
        tercet.torch.report(net("ttq"), X, tmp_path)
    with pytest.raises(InputError, match="there is no checkpoint"):
        tercet.torch.report(net("ttq"), X, history=tmp_path)
    with pytest.raises(InputError, match="'colour' is not an option"):
        tercet.torch.report(net("ttq"), X, colour="red", **QUICK)
    assert list(tmp_path.iterdir()) == []
