"""Archives that torch.export.save writes, read without trust: torch.export.load itself would unpickle objects, and
evaluate expressions from the file as Python. Here the graph is checked first (`archive_graph`), and tensors are taken
from their bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch._export.serde import schema
from torch._export.serde.serialize import (
    _SERIALIZE_TO_TORCH_DTYPE,  # pyright: ignore[reportPrivateUsage]
    ExportedProgramDeserializer,
    _dict_to_dataclass,  # pyright: ignore[reportPrivateUsage]
)
from torch.export import ExportedProgram

from ...ir.errors import InputError, ModelError, UnsupportedError
from ..other_formats import other_format
from ..ports import checked_dims
from .archive_graph import checked_graph
from .exported import EXPORT_AGAIN

SUFFIX = ".pt2"
MAX_GRAPH_BYTES = 2**28
"""Of a graph, or of a list of tensors, as text."""
MAX_MEMBERS = 100_000
_CODE = "tercet reads no pickles, as they can run code; keep parameters and buffers plain tensors"


def read_archive(path: Path) -> ExportedProgram:
    """The exported program of an archive. Nothing of it is executed.

    Raises InputError where the file cannot be read, ModelError for everything that is broken or hostile in it,
    UnsupportedError for pickled objects and for operators that are not torch's own.
    """
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, where).program()
    except OSError as error:
        raise InputError(f"cannot read the model: {error.strerror or error}", where=where) from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        what, advice = _other(path)
        if what and what != "a zip file":  # a zip file without its end is cut off
            raise ModelError(f"not an archive of torch.export, but {what}", where=where, hint=advice) from error
        raise ModelError(f"the archive is damaged: {error}", where=where, hint=EXPORT_AGAIN) from error


def _other(path: Path) -> tuple[str, str]:
    return other_format(path.read_bytes())


class _Archive:
    """One archive: a folder in a zip file, all of whose members are stored as they are."""

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self._zip, self._where = archive, where
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise self._error(f"the archive has {len(members)} members, more than {MAX_MEMBERS}")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.filename.partition("/")[2]
            if name in self._members:
                raise self._error(f"the archive has two members '{name}'")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise self._error(f"member '{name}' is compressed, which torch never does")
            self._members[name] = member

    def program(self) -> ExportedProgram:
        graphs = [name for name in self._members if name.startswith("models/") and name.endswith(".json")]
        if "archive_format" not in self._members or not graphs:
            old = any(name.endswith("serialized_exported_program.json") for name in self._members)
            old = old or any(member.filename == "serialized_exported_program.json" for member in self._zip.infolist())
            what, _ = _other(Path(self._where))
            what = "one of an older version of torch" if old else "" if what == "a zip file" else what
            raise self._error(f"not an archive of torch.export{f', but {what}' if what else ''}", EXPORT_AGAIN)
        if len(graphs) > 1:
            raise UnsupportedError(f"the archive has {len(graphs)} models", where=self._where, hint=EXPORT_AGAIN)
        model = graphs[0].removeprefix("models/").removesuffix(".json")
        graph = checked_graph(self._json(graphs[0]), self._where)
        state = self._tensors("data/weights/", f"data/weights/{model}_weights_config.json")
        constants = self._tensors("data/constants/", f"data/constants/{model}_constants_config.json")
        try:
            serialized = _dict_to_dataclass(schema.ExportedProgram, graph)
            return ExportedProgramDeserializer().deserialize(serialized, state, constants, b"")
        except Exception as error:  # torch raises what it comes across
            lines = [line for line in str(error).splitlines() if line.strip()]
            reason = (lines[-1] if lines else type(error).__name__).strip()[:300]
            raise self._error(f"torch cannot rebuild its graph: {reason}", EXPORT_AGAIN) from error

    # -- members --------------------------------------------------------------------------------------------------

    def _error(self, what: str, hint: str = "") -> ModelError:
        return ModelError(what, where=self._where, hint=hint)

    def _bytes(self, name: str) -> bytes:
        if name not in self._members:
            raise self._error(f"the archive lacks '{name}'", EXPORT_AGAIN)
        return self._zip.read(self._members[name])

    def _json(self, name: str) -> Any:
        if name in self._members and self._members[name].file_size > MAX_GRAPH_BYTES:
            raise self._error(f"'{name}' has more than {MAX_GRAPH_BYTES} bytes")
        try:
            return json.loads(self._bytes(name))
        except (ValueError, RecursionError) as error:
            raise self._error(f"'{name}' is not JSON: {str(error)[:100]}") from error

    def _tensors(self, folder: str, config: str) -> dict[str, Any]:
        """The tensors that a list names."""
        entries = self._json(config)
        entries = entries.get("config") if isinstance(entries, Mapping) else None
        if not isinstance(entries, Mapping):
            raise self._error(f"'{config}' is not a list of tensors")
        return {str(name): self._tensor(str(name), entry, folder) for name, entry in entries.items()}

    def _tensor(self, name: str, entry: Any, folder: str) -> torch.Tensor:
        where = f"{self._where}: tensor '{name}'"
        try:
            meta, file = entry["tensor_meta"], entry["path_name"]
            if entry["use_pickle"] or meta is None:
                raise UnsupportedError("it is pickled", where=where, hint=_CODE)
            dtype = _SERIALIZE_TO_TORCH_DTYPE[meta["dtype"]]
            sizes, strides = ([int(size["as_int"]) for size in meta[key]] for key in ("sizes", "strides"))
            offset = int(meta["storage_offset"]["as_int"])
            parameter = bool(entry["is_param"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"its description is broken: {error!r}", where=where) from error
        if dtype.is_complex:
            raise UnsupportedError("holds complex numbers", where=where)
        count = checked_dims(sizes, where=where)
        data = self._bytes(folder + str(file))
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=False))
        have = len(data) // dtype.itemsize
        broken = len(sizes) != len(strides) or min(strides, default=0) < 0 or offset < 0
        if broken or len(data) % dtype.itemsize or (count and last >= have):
            raise ModelError(f"its shape {sizes} does not fit its {len(data)} bytes", where=where)
        if not count:
            tensor = torch.zeros(sizes, dtype=dtype)
        else:
            tensor = torch.frombuffer(bytearray(data), dtype=dtype).as_strided(sizes, strides, offset)
        return torch.nn.Parameter(tensor, requires_grad=False) if parameter else tensor
