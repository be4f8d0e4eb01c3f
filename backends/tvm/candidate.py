"""How a candidate becomes a library, in a process of TVM's that builds candidates, which imports only this."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def build(module: Any, target: Any, parameters: Any) -> Any:
    """As TVM does it, but without its tensor intrinsics: no schedule of ours has any, and to define them takes 15 s in
    every process."""
    plain = import_module("tvm.s_tir.transform").RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    return import_module("tvm.driver").build(plain, target=target)
