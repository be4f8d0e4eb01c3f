"""Who may import whom: the table in docs/architecture.md, relative imports only, and no circles of files or folders."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def read_table(text: str) -> dict[str, tuple[str, ...]]:
    """Room -> rooms it may import; a folder's name ends in a slash."""
    rows = re.findall(r"^\| (`[^|]+) \|[^|]+\| ?([^|]*)\|$", text, re.MULTILINE)
    return {room: tuple(_names(allowed)) for rooms, allowed in rows for room in _names(rooms)}


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


MAY_IMPORT = read_table((ROOT / "docs" / "architecture.md").read_text())


def room_of(file: str) -> str | None:
    """The room of a file, given by its path from the root."""
    return next((room for room in MAY_IMPORT if file == room or (room[-1] == "/" and file.startswith(room))), None)


def our_files() -> list[Path]:
    folders = {room.split("/")[0] for room in MAY_IMPORT if room[-1] == "/"}
    found = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    return sorted(file.relative_to(ROOT) for file in [*ROOT.glob("*.py"), *found] if file.name != "setup.py")


def imports(source: str, file: Path) -> Iterator[tuple[int, int, str]]:
    """(line, level, dotted name from the root) of each name that a module imports."""
    package = file.parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = node.module.split(".") if node.module else []
            names = [".".join((*base, *module, alias.name)) for alias in node.names]
            yield from ((node.lineno, node.level, name) for name in names)


def file_of(name: str) -> str:
    """The file that a dotted name from the root lies in, or that the module would have."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        for path in (Path(*parts[:end]).with_suffix(".py"), Path(*parts[:end], "__init__.py")):
            if (ROOT / path).is_file():
                return str(path)
    return "__init__.py" if len(parts) == 1 else f"{'/'.join(parts[:-1])}.py"


def violations(source: str, file: Path) -> list[str]:
    room, found = room_of(str(file)), []
    allowed = (room, *MAY_IMPORT.get(room or "", ()))
    ours = {name.split("/")[0].removesuffix(".py") for name in MAY_IMPORT}
    for line, level, name in imports(source, file):
        if level == 0 and name.split(".")[0] in ("tercet", *ours):
            found.append(f"{file}:{line}: {name} is ours: use a relative import")
        elif level > len(file.parts):
            found.append(f"{file}:{line}: the import leaves the package")
        elif level and (other := room_of(file_of(name))) not in allowed:
            found.append(f"{file}:{line}: {room} may not import {name} ({other})")
    return found


def test_rooms_import_only_what_they_may() -> None:
    files = our_files()
    assert len(files) > 200 and all(room_of(str(file)) for file in files), "a file has no room"
    found = [line for file in files for line in violations((ROOT / file).read_text(), file)]
    assert not found, "\n".join(found)


def import_graph() -> dict[str, set[str]]:
    """File -> the files it imports, by their paths from the root."""
    sources = {file: (ROOT / file).read_text() for file in our_files()}
    return {
        str(file): {file_of(name) for _, level, name in imports(source, file) if level} - {str(file)}
        for file, source in sources.items()
    }


def siblings(graph: Mapping[str, set[str]], folder: str) -> dict[str, set[str]]:
    """The imports among the files and folders in one folder, or among rooms ("": the root). A folder's own
    `__init__.py` gathers what the others hold, and is left out."""
    inside: dict[str, set[str]] = {}

    def child(file: str) -> str | None:
        if not folder:
            return room_of(file)
        name = file[len(folder) :].split("/")[0] if file.startswith(folder) else None
        return None if name == "__init__.py" else name

    for file, imported in graph.items():
        if (here := child(file)) is not None:
            others = {name for other in imported if (name := child(other)) is not None}
            inside.setdefault(here, set()).update(others - {here})
    return inside


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle of every folder that has one."""
    folders = {"", *(f"{parent}/" for file in graph for parent in map(str, Path(file).parents) if parent != ".")}
    found = []
    for folder in sorted(folders):
        try:
            TopologicalSorter(siblings(graph, folder)).prepare()
        except CycleError as error:
            found.append(f"{folder or '.'}: {' <- '.join(error.args[1])}")
    return found


def test_no_files_or_folders_import_each_other_in_a_circle() -> None:
    assert not circles(import_graph())


@pytest.mark.parametrize(
    "graph",
    [
        {"ir/a.py": {"ir/b.py"}, "ir/b.py": {"ir/a.py"}},
        {"ir/a/x.py": {"ir/b/y.py"}, "ir/b/z.py": {"ir/a/w.py"}, "ir/a/w.py": set(), "ir/b/y.py": set()},
        {"ir/a.py": {"passes/b.py"}, "passes/c.py": {"ir/d.py"}, "passes/b.py": set(), "ir/d.py": set()},
    ],
)
def test_circles_are_found(graph: dict[str, set[str]]) -> None:
    assert len(circles(graph)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ir/types.py", "from . import ops\nfrom .errors import TercetError\nimport numpy"),
        ("frontend/onnx/nodes.py", "import onnx\nfrom ...ir import types\nfrom ..scales import scale"),
        ("passes/fold.py", "from ..backends.reference import run\nfrom ..backends import reference"),
        ("backends/c/emit.py", "from ...passes.base import Pass"),
        ("runtime/check/bench.py", "from ...backends.reference import run"),
        ("api.py", "from .passes.base import Pass\nfrom .backends.c import engine"),
        ("cli/verbs.py", "from ..api import compile\nfrom .. import api"),
    ],
)
def test_allowed(file: str, source: str) -> None:
    assert violations(source, Path(file)) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ir/types.py", "from ..passes import pipeline"),
        ("ir/types.py", "from .. import backends"),
        ("ir/types.py", "def late():\n    from ..runtime.load.loader import load"),
        ("ir/types.py", "import tercet.passes"),
        ("ir/types.py", "from tercet import load"),
        ("ir/types.py", "from backends.c import engines"),
        ("ir/types.py", "from ...elsewhere import it"),
        ("frontend/onnx/nodes.py", "from ...passes.fold import fold"),
        ("passes/fold.py", "from ..frontend.onnx import load"),
        ("passes/fold.py", "from ..ir_extra import it"),
        ("passes/fold.py", "from ..backends.c.engine import Engine"),
        ("backends/c/emit.py", "from ...runtime.load import loader"),
        ("backends/c/emit.py", "from ..reference.interpreter import run"),
        ("runtime/check/verify/check.py", "from ....backends import c"),
        ("api.py", "from .cli import main"),
        ("cli/verbs.py", "from ..passes.base import Pass"),
    ],
)
def test_not_allowed(file: str, source: str) -> None:
    assert len(violations(source, Path(file))) == 1
