"""Every way in which onnxruntime's tools quantize a model, by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from .networks import Network


class Samples(CalibrationDataReader):
    """Calibration data [samples, ...] of a model's only input."""

    def __init__(self, name: str, samples: np.ndarray) -> None:
        self._rest: Iterator[dict[str, np.ndarray]] = iter([{name: sample[None]} for sample in samples])

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        return next(self._rest, None)


def _static(
    form: QuantFormat, per_channel: bool, activations: QuantType, source: Path, target: Path, calibration: np.ndarray
) -> None:
    name = onnx.load(source).graph.input[0].name
    quantize_static(
        source, target, Samples(name, calibration), quant_format=form, per_channel=per_channel,
        activation_type=activations, weight_type=QuantType.QInt8,
    )  # fmt: skip


def _dynamic(per_channel: bool, weights: QuantType, source: Path, target: Path, calibration: np.ndarray) -> None:
    quantize_dynamic(source, target, per_channel=per_channel, weight_type=weights)


Quantizer = Callable[[Path, Path, np.ndarray], None]
_CHANNELS = {"tensor": False, "channel": True}
QUANTIZERS: dict[str, Quantizer] = {
    **{
        f"{form}-{name}-{kind}": partial(_static, QuantFormat[form], per_channel, activations)
        for form in ("QDQ", "QOperator")
        for name, per_channel in _CHANNELS.items()
        for kind, activations in (("s8s8", QuantType.QInt8), ("u8s8", QuantType.QUInt8))
    },
    **{
        f"dynamic-{name}-{kind}": partial(_dynamic, per_channel, weights)
        for name, per_channel in _CHANNELS.items()
        for kind, weights in (("s8", QuantType.QInt8), ("u8", QuantType.QUInt8))
    },
}


def quantized(network: Network, quantizer: str, folder: Path) -> Path:
    """The quantized model's file, in `folder`. The model is prepared first, as onnxruntime's documentation says."""
    source, prepared, target = (folder / f"{name}.onnx" for name in ("float", "prepared", quantizer))
    onnx.save(network.model, source)
    with quiet():
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        QUANTIZERS[quantizer](prepared, target, network.calibration)
    return target


@contextmanager
def quiet() -> Iterator[None]:
    """Without the quantizers' warnings, which are of their own defaults."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)
