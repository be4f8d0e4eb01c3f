"""Safe loading: a file or ModelProto becomes a checked `Source`. Nothing of the model is executed, or read outside its
own folder."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError, Message
from onnx import ModelProto

from ...ir.errors import InputError, ModelError
from ..other_formats import folder_format, other_format
from .functions import inline_functions
from .graph import Source, checked_source
from .legacy import FIRST_OPSET

MAX_MODEL_BYTES = 2**31 - 1
"""The protobuf limit; larger models keep their weights in external data."""
IR_VERSIONS = range(3, 14)
OPSETS = range(FIRST_OPSET, 27)


def load(model: ModelProto | str | Path) -> Source:
    """Reads and checks a model.

    Raises InputError where there is no such file, ModelError for everything that is broken or hostile in it,
    UnsupportedError for versions and model kinds outside tercet.
    """
    if isinstance(model, ModelProto):
        proto, folder, name = model, None, model.graph.name or "model"
    else:
        path = Path(model)
        proto, folder, name = _parse(path), path.parent, path.name.removesuffix(".onnx").removesuffix(".qonnx")
    _check_text(proto)
    opsets = _check_versions(proto)
    return checked_source(inline_functions(proto), opsets, folder, name)


def _parse(path: Path) -> ModelProto:
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the model: {getattr(error, 'strerror', None) or error}", where=str(path)
        ) from error
    if not stat.S_ISREG(state.st_mode):
        what, advice = folder_format(path) if stat.S_ISDIR(state.st_mode) else ("", "")
        shown = f"the model is {what}" if what else "the model is not a regular file"
        raise InputError(shown, where=str(path), hint=advice)
    if state.st_size > MAX_MODEL_BYTES:
        raise ModelError(
            f"the file has {state.st_size} bytes, more than protobuf's limit of {MAX_MODEL_BYTES}",
            where=str(path),
            hint="export the weights as external data",
        )
    if state.st_size == 0:
        raise ModelError("the file is empty", where=str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the model: {error.strerror or error}", where=str(path)) from error
    what, advice = other_format(data)
    if what:
        raise ModelError(f"not an ONNX model, but {what}", where=str(path), hint=advice)
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, EncodeError, ValueError) as error:
        raise ModelError(f"not an ONNX model: {error}", where=str(path), hint="the file may be damaged") from error


def _check_versions(proto: ModelProto) -> dict[str, int]:
    """The opset of every domain, "" for standard ONNX. Other domains may be missing: QONNX files leave them out. So may
    standard ONNX where no node is of it, as in files that hold onnxruntime's operators only: then it is the newest."""
    if proto.ir_version not in IR_VERSIONS:
        have = proto.ir_version if proto.HasField("ir_version") else "none"
        raise ModelError(
            f"IR version {have} is not supported",
            where="model",
            hint=f"tercet reads IR versions {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}",
        )
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                f"the opset of domain '{domain}' is given twice: {opsets[domain]} and {entry.version}", where="model"
            )
    foreign = not proto.functions and all(node.domain not in ("", "ai.onnx") for node in proto.graph.node)
    if foreign:
        opsets.setdefault("", OPSETS[-1])
    if "" not in opsets:
        raise ModelError("the opset of standard ONNX is not given", where="model", hint="the file may be damaged")
    if opsets[""] not in OPSETS:
        raise ModelError(
            f"opset {opsets['']} is not supported",
            where="model",
            hint=f"tercet reads opsets {OPSETS[0]} to {OPSETS[-1]}; onnx.version_converter converts others",
        )
    return opsets


def _check_text(proto: Message) -> None:
    """Raises ModelError for text that is not UTF-8: the parser hands it over as bytes, and names must be text."""
    stack: list[Message] = [proto]
    while stack:
        message = stack.pop()
        for field, value in message.ListFields():
            values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
            if field.type == field.TYPE_MESSAGE:
                stack.extend(values)
            elif field.type == field.TYPE_STRING and any(isinstance(v, bytes) for v in values):
                raise ModelError(f"{type(message).__name__}.{field.name} is not UTF-8 text", where="model")
