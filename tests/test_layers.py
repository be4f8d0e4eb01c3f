"""Who may import whom: each room imports only what the table allows, and always by relative imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "ir": (),
    "frontend": ("ir",),
    "passes": ("ir", "backends"),
    "backends": ("ir",),
    "runtime": ("ir", "backends.reference"),
    "tuning": ("ir", "passes", "backends", "runtime"),
    "lossy": ("ir", "passes", "runtime"),
    "driver": ("ir", "frontend", "passes", "backends", "runtime", "tuning", "lossy"),
    "api": ("ir", "frontend", "passes", "backends", "runtime", "driver", "lossy"),
    "options": (),
    "cli": ("ir", "frontend", "passes", "backends", "runtime", "api", "options"),
}


def room_files() -> list[Path]:
    files = [file for room in MAY_IMPORT for file in (ROOT / f"{room}.py", *(ROOT / room).rglob("*.py"))]
    return [file.relative_to(ROOT) for file in files if file.is_file()]


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """(line, level, dotted name from the root) of each name that a module in `package` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = node.module.split(".") if node.module else []
            names = [".".join((*base, *module, alias.name)) for alias in node.names]
            yield from ((node.lineno, node.level, name) for name in names)


def violations(source: str, file: Path) -> list[str]:
    room = file.parts[0].removesuffix(".py")
    allowed = (room, "__version__", *MAY_IMPORT[room])
    found = []
    for line, level, name in imports(source, file.parent.parts):
        if level == 0 and name.split(".")[0] in ("tercet", *MAY_IMPORT):
            found.append(f"{file}:{line}: {name} is ours: use a relative import")
        elif level > len(file.parts):
            found.append(f"{file}:{line}: the import leaves the package")
        elif level and not any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed):
            found.append(f"{file}:{line}: {room} may not import {name}")
    return found


def test_rooms_import_only_what_they_may() -> None:
    files = room_files()
    assert files, "no room found"
    found = [line for file in files for line in violations((ROOT / file).read_text(), file)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ir/types.py", "from .. import __version__"),
        ("ir/types.py", "from . import ops\nfrom .ops import Conv\nimport numpy"),
        ("frontend/onnx/nodes.py", "import onnx\nfrom ...ir import types\nfrom ..scales import scale"),
        ("passes/fold.py", "from ..backends.reference import run\nfrom .. import backends"),
        ("runtime/bench.py", "from ..backends.reference import run\nfrom ..backends import reference"),
        ("api.py", "from . import passes\nfrom .backends.tvm import lower"),
        ("cli.py", "from .api import compile\nfrom . import api"),
    ],
)
def test_allowed(file: str, source: str) -> None:
    assert violations(source, Path(file)) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ir/types.py", "from ..passes import pipeline"),
        ("ir/types.py", "from .. import backends"),
        ("ir/types.py", "def late():\n    from ..runtime.loader import load"),
        ("ir/types.py", "import tercet.passes"),
        ("ir/types.py", "from tercet import load"),
        ("ir/types.py", "from backends.c import engines"),
        ("ir/types.py", "from ...elsewhere import it"),
        ("frontend/onnx/nodes.py", "from ...passes.fold import fold"),
        ("passes/fold.py", "from ..frontend.onnx import load"),
        ("passes/fold.py", "from ..ir_extra import it"),
        ("backends/c/emit.py", "from ...runtime import layout"),
        ("runtime/verify/check.py", "from ...backends import c"),
        ("runtime/verify/check.py", "from ... import backends"),
        ("api.py", "from .cli import main"),
    ],
)
def test_not_allowed(file: str, source: str) -> None:
    assert len(violations(source, Path(file))) == 1
