"""What is damaged, and what is then done with it: models are imported, artifacts inspected, loaded and run."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from flip_mutations import damaged, mutate_fields
from flip_seeds import seeds
from google.protobuf.message import DecodeError, EncodeError

import tercet
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import find_target
from tercet.driver.c_backend import choose_engines
from tercet.passes.pipeline import run_passes

PASSES_EVERY = 8
"""Of so many imported models one goes through the passes as well, as `inspect` does it."""


@dataclass(frozen=True)
class Subject:
    """file: the name of a case's file. make: its bytes. use: what is done with the file; raises TercetError."""

    file: str
    make: Callable[[random.Random], bytes]
    use: Callable[[Path, random.Random], None]


def models() -> Subject:
    with tempfile.TemporaryDirectory() as folder:  # loads what the cases need, before processes are forked
        path = Path(folder) / "model.onnx"
        path.write_bytes(seeds()["convolutions"])
        tercet.inspect(path, target="generic")
    return Subject("model.onnx", damaged_model, use_model)


def artifacts() -> Subject:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tercet"
        path.write_bytes(sound_artifact())
        use_artifact(path, random.Random(0))
    return Subject("model.tercet", damaged_artifact, use_artifact)


# -- models -----------------------------------------------------------------------------------------------------------


def damaged_model(rng: random.Random) -> bytes:
    """A third of the cases are damaged as bytes, the others as messages, which the parser then accepts."""
    whole = seeds()[rng.choice(list(seeds()))]
    if rng.random() < 0.3:
        return damaged(whole, rng)
    model = onnx.load_model_from_string(whole)
    mutate_fields(model, rng)
    try:
        return model.SerializeToString(deterministic=True)
    except (DecodeError, EncodeError, ValueError):
        return damaged(whole, rng)


def use_model(path: Path, rng: random.Random) -> None:
    program = tercet.import_model(path)
    program.text()
    if rng.randrange(PASSES_EVERY) == 0:
        run_passes(program, stages(find_target("generic"), *choose_engines()))
        program.text()


# -- artifacts --------------------------------------------------------------------------------------------------------


@cache
def sound_artifact() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(seeds()["convolutions"])
        return tercet.compile(path, path.with_suffix(".tercet"), target="generic").path.read_bytes()


@cache
def _description() -> tuple[tuple[int, int], ...]:
    """Where the parts that describe others are: zip headers, manifest.json, layers.json, and the directory."""
    data, spans = sound_artifact(), []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            at = entry.header_offset
            spans.append((at, at + 30 + len(entry.filename)))
            if entry.filename in ("manifest.json", "layers.json"):
                spans.append((at, at + 30 + len(entry.filename) + entry.file_size))
        spans.append((archive.start_dir, len(data)))
    return tuple(spans)


def damaged_artifact(rng: random.Random) -> bytes:
    """A third is damaged anywhere, a third where it describes itself, a third with hashes made right again."""
    data, kind = sound_artifact(), rng.randrange(3)
    if kind == 0:
        return damaged(data, rng)
    if kind == 1:
        begin, end = rng.choice(_description())
        return data[:begin] + damaged(data[begin:end], rng) + data[end:]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    stages = sorted(n for n in files if n.endswith(".mlir"))  # the last is what `inspect` parses
    name = rng.choice((stages[-1], stages[-1], rng.choice(stages), "layers.json", "ir/stages.json", "ir/weights.npz"))
    files[name] = damaged(files[name], rng)
    if not name.endswith(".npz"):
        files[name] = bytes(byte & 0x7F for byte in files[name])  # other text, not bytes that are none
    manifest = json.loads(files["manifest.json"])
    manifest["files"][name] = {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        for key, content in files.items():
            archive.writestr(key, content)
    return out.getvalue()


def use_artifact(path: Path, rng: random.Random) -> None:
    refusals = []
    for use in (_inspect, _run):
        try:
            use(path)
        except tercet.TercetError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _inspect(path: Path) -> None:
    found = tercet.inspect(path)
    found.to_json()
    found.text_after()


def _run(path: Path) -> None:
    with tercet.load(path) as model:
        model.run({port.name: np.zeros(port.shape, port.dtype) for port in model.inputs})
