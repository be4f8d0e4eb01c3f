"""Broken and malicious artifacts, each made from a sound one, with the message that must refuse it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tercet.runtime.artifact.artifact import Artifact

from .handmade import write_artifact

Fields: TypeAlias = dict[str, Any]
Maker: TypeAlias = Callable[[Path], Path]


def rezip(
    path: Path,
    *,
    entries: Callable[[dict[str, bytes]], list[tuple[str | zipfile.ZipInfo, bytes]]] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Writes the sound artifact again with other entries."""
    with zipfile.ZipFile(write_artifact(path)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries(files) if entries else list(files.items()):
            archive.writestr(name, data)
    return path


def with_files(change: Callable[[dict[str, bytes]], object]) -> Maker:
    """Changes contents but not the manifest's hashes."""

    def make(folder: Path) -> Path:
        def entries(files: dict[str, bytes]) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
            change(files)
            return list(files.items())

        return rezip(folder / "bad.tercet", entries=entries)

    return make


def with_manifest(change: Callable[[Fields], Any]) -> Maker:
    """Changes the manifest's fields; a change that returns something replaces the whole document."""

    def edit(files: dict[str, bytes]) -> None:
        fields = json.loads(files["manifest.json"])
        other = change(fields)
        files["manifest.json"] = other if isinstance(other, bytes) else json.dumps(fields).encode()

    return with_files(edit)


def candidate(**changed: object) -> Fields:
    sound = {"engine": "table", "schedule": {}, "cycles": 1.0, "measured": 0.0, "refusal": ""}
    return {**sound, **changed}


def with_layers(change: Callable[[list[Fields]], Any]) -> Maker:
    """Changes layers.json, hashes kept right: as somebody would who means it."""

    def make(folder: Path) -> Path:
        sound = Artifact.open(write_artifact(folder / "sound.tercet"))
        contents = {name: sound.read(name) for name in sound.names}
        layers = json.loads(contents["layers.json"])
        other = change(layers)
        data = other if isinstance(other, bytes) else json.dumps(layers).encode()
        return honest(folder, {**contents, "layers.json": data}, sound)

    return make


def honest(folder: Path, contents: dict[str, bytes], sound: Artifact) -> Path:
    """An artifact with right hashes for these contents, past the checks of the writer."""
    fields = json.loads(sound.manifest.to_json())
    fields["files"] = {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in contents.items()}
    path = folder / "bad.tercet"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**contents, "manifest.json": json.dumps(fields).encode()}.items():
            archive.writestr(name, data)
    return path


def with_entry(name: str, *, mode: int = 0o100644) -> Maker:
    """Adds an entry of any name and file mode."""

    def make(folder: Path) -> Path:
        info = zipfile.ZipInfo(name)
        info.filename = name
        info.create_system, info.external_attr = 3, mode << 16
        return rezip(folder / "bad.tercet", entries=lambda files: [*files.items(), (info, b"/etc/passwd")])

    return make


def in_folder(change: Callable[[Path], object]) -> Maker:
    def make(folder: Path) -> Path:
        path = write_artifact(folder / "bad", as_folder=True)
        change(path)
        return path

    return make


def with_bytes(change: Callable[[bytes], bytes]) -> Maker:
    """Changes the bytes of the file itself."""

    def make(folder: Path) -> Path:
        path = write_artifact(folder / "bad.tercet")
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def encrypted(data: bytes) -> bytes:
    """Every entry marked as encrypted in the central directory."""
    place, out = 0, bytearray(data)
    while (place := out.find(b"PK\x01\x02", place)) >= 0:
        out[place + 8] |= 1
        place += 4
    return bytes(out)


def overlapping(folder: Path) -> Path:
    """All entries of the directory point at one local entry: sizes add up to far more than the file."""
    path = folder / "bad.tercet"
    payload = bytes(100_000)
    names = [f"f{i:03}" for i in range(50)]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, payload if name == "f000" else b"")
        first = archive.infolist()[0]
        for info in archive.infolist():
            info.header_offset, info.CRC = first.header_offset, first.CRC
            info.file_size = info.compress_size = first.file_size
    return path


def flip(files: dict[str, bytes]) -> None:
    files["lib/libtiny.so"] = files["lib/libtiny.so"][:-1] + bytes([files["lib/libtiny.so"][-1] ^ 1])


def bomb() -> bytes:
    """A weight store of 100 KB that unpacks to 100 MB."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, w=np.zeros(100 << 20, np.uint8))
    return buffer.getvalue()


def with_store(make_store: Callable[[], bytes]) -> Maker:
    """Adds a weight store, hashes kept right."""

    def make(folder: Path) -> Path:
        sound = Artifact.open(write_artifact(folder / "sound.tercet"))
        contents = {name: sound.read(name) for name in sound.names}
        return honest(folder, {**contents, "ir/weights.npz": make_store()}, sound)

    return make


def link_folder(path: Path) -> None:
    shutil.move(path / "lib", path.parent / "lib")
    (path / "lib").symlink_to(path.parent / "lib")


def link_file(path: Path) -> None:
    shutil.move(path / "layers.json", path.parent / "layers.json")
    (path / "layers.json").symlink_to(path.parent / "layers.json")


def drop(name: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.pop(name)


def port(field: str, value: object) -> Callable[[Fields], None]:
    return lambda m: m["inputs"][0].update({field: value})


def put(**fields: object) -> Callable[[Fields], None]:
    return lambda m: m.update(fields)


def duplicate(folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, about the duplicate
        return rezip(folder / "bad.tercet", entries=lambda files: [*files.items(), ("layers.json", b"[]")])


def nothing(folder: Path) -> Path:
    return folder / "absent.tercet"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "bad.tercet")
    return folder / "bad.tercet"


HOSTILE: dict[str, tuple[Maker, str]] = {
    # the container
    "absent": (nothing, "no such file or folder"),
    "a fifo": (fifo, "not a regular file or folder"),
    "empty file": (with_bytes(lambda _: b""), "not a complete zip file"),
    "no zip": (with_bytes(lambda _: b"#!/bin/sh\nreboot\n"), "not a complete zip file"),
    "cut short": (with_bytes(lambda data: data[: len(data) // 2]), "not a complete zip file"),
    "beginning lost": (with_bytes(lambda data: data[100:]), "the beginning of the file is missing"),
    "encrypted": (with_bytes(encrypted), "entry 'include/tiny.h' is encrypted"),
    "compressed": (lambda f: rezip(f / "bad.tercet", compression=zipfile.ZIP_DEFLATED), r"is compressed \(\d+ to 1\)"),
    "overlapping": (overlapping, "share the same bytes.*zip bomb"),
    "weight bomb": (with_store(bomb), "array 'w.npy' unpacks to .* zip bomb"),
    "broken store": (with_store(lambda: b"x"), "ir/weights.npz: not a weight store"),
    # names
    "climbing": (with_entry("../../etc/cron.d/x"), "climbs out of the artifact"),
    "climbing inside": (with_entry("lib/../../x"), "climbs out of the artifact"),
    "absolute": (with_entry("/etc/passwd"), "is an absolute path"),
    "drive": (with_entry("C:/x"), "is an absolute path"),
    "backslash": (with_entry("..\\x"), "holds a backslash"),
    "control": (with_entry("a\nb"), "holds control characters"),
    "nul": (with_entry("a\0b"), "holds control characters"),
    "folder entry": (with_entry("lib/"), "is a folder"),
    "empty part": (with_entry("lib//x"), "is a folder, or has an empty part"),
    "long name": (with_entry("x" * 300), "more than 255 characters"),
    "duplicate": (duplicate, "two entries are named 'layers.json'"),
    "link entry": (with_entry("x", mode=0o120777), "entry 'x' is a symbolic link"),
    "device entry": (with_entry("x", mode=0o020666), "entry 'x' is not a regular file"),
    # folders
    "linked file": (in_folder(link_file), "'layers.json' is a symbolic link"),
    "linked folder": (in_folder(link_folder), "'lib' is a symbolic link"),
    "fifo in folder": (in_folder(lambda p: os.mkfifo(p / "x")), "'x' is not a regular file"),
    "file lost": (in_folder(lambda p: (p / "lib/libtiny.so").unlink()), "lists 'lib/libtiny.so', which is missing"),
    "file added": (in_folder(lambda p: (p / "run.sh").touch()), "'run.sh' is not listed in the manifest"),
    "file grown": (in_folder(lambda p: (p / "layers.json").write_bytes(b"[]" * 9000)), "the manifest says"),
    "backslash in folder": (in_folder(lambda p: (p / "a\\b").touch()), "holds a backslash"),
    "empty folder": (in_folder(lambda p: (shutil.rmtree(p), p.mkdir())), "not an artifact: it has no manifest.json"),
    # contents
    "altered code": (with_files(flip), "'lib/libtiny.so' is not the file that was compiled"),
    "entry lost": (with_files(drop("lib/libtiny.so")), "the manifest lists 'lib/libtiny.so', which is missing"),
    "entry added": (with_files(lambda f: f.update({"x": b""})), "'x' is not listed in the manifest"),
    "no manifest": (with_files(drop("manifest.json")), "it has no manifest.json"),
    "no library": (with_manifest(lambda m: m["files"].pop("lib/libtiny.so")), "'lib/libtiny.so' is not listed"),
    "other prefix": (with_manifest(put(prefix="other")), "an artifact needs 'lib/libother.so'"),
    # the manifest
    "not JSON": (with_manifest(lambda m: b"{"), "manifest.json: not valid JSON"),
    "not UTF-8": (with_manifest(lambda m: b"\xff{}"), "not valid JSON"),
    "deep JSON": (with_manifest(lambda m: b"[" * 200_000), "not valid JSON"),
    "long number": (with_manifest(lambda m: b'{"a": ' + b"9" * 10_000 + b"}"), "not valid JSON"),
    "NaN": (with_manifest(lambda m: b'{"a": NaN}'), "NaN is not JSON"),
    "repeated key": (with_manifest(lambda m: b'{"a": 1, "a": 2}'), "repeats a key"),
    "oversized JSON": (with_manifest(lambda m: b" " * (65 << 20)), "bytes, at most"),
    "no object": (with_manifest(lambda m: b"[]"), "expected an object with the fields"),
    "newer format": (with_manifest(put(format_version=5)), "format version 5; this tercet reads version 4"),
    "older format": (with_manifest(put(format_version=2)), "format version 2"),
    "bad format": (with_manifest(put(format_version="1")), r"format_version: expected an integer in 4\.\.4"),
    "true format": (with_manifest(put(format_version=True)), r"format_version: expected an integer in 4\.\.4"),
    "field lost": (with_manifest(lambda m: m.pop("prefix")), "field 'prefix' is missing"),
    "field added": (with_manifest(put(extra=1)), "unknown field 'extra'"),
    "bad prefix": (with_manifest(put(prefix="a; system")), "prefix: expected a C identifier"),
    "bad backend": (with_manifest(put(backend="")), "backend: expected a C identifier"),
    "bad name": (with_manifest(put(name=7)), "name: expected a string"),
    "bad batched": (with_manifest(put(batched=1)), "batched: expected true or false"),
    "bad hash": (with_manifest(put(source_sha256="AB")), "source_sha256: expected a SHA-256"),
    "bad target": (with_manifest(put(targets=[None])), r"targets\[0\]: expected an object"),
    "no target": (with_manifest(put(targets=[])), "targets: expected one target or several of different"),
    "same targets": (with_manifest(lambda m: m["targets"].append(m["targets"][0])), "targets: expected one"),
    "target is a path": (with_manifest(lambda m: m["targets"][0].update(name="../x")), "expected a target's name"),
    "bad features": (with_manifest(lambda m: m["targets"][0].update(features="avx2")), "expected an array"),
    "bad compiler": (with_manifest(put(compiler=[])), "compiler: expected an object"),
    "bad options": (with_manifest(put(options={"a": {}})), r"options\.a: expected a string, number"),
    "bad files": (with_manifest(lambda m: m["files"].update(x="y")), r"files\.x: expected an object"),
    "climbing file": (
        with_manifest(lambda m: m["files"].update({"../x": {"sha256": "0" * 64, "bytes": 0}})),
        "climbs out of the artifact",
    ),
    "lists itself": (
        with_manifest(lambda m: m["files"].update({"manifest.json": {"sha256": "0" * 64, "bytes": 0}})),
        "cannot list itself",
    ),
    "bad size": (with_manifest(lambda m: m["files"]["layers.json"].update(bytes=3)), "the manifest says 3"),
    "bad ports": (with_manifest(put(inputs={})), "inputs: expected an array"),
    "bad shape": (with_manifest(port("shape", [1, -3, 4])), r"inputs\[0\]\.shape\[1\]: expected an integer in 0"),
    "huge shape": (with_manifest(port("shape", [1, 2**62, 2**62])), "field bytes: expected .* for shape"),
    "bad dtype": (with_manifest(port("dtype", "object")), r"dtype: expected one of"),
    "bad stored": (with_manifest(port("stored", "float64")), r"stored: expected one of"),
    "bad bytes": (with_manifest(port("bytes", 4)), r"inputs\[0\]: field bytes: expected 48"),
    "bad range": (with_manifest(port("range", [0, 1])), "field range: expected one exactly for integers"),
    "wide range": (with_manifest(lambda m: m["inputs"][1].update(range=[-999, 1])), "expected lo <= hi within int8"),
    "same ports": (with_manifest(lambda m: m["inputs"][1].update(name="x")), "two ports have the same name"),
    "no batch axis": (
        with_manifest(lambda m: m["inputs"][1].update(shape=[12])),
        "expected a leading 1 in a batched model",
    ),
    # layers.json
    "layers lost": (with_manifest(lambda m: m["files"].pop("layers.json")), "'layers.json' is not listed"),
    "layers not JSON": (with_layers(lambda _: b"]"), "layers.json: not valid JSON"),
    "bad symbol": (with_layers(lambda x: x[0].update(symbol="")), r"json\[0\]\.symbol: expected a C identifier"),
    "bad offsets": (with_layers(lambda x: x[0].update(offsets=[])), "one offset and one output for each result"),
    "bad schedule": (with_layers(lambda x: x[0].update(schedule={"a": []})), r"schedule\.a: expected a string"),
    "bad candidates": (with_layers(lambda x: x[0].update(candidates={})), r"candidates: expected an array"),
    "bad candidate": (
        with_layers(lambda x: x[0].update(candidates=[{"engine": "table"}])),
        r"candidates\[0\]: field 'schedule' is missing",
    ),
    "bad refusal": (
        with_layers(lambda x: x[0].update(candidates=[candidate(refusal=7)])),
        r"candidates\[0\]\.refusal: expected a string",
    ),
    "bad prediction": (
        with_layers(lambda x: x[0].update(candidates=[candidate(cycles=[])])),
        r"candidates\[0\]\.cycles: expected a number",
    ),
    "bad cycles": (with_layers(lambda x: x[0].update(cycles="1")), r"cycles: expected a number"),
}  # fmt: skip
