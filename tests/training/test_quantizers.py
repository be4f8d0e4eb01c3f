"""Quantizers: the values of the papers, and their gradients in float64 against the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tercet.frontend.torch.quantizers import (
    N2UQ,
    SCHEMES,
    TTQ,
    TWN,
    AbsMaxTokens,
    AbsMeanWeights,
    AsymmetricActivations,
    AsymmetricWeights,
    Binary,
    LSQActivations,
    LSQWeights,
    RPReLU,
    SignedBinary,
    WeightQuantizer,
    bi_ste,
)
from tercet.frontend.torch.quantizers.prepare import prepare, quantized_layers
from tercet.ir.errors import InputError

SHAPES = [(8, 3, 3, 3), (5, 7), (4, 1, 1, 1)]
WEIGHTS: dict[str, Callable[[], WeightQuantizer]] = {
    "twn": TWN,
    "twn of filters": lambda: TWN(filters=True),
    "ttq": TTQ,
    "ttq of a sparsity": lambda: TTQ(sparsity=0.5),
    "asymmetric": AsymmetricWeights,
    "binary": Binary,
    "signed-binary": SignedBinary,
    "signed-binary of slices": lambda: SignedBinary(regions="slices"),
    "lsq2": lambda: LSQWeights(2),
    "lsq4": lambda: LSQWeights(4),
    "lsq8, not narrow": lambda: LSQWeights(8, narrow=False),
    "bitnet": AbsMeanWeights,
}


def random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(value: Tensor, *of: Tensor, seed: int = 9) -> list[Tensor]:
    """Of the sum of a value under random weights, which they come after: each gradient, then the weights."""
    weights = random(tuple(value.shape), seed).detach()
    return [*torch.autograd.grad((value * weights).sum(), of), weights]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_take_few_values(name: str, shape: tuple[int, ...]) -> None:
    """Every weight is exactly its code times a scale of the layer, the filter or, with TTQ, the sign."""
    w = random(shape).float()
    quantizer = WEIGHTS[name]().fit(w)
    quantized, codes = quantizer(w), quantizer.codes(w)
    assert quantized.shape == w.shape and codes.dtype == torch.int8
    assert torch.equal(quantized != 0, codes != 0)
    for filter_, code in zip(quantized, codes, strict=True):
        for value in code.unique():
            assert filter_[code == value].unique().numel() == 1
    most = quantizer.most if isinstance(quantizer, LSQWeights) else 1
    assert int(codes.abs().max()) <= most + (name == "lsq8, not narrow")


@pytest.mark.parametrize("name", WEIGHTS)
def test_values_of_codes(name: str) -> None:
    """Codes give the quantized weights back, and any others the same scales; only two steps of rounding differ."""
    w = random((8, 3, 3, 3)).float()
    w[2] = 0.001  # a filter of zeros
    quantizer = WEIGHTS[name]().fit(w)
    quantized, codes = quantizer(w), quantizer.codes(w)
    torch.testing.assert_close(quantizer.values(codes, w), quantized, rtol=3e-7, atol=0)
    signs = quantizer.signs(w)
    assert signs.dtype == torch.int8 and set(signs.unique().tolist()) == {-1, 1}
    other = quantizer.values(signs, w)
    same = codes == signs
    torch.testing.assert_close(other[same], quantized[same], rtol=3e-7, atol=0)
    assert (other.sign() == signs).all()


@pytest.mark.parametrize("name", WEIGHTS)
def test_moved_thresholds(name: str) -> None:
    """A copy; at factor 1 the same, at larger ones fewer values, of scales that only TWN's rule changes."""
    w = random((8, 3, 3, 3)).float()
    quantizer = WEIGHTS[name]().fit(w)
    before = [p.clone() for p in quantizer.parameters()]
    same, more = quantizer.with_thresholds(1.0), quantizer.with_thresholds(1.5)
    assert (same is None) == (more is None) == (name in ("ttq of a sparsity", "binary", "bitnet") or "lsq" in name)
    if same is not None and more is not None:
        assert torch.equal(same(w), quantizer(w)) and same is not quantizer
        kept = more(w) != 0
        assert 0 < int(kept.sum()) < int((quantizer(w) != 0).sum())
        if "twn" not in name:
            assert torch.equal(more(w)[kept], quantizer(w)[kept])
    assert all(torch.equal(a, b) for a, b in zip(before, quantizer.parameters(), strict=True))


def test_moved_thresholds_of_activations() -> None:
    quantizer = N2UQ(2)
    quantizer.start.data.fill_(0.3)
    moved = quantizer.with_thresholds(2.0)
    assert moved is not None
    torch.testing.assert_close(moved.thresholds(), 2 * quantizer.thresholds())
    assert torch.equal(moved.scale, quantizer.scale) and LSQActivations(2).with_thresholds(2.0) is None


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_all_zero(name: str) -> None:
    w = torch.zeros(4, 3, 3, 3)
    quantizer = WEIGHTS[name]().fit(w)
    if name != "asymmetric":  # whose deviation is 0
        assert torch.isfinite(quantizer(w)).all()


def test_twn() -> None:
    w = torch.tensor([[1.0, -1.0, 0.1, 3.0]])
    assert TWN()(w).tolist() == [[w.abs()[0, [0, 1, 3]].mean() * s for s in (1, -1, 0, 1)]]  # threshold 0.8925


def test_ttq() -> None:
    """Equations 6 to 9: t max|W| is 0.2, the scales' gradients are sums over their weights, the latents' scaled."""
    w = torch.tensor([[4.0, 0.1, -0.3, -0.15, 0.3]], dtype=torch.float64, requires_grad=True)
    quantizer = TTQ().double().fit(w)
    quantizer.positive.data.fill_(2.0)
    quantizer.negative.data.fill_(3.0)
    assert quantizer(w).tolist() == [[2, 0, -3, 0, 2]]
    dw, dp, dn, g = gradients(quantizer(w), w, quantizer.positive, quantizer.negative)
    assert torch.equal(torch.stack([dp, dn]), torch.stack([g[0, 0] + g[0, 4], -g[0, 2]]))
    torch.testing.assert_close(dw, g * torch.tensor([[2.0, 1, 3, 1, 2]], dtype=torch.float64))
    assert quantizer.codes(w).tolist() == [[1, 0, -1, 0, 1]]


def test_ttq_scales_start_near_one() -> None:
    w = random((8, 3, 3, 3))
    quantizer = TTQ().fit(w)
    positive, negative = w[w > 0.05 * w.abs().max()], -w[w < -0.05 * w.abs().max()]
    torch.testing.assert_close(
        (quantizer.positive / quantizer.negative).double(), positive.mean() / negative.mean(), rtol=1e-5, atol=0
    )


def test_ttq_keeps_a_sparsity() -> None:
    w = random((10, 20))
    assert int((TTQ(sparsity=0.35).fit(w).codes(w) == 0).sum()) == 70


def test_bi_ste() -> None:
    """Values are equation 8's; gradients those of the expectation, equation 7, for z and both thresholds."""
    z = random((500,))
    upper, lower = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, -0.7))
    value = bi_ste(z, upper, lower)
    assert torch.equal(value, torch.where(z >= 0.4, 1.0, torch.where(z <= -0.7, -1.0, 0.0)).double())
    dz, du, dl, g = gradients(value, z, upper, lower)
    up, low = (z > 0) & (z < 0.8), (z < 0) & (z > -1.4)
    torch.testing.assert_close(dz, g * (up / 0.8 + low / 1.4))
    torch.testing.assert_close(du, -(g * z * up).sum() / (2 * 0.4**2))
    torch.testing.assert_close(dl, (g * z * low).sum() / (2 * 0.7**2))

    def expected(z: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
        return (z / (2 * upper)).clamp(0, 1) - (z / (2 * lower)).clamp(0, 1)

    assert torch.autograd.gradcheck(expected, (z[:50].detach().requires_grad_(), upper, lower))
    torch.testing.assert_close([dz, du, dl], gradients(expected(z, upper, lower), z, upper, lower)[:3])


def test_asymmetric_weights() -> None:
    """A third each at the start; gradients go through mean and deviation, equation 9."""
    w = random((64, 30))
    quantizer = AsymmetricWeights().double().fit(w)
    counts = [int((quantizer.codes(w) == code).sum()) / w.numel() for code in (-1, 0, 1)]
    assert max(abs(count - 1 / 3) for count in counts) < 0.03
    deviation, mean = torch.std_mean(w, correction=0)
    t = quantizer.thresholds
    z = t.gamma * (w - mean) * 0.5 / (0.43 * deviation)
    soft = (z / (2 * t.upper)).clamp(0, 1) - (z / (2 * t.lower)).clamp(0, 1)
    of = (w, t.gamma, t.upper, t.lower)
    torch.testing.assert_close(
        gradients(quantizer(w), *of)[:4], gradients(quantizer.scale * soft, *of)[:4], rtol=1e-9, atol=1e-12
    )
    (scale, g) = gradients(quantizer(w), quantizer.scale)
    torch.testing.assert_close(scale, (g * quantizer.codes(w)).sum())


def test_asymmetric_activations() -> None:
    """The batch's statistics in training, their averages in evaluation; `levels` are where values change."""
    quantizer = AsymmetricActivations().double()
    x = (random((16, 4, 5, 5)).detach() * 3 + 2).requires_grad_()
    value = quantizer(x)
    assert set(value.unique().tolist()) == {-1, 0, 1}
    torch.testing.assert_close(quantizer.mean, x.mean(), rtol=1e-5, atol=0)  # the first batch sets them
    (dx, g) = gradients(value, x)
    z = (x - x.mean()) / x.std(correction=0) * 0.5 / 0.43
    inside = ((z > 0) & (z < 1)) | ((z < 0) & (z > -1))
    torch.testing.assert_close(dx, g * inside * 0.5 / 0.43 / x.std(correction=0), rtol=1e-5, atol=1e-12)
    quantizer(x + 10)
    torch.testing.assert_close(quantizer.mean, 0.9 * x.mean() + 0.1 * (x.mean() + 10), rtol=1e-5, atol=0)
    quantizer.eval()
    lower, upper = quantizer.levels()
    assert lower < upper
    near = torch.tensor([lower - 1e-3, lower + 1e-3, upper - 1e-3, upper + 1e-3], dtype=torch.float64)
    assert quantizer(near).tolist() == [-1, 0, 0, 1]


def test_thresholds_stay_on_their_sides() -> None:
    quantizer = AsymmetricWeights()
    quantizer.thresholds.upper.data.fill_(-1.0)
    quantizer.thresholds.lower.data.fill_(0.5)
    quantizer.constrain()
    assert quantizer.thresholds.upper > 0 > quantizer.thresholds.lower


def test_binary() -> None:
    w = random((6, 50))
    quantizer = Binary().double().fit(w)
    assert torch.equal(quantizer(w), quantizer.scale[:, None] * torch.where(w >= 0, 1.0, -1.0))
    dw, ds, g = gradients(quantizer(w), w, quantizer.scale)
    torch.testing.assert_close(dw, g * quantizer.scale[:, None] * (w.abs() <= 1))
    torch.testing.assert_close(ds, (g * w.sign()).sum(1))
    assert quantizer.codes(torch.zeros(1, 2)).tolist() == [[1, 1]]


@pytest.mark.parametrize("regions", ["filters", "slices"])
@pytest.mark.parametrize("share", [0.5, 0.25, 1.0])
def test_signed_binary_regions(regions: str, share: float) -> None:
    """Each region has one sign, so many of them the positive one, whatever the weights become."""
    w = random((8, 16, 3, 3))
    quantizer = SignedBinary(regions=regions, share=share).fit(w)  # type: ignore[arg-type]
    codes = quantizer.codes(random((8, 16, 3, 3), seed=1)).flatten(2).int()
    signs = [codes.amin((1, 2)), codes.amax((1, 2))] if regions == "filters" else [codes.amin(2), codes.amax(2)]
    assert not ((signs[0] < 0) & (signs[1] > 0)).any()
    positive = (quantizer.sign > 0).float().mean().item()
    assert positive == share


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_signed_binary_gradient(fraction: float) -> None:
    """k t (1 - tanh^2(t u)) with t from 0.1 to 10 and k = max(1 / t, 1), centred on the threshold."""
    w = random((4, 40))
    quantizer = SignedBinary().double().fit(w)
    quantizer.progress(fraction)
    dw, g = gradients(quantizer(w), w)
    t = 0.1 * 100**fraction
    u = (w * quantizer.sign - 0.05 * w.abs().amax(1, keepdim=True)) / w.std(1, keepdim=True, correction=0)
    want = g * quantizer.scale[:, None] * max(1 / t, 1) * t * (1 - torch.tanh(t * u) ** 2)
    torch.testing.assert_close(dw, want, rtol=1e-5, atol=1e-12)


def test_lsq() -> None:
    """Equation 3: the step's gradient is round(v / s) - v / s inside, a bound outside; equation 5: v's is 1 inside."""
    v = random((200,))
    quantizer = LSQWeights(3, narrow=False).double()
    quantizer.step.data.fill_(0.3)
    assert torch.equal(quantizer(v), 0.3 * (v / 0.3).clamp(-4, 3).round())
    dv, ds, g = gradients(quantizer(v), v, quantizer.step)
    x = v / 0.3
    inside = (x > -4) & (x < 3)
    torch.testing.assert_close(dv, g * inside)
    scale = 1 / math.sqrt(v.numel() * 3)
    torch.testing.assert_close(ds, scale * (g * torch.where(inside, x.round() - x, x.clamp(-4, 3))).sum())


def test_lsq_activations_start_with_the_first_batch() -> None:
    quantizer, x = LSQActivations(4), random((3, 5, 2)).float().abs()
    quantizer(x)
    torch.testing.assert_close(quantizer.step.detach(), 2 * x.detach().mean() / math.sqrt(15))
    quantizer(100 * x)
    torch.testing.assert_close(quantizer.step.detach(), 2 * x.detach().mean() / math.sqrt(15))
    assert quantizer.eval()(-x).abs().max() == 0
    signed, both = LSQActivations(2, signed=True), torch.cat([4 * x, -4 * x, x / 8])
    assert (signed(both) / signed.step).detach().round().unique().tolist() == [-2, -1, 0, 1]


def test_n2uq() -> None:
    """Levels of equal distance, thresholds in the middle of intervals of any length; gradients of G-STE."""
    quantizer, x = N2UQ(2).double().eval(), random((300,))
    quantizer.lengths.data.copy_(torch.tensor([0.2, 0.5, 0.9]))
    quantizer.start.data.fill_(-0.1)
    quantizer.scale.data.fill_(2.0)
    torch.testing.assert_close(quantizer.thresholds(), torch.tensor([0.0, 0.35, 1.05]).double(), rtol=1e-6, atol=1e-8)
    passed = (x[:, None] >= quantizer.thresholds()).sum(1)
    assert torch.equal(quantizer(x), 2.0 * passed)
    of = (x, quantizer.start, quantizer.lengths)
    edges = quantizer.start + torch.cat([torch.zeros(1), quantizer.lengths.cumsum(0)])
    parts = [((x - edges[i]) / quantizer.lengths[i]).clamp(0, 1) for i in range(3)]
    torch.testing.assert_close(gradients(quantizer(x), *of)[:3], gradients(2.0 * sum(parts), *of)[:3])  # type: ignore[arg-type]


def test_bitnet() -> None:
    w, x = random((6, 9)), random((2, 3, 9))
    scale = w.detach().abs().mean()
    torch.testing.assert_close(AbsMeanWeights()(w), scale * (w / scale).clamp(-1, 1).round())
    quantized, step = AbsMaxTokens()(x), x.detach().abs().amax(-1, keepdim=True) / 127
    torch.testing.assert_close(quantized, step * (x / step).round())
    assert (quantized / step).detach().abs().amax(-1).round().unique().tolist() == [127]
    for value, of in ((AbsMeanWeights()(w), w), (AbsMaxTokens()(x), x)):
        d, g = gradients(value, of)
        assert torch.equal(d, g)


def test_rprelu() -> None:
    layer = RPReLU(3).double()
    for parameter in layer.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(1))
    x = random((2, 3, 4, 4))
    want = nn.functional.prelu(x - layer.shift_in[:, None, None], layer.slope) + layer.shift_out[:, None, None]
    torch.testing.assert_close(layer(x), want)
    assert torch.autograd.gradcheck(layer, (x,))
    assert layer(random((5, 3))).shape == (5, 3)


@pytest.mark.parametrize("name", WEIGHTS)
def test_as_a_parametrization(name: str) -> None:
    conv = nn.Conv2d(3, 8, 3)
    quantizer = WEIGHTS[name]().fit(conv.weight)
    want = quantizer(conv.weight).detach()
    parametrize.register_parametrization(conv, "weight", quantizer)
    assert torch.equal(conv.weight, want)
    conv(torch.randn(1, 3, 5, 5)).sum().backward()
    assert conv.parametrizations["weight"].original.grad is not None  # type: ignore[index]


@pytest.mark.parametrize("make", [lambda: TTQ(threshold=1.0), lambda: TTQ(sparsity=-0.1), lambda: LSQWeights(1),
                                  lambda: LSQActivations(9), lambda: N2UQ(5)])  # fmt: skip
def test_values_that_mean_nothing(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


@pytest.mark.parametrize("name", SCHEMES)
def test_disabled_quantizers_change_nothing(name: str) -> None:
    scheme, x = SCHEMES[name], random((2, 3, 4, 4)).float()
    for make in (scheme.weights, scheme.inputs):
        if make is not None:
            quantizer = make().fit(x)
            quantizer.enabled = False
            assert quantizer(x) is x


def test_prepare_takes_one_name_and_one_tensor() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1))
    prepare(model, "ternary", keep="first", example_inputs=torch.zeros(1, 1, 8, 8))
    assert [type(model[i]) is nn.Conv2d for i in (0, 2, 4)] == [True, False, False]
    with pytest.raises(InputError, match="expected a torch module, got int"):
        prepare(3, "twn")  # pyright: ignore[reportArgumentType]


def test_prepare_says_when_nothing_would_be_quantized() -> None:
    two = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    with pytest.raises(InputError, match=r"nothing is quantized: all layers are kept \(0, 2\)"):
        prepare(two, "twn")
    prepare(two, "twn", keep=())
    assert len(list(quantized_layers(two))) == 2


def test_prepare_keeps_patterns_of_names() -> None:
    model = nn.ModuleDict({name: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for name in ("layer1", "layer2")})
    prepare(model, "twn", keep=["layer1.*", "*.1"])
    assert [name for name, _ in quantized_layers(model)] == ["layer2.0"]
    with pytest.raises(InputError, match=r"keep: no layer is called like 'head\.\*'"):
        prepare(model, "twn", keep="head.*")


def test_prepare_with_inputs_of_another_model() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1))
    with pytest.raises(InputError, match=r"example_inputs: the model cannot be called with them: .*channels"):
        prepare(model, "ternary", example_inputs=torch.zeros(1, 1, 8, 8))
    assert not list(quantized_layers(model)) and model.training
