"""Networks that people train, small: the structure is what counts here."""

from __future__ import annotations

from typing import Any

from .helpers import torch

nn = torch.nn
F = torch.nn.functional


class Residual(nn.Module):
    """The block of ResNet-18, or with `bottleneck` that of ResNet-50."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        inner = outputs // 4 if bottleneck else outputs
        shapes = [(inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1)] if bottleneck else [
            (inputs, inner, 3), (inner, outputs, 3)
        ]  # fmt: skip
        strides = [1, stride, 1] if bottleneck else [stride, 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, s, k // 2, bias=False) for (i, o, k), s in zip(shapes, strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _ in shapes)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y))
            if i < len(self.convs) - 1:
                y = self.relu(y)
        y += self.shortcut(x)
        return self.relu(y)


def resnet(counts: tuple[int, ...], width: int, *, bottleneck: bool) -> Any:
    layers: list[Any] = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                         nn.MaxPool2d(3, 2, 1)]  # fmt: skip
    channels, grow = width, 4 if bottleneck else 1
    for stage, count in enumerate(counts):
        for i in range(count):
            outputs = width * 2**stage * grow
            layers.append(Residual(channels, outputs, 2 if stage and not i else 1, bottleneck=bottleneck))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Inverted(nn.Module):
    """The block of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.same = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self.same else self.layers(x)


def mobilenet() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True),
        *(Inverted(*block) for block in ((8, 8, 1, 1), (8, 12, 2, 6), (12, 12, 1, 6), (12, 16, 2, 6), (16, 16, 1, 6))),
        nn.Conv2d(16, 40, 1, bias=False), nn.BatchNorm2d(40), nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1), nn.Dropout(0.2), nn.Linear(40, 10),
    )  # fmt: skip


def vgg() -> Any:
    layers: list[Any] = []
    channels = 3
    for outputs in (8, 0, 16, 0, 24, 24, 0, 32, 32, 0):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(True)] if outputs else [nn.MaxPool2d(2, 2)]
        channels = outputs or channels
    head = [nn.Linear(32 * 49, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(1), *head)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(0, 3, 2, 1, 4).unbind(2)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class VisionBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, size: int = 32, patch: int = 8, width: int = 48, heads: int = 3, depth: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(VisionBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


def _twice(inputs: int, outputs: int) -> Any:
    parts = ((nn.Conv2d(i, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(True)) for i in (inputs, outputs))
    return nn.Sequential(*(layer for part in parts for layer in part))


class UNet(nn.Module):
    def __init__(self, mode: str = "bilinear") -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(3, 8), _twice(8, 16), _twice(16, 24)
        self.up2, self.up1, self.out = _twice(40, 16), _twice(24, 8), nn.Conv2d(8, 2, 1)
        self.pool, self.upsample = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode=mode)

    def forward(self, x: Any) -> Any:
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.bottom(self.pool(b))
        b = self.up2(torch.cat([self.upsample(c), b], 1))
        return self.out(self.up1(torch.cat([self.upsample(b), a], 1)))


class Detector(nn.Module):
    """A one-stage head: boxes and class scores of every cell, decoded."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.SiLU())
        self.head = nn.Conv2d(16, 5 + classes, 1)

    def forward(self, x: Any) -> Any:
        y = self.head(self.body(x)).flatten(2).transpose(1, 2)
        h, w = x.shape[2] // 4, x.shape[3] // 4
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack([columns, rows], -1).reshape(1, -1, 2).float()
        centre, size, rest = y.split([2, 2, y.shape[-1] - 4], dim=-1)
        boxes = torch.cat([(centre.sigmoid() * 2 - 0.5 + grid) * 4, size.sigmoid() ** 2 * 16], -1)
        return {"boxes": boxes, "scores": rest.softmax(-1), "best": rest.argmax(-1)}


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "ResNet-18": (lambda: resnet((2, 2, 2, 2), 8, bottleneck=False), (2, 3, 64, 64)),
    "ResNet-50": (lambda: resnet((3, 4, 6, 3), 8, bottleneck=True), (2, 3, 64, 64)),
    "MobileNetV2": (mobilenet, (2, 3, 32, 32)),
    "VGG": (vgg, (2, 3, 32, 48)),
    "ViT": (VisionTransformer, (2, 3, 32, 32)),
    "U-Net": (UNet, (2, 3, 16, 24)),
    "U-Net, nearest": (lambda: UNet("nearest"), (2, 3, 16, 16)),
    "detector": (Detector, (2, 3, 32, 48)),
}
ENCODERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "encoder layer": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (3, 7, 16)),
    "encoder layer, norm first": (
        lambda: nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", norm_first=True), (5, 2, 16),
    ),
    "encoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2), (1, 6, 16),
    ),
}  # fmt: skip
"""torch moves the batch behind the tokens there, so that only a batch of fixed size is compiled."""
