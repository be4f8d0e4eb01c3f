"""ONNX, QDQ and QONNX models to `tn`. Everything read here is untrusted: nothing in a model is ever executed."""

from .importer import import_model

__all__ = ["import_model"]
