"""A small detector of one class: a backbone of convolutions, and a head that describes each cell of a grid."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (16, 32, 64)
PLANES = 5
"""Of the grid: see boxes.py."""
RARE = -4.0
"""The logit of an object at first: few cells have one."""


class Block(nn.Module):
    """A 3x3 convolution beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm, self.relu = nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x))) + x


def _half(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution after which maps have half the sides."""
    conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Detector(nn.Module):
    """Pictures, float32 [N, 3, 64, 64] -> logits of the grid, [N, 5, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.stem = _half(3, first)
        self.backbone = nn.Sequential(
            _half(first, second), Block(second), Block(second), _half(second, third), Block(third), Block(third)
        )
        self.head = nn.Conv2d(third, PLANES, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[0], RARE)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.backbone(self.stem(image)))
