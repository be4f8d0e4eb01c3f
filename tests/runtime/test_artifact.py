"""Artifacts as files: what goes in comes out, byte for byte the same, whole or not at all; hostile ones are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tercet
import tercet.runtime
from tercet.ir.errors import ArtifactError
from tercet.runtime.artifact import artifact as artifact_module
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.layers import layers_from_json, layers_to_json
from tercet.runtime.artifact.manifest import Manifest, prefix_of
from tercet.runtime.load.loader import load

from .handmade import contents, layers, manifest, write_artifact
from .hostile import HOSTILE

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


@pytest.mark.parametrize("as_folder", [False, True])
def test_round_trip(tmp_path: Path, as_folder: bool) -> None:
    path = write_artifact(tmp_path / "deep" / "tiny.tercet", as_folder=as_folder)
    assert path.is_dir() == as_folder
    artifact = Artifact.open(path)
    assert {name: artifact.read(name) for name in artifact.names} == contents()
    assert artifact.layers_of(artifact.best) == layers()
    assert replace(artifact.manifest, files={}) == replace(
        manifest(), options={**manifest().options, "passes": ("a", "b")}
    )
    assert artifact.read_text("ir/00-import.mlir") == "// nothing\n"
    with pytest.raises(ArtifactError, match="there is no file 'x'"):
        artifact.read("x")
    assert [p.name for p in path.parent.iterdir()] == ["tiny.tercet"]


def test_documents_round_trip() -> None:
    document = manifest().to_json()
    assert Manifest.from_json(document).to_json() == document
    assert layers_from_json(layers_to_json(layers())) == layers()


def test_extract(tmp_path: Path) -> None:
    zipped = Artifact.open(write_artifact(tmp_path / "tiny.tercet"))
    folder = Artifact.open(zipped.extract(tmp_path / "tiny"))
    assert folder.manifest == zipped.manifest
    zipped.extract(tmp_path / "tiny")  # again: it replaces an artifact


def test_same_bytes_everywhere(tmp_path: Path) -> None:
    first = write_artifact(tmp_path / "a" / "tiny.tercet")
    second = tmp_path / "b" / "other.tercet"
    Artifact.write(second, dict(reversed(contents().items())), manifest())
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path).encode() not in first.read_bytes()


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile(tmp_path: Path, case: str) -> None:
    """Refused with its own message and a hint, by opening and by loading, with nothing mapped or written."""
    make, message = HOSTILE[case]
    path = make(tmp_path)
    before = tree(tmp_path)
    for read in (Artifact.open, load):
        with pytest.raises(ArtifactError, match=message) as error:
            read(path)
        assert str(tmp_path) in str(error.value)
    assert tree(tmp_path) == before
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_changes_after_opening(tmp_path: Path) -> None:
    """What is used is what was verified: later changes of the files are noticed."""
    path = write_artifact(tmp_path / "tiny", as_folder=True)
    artifact = Artifact.open(path)
    library = (path / "lib/libtiny.so").read_bytes()
    (path / "lib/libtiny.so").write_bytes(library[:-1] + b"!")
    with pytest.raises(ArtifactError, match="is not the file that was compiled"):
        artifact.read("lib/libtiny.so")
    (path / "lib/libtiny.so").unlink()
    os.symlink("/etc/passwd", path / "lib/libtiny.so")
    with pytest.raises(ArtifactError, match="symbolic link"):
        artifact.read("lib/libtiny.so")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"../x": b""}, "climbs out"),
        ({"lib/libtiny.so": None}, "needs 'lib/libtiny.so'"),
        ({"manifest.json": b"{}"}, "cannot list itself"),
        ({"layers.json": b"{}"}, "expected an array"),
    ],
)
def test_contents_that_could_not_be_opened(tmp_path: Path, change: dict[str, bytes | None], message: str) -> None:
    changed = {name: data for name, data in {**contents(), **change}.items() if data is not None}
    with pytest.raises(ArtifactError, match=message):
        Artifact.write(tmp_path / "x.tercet", changed, manifest())
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_replaced(tmp_path: Path) -> None:
    """Folders of other things, files where a folder should go, and links stay as they are."""
    precious, file, link, empty = (tmp_path / n for n in ("precious", "file", "link", "empty"))
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    file.write_text("data")
    empty.mkdir()
    link.symlink_to(empty)
    zip_place = tmp_path / "folder.tercet"
    zip_place.mkdir()
    before = tree(tmp_path)
    for path in (precious, file, link):
        with pytest.raises(ArtifactError, match="exists and is not an artifact"):
            write_artifact(path, as_folder=True)
    for path in (precious, file, tmp_path / "new.bin", tmp_path / "new"):
        with pytest.raises(ArtifactError, match=rf"an artifact is a file NAME.tercet.*\n.*write {path.stem}.tercet"):
            write_artifact(path)
    with pytest.raises(ArtifactError, match="is a folder; not replaced by a file"):
        write_artifact(zip_place)
    assert tree(tmp_path) == before
    Artifact.open(write_artifact(empty, as_folder=True))
    Artifact.open(write_artifact(empty, as_folder=True))


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(28, "No space left on device")])
def test_interrupted_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_folder: bool, exists: bool, error: BaseException
) -> None:
    path = tmp_path / "tiny.tercet"
    if exists:
        write_artifact(path, as_folder=as_folder)
    before = tree(tmp_path)
    written = 0

    def failing(*_: object) -> None:
        nonlocal written
        written += 1
        if written == 5:
            raise error

    target = ("zipfile.ZipFile.writestr", "pathlib.Path.write_bytes")[as_folder]
    monkeypatch.setattr(target, failing)
    with pytest.raises(ArtifactError if isinstance(error, OSError) else type(error)):
        write_artifact(path, as_folder=as_folder)
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_failed_swap_restores_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_artifact(tmp_path / "tiny", as_folder=True)
    before = tree(tmp_path)
    rename, calls = os.rename, 0

    def failing(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr("os.rename", failing)
    with pytest.raises(KeyboardInterrupt):
        write_artifact(path, as_folder=True)
    assert tree(tmp_path) == before


KILLED = """
import os, signal, sys, zipfile
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.manifest import Manifest
source = Artifact.open(sys.argv[2])
files = {name: source.read(name) for name in source.names}
original, count = zipfile.ZipFile.writestr, 0
def writestr(self, *arguments):
    global count
    count += 1
    if count == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, *arguments)
zipfile.ZipFile.writestr = writestr
Artifact.write(sys.argv[3], files, source.manifest)
"""


def test_killed_writing(tmp_path: Path) -> None:
    """Even SIGKILL leaves nothing under the output's name."""
    source = write_artifact(tmp_path / "tiny.tercet")
    room = str(Path(tercet.runtime.__file__).parents[2])
    command = [sys.executable, "-c", KILLED, room, str(source), str(tmp_path / "out" / "x.tercet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_artifact(tmp_path / "tiny.tercet")
    monkeypatch.setattr("tercet.runtime.artifact.container.MOST_BYTES", 1000)
    with pytest.raises(ArtifactError, match="bytes of files, at most 1000 are read"):
        Artifact.open(path)
    monkeypatch.setattr("tercet.runtime.artifact.container.MOST_FILES", 3)
    with pytest.raises(ArtifactError, match="files, at most 3 are read"):
        Artifact.open(path)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("a-b/c", "a_b_c"), ("3d", "v3d"), ("日本", "model"), ("stdint", "stdint_model"), ("tercet", "tercet_model")],
)
def test_prefix(name: str, prefix: str) -> None:
    assert prefix_of(name) == prefix


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder."""
    return {
        str(p.relative_to(folder)): os.readlink(p) if p.is_symlink() else p.read_bytes() if p.is_file() else "folder"
        for p in sorted(folder.rglob("*"))
    }


def test_opening_imports_nothing_heavy() -> None:
    room = str(Path(artifact_module.__file__).parents[2])
    code = (
        f"import sys; sys.path.insert(0, {room!r}); import tercet.runtime.load.loader; "
        "assert not {'xdsl', 'onnx', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cut_file_is_called_so(tmp_path: Path) -> None:
    """Wherever the cut is: a weight store within the file is a zip too, and must not be taken for it."""
    tercet.compile(DIGITS, tmp_path / "sound.tercet", target="generic")
    data = (tmp_path / "sound.tercet").read_bytes()
    path = tmp_path / "cut.tercet"
    for size in (*range(100, len(data), 499), *range(len(data) - 300, len(data))):
        path.write_bytes(data[:size])
        with pytest.raises(ArtifactError) as caught:
            Artifact.open(path)
        assert caught.value.what.startswith(("the end of the file is missing", "not a complete zip file: ")), size
        assert "cut short" in caught.value.hint
