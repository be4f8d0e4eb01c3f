"""Build the wheel, look inside, install it in a clean environment and use it (`make package`).

usage: check_wheel.py [FOLDER]      a wheel that passes is copied to FOLDER
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ir", "frontend", "passes", "backends", "runtime", "driver", "cli", "integrations")
IMPORT_LIMIT = 0.3  # seconds
TIME_IMPORT = "import time; start = time.perf_counter(); import tercet; print(time.perf_counter() - start)"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))}: exit status {done.returncode}")
    return done.stdout


def check(holds: bool, what: str) -> None:
    print(f"{'ok' if holds else 'FAILED'}: {what}")
    if not holds:
        sys.exit(1)


def expected() -> set[str]:
    """The root's modules and every file of the rooms, but for notes, caches and the build's own scripts."""
    files = [*ROOT.glob("*.py"), ROOT / "py.typed", *(f for room in ROOMS for f in (ROOT / room).rglob("*"))]
    left_out = ("setup.py", "conftest.py")
    return {
        f"tercet/{file.relative_to(ROOT).as_posix()}"
        for file in files
        if file.is_file()
        and file.suffix not in (".md", ".pyc")
        and not file.name.startswith(".")
        and file.name not in left_out
    }


def check_content(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    print("\n".join(sorted(names)))
    for name in sorted(expected() - names):
        print(f"missing: {name} (does its folder have an __init__.py, or setup.py know this kind of data?)")
    for name in sorted(names - expected()):
        print(f"unexpected: {name}")
    check(names == expected(), "the wheel holds the rooms with their data, and nothing else")


def check_installed(wheel: Path, scratch: Path) -> None:
    run(sys.executable, "-m", "venv", scratch / "env", cwd=scratch)
    scripts = scratch / "env" / "bin"
    run(scripts / "pip", "install", "-q", wheel, cwd=scratch)
    version = wheel.name.split("-")[1]
    said = run(scripts / "tercet", "--version", cwd=scratch)
    check(version in said, f"tercet --version says {version}: {said.strip()}")
    check("usage" in run(scripts / "tercet", "--help", cwd=scratch).lower(), "tercet --help shows the usage")
    seconds = min(float(run(scripts / "python", "-c", TIME_IMPORT, cwd=scratch)) for _ in range(5))
    check(seconds < IMPORT_LIMIT, f"import tercet takes {seconds:.3f} s, under {IMPORT_LIMIT}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        # by way of the source archive, so that nothing left in build/ can help
        run(sys.executable, "-m", "build", "--outdir", scratch, ROOT, cwd=scratch)
        (wheel,) = scratch.glob("*.whl")
        check_content(wheel)
        check_installed(wheel, scratch)
        if len(sys.argv) > 1:
            target = Path(sys.argv[1])
            target.mkdir(parents=True, exist_ok=True)
            print(f"{shutil.copy(wheel, target)} is ready")


if __name__ == "__main__":
    main()
