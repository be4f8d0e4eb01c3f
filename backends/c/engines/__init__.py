"""The engines, in order of preference where costs are equal. A new engine is a folder here and a name in `FOLDERS`."""

from __future__ import annotations

from ..engine import Engine
from . import (
    active_inputs,
    adder_graph,
    bit_sliced,
    dense_f32,
    dense_int8,
    depthwise,
    linear,
    linear_f32,
    loops,
    permute,
    planes_pool,
    popcount,
    table,
    table_f32,
)

FOLDERS = (
    popcount, active_inputs, permute, table, bit_sliced, adder_graph, linear, depthwise, dense_int8,
    table_f32, linear_f32, dense_f32, planes_pool, loops,
)  # fmt: skip
ENGINES: list[Engine] = [folder.ENGINE for folder in FOLDERS]


def find_engine(name: str) -> Engine | None:
    """The engine of a name; None for unknown names."""
    return next((engine for engine in ENGINES if engine.name == name), None)


def describe_engine(name: str) -> str:
    """What an engine computes: the first line of its folder's docstring."""
    text = next(folder.__doc__ or "" for folder in FOLDERS if folder.ENGINE.name == name)
    return text.strip().partition("\n")[0]
