"""The engines, in order of preference where costs are equal. A new engine is a folder here and a name in `ORDER`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from ..engine import Engine

ORDER = ("table", "bit_sliced", "dense_int8", "dense_f32", "planes_pool", "loops")


def find_engine(name: str) -> Engine | None:
    """The engine of a name; None for unknown names."""
    if name not in ORDER or not (Path(__file__).parent / name / "__init__.py").is_file():
        return None
    return import_module(f"{__name__}.{name}").ENGINE


def describe_engine(name: str) -> str:
    """What an engine computes: the first line of its folder's docstring."""
    return (import_module(f"{__name__}.{name}").__doc__ or "").strip().partition("\n")[0]


@cache
def engines() -> tuple[Engine, ...]:
    """All engines, best first where costs are equal."""
    return tuple(engine for engine in map(find_engine, ORDER) if engine is not None)


def __getattr__(name: str) -> tuple[Engine, ...]:
    if name == "ENGINES":
        return engines()
    raise AttributeError(name)
