"""What is measured for the report, against numbers that are computed another way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import deepcopy
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor, nn

from tercet.frontend.torch.quantizers import (
    SCHEMES,
    TTQ,
    Binary,
    Conv2d,
    Linear,
    LSQWeights,
    SignedBinary,
    prepare,
    quantized_layers,
)
from tercet.frontend.torch.report import (
    InputSparsity,
    NotApplicable,
    RegionSigns,
    Shares,
    SparsityHistory,
    ThreeValues,
    ThresholdSensitivity,
    input_sparsity,
    region_signs,
    sparsity_over_training,
    three_values,
    threshold_sensitivity,
    with_thresholds,
    without_zeros,
)
from tercet.frontend.torch.training import Recipe, accuracy, density, settle, train
from tercet.ir.errors import InputError

Batches = list[tuple[Tensor, Tensor]]


def net(scheme: str, seed: int = 0, bias: bool = False) -> nn.Sequential:
    """Two quantized convolutions with batch norms and a quantized linear layer, after a few steps of training."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=bias), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=bias), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
        nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3),
    )  # fmt: skip
    prepare(model, scheme, example_inputs=(torch.zeros(1, 2, 6, 6),))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(16, 2, 6, 6)).square().mean().backward()
        optimizer.step()
    return model.eval()


def batches(seed: int = 5) -> Batches:
    random = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, 2, 6, 6, generator=random), torch.randint(0, 3, (n,), generator=random)) for n in (16, 16, 9)
    ]


def state(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


# -- copies with fewer or more zeros ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "float"])
def test_without_zeros(scheme: str) -> None:
    """Weights that are not zero stay; zeros take the sign of the latent weight and a size that the filter has."""
    model = net(scheme)
    before = state(model)
    bare = without_zeros(model)
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    for (_, layer), (_, other) in zip(quantized_layers(model), quantized_layers(bare), strict=True):
        quantizer, weight = layer.weight_quantizer, other.quantized_weight()
        assert quantizer is not None and other.weight_quantizer is None
        was = layer.quantized_weight().detach()
        centred = layer.weight - (layer.weight.mean() if scheme in ("asymmetric", "ternary", "ternary-n2uq2") else 0)
        assert (weight != 0).all()
        torch.testing.assert_close(weight[was != 0], was[was != 0], rtol=1e-6, atol=0)
        zero = was == 0
        assert torch.equal(weight[zero] > 0, centred[zero] >= 0)
        for new, old in zip(weight, was, strict=True):
            sizes = {round(float(v), 5) for v in old.detach().abs().unique() if v}
            if isinstance(quantizer, TTQ):
                sizes = {round(float(v), 5) for v in (quantizer.positive.detach(), quantizer.negative.detach())}
            if sizes:
                assert {round(float(v), 5) for v in new[old == 0].detach().abs().unique()} <= sizes
    if scheme == "binary":
        assert density(model) == 1


def test_without_zeros_of_weights_that_are_all_zero() -> None:
    layer = Conv2d(2, 3, 1, weights=SignedBinary())
    layer.weight.data.zero_()
    (weight,) = [found.weight for _, found in quantized_layers(without_zeros(nn.Sequential(layer)))]
    assert (weight > 0).all() and torch.isfinite(weight).all()


def test_moved_thresholds() -> None:
    """By the formula of each scheme; the model itself stays, and one layer can be moved alone."""
    ttq, signed, twn = net("ttq"), net("signed-binary"), net("twn")
    before = state(ttq)
    for model, limit in (
        (ttq, lambda w: 3 * 0.05 * w.abs().max()),
        (signed, lambda w: 3 * 0.05 * w.abs().flatten(1).amax(1).reshape(-1, *[1] * (w.dim() - 1))),
        (twn, lambda w: 3 * 0.7 * w.abs().mean()),
    ):
        moved = with_thresholds(model, 3.0)
        for (_, layer), (_, other) in zip(quantized_layers(model), quantized_layers(moved), strict=True):
            assert layer.weight_quantizer is not None
            want = torch.where(layer.weight.abs() > limit(layer.weight), layer.weight.sign(), 0)
            if isinstance(layer.weight_quantizer, SignedBinary):
                want = torch.where(want == layer.weight_quantizer.sign, want, 0)
            assert torch.equal(other.quantized_weight().sign(), want)
    ternary = net("ternary")
    for (_, layer), (_, other) in zip(
        quantized_layers(ternary), quantized_layers(with_thresholds(ternary, 2.0, "inputs")), strict=True
    ):
        old, new = layer.input_quantizer, other.input_quantizer
        assert torch.equal(layer.quantized_weight(), other.quantized_weight()) and old is not None and new is not None
        mean = float(old.mean)  # type: ignore[arg-type]
        want = [mean + 2 * (level - mean) for level in old.levels()]  # type: ignore[operator]
        assert list(new.levels()) == pytest.approx(want, rel=1e-5)  # type: ignore[operator]
    only = with_thresholds(ttq, 5.0, only="6")
    changed = [
        name
        for (name, a), (_, b) in zip(quantized_layers(ttq), quantized_layers(only), strict=True)
        if not torch.equal(a.quantized_weight(), b.quantized_weight())
    ]
    assert changed == ["6"] and all(torch.equal(a, b) for a, b in zip(before, state(ttq), strict=True))


# -- sensitivity to thresholds ----------------------------------------------------------------------------------------


def by_hand(model: nn.Sequential, test: Batches, factors: Sequence[float], norms: Tensor | None = None) -> float:
    """The accuracy of a TTQ network whose layers' thresholds are so many times the trained ones, in plain torch.
    norms: a batch whose statistics replace the running ones."""

    def forward(x: Tensor, statistics: dict[int, tuple[Tensor, Tensor]] | None) -> Tensor:
        moved = iter(factors)
        for i, module in enumerate(model):
            if isinstance(module, Conv2d | Linear):
                q, w = module.weight_quantizer, module.weight
                assert isinstance(q, TTQ)
                limit = next(moved) * 0.05 * w.abs().max()
                w = torch.where(w > limit, q.positive, 0) - torch.where(w < -limit, q.negative, 0)
                x = module._conv_forward(x, w, module.bias) if isinstance(module, Conv2d) else x @ w.T + module.bias
            elif isinstance(module, nn.BatchNorm2d) and statistics is not None:
                if i not in statistics:
                    statistics[i] = x.mean((0, 2, 3)), x.var((0, 2, 3))
                mean, variance = (v[:, None, None] for v in statistics[i])
                scale, shift = module.weight[:, None, None], module.bias[:, None, None]
                x = (x - mean) / torch.sqrt(variance + module.eps) * scale + shift
            else:
                x = module(x)
        return x

    statistics: dict[int, tuple[Tensor, Tensor]] | None = None
    with torch.no_grad():
        if norms is not None:
            statistics = {}
            forward(norms, statistics)
        right = sum(int((forward(x, statistics).argmax(1) == y).sum()) for x, y in test)
    return right / sum(len(y) for _, y in test)


def test_sensitivity_of_ttq() -> None:
    model, test = net("ttq"), batches()
    before = state(model)
    found = threshold_sensitivity(model, test, (0.0, 2.0, 5.0), (0.5, 4.0))
    assert isinstance(found, ThresholdSensitivity) and found.inputs == () and found.fixed == ()
    assert [p.factor for p in found.weights] == [0, 1, 2, 5]
    layers = [layer for _, layer in quantized_layers(model)]
    for point in found.weights:
        sizes = [int((w.abs() > point.factor * 0.05 * w.abs().max()).sum()) for w in (la.weight for la in layers)]
        assert point.density == pytest.approx(sum(sizes) / sum(la.weight.numel() for la in layers))
        assert point.kept == by_hand(model, test, [point.factor] * 3)
        assert point.settled == by_hand(model, test, [point.factor] * 3, test[0][0])
    assert found.trained.kept == accuracy(model, test) and found.weights[0].density == 1
    names = [name for name, _ in quantized_layers(model)]
    assert [(p.name, p.factor) for p in found.layers] == list(itertools.product(names, (0.5, 4.0)))
    for point in found.layers:
        factors = [point.factor if name == point.name else 1.0 for name in names]
        weight = layers[names.index(point.name)].weight
        assert point.accuracy == by_hand(model, test, factors)
        assert point.density == pytest.approx(
            (weight.abs() > point.factor * 0.05 * weight.abs().max()).float().mean().item()
        )
    assert len({p.kept for p in found.weights}) > 1 and len({p.accuracy for p in found.layers}) > 1
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


def test_sensitivity_of_inputs() -> None:
    model, test = net("ternary"), batches()
    found = threshold_sensitivity(model, test, (0.5, 3.0), ())
    assert isinstance(found, ThresholdSensitivity) and found.layers == ()
    for point in found.inputs:
        copy = deepcopy(model)
        with torch.no_grad():
            for _, layer in quantized_layers(copy):
                for threshold in (layer.input_quantizer.thresholds.upper, layer.input_quantizer.thresholds.lower):  # type: ignore[union-attr]
                    threshold.mul_(point.factor)  # type: ignore[operator]
        assert point.kept == accuracy(copy, test)
    assert found.inputs[0].density > found.inputs[1].density > found.inputs[2].density


def test_settled_statistics() -> None:
    """Norms and normalised inputs take those of the batch, each layer after the one before; momentum stays."""
    model, (x, _) = net("ternary"), batches()[0]
    assert settle(model, [x])
    norms = [m for m in model if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        first = model[0](x)
        torch.testing.assert_close(norms[0].running_mean, first.mean((0, 2, 3)))
        torch.testing.assert_close(norms[0].running_var, first.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
        read = model[:3](x)
        torch.testing.assert_close(model[3].input_quantizer.mean, read.mean(), rtol=2e-3, atol=0)  # type: ignore[union-attr]
    assert all(norm.momentum == 0.1 and not norm.training for norm in norms)
    assert not settle(nn.Sequential(nn.Linear(2, 2)), [torch.zeros(3, 2)])
    before = state(model)
    assert not settle(model, [x[:1]]) and all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


@pytest.mark.parametrize("scheme", ["binary", "lsq4", "bitnet", "float"])
def test_no_thresholds_to_move(scheme: str) -> None:
    assert isinstance(threshold_sensitivity(net(scheme), batches()), NotApplicable)


def test_some_layers_have_thresholds() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), Linear(72, 6, weights=TTQ()), Linear(6, 6, weights=LSQWeights(4)),
        Linear(6, 3, weights=TTQ(sparsity=0.5)),
    )  # fmt: skip
    found = threshold_sensitivity(model, batches(), (2.0,))
    assert isinstance(found, ThresholdSensitivity) and found.fixed == ("2", "3")
    assert {point.name for point in found.layers} == {"1"}
    assert all(point.settled is None for point in found.weights)


def test_factors_that_mean_nothing() -> None:
    for factor in (-1.0, float("nan")):
        with pytest.raises(InputError, match="expected numbers from 0"):
            threshold_sensitivity(net("ttq"), batches(), (factor,))


# -- what layers read -------------------------------------------------------------------------------------------------


def products_by_hand(layer: nn.Module, x: np.ndarray, w: np.ndarray) -> tuple[int, int]:
    """How many products have two nonzero factors, and how many there are, by loops."""
    if isinstance(layer, nn.Linear):
        return int(sum(((x != 0) & (row != 0)).sum() for row in w)), x.size * len(w)
    assert isinstance(layer, nn.Conv2d) and isinstance(layer.padding, tuple)
    (s, _), (p, _), found, dense = layer.stride, layer.padding, 0, 0
    rows, columns = ((n + 2 * p - k) // s + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    for o, i, j in itertools.product(range(w.shape[0]), range(rows), range(columns)):
        for di, dj in itertools.product(range(w.shape[2]), range(w.shape[3])):
            y, z = i * s + di - p, j * s + dj - p
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                found += int(((x[:, :, y, z] != 0) & (w[o, :, di, dj] != 0)).sum())
                dense += x[:, :, y, z].size
    return found, dense


@pytest.mark.parametrize("scheme", ["ttq", "ternary", "lsq4"])
def test_input_sparsity(scheme: str) -> None:
    model, test = net(scheme), batches()
    found = input_sparsity(model, test)
    assert isinstance(found, InputSparsity)
    assert found.samples == 41 and found.accuracy == accuracy(model, test)
    numbers = []
    for layer in found.layers:
        module = model.get_submodule(layer.name)
        assert isinstance(module, Conv2d | Linear)
        with torch.no_grad():
            x = torch.cat([module.quantized_input(model[: int(layer.name)](x)) for x, _ in test]).numpy()
            w = module.quantized_weight().numpy()
        for got, want in zip((layer.values.negative, layer.values.zero, layer.values.positive),
                             ((x < 0).mean(), (x == 0).mean(), (x > 0).mean()), strict=True):  # fmt: skip
            assert got == pytest.approx(want)
        products, dense = products_by_hand(module, x, w)
        assert layer.products == pytest.approx(products / dense) and layer.weights == pytest.approx((w != 0).mean())
        numbers.append((products, dense, (x == 0).sum(), x.size))
    products, dense, zeros, size = (sum(column) for column in zip(*numbers, strict=True))
    assert found.products == pytest.approx(products / dense) and found.zeros == pytest.approx(zeros / size)
    assert [layer.name for layer in found.layers] == ["3", "6", "10"]
    assert {layer.quantizer for layer in found.layers} == {
        {"ttq": "", "ternary": "AsymmetricActivations", "lsq4": "LSQActivations"}[scheme]
    }


def test_layers_that_are_not_reached() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = Linear(4, 3, weights=TTQ()), Linear(4, 3, weights=TTQ())

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    found = input_sparsity(Half(), [(torch.randn(5, 4), torch.zeros(5, dtype=torch.long))])
    assert isinstance(found, InputSparsity) and [layer.name for layer in found.layers] == ["used"]
    assert isinstance(input_sparsity(Half(), []), NotApplicable)
    assert isinstance(input_sparsity(net("float"), batches()), NotApplicable)


# -- three values, history, regions -----------------------------------------------------------------------------------


def test_shares() -> None:
    even, one = Shares(1 / 3, 1 / 3, 1 / 3), Shares(0.0, 1.0, 0.0)
    assert even.bits == pytest.approx(log2(3)) and even.off == pytest.approx(0)
    assert one.bits == 0 and one.off == pytest.approx(2 / 3)
    assert Shares(0.25, 0.5, 0.25).bits == pytest.approx(1.5)


def test_three_values() -> None:
    model = net("ternary")
    read = Shares(0.2, 0.5, 0.3)
    found = three_values(model, {"3": read})
    assert isinstance(found, ThreeValues) and [layer.name for layer in found.layers] == ["3", "6", "10"]
    for layer in found.layers:
        codes = model.get_submodule(layer.name).quantized_weight().sign()  # type: ignore[operator]
        assert layer.weights is not None and layer.inputs == (read if layer.name == "3" else None)
        got = (layer.weights.negative, layer.weights.zero, layer.weights.positive)
        assert got == pytest.approx([(codes == c).float().mean().item() for c in (-1, 0, 1)])
    for scheme, weights in (("binary", False), ("lsq4", False), ("lsq2", True), ("bitnet", True), ("ttq", True)):
        assert isinstance(three_values(net(scheme), {"3": read}), ThreeValues) == weights


class Data:
    steps = 2

    def batches(self, epoch: int, rank: int, processes: int) -> Batches:
        return batches(epoch)[:2]

    def test(self) -> Batches:
        return batches(99)


def test_history(tmp_path: Path) -> None:
    """From what train returns and from the folder of an unfinished run."""
    model = net("ttq")
    history = train(model, Data(), Recipe.one_stage(5, 0.05, compiled=False), tmp_path, epochs=3, quiet=True)
    found = sparsity_over_training(history)
    assert isinstance(found, SparsityHistory) and found == sparsity_over_training(tmp_path)
    assert found.epochs == (1, 2, 3) and list(found.zeros) == ["3", "6", "10"]
    for name, layer in quantized_layers(model):
        assert layer.weight_quantizer is not None
        last = (layer.weight_quantizer.codes(layer.weight) == 0).float().mean().item()
        assert found.zeros[name][-1] == pytest.approx(last)
    assert found.density[-1] == density(model) and found.accuracy[-1] == accuracy(model, batches(99))


def test_a_history_of_another_metric() -> None:
    """A run with a metric of its own, as of a detector, has no accuracy."""
    record = {"epoch": 1, "density": 0.5, "test_average_precision": 0.9, "shares": {"a": {0: 0.5}}}
    found = sparsity_over_training([record])
    assert isinstance(found, SparsityHistory) and found.accuracy == () and found.zeros == {"a": (0.5,)}


@pytest.mark.parametrize("history", [None, [], [{"epoch": 1, "shares": {}}], [{"epoch": 1}]])
def test_no_history(history: Any) -> None:
    assert isinstance(sparsity_over_training(history), NotApplicable)


def test_what_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no checkpoint"):
        sparsity_over_training(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"\x80\x02cos\nsystem\nq\x00.")
    with pytest.raises(InputError, match="is no checkpoint"):
        sparsity_over_training(tmp_path)
    torch.save({"history": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="its history is a int"):
        sparsity_over_training(tmp_path)
    for wrong in ([3], [{"shares": {"a": {0: 0.5}}}], [{"shares": 5}]):
        with pytest.raises(InputError, match="not what train returns"):
            sparsity_over_training(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("regions", ["filters", "slices"])
def test_region_signs(regions: str) -> None:
    """Against every assignment there is."""
    torch.manual_seed(3)
    layer = Conv2d(5, 4, 3, weights=SignedBinary(regions=regions))  # type: ignore[arg-type]
    layer.weight.data += 0.1 * torch.randn(4, 5, 1, 1)
    layer.weight.data[1].abs_()
    found = region_signs(nn.Sequential(layer))
    assert isinstance(found, RegionSigns)
    (got,) = found.layers
    quantizer, w = layer.weight_quantizer, layer.weight.detach().double().numpy()
    assert isinstance(quantizer, SignedBinary)
    count = 1 if regions == "filters" else 5
    fixed = np.broadcast_to(quantizer.sign.numpy().reshape(4, -1), (4, count))
    w = w.reshape(4, count, -1)
    limit = 0.05 * np.abs(w).max((1, 2))

    def error(o: int, signs: np.ndarray) -> float:
        codes = np.where(w[o] * signs[:, None] > limit[o], signs[:, None], 0)
        scale = (w[o] * codes).sum() / max(np.abs(codes).sum(), 1)
        return float(((w[o] - scale * codes) ** 2).sum())

    best, other = 0.0, 0
    for o in range(4):
        signs = [np.array(s) for s in itertools.product((-1, 1), repeat=count)]
        least = min(signs, key=lambda s: error(o, s))
        best, other = best + error(o, least), other + int((least != fixed[o]).sum())
    energy = (w**2).sum()
    assert got.error == pytest.approx(sum(error(o, fixed[o]) for o in range(4)) / energy)
    assert got.best_error == pytest.approx(best / energy) and got.best_error < got.error
    assert (got.kind, got.regions, got.positive) == (regions, 4 * count, (fixed > 0).sum())
    assert got.other_by_error == other > 0
    assert got.other_by_mean == int((w.mean(2) * fixed < 0).sum()) > 0


def test_no_regions() -> None:
    assert isinstance(region_signs(nn.Sequential(Linear(3, 3, weights=Binary()))), NotApplicable)
    zeros = Linear(3, 2, weights=SignedBinary())
    zeros.weight.data.zero_()
    found = region_signs(nn.Sequential(zeros))
    assert isinstance(found, RegionSigns) and found.layers[0].error == found.layers[0].best_error == 0
