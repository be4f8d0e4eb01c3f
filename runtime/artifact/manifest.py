"""`manifest.json`: what an artifact says about itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ...ir.errors import ArtifactError
from ...ir.names import identifier
from . import schema
from .schema import ALTERED, array, boolean, either, integer, mapping, matching, optional, record, scalar, text

if TYPE_CHECKING:
    from ...ir.program import Port

FORMAT_VERSION = 4
LAYERS, MANIFEST = "layers.json", "manifest.json"
MOST_JSON_BYTES = 64 << 20
MOST_FILES = 10_000
STORED_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32")
DTYPES = (*STORED_DTYPES, "bool", "uint64", "float16", "float64")
IDENTIFIER = matching(re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII).fullmatch, "a C identifier", 500)
SYSTEM_HEADERS = (
    " alloca assert complex ctype endian errno fcntl features fenv float getopt inttypes iso646 libgen limits locale "
    "malloc math memory poll pthread sched search semaphore setjmp signal spawn stdalign stdarg stdatomic stdbool "
    "stdckdint stddef stdint stdio stdlib stdnoreturn string strings syslog termios tgmath threads time uchar unistd "
    "values wchar wctype "
)

Option: TypeAlias = int | float | str | bool | None


def prefix_of(name: str) -> str:
    """What a model's C functions and files are called after: its name as an identifier.

    `PREFIX.h` must not stand in for a system header, nor PREFIX_create for a function of the runtime.
    """
    prefix = identifier(name)[:100] or "model"
    reserved = f" {prefix.lower()} " in SYSTEM_HEADERS or prefix.lower().startswith("tercet")
    return f"{prefix}_model" if reserved else prefix


def target_folder(target: str, targets: Sequence[str]) -> str:
    """Where in `src/` and `ir/` lies what is for one of an artifact's targets, with a final `/`: in a folder of its
    name, or at the top where there is no other."""
    return f"{target}/" if len(targets) > 1 else ""


def layers_file(target: str, targets: Sequence[str]) -> str:
    """What each step for a target computes."""
    return f"layers/{target}.json" if len(targets) > 1 else LAYERS


def soname(prefix: str) -> str:
    """The name of a model's shared library, as programs that are linked to it record it."""
    return f"lib{prefix}.so"


@dataclass(frozen=True)
class PortInfo:
    """An input or output. Shapes are of one sample; in a batched model their leading 1 stands for the batch.

    dtype: the source model's, which Python callers see. stored: the element type that the C functions take and give;
    it holds every value of `range` ([lo, hi], None for floats). bytes: of one sample as stored.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str
    range: tuple[int, ...] | None
    bytes: int

    @classmethod
    def of(cls, port: Port) -> PortInfo:
        """The description of a program's port."""
        from ...ir.types import element_of, is_float, range_of, storage_dtype

        element = element_of(port.type)
        stored = storage_dtype(element)
        size = math.prod(port.shape) * stored.itemsize
        limits = None if is_float(port.type) else range_of(element)
        return cls(port.name, port.shape, port.dtype.name, stored.name, limits, size)

    def problem(self, batched: bool) -> str:
        """What contradicts itself in this description; empty when nothing does."""
        size = math.prod(self.shape) * np.dtype(self.stored).itemsize
        if self.bytes != size:
            return f"field bytes: expected {size} for shape and type, got {self.bytes}"
        if batched and self.shape[:1] != (1,):
            return f"field shape: expected a leading 1 in a batched model, got {list(self.shape)}"
        if (self.range is None) != (self.stored == "float32"):
            return f"field range: expected one exactly for integers, got {self.range} for {self.stored}"
        if self.range is not None:
            limits = np.iinfo(self.stored)
            if len(self.range) != 2 or not limits.min <= self.range[0] <= self.range[1] <= limits.max:
                return f"field range: expected lo <= hi within {self.stored}, got {list(self.range)}"
        return ""


@dataclass(frozen=True)
class TargetInfo:
    """What code of the library runs on. machine: as platform.machine() names it. features: CPU flags as Linux names
    them."""

    name: str
    machine: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class CompilerInfo:
    name: str
    version: str


@dataclass(frozen=True)
class FileInfo:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The contents of manifest.json. `files` covers every other file; `Artifact.write` fills it in. backend: what made
    the artifact, and so what it takes to run it. targets: what there is code for, the best one first."""

    tool_version: str
    name: str
    prefix: str
    batched: bool
    targets: tuple[TargetInfo, ...]
    compiler: CompilerInfo
    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]
    source_sha256: str
    options: Mapping[str, Option | Sequence[Option]] = field(default_factory=dict)
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    backend: str = "c"

    @property
    def target_names(self) -> list[str]:
        return [target.name for target in self.targets]

    def folder(self, target: str) -> str:
        return target_folder(target, self.target_names)

    def layers_file(self, target: str) -> str:
        return layers_file(target, self.target_names)

    @property
    def header(self) -> str:
        return f"include/{self.prefix}.h"

    @property
    def library(self) -> str:
        return f"lib/{soname(self.prefix)}"

    @property
    def required(self) -> tuple[str, ...]:
        """The files without which the artifact is none."""
        layers = map(self.layers_file, self.target_names)
        code = {"c": (self.library, self.header), "tvm": (self.library,)}
        return (*code.get(self.backend, ()), *layers)

    def to_json(self) -> bytes:
        return schema.dump_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, where: str = MANIFEST) -> Manifest:
        """Reads and checks every field. Raises ArtifactError naming the field."""
        value = schema.parse_json(data, where, MOST_JSON_BYTES)
        version = value.get("format_version") if isinstance(value, dict) else None
        if isinstance(version, int) and not isinstance(version, bool) and version != FORMAT_VERSION:
            raise ArtifactError(
                f"format version {version}; this tercet reads version {FORMAT_VERSION}",
                where=where,
                hint="compile the model again, or use the tercet that wrote it" if version < FORMAT_VERSION
                else "install a newer tercet",
            )  # fmt: skip
        manifest = _MANIFEST(value, where)
        if not manifest.targets or len(set(manifest.target_names)) != len(manifest.targets):
            schema.refuse("one target or several of different names", manifest.target_names, f"{where}.targets")
        for kind, ports in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
            for i, port in enumerate(ports):
                if problem := port.problem(manifest.batched):
                    raise ArtifactError(problem, where=f"{where}.{kind}[{i}]", hint=ALTERED)
            if len({port.name for port in ports}) != len(ports):
                raise ArtifactError("two ports have the same name", where=f"{where}.{kind}", hint=ALTERED)
        return manifest


_SHA256 = matching(re.compile(r"[0-9a-f]{64}").fullmatch, "a SHA-256 in lower-case hexadecimal")
_TARGET = matching(re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII).fullmatch, "a target's name", 100)
_COUNT = integer(0)
_PORT = record(
    PortInfo,
    name=text(),
    shape=array(_COUNT, 64),
    dtype=matching(DTYPES.__contains__, f"one of {', '.join(DTYPES)}"),
    stored=matching(STORED_DTYPES.__contains__, f"one of {', '.join(STORED_DTYPES)}"),
    range=optional(array(integer(), 2)),
    bytes=_COUNT,
)
_MANIFEST = record(
    Manifest,
    tool_version=text(100),
    name=text(),
    prefix=IDENTIFIER,
    batched=boolean,
    targets=array(record(TargetInfo, name=_TARGET, machine=text(100), features=array(text(100), 1000)), 100),
    compiler=record(CompilerInfo, name=text(100), version=text()),
    inputs=array(_PORT, 10_000),
    outputs=array(_PORT, 10_000),
    source_sha256=_SHA256,
    options=mapping(either(array(scalar, 10_000), scalar), 1000),
    files=mapping(record(FileInfo, sha256=_SHA256, bytes=_COUNT), MOST_FILES),
    format_version=integer(FORMAT_VERSION, FORMAT_VERSION),
    backend=IDENTIFIER,
)
