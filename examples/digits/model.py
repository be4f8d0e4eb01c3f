"""The digits network in torch: ternary weights, ternary activations, straight-through gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_MAX = 255  # the input is stored as uint8 with scale 1; a pixel of this data set is at most 16


def straight_through(value: Tensor, quantized: Tensor) -> Tensor:
    """Return exactly `quantized` forward and the gradient of `value` backward (any shape, float32).

    `value - value` is exactly 0, so the forward pass is not disturbed by a rounding error, as it would
    be by the more common `value + (quantized - value).detach()`.
    """
    return quantized.detach() + (value - value.detach())


def ternarize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split float32 [out, ...] into codes {-1, 0, 1} (float32 [out, ...]) and a scale (float32 [out]).

    Ternary Weight Networks (Li et al., 2016), per output channel: a weight is zero within
    delta = 0.7 mean|w|, and the scale is the mean magnitude of the weights that are not.
    """
    magnitude = weight.abs().flatten(1)
    delta = 0.7 * magnitude.mean(dim=1, keepdim=True)
    kept = (magnitude > delta).float()
    scale = (magnitude * kept).sum(dim=1) / kept.sum(dim=1)
    codes = (weight.flatten(1).sign() * kept).reshape(weight.shape)
    return codes, scale


def effective_weight(weight: Tensor, quantized: bool) -> Tensor:
    """The weight the layer multiplies by: `weight` itself or codes * scale (float32 [out, ...])."""
    if not quantized:
        return weight
    codes, scale = ternarize(weight)
    return straight_through(weight, codes * scale.reshape(-1, *[1] * (weight.dim() - 1)))


class Conv(nn.Conv2d):
    """3x3 convolution, padding 1, no bias, ternary weight: [n, in, h, w] -> [n, out, h, w]."""

    def __init__(self, inputs: int, outputs: int, quantized: bool) -> None:
        super().__init__(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.quantized = quantized

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, effective_weight(self.weight, self.quantized), padding=1)


class Linear(nn.Linear):
    """Linear layer with a ternary weight and an optional float bias: [n, in] -> [n, out]."""

    def __init__(self, inputs: int, outputs: int, quantized: bool, bias: bool = False) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.quantized = quantized

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, effective_weight(self.weight, self.quantized), self.bias)


class Activation(nn.Module):
    """scale * clip(round(x / scale), -1, 1) with one learned scale (float32 []); any shape.

    torch.round goes half to even, as ONNX QuantizeLinear does. Without quantisation it is a hard tanh.
    The gradient that autograd finds for the scale is that of LSQ (Esser et al., 2020).
    """

    def __init__(self, quantized: bool, scale: nn.Parameter | None = None) -> None:
        super().__init__()
        self.quantized = quantized
        self.scale = nn.Parameter(torch.tensor(1.0)) if scale is None else scale

    def forward(self, x: Tensor) -> Tensor:
        level = (x / self.scale).clamp(-1, 1)
        if self.quantized:
            level = straight_through(level, level.round())
        return level * self.scale


class Block(nn.Module):
    """Layer, batch normalisation, ternary activation."""

    def __init__(self, layer: Conv | Linear, act: Activation) -> None:
        super().__init__()
        self.layer = layer
        norm = nn.BatchNorm2d if isinstance(layer, Conv) else nn.BatchNorm1d
        self.bn = norm(layer.weight.shape[0])
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.layer(x)))


class DigitsNet(nn.Module):
    """8x8 digits classifier: float32 [n, 1, 8, 8], pixels 0..16 -> logits float32 [n, 10].

    With `quantized=False` it is the float network of the same shape, for comparison.
    """

    def __init__(self, quantized: bool = True) -> None:
        super().__init__()
        q = quantized
        self.conv1 = Block(Conv(1, 32, q), Activation(q))
        self.conv2 = Block(Conv(32, 64, q), Activation(q))
        # The two operands of the residual sum share a scale, so that the sum is a small integer times it.
        self.conv3 = Block(Conv(64, 64, q), Activation(q, scale=self.conv2.act.scale))
        self.residual_bn = nn.BatchNorm2d(64)
        self.residual_act = Activation(q)
        self.fc1 = Block(Linear(256, 128, q), Activation(q))
        self.fc2 = Linear(128, 10, q, bias=True)

    def forward(self, image: Tensor) -> Tensor:
        x = image.round().clamp(0, INPUT_MAX)
        x = self.conv2(self.conv1(x))
        x = F.max_pool2d(x, 2)
        x = self.residual_act(self.residual_bn(x + self.conv3(x)))
        x = F.max_pool2d(x, 2)
        return self.fc2(self.fc1(x.flatten(1)))
