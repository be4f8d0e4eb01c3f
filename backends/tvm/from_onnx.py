"""An ONNX model as TVM itself imports it: what `bench` compares with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.errors import UnsupportedError
from ...ir.interruption import signals_kept
from .package import onnx_frontend


@signals_kept()
def module_of(model: Any, shapes: Mapping[str, Sequence[int]]) -> Any:
    """model: an onnx.ModelProto. shapes: of the inputs by name. Raises UnsupportedError where TVM does not take it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that it changes
            return onnx_frontend.from_onnx(model, {name: list(shape) for name, shape in shapes.items()})
    except Exception as error:  # of any kind: an assertion, an operator that is not known, a shape that it gets wrong
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UnsupportedError(f"TVM does not import it: {lines[-1][:200]}") from error
