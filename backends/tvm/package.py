"""The package TVM, which this folder shares its name with. It has no types that a checker could use."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

tvm: Any = import_module("tvm")
cpu_pipeline: Any = import_module("tvm.relax.backend.cpu_generic.pipeline")
derived_object: Any = import_module("tvm.ir.utils").derived_object
"""Makes an object of TVM of a Python class that stands for one."""
meta_schedule: Any = import_module("tvm.s_tir.meta_schedule")
onnx_frontend: Any = import_module("tvm.relax.frontend.onnx")
relax: Any = import_module("tvm.relax")
s_tir: Any = import_module("tvm.s_tir")
structural_hash: Any = import_module("tvm_ffi").structural_hash
te: Any = import_module("tvm.te")
tirx: Any = import_module("tvm.tirx")

Expr: TypeAlias = Any
"""Of Relax: a tensor, or a tuple of tensors."""
Scalar: TypeAlias = Any
"""Of a primitive function: one element."""
Tensor: TypeAlias = Any
"""Of tensor expressions: what a primitive function reads or writes."""
