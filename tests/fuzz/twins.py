"""Metamorphic twins: other ways to write a network that mean the same.

Each changes one convolution or matrix product: its input channels permuted, a filter negated with what it feeds, the
product split by inputs, or channels of zeros added. The changes are nodes around the product, on the weight as well,
so that they fit any form of weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from .graphs.network import Network


@dataclass
class _Product:
    """One Conv or MatMul. axes: those that are summed over, in the input and in the weight; filters: the weight's axis
    of them, and that of the result."""

    node: NodeProto
    shape: tuple[int, ...]
    weight: tuple[int, ...]
    axes: tuple[int, int]
    filters: tuple[int, int]

    @property
    def channels(self) -> int:
        return self.weight[self.axes[1]]

    @property
    def outputs(self) -> int:
        return self.weight[self.filters[0]]


class _Rewriter:
    """Writes nodes in the place of one."""

    def __init__(self, model: ModelProto, product: _Product) -> None:
        self.model, self.product = model, product
        self.nodes: list[NodeProto] = []
        self.count = 0

    def constant(self, array: np.ndarray) -> str:
        self.count += 1
        name = f"twin_c{self.count}"
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, inputs: list[str], out: str = "", **attributes: Any) -> str:
        self.count += 1
        result = out or f"twin_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [result], name=f"n_{result}_{self.count}", **attributes))
        return result

    def again(self, inputs: list[str], out: str = "") -> str:
        """The product of other inputs."""
        node = NodeProto()
        node.CopyFrom(self.product.node)
        self.count += 1
        result = out or f"twin_{self.count}"
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.append(result)
        node.name = f"n_{result}_{self.count}"
        self.nodes.append(node)
        return result

    def sliced(self, x: str, axis: int, begin: int, end: int) -> str:
        parts = [self.constant(np.array([v], np.int64)) for v in (begin, end, axis)]
        return self.op("Slice", [x, *parts])

    def padded(self, x: str, rank: int, axis: int, count: int) -> str:
        pads = [0] * (2 * rank)
        pads[rank + axis] = count
        return self.op("Pad", [x, self.constant(np.array(pads, np.int64))])


def _permuted(r: _Rewriter, rng: np.random.Generator) -> None:
    """Input channels in another order, in the weight as well."""
    p = r.product
    order = r.constant(rng.permutation(p.channels).astype(np.int64))
    x, w = (r.op("Gather", [p.node.input[i], order], axis=p.axes[i]) for i in range(2))
    r.again([x, w, *p.node.input[2:]], p.node.output[0])


def _negated(r: _Rewriter, rng: np.random.Generator) -> None:
    """Some filters times -1, and the results of them as well."""
    p = r.product
    signs = rng.choice(np.array([-1, 1], np.float32), p.outputs)
    ranks = (len(p.weight), len(p.shape))
    shapes = [[-1 if i == axis else 1 for i in range(rank)] for axis, rank in zip(p.filters, ranks, strict=True)]
    rows = [r.constant(signs.reshape(shape)) for shape in shapes]
    w = r.op("Mul", [p.node.input[1], rows[0]])
    bias = [r.op("Mul", [b, r.constant(signs)]) for b in p.node.input[2:]]
    r.op("Mul", [r.again([p.node.input[0], w, *bias]), rows[1]], p.node.output[0])


def _split(r: _Rewriter, rng: np.random.Generator) -> None:
    """The sum over some of the channels plus that over the others."""
    p = r.product
    at = int(rng.integers(1, p.channels))
    halves = []
    for begin, end in ((0, at), (at, p.channels)):
        x, w = (r.sliced(p.node.input[i], p.axes[i], begin, end) for i in range(2))
        halves.append(r.again([x, w, *(p.node.input[2:] if not begin else [])]))
    r.op("Add", halves, p.node.output[0])


def _widened(r: _Rewriter, rng: np.random.Generator) -> None:
    """One or two more channels, of zeros."""
    p = r.product
    count = int(rng.integers(1, 3))
    x, w = (r.padded(p.node.input[i], len(s), p.axes[i], count) for i, s in enumerate((p.shape, p.weight)))
    r.again([x, w, *p.node.input[2:]], p.node.output[0])


KINDS: dict[str, Callable[[_Rewriter, np.random.Generator], None]] = {
    "permuted": _permuted, "negated": _negated, "split": _split, "widened": _widened,
}  # fmt: skip


def twin(network: Network, seed: int) -> Network | None:
    """A twin of the kind that the seed chooses, changed at one product; None for a network without one."""
    rng = np.random.default_rng(seed)
    opset = next(o.version for o in network.model.opset_import if not o.domain)
    products = list(_products(network.model)) if opset >= 11 else []
    if not products:
        return None
    product = products[int(rng.integers(len(products)))]
    kind = sorted(KINDS)[seed % len(KINDS)]
    if product.channels < 2 and kind == "split":
        kind = "widened"
    model = ModelProto()
    model.CopyFrom(network.model)
    rewriter = _Rewriter(model, product)
    KINDS[kind](rewriter, rng)
    at = next(i for i, node in enumerate(model.graph.node) if node.output[0] == product.node.output[0])
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*rest[:at], *rewriter.nodes, *rest[at + 1 :]])
    return replace(network, name=f"{network.name}_{kind}", model=model, pairs=[], twin_of=network)


def _products(model: ModelProto) -> Iterator[_Product]:
    """Convolutions of one group and matrix products with a matrix on the right."""
    shapes = {
        v.name: tuple(d.dim_value or 1 for d in v.type.tensor_type.shape.dim)
        for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    shapes |= {t.name: tuple(t.dims) for t in model.graph.initializer}
    for node in model.graph.node:
        found = [shapes.get(name) for name in (*node.input[:2], *node.output[:1])]
        if node.domain or node.op_type not in ("Conv", "MatMul") or any(s is None for s in found):
            continue
        x, w, y = (tuple(s or ()) for s in found)
        groups = {a.i for a in node.attribute if a.name == "group"} - {1}
        if node.op_type == "Conv" and not groups and w[1]:
            yield _Product(node, x, w, (1, 1), (0, 1))
        if node.op_type == "MatMul" and len(w) == 2 and len(x) >= 2 and len(y) == len(x) and w[0]:
            yield _Product(node, x, w, (len(x) - 1, 0), (1, len(y) - 1))
