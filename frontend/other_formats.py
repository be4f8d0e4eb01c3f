"""Files that people take for ONNX models: what they are, and what to do with them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

EXPORT = "load it in PyTorch and export it: torch.onnx.export(model.eval(), (example,), 'model.onnx')"
_BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)", "export it with tf2onnx or model.export(..., format='onnx')"),
    (4, b"TFL3", "a TensorFlow Lite model", "convert it with tf2onnx --tflite"),
    (0, b"\x80\x02", "a pickle, such as old PyTorch files are", EXPORT),
    (0, b"\x80\x04", "a pickle", EXPORT),
    (0, b"\x93NUMPY", "a NumPy array", "a model is needed here, not its inputs"),
    (0, b"\x7fELF", "a compiled program or library", "a model is needed here"),
    (4, b"ORTM", "a model in onnxruntime's own format", "compile the .onnx file that it was made from"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
"""Offset, bytes there, what begins so, what to do."""
_MEMBERS = (
    ("data.pkl", "a PyTorch file", EXPORT),
    ("manifest.json", "an artifact of tercet", "`tercet inspect` shows it, `tercet run` runs it"),
    ("config.json", "a Keras file", "export it: model.export('model.onnx', format='onnx')"),
    (".npy", "arrays of NumPy", "a model is needed here, not its inputs"),
)
"""End of the name of a zip's member, what holds one, what to do."""


def other_format(data: bytes) -> tuple[str, str]:
    """What a file with these bytes is, and what to do; "" and "" where that is not known."""
    for at, begin, what, advice in _BEGINNINGS:
        if data[at : at + len(begin)] == begin:
            return what, advice
    if data[:4] == b"PK\x03\x04":
        names = _members(data)
        for end, what, advice in _MEMBERS:
            if any(name.endswith(end) for name in names):
                return what, advice
        return "a zip file", "unpack it first"
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "a safetensors file: weights without a network", EXPORT
    return "", ""


def folder_format(path: Path) -> tuple[str, str]:
    """The same for a folder."""
    if (path / "saved_model.pb").exists():
        return "a TensorFlow SavedModel", "convert it with tf2onnx --saved-model"
    if (path / "manifest.json").exists():
        return "an artifact of tercet", "`tercet inspect` shows it, `tercet run` runs it"
    return "", ""


def _members(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError, EOFError):
        return []
