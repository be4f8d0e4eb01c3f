"""`tercet.torch`: training of quantized networks in torch, their export, and a report on them.

The quantizers and layers come from `frontend/torch/quantizers/`, the training loop from `frontend/torch/training/`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, overload

from onnx import ModelProto

if find_spec("torch") is None:
    raise ModuleNotFoundError("tercet.torch needs torch: pip install 'tercet[torch]'", name="torch")

from ..api import export as export_onnx
from ..api import import_model
from ..frontend.torch.quantizers import *  # noqa: F403
from ..frontend.torch.quantizers import __all__ as _quantizers
from ..frontend.torch.report import NotApplicable
from ..frontend.torch.training import Data, Recipe, Stage, accuracy, density, predictions, processes, settle, train
from ..ir.program import Program
from .torch_report.report import report
from .torch_report.result import Report

__all__ = [
    *_quantizers,
    "Data",
    "NotApplicable",
    "Recipe",
    "Report",
    "Stage",
    "accuracy",
    "density",
    "export",
    "predictions",
    "processes",
    "report",
    "settle",
    "train",
]


@overload
def export(model: Any, example_inputs: Any, *, form: Literal["ir"] = "ir", **options: Any) -> Program: ...


@overload
def export(
    model: Any, example_inputs: Any, output: str | Path | None = None, *, form: Literal["qonnx", "qcdq"], **options: Any
) -> ModelProto: ...


def export(
    model: Any, example_inputs: Any, output: str | Path | None = None, *, form: str = "ir", **options: Any
) -> Program | ModelProto:
    """A trained model as others read it: its IR, or an ONNX model in which quantizers are QONNX's or QCDQ's.

    model: a module in evaluation mode. example_inputs, options (dynamic_shapes, batch): as for `tercet.export`.
    output: the file that gets the ONNX model. Outputs equal the model's, integer activations exactly.

    Raises TercetError as `tercet.export` does.
    """
    if form == "ir":
        return import_model(model, example_inputs, **options)
    return export_onnx(model, output, example_inputs=example_inputs, dialect=form, **options)  # type: ignore[arg-type]
