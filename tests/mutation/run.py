"""Runs the suite against each fault of mutations.py: `python tests/mutation/run.py [--results FILE] [--only NAME ..]`.

Each fault goes into a clone of the last commit, and `make test ARGS=-x` runs there, on the clone's code but in the
environment of this checkout (`make venv`): first the tests most likely to fail, then the whole suite. A test that fails
with the fault must pass without it. One JSON line a fault is appended to the results; faults that the file has for this
commit are not run again. Exit code 1 when more of them than --allow escaped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"
NO_TEST_LEFT = "what was to run has no test for `make test`"


@contextmanager
def clone(commit: str) -> Iterator[Path]:
    """A commit in a folder of its own named `tercet`, without this check: it would see the edit itself."""
    with tempfile.TemporaryDirectory(prefix="tercet-mutation-") as folder:
        path = Path(folder) / "tercet"
        subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", str(ROOT), str(path)], check=True)
        subprocess.run(["git", "checkout", "-q", "--detach", commit], cwd=path, check=True)
        shutil.rmtree(path / "tests" / "mutation")
        yield path


def apply(mutation: Mutation, path: Path) -> None:
    file = path / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: text found {text.count(mutation.old)} times in {mutation.file}, not once")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def environment(path: Path) -> dict[str, str]:
    """In which `import tercet` means the clone: the folder that holds it comes before what is installed."""
    models = os.environ.get("TERCET_MODELS") or ROOT.parent / "shared" / "models"
    return {**os.environ, "PYTHONPATH": str(path.parent), "TERCET_MODELS": str(models), "PYTHONDONTWRITEBYTECODE": "1"}


def check_clone(path: Path) -> None:
    """The tests of a clone see the clone's code."""
    code = "import tercet; print(tercet.__file__)"
    found = subprocess.run([VENV / "bin" / "python", "-c", code], cwd=path, env=environment(path), capture_output=True)
    if found.stdout.decode().strip() != str(path / "__init__.py"):
        raise SystemExit(f"a clone's tests would import {found.stdout.decode().strip() or found.stderr.decode()}")


def call(command: Sequence[str | Path], path: Path, seconds: float) -> tuple[int | None, str]:
    """The exit code (None: not finished in time) and all that was printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=path, env=environment(path), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return code, output.read().decode(errors="replace")


def make_test(path: Path, arguments: str, seconds: float) -> tuple[int | None, str]:
    """`make test` with what is installed as it is: the clone's files are newer, which must not install the clone."""
    extras = next((marker.name.removeprefix(".extras-") for marker in sorted(VENV.glob(".extras-*dev*"))), None)
    if extras is None:
        raise SystemExit("no environment with the tests' packages: make venv")
    old = [flag for name in ("pyproject.toml", "setup.py") for flag in ("-o", name)]
    given = [f"VENV={VENV}", f"EXTRAS={extras}", f"ARGS=-x --hypothesis-profile=unshrunk {arguments}"]
    return call(["make", "test", *old, *given], path, seconds)


def failed_tests(output: str) -> list[str]:
    """The node ids in pytest's summary."""
    lines = re.findall(r"^(?:FAILED|ERROR) (tests/.*)$", output, re.MULTILINE)
    return [line.partition(" - ")[0] for line in lines]


def is_sound(test: str, path: Path, seconds: float) -> bool:
    """Whether a test passes in a clone without a fault."""
    code, _ = call([VENV / "bin" / "pytest", "-q", "-p", "no:cacheprovider", test], path, seconds)
    return code == 0


def check(mutation: Mutation, commit: str, clean: Path, seconds: float, *, quick: bool) -> dict[str, Any]:
    """What the suite says to one fault. clean: a clone without it. quick: the likely tests only."""
    start, stages = time.monotonic(), [" ".join(mutation.first), *([] if quick else [""])]
    result: dict[str, Any] = {"name": mutation.name, "caught": False, "test": "", "quick": quick, "commit": commit}
    with clone(commit) as path:
        apply(mutation, path)
        check_clone(path)
        for arguments in stages:
            code, output = make_test(path, arguments, seconds)
            if code is None:
                result |= {"caught": True, "test": f"no end after {seconds:.0f} s"}
                break
            if code != 0:
                found = next((test for test in failed_tests(output) if is_sound(test, clean, seconds)), None)
                result |= {
                    "caught": found is not None,
                    "test": found or f"no test that passes without: {output[-800:]}",
                }
                break
            if not re.search(r"\b[1-9]\d* passed", output):
                result |= {"test": NO_TEST_LEFT}
                break
    return result | {"seconds": round(time.monotonic() - start)}


def last_commit() -> str:
    """The last commit; what is not committed is not tested."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def read_results(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def report(results: Sequence[Mapping[str, Any]]) -> None:
    for result in results:
        verdict = "caught" if result["caught"] else "ESCAPED"
        print(f"{verdict:8} {result['name']:26} {result['seconds']:5} s  {result['test']}", flush=True)
    print(f"{sum(r['caught'] for r in results)} of {len(results)} caught in {sum(r['seconds'] for r in results)} s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Small faults that the tests must notice.")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutations.jsonl", help="a file of JSON lines")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[m.name for m in MUTATIONS], help="these faults")
    parser.add_argument("--quick", action="store_true", help="the likely tests only, not the whole suite after them")
    parser.add_argument("--allow", type=int, default=1, help="how many faults may escape (1)")
    parser.add_argument("--seconds", type=float, default=3600, help="a run that takes longer counts as caught (3600)")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.only or m.name in options.only]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    head = last_commit()
    known = [r for r in read_results(options.results) if r["commit"] == head]
    done = {r["name"]: r for r in known if r["caught"] or options.quick or not r["quick"]}
    with clone(head) as clean:
        check_clone(clean)
        for mutation in chosen:
            if mutation.name in done:
                continue
            result = check(mutation, head, clean, options.seconds, quick=options.quick)
            done[mutation.name] = result
            with options.results.open("a") as file:
                print(json.dumps(result), file=file)
            report([result])
    report([done[m.name] for m in chosen])
    return int(sum(not done[m.name]["caught"] for m in chosen) > options.allow)


if __name__ == "__main__":
    sys.exit(main())
