"""IR and weights of an artifact that are damaged although their hashes are right: refused, and at once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.ir.errors import ArtifactError, IRError
from tercet.ir.program import Program
from tercet.ir.weights import WeightStore
from tercet.runtime.artifact.artifact import Artifact

MODEL = Path(__file__).parents[1] / "faults/data/n_uni.onnx"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("sound") / "m.tercet"
    return Artifact.open(tercet.compile(MODEL, path, target="generic", engines="loops").path)


def altered(sound: Artifact, folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    contents = {each: sound.read(each) for each in sound.names}
    contents[name] = change(contents[name])
    Artifact.write(folder / "m.tercet", contents, sound.manifest)
    return folder / "m.tercet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"' + "a" * 5000 + "\n", "the string in line 1 has no end"),
        ('// "\nbuiltin.module {\n' + '"' + 200 * "x\\n" + "\\q", "the string in line 3 has no end"),
        ('"\\zz"', "the string in line 1 has no end"),
        ('"func.func"' * 3, "cannot parse the program"),
        ('"builtin.module"() ({' * 5000, "cannot parse the program: it is nested too deeply"),
    ],
)
def test_text_that_is_no_program(text: str, message: str) -> None:
    with pytest.raises(IRError, match=message):
        Program.parse(text, WeightStore())


def test_strings_and_comments_are_told_apart() -> None:
    program = tercet.import_model(MODEL)
    commented = "// \"it's a comment\n" + program.text().replace("builtin.module {", 'builtin.module { // "', 1)
    assert Program.parse(commented, program.weights).text() == program.text()


def _store(**members: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def _array() -> bytes:
    np.save(buffer := io.BytesIO(), np.arange(6))
    return buffer.getvalue()


def _broken_sum(data: bytes) -> bytes:
    at = data.index(b"NUMPY") if b"NUMPY" in data else 60
    return data[: at + 40] + bytes([data[at + 40] ^ 1]) + data[at + 41 :]


def _method(data: bytes) -> bytes:
    """An unknown compression method in the first local and central header."""
    out, central = bytearray(data), data.index(b"PK\x01\x02")
    out[8] = out[central + 10] = 99
    return bytes(out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: _broken_sum(_store(w=_array())), "the weights cannot be read: Bad CRC-32"),
        (lambda data: _store(w=b"no array"), "'w' is not an array"),
        (lambda data: _store(w=_array()[:-4]), "the weights cannot be read"),
        (lambda data: _store(w=_array().replace(b"(6,)", b"(-6)")), "the weights cannot be read"),
        (lambda data: _store(w=_array().replace(b"<i8", b"|O8")), "the weights cannot be read"),
        (lambda data: _method(_store(w=_array())), "the weights cannot be read|not a weight store"),
        (lambda data: _store(), "is not in the weight store"),
    ],
)
def test_weights_that_cannot_be_read(
    change: Callable[[bytes], bytes], message: str, sound: Artifact, tmp_path: Path
) -> None:
    path = altered(sound, tmp_path, "ir/weights.npz", change)
    with pytest.raises((ArtifactError, IRError), match=message):
        tercet.inspect(path)


def test_text_that_is_altered(sound: Artifact, tmp_path: Path) -> None:
    last = sorted(name for name in sound.names if name.endswith(".mlir"))[-1]
    for change, message in (
        (lambda data: data.replace(b'"', b"'", 1), "cannot parse the program"),
        (lambda data: data[: len(data) // 2], "cannot parse the program"),
        (lambda data: b"", "a program is a module with one function|cannot parse"),
    ):
        with pytest.raises(IRError, match=message):
            tercet.inspect(altered(sound, tmp_path, last, change))
