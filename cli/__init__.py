"""The command line over `api.py`: `options.py` says what may be typed, `verbs.py` what it does."""

from .entry import main

__all__ = ["main"]
