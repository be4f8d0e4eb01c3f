"""Layers of torch.nn against torch: odd shapes, strides, pads, groups; a batch of fixed and of any size."""

from __future__ import annotations

from typing import Any

import pytest

from .helpers import assert_like_torch, floats, torch, trained

nn = torch.nn

CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3), (2, 4, 9)),
    (nn.Conv1d(4, 6, 4, 2, 3, 2, 2, bias=False), (1, 4, 17)),
    (nn.Conv1d(3, 3, 5, padding="same"), (1, 3, 8)),
    (nn.Conv2d(3, 8, 3), (2, 3, 7, 5)),
    (nn.Conv2d(4, 8, (3, 2), (2, 1), (1, 0), (1, 2), 2), (1, 4, 9, 11)),
    (nn.Conv2d(6, 6, 3, 1, 1, groups=6), (1, 6, 5, 4)),
    (nn.Conv2d(3, 5, 4, padding="same", dilation=2), (1, 3, 9, 8)),
    (nn.Conv2d(3, 5, 2, padding="valid"), (1, 3, 4, 4)),
    (nn.Conv2d(3, 4, 3, 1, 1), (3, 6, 5)),
    (nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"), (1, 3, 8, 7)),
    (nn.Conv2d(3, 4, 3, 1, 1, padding_mode="circular"), (1, 3, 5, 5)),
    (nn.ConvTranspose1d(4, 3, 3, 2, 1, 1), (1, 4, 6)),
    (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), (2, 4, 5, 3)),
    (nn.ConvTranspose2d(4, 6, 2, 2, bias=False), (1, 4, 3, 4)),
    (nn.ConvTranspose2d(4, 6, (3, 2), (1, 3), (2, 0), (0, 1), 2, True, (2, 1)), (1, 4, 6, 5)),
    (nn.ConvTranspose2d(4, 2, 3), (4, 5, 6)),
]
POOLS = [
    (nn.MaxPool1d(3, 2), (1, 2, 11)),
    (nn.MaxPool2d(2), (1, 2, 7, 6)),
    (nn.MaxPool2d(3, 2, 1), (2, 2, 9, 8)),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 9)),
    (nn.MaxPool2d((3, 2), (1, 2), (1, 0), (2, 1)), (1, 2, 9, 8)),
    (nn.MaxPool2d(2), (2, 6, 6)),
    (nn.AvgPool1d(3, 2, 1), (1, 2, 9)),
    (nn.AvgPool2d(2), (1, 2, 6, 7)),
    (nn.AvgPool2d(3, 2, 1), (1, 2, 8, 7)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (1, 2, 8, 7)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 8)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (1, 2, 8, 8)),
    (nn.AvgPool2d(2, divisor_override=3), (1, 2, 6, 6)),
    (nn.AvgPool2d(2), (2, 6, 6)),
    (nn.AdaptiveAvgPool1d(4), (1, 3, 10)),
    (nn.AdaptiveAvgPool2d(1), (2, 3, 5, 7)),
    (nn.AdaptiveAvgPool2d((3, 2)), (1, 3, 9, 8)),
    (nn.AdaptiveAvgPool2d((3, None)), (1, 3, 7, 5)),
    (nn.AdaptiveAvgPool2d(7), (1, 2, 5, 9)),
    (nn.AdaptiveMaxPool2d(1), (1, 2, 5, 6)),
    (nn.LPPool2d(2, 2), (1, 2, 6, 6)),
]
NORMS = [
    (nn.BatchNorm1d(5), (3, 5)),
    (nn.BatchNorm1d(5), (2, 5, 4)),
    (nn.BatchNorm2d(4, eps=1e-3), (2, 4, 3, 5)),
    (nn.BatchNorm2d(4, affine=False), (1, 4, 3, 3)),
    (nn.LayerNorm(6), (2, 3, 6)),
    (nn.LayerNorm((3, 6), elementwise_affine=False), (2, 3, 6)),
    (nn.LayerNorm(6, bias=False), (2, 6)),
    (nn.GroupNorm(2, 6), (2, 6, 3, 4)),
    (nn.GroupNorm(3, 6, affine=False), (1, 6, 5)),
    (nn.InstanceNorm2d(4), (2, 4, 5, 3)),
    (nn.InstanceNorm1d(4, affine=True), (1, 4, 9)),
    (nn.RMSNorm(6), (2, 3, 6)),
    (nn.LocalResponseNorm(2), (1, 4, 3, 3)),
]
RESIZES = [
    (nn.Upsample(scale_factor=2), (1, 2, 3, 5)),
    (nn.Upsample(size=(7, 4)), (1, 2, 3, 5)),
    (nn.Upsample(scale_factor=1.7), (1, 2, 7, 5)),
    (nn.Upsample(scale_factor=3), (1, 2, 7)),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 5)),
    (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (1, 2, 3, 5)),
    (nn.Upsample(size=(4, 9), mode="bilinear"), (1, 2, 7, 5)),
    (nn.Upsample(scale_factor=(1.3, 2.6), mode="bilinear"), (1, 2, 7, 5)),
    (nn.Upsample(scale_factor=2, mode="linear"), (1, 2, 5)),
    (nn.Upsample(scale_factor=2, mode="bicubic"), (1, 2, 4, 5)),
    (nn.Upsample(size=(9, 3), mode="nearest-exact"), (1, 2, 4, 5)),
    (nn.Upsample(size=1, mode="bilinear", align_corners=True), (1, 2, 4, 5)),
]
OTHERS = [
    (nn.Linear(5, 3), (2, 5)),
    (nn.Linear(5, 3, bias=False), (2, 4, 5)),
    (nn.Linear(5, 3), (5,)),
    (nn.PReLU(4), (2, 4, 3)),
    (nn.PReLU(), (2, 4, 3)),
    (nn.Identity(), (2, 3)),
    (nn.PixelShuffle(2), (1, 8, 3, 4)),
    (nn.PixelUnshuffle(2), (1, 2, 4, 6)),
    (nn.ChannelShuffle(2), (1, 6, 2, 3)),
    (nn.ReflectionPad2d((1, 2, 0, 1)), (1, 2, 4, 5)),
    (nn.ReplicationPad2d(2), (1, 2, 4, 5)),
    (nn.ZeroPad2d((1, 0, 2, 1)), (1, 2, 4, 5)),
    (nn.ConstantPad1d(2, 3.5), (1, 2, 4)),
    (nn.ReflectionPad1d(2), (1, 2, 5)),
    (nn.Softmax2d(), (1, 3, 2, 2)),
    (nn.Flatten(), (2, 3, 4)),
    (nn.Dropout2d(), (2, 3, 4, 4)),
    (nn.Hardswish(inplace=True), (2, 3)),
    (nn.CircularPad2d(1), (1, 2, 4, 4)),
]
LAYERS = [*CONVOLUTIONS, *POOLS, *NORMS, *RESIZES, *OTHERS]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[f"{layer} {shape}" for layer, shape in LAYERS])
def test_layers(layer: Any, shape: tuple[int, ...]) -> None:
    assert_like_torch(trained(layer), floats(*shape, seed=7))


BATCHED = [
    (layer, shape)
    for layer, shape in LAYERS
    if (len(shape) >= 2 and not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d | nn.AvgPool2d))
    or len(shape) == 4
]


@pytest.mark.check
@pytest.mark.parametrize(("layer", "shape"), BATCHED, ids=[f"{layer} {shape}" for layer, shape in BATCHED])
def test_layers_of_a_batch_of_any_size(layer: Any, shape: tuple[int, ...]) -> None:
    assert_like_torch(trained(layer), floats(2, *shape[1:], seed=7), dynamic=True)
