"""ResNet-20 for CIFAR-10 in torch, with the state dict of akamaster/pytorch_resnet_cifar10, and its ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

WIDTHS, BLOCKS, CLASSES = (16, 32, 64), 3, 10
OPSET, IR_VERSION = 13, 8


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut that, where the size changes, takes every other pixel and adds channels of
    zeros on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.stride, self.added = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.added, self.added))
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + shortcut)


class ResNet20(nn.Module):
    """float32 [N, 3, 32, 32], normalised as in `data.normalise` -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu1 = nn.ReLU()
        stages, inputs = [], WIDTHS[0]
        for i, width in enumerate(WIDTHS):
            blocks = []
            for j in range(BLOCKS):
                blocks.append(Block(inputs, width, 2 if i and not j else 1))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        return self.linear(y.mean(dim=(2, 3)))


def load(path: str | Path) -> ResNet20:
    """The net with weights of a state dict, as it is or under "state_dict" (as in the published file)."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    net = ResNet20()
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    return net.eval()


class _Graph:
    """Collects nodes, each with one output of its own name, and initializers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, net: nn.Module, prefix: str, number: int, x: str, stride: int = 1) -> str:
        """Convolution `conv<number>` and its batch norm, not merged: a lossy compilation re-estimates the norm."""
        conv, norm = f"{prefix}conv{number}", f"{prefix}bn{number}"
        state = {name: value.numpy() for name, value in net.state_dict().items()}
        w = self.constant(f"{conv}.weight", state[f"{conv}.weight"])
        y = self.node("Conv", conv, x, w, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])
        parts = ("weight", "bias", "running_mean", "running_var")
        return self.node(
            "BatchNormalization", norm, y, *(self.constant(f"{norm}.{p}", state[f"{norm}.{p}"]) for p in parts)
        )


def _block(graph: _Graph, net: ResNet20, prefix: str, block: Block, x: str) -> str:
    shortcut = x
    if block.stride > 1:
        bounds = {"starts": [0, 0], "ends": [1 << 30, 1 << 30], "axes": [2, 3], "steps": [block.stride] * 2}
        names = [graph.constant(f"{prefix}shortcut.{k}", np.array(v, np.int64)) for k, v in bounds.items()]
        shortcut = graph.node("Slice", f"{prefix}shortcut.slice", shortcut, *names)
    if block.added:
        edges = np.array([0, block.added, 0, 0] * 2, np.int64)
        shortcut = graph.node("Pad", f"{prefix}shortcut.pad", shortcut, graph.constant(f"{prefix}shortcut.pads", edges))
    y = graph.node("Relu", f"{prefix}relu1", graph.conv(net, prefix, 1, x, block.stride))
    y = graph.node("Add", f"{prefix}add", graph.conv(net, prefix, 2, y), shortcut)
    return graph.node("Relu", f"{prefix}relu2", y)


def to_onnx(net: ResNet20) -> onnx.ModelProto:
    """The net as ONNX, image [batch, 3, 32, 32] -> logits [batch, 10]."""
    graph = _Graph()
    y = graph.node("Relu", "relu1", graph.conv(net, "", 1, "image"))
    for i, stage in enumerate((net.layer1, net.layer2, net.layer3), start=1):
        for j, block in enumerate(stage):
            assert isinstance(block, Block)
            y = _block(graph, net, f"layer{i}.{j}.", block, y)
    y = graph.node("Flatten", "flatten", graph.node("GlobalAveragePool", "pool", y))
    w, b = (graph.constant(f"linear.{p}", getattr(net.linear, p).detach().numpy()) for p in ("weight", "bias"))
    graph.nodes.append(helper.make_node("Gemm", [y, w, b], ["logits"], name="linear", transB=1))
    made = helper.make_graph(
        graph.nodes,
        "resnet20",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        graph.initializers,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
