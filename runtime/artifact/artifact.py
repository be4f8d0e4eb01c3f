"""The artifact: one file `NAME.tercet` (a zip, stored) or a folder with the same content.

    manifest.json            what it is, for which CPU, and the SHA-256 of every other file
    lib/libPREFIX.so         the compiled model, complete with its weights
    include/PREFIX.h         its C functions
    lib/cmake/PREFIX/        for C programs that link to it; so is lib/pkgconfig/
    src/                     the C it was compiled from, and how to build that again
    ir/                      the program after every pass, and the weights of all (stored_ir.py)
    layers.json              what each step computes

With several targets, what is for one of them lies in src/TARGET/, ir/TARGET/ and layers/TARGET.json.

Nothing in this module executes anything from an artifact.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ...ir.atomic import atomic_file, atomic_folder, check_writable
from ...ir.errors import ArtifactError, InputError
from .container import Container, check_name, check_store, open_container
from .layers import Layer, layers_from_json
from .manifest import MANIFEST, MOST_JSON_BYTES, FileInfo, Manifest
from .schema import ALTERED

SUFFIX = ".tercet"
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


class Artifact:
    """An artifact whose every file was found to be what the manifest says."""

    def __init__(self, path: Path, manifest: Manifest, container: Container) -> None:
        self.path, self.manifest, self._container = path, manifest, container
        self._layers: dict[str, tuple[Layer, ...]] = {}

    @classmethod
    def open(cls, path: str | Path) -> Artifact:
        """Reads and checks an artifact completely. Raises ArtifactError saying what is wrong with it."""
        path = Path(path)
        container = open_container(path)
        manifest = Manifest.from_json(_read_json(container, MANIFEST, path), f"{path}: {MANIFEST}")
        _check_files(container, manifest, path)
        artifact = cls(path, manifest, container)
        for name in artifact.names:
            data = artifact._verified(name, keep=name.endswith(".npz"))
            if name.endswith(".npz"):
                check_store(data, f"{path}: {name}")
        for target in manifest.target_names:
            name = manifest.layers_file(target)
            artifact._layers[target] = layers_from_json(artifact.read(name), f"{path}: {name}")
        return artifact

    @property
    def best(self) -> str:
        """The name of the first target: the one that asks most of a CPU."""
        return self.manifest.target_names[0]

    def target(self, name: str | None) -> str:
        """The name itself, that of the best target for None. Raises InputError for one that the artifact is not for."""
        if name is not None and name not in (names := self.manifest.target_names):
            raise InputError(
                f"the artifact is not for target '{name}'", where=str(self.path), hint=f"it is for: {', '.join(names)}"
            )
        return name or self.best

    def layers_of(self, target: str) -> tuple[Layer, ...]:
        """The steps for one of the artifact's targets."""
        return self._layers[target]

    @property
    def names(self) -> list[str]:
        """Every file but the manifest, sorted."""
        return sorted(self.manifest.files)

    def read(self, name: str) -> bytes:
        """A file's bytes, checked against the manifest again: what is used is what was verified."""
        if name not in self.manifest.files:
            raise ArtifactError(f"there is no file '{name}' in the artifact", where=str(self.path))
        return self._verified(name, keep=True)

    def read_text(self, name: str) -> str:
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"'{name}' is not UTF-8 text", where=str(self.path), hint=ALTERED) from error

    def extract(self, folder: str | Path) -> Path:
        """Writes the artifact as a folder, for C programs to build with; the same rules as `write`."""
        Artifact.write(folder, {name: self.read(name) for name in self.names}, self.manifest, as_folder=True)
        return Path(folder)

    @staticmethod
    def write(
        path: str | Path, contents: Mapping[str, bytes], manifest: Manifest, *, as_folder: bool = False
    ) -> Manifest:
        """Writes an artifact: a zip, whose name ends in `.tercet`, or a folder.

        contents: name -> bytes of every file but the manifest, whose `files` are filled in. Returns the manifest as
        written. The output appears complete or not at all, byte for byte the same for the same arguments. Raises
        ArtifactError for contents that could not be opened again and for a path that must not be replaced.
        """
        path = Path(path)
        where = str(path)
        files = {name: FileInfo(hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()}
        manifest = replace(manifest, files=files)
        data = manifest.to_json()
        Manifest.from_json(data, where)
        for target in manifest.target_names:
            layers_from_json(contents.get(manifest.layers_file(target), b"[]"), where)
        for name in contents:
            check_name(name, where)
        _check_required(manifest, where)
        everything = {**contents, MANIFEST: data}
        _check_replaceable(path, as_folder)
        try:
            _write_folder(path, everything) if as_folder else _write_zip(path, everything)
        except OSError as error:
            raise ArtifactError(f"cannot be written: {error.strerror}", where=str(error.filename or path)) from error
        return manifest

    @staticmethod
    def check_output(path: str | Path, *, as_folder: bool = False) -> bool:
        """Finds out before the work whether `write` will be able to. True when it will replace something.

        Raises ArtifactError for a path that is no artifact's, must not be replaced, or that nothing can be written to.
        """
        path = Path(path)
        _check_replaceable(path, as_folder)
        try:
            check_writable(path)
        except OSError as error:
            raise ArtifactError(f"cannot be written: {error.strerror}", where=str(path)) from error
        return path.exists()

    def _verified(self, name: str, *, keep: bool) -> bytes:
        want, kept = self.manifest.files[name], bytearray()
        digest = hashlib.sha256()
        for chunk in self._container.chunks(name):
            digest.update(chunk)
            if keep:
                kept += chunk
        if digest.hexdigest() != want.sha256:
            raise ArtifactError(
                f"'{name}' is not the file that was compiled: its SHA-256 differs from the manifest",
                where=str(self.path),
                hint=ALTERED,
            )
        return bytes(kept)


def _read_json(container: Container, name: str, path: Path) -> bytes:
    """The manifest's bytes, read no further than the largest one allowed."""
    if name not in container.sizes:
        raise ArtifactError(f"not an artifact: it has no {name}", where=str(path), hint="tercet compile makes one")
    if (size := container.sizes[name]) > MOST_JSON_BYTES:
        raise ArtifactError(f"'{name}' has {size} bytes, at most {MOST_JSON_BYTES} are read", where=str(path))
    return b"".join(container.chunks(name))


def _check_files(container: Container, manifest: Manifest, path: Path) -> None:
    where = str(path)
    for name in manifest.files:
        check_name(name, f"{where}: {MANIFEST}")
    if missing := sorted(set(manifest.files) - set(container.sizes)):
        raise ArtifactError(f"the manifest lists '{missing[0]}', which is missing", where=where, hint=ALTERED)
    if unlisted := sorted(set(container.sizes) - set(manifest.files) - {MANIFEST}):
        raise ArtifactError(f"'{unlisted[0]}' is not listed in the manifest", where=where, hint=ALTERED)
    _check_required(manifest, where)
    for name, info in manifest.files.items():
        if container.sizes[name] != info.bytes:
            raise ArtifactError(
                f"'{name}' has {container.sizes[name]} bytes; the manifest says {info.bytes}", where=where, hint=ALTERED
            )


def _check_required(manifest: Manifest, where: str) -> None:
    for name in manifest.required:
        if name not in manifest.files:
            raise ArtifactError(f"an artifact needs '{name}', which is missing", where=where, hint=ALTERED)
    if MANIFEST in manifest.files:
        raise ArtifactError(f"'{MANIFEST}' cannot list itself", where=where, hint=ALTERED)


def _check_replaceable(path: Path, folder: bool) -> None:
    """Refuses to destroy what is not an artifact, and a file that would not be taken for one."""
    if not folder and path.suffix != SUFFIX:
        what = f"an artifact is a file NAME{SUFFIX}, or a folder where that is asked for"
        name = f"{path.stem or 'NAME'}{SUFFIX}"
        raise ArtifactError(what, where=str(path), hint=f"write {name}, or a folder with --directory")
    if not path.exists() and not path.is_symlink():
        return
    if not folder and path.is_dir():
        raise ArtifactError("is a folder; not replaced by a file", where=str(path), hint="choose another output path")
    if folder and (path.is_symlink() or not (path.is_dir() and _looks_like_artifact(path))):
        raise ArtifactError(
            "exists and is not an artifact; not replaced", where=str(path), hint="choose another output path"
        )


def _looks_like_artifact(folder: Path) -> bool:
    """True for a folder with a manifest of any version, and for an empty one."""
    if not any(folder.iterdir()):
        return True
    try:
        value = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and {"format_version", "tool_version", "prefix"} <= set(value)


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # the same on every system
            archive.writestr(entry, contents[name])


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    with atomic_folder(path) as folder:
        for name in sorted(contents):
            target = folder.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[name])
