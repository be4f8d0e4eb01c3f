"""The numpy interpreter: the meaning of every operation of `tn` and `kn`."""

from .interpreter import Trace, evaluate, run, run_block

__all__ = ["Trace", "evaluate", "run", "run_block"]
