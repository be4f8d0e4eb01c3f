"""Constants and what is known of a tensor without running the model."""

from __future__ import annotations

from math import prod

import numpy as np

from ...emitter import Emitter
from ...values import INT64, Refusal, Value
from ..node import Node
from ..registry import imports


@imports("Constant")
def constant(e: Emitter, node: Node) -> Value:
    if node.has("value"):
        array = node.tensor("value")
    elif node.has("value_float"):
        array = np.array(node.float("value_float"), np.float32)
    elif node.has("value_floats"):
        array = np.array(node.floats("value_floats"), np.float32)
    elif node.has("value_int"):
        array = np.array(node.int("value_int"), INT64)
    elif node.has("value_ints"):
        array = np.array(node.ints("value_ints"), INT64)
    elif len(node.attributes) == 1:
        raise Refusal(f"a Constant with {next(iter(node.attributes))} is not supported")
    else:
        raise node.error("a Constant needs exactly one value")
    if "float" in array.dtype.name and bool(np.isnan(array).any()):
        raise node.error("holds NaN")
    return e.constant(array, "value")


@imports("ConstantOfShape")
def constant_of_shape(e: Emitter, node: Node, shape: Value) -> Value:
    """Reached only with a shape known at run time: constant ones fold."""
    raise Refusal("a shape computed at run time is not supported")


@imports("Shape")
def shape(e: Emitter, node: Node, x: Value) -> Value:
    """The static shape, of one sample in a batched program; start and end since opset 15."""
    start, end = node.int("start", 0), node.int("end", x.rank)
    return e.constant(np.array(x.shape[start:end], INT64), "shape")


@imports("Size")
def size(e: Emitter, node: Node, x: Value) -> Value:
    e.keep_batch(x, 0)
    return e.constant(np.array(prod(x.shape), INT64), "size")
