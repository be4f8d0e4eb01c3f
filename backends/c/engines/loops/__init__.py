"""The universal engine: any `tn` operations, dense layouts, plain loops that the C compiler vectorises."""

from .engine import ENGINE

__all__ = ["ENGINE"]
