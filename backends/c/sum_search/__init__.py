"""The search of the pass sum-merge in C, called from Python."""

from .search import NativeSearch, compiled_search

__all__ = ["NativeSearch", "compiled_search"]
