"""The package TVM, which this folder shares its name with. It has no types that a checker could use."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

tvm: Any = import_module("tvm")
relax: Any = import_module("tvm.relax")
s_tir: Any = import_module("tvm.s_tir")
te: Any = import_module("tvm.te")
tirx: Any = import_module("tvm.tirx")

Expr: TypeAlias = Any
"""Of Relax: a tensor, or a tuple of tensors."""
Scalar: TypeAlias = Any
"""Of a primitive function: one element."""
Tensor: TypeAlias = Any
"""Of tensor expressions: what a primitive function reads or writes."""
