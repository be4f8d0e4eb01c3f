"""The C compiler: finding it, asking its version, and building a shared library that is the same byte for byte.

Nothing here goes through a shell. Flags keep IEEE float32 semantics: no contraction, no reassociation.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from ...ir.errors import InputError, ToolchainError
from ...ir.progress import counted
from .object_cache import ObjectCache, object_key
from .target import BASELINES, Target

COMMON_FLAGS = (
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-g0",  # zig adds debug information otherwise, with paths in it
    "-ffp-contract=off",  # a * b + c rounds twice, as in the interpreter
    "-fno-math-errno",  # sqrtf, rintf as instructions; values unchanged
    "-fno-trapping-math",  # float selects may be vectorised; values unchanged
    "-fno-strict-aliasing",  # arena memory is reused under other types
)
LINK_FLAGS = ("-shared", "-fPIC", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,defs", "-pthread")
THREADING: Mapping[str, tuple[str, ...]] = {
    "pool": (),
    "openmp": ("-fopenmp", "-Wl,-z,nodelete"),  # unloading would take OpenMP's code from under its idle threads
    "none": ("-DTERCET_NO_THREADS",),
}
"""Where a model's threads come from, and the flags of it: threads of its own, those of OpenMP, or there are none."""
WHERE_TO_GET_ONE = "install gcc or clang (Debian: apt install gcc), or `pip install ziglang`, or set TERCET_CC"
TIMEOUT_SECONDS = 600
COMPILING_VARIABLES = (
    "PATH",  # the assembler, and what a wrapper calls
    "CPATH", "C_INCLUDE_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "GCC_COMPARE_DEBUG",
    "CCC_OVERRIDE_OPTIONS", "QA_OVERRIDE_GCC3_OPTIONS", "SDKROOT", "CLANG_NO_DEFAULT_CONFIG",
    "ZIG_LIB_DIR",
)  # fmt: skip
"""What gcc, clang and zig read of the environment that can change an object."""
OBJECTS = ObjectCache()
"""What `compile_shared` made in this process and need not make again."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler. argv: how it is called. version: the first line it prints for --version."""

    argv: tuple[str, ...]
    name: str
    version: str


def find_compiler(target: Target | None = None) -> Compiler:
    """The compiler for a target (None: for this machine).

    $TERCET_CC or $CC when set (they may hold arguments), else cc, gcc, clang, else `python -m ziglang cc`. A target of
    another machine takes $TERCET_CC or ziglang. Raises ToolchainError when there is none.
    """
    machine = target.machine if target else "any"
    cross = machine not in ("any", platform.machine())
    for variable in ("TERCET_CC",) if cross else ("TERCET_CC", "CC"):
        if text := os.environ.get(variable, "").strip():
            return _identified(_words(text, f"${variable}"), f"${variable}")
    if not cross:
        for name in ("cc", "gcc", "clang"):
            if path := shutil.which(name):
                return _identified((path,), name)
    if importlib.util.find_spec("ziglang") is not None:
        triple = ("-target", f"{machine}-linux-gnu") if cross else ()
        return _identified((sys.executable, "-m", "ziglang", "cc", *triple), "ziglang")
    if cross:
        what = f"no C compiler for {machine} found: `pip install ziglang` brings one"
        raise ToolchainError(what, hint=f"or set TERCET_CC to a cross compiler, such as {machine}-linux-gnu-gcc")
    raise ToolchainError("no C compiler found", hint=WHERE_TO_GET_ONE)


def _words(command: str, origin: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:  # a quote that is not closed
        raise ToolchainError(f"cannot read the command {command!r}: {error}", where=origin) from error


def _identified(argv: tuple[str, ...], origin: str) -> Compiler:
    return _identify(argv, origin, _executables(argv))


def _executables(argv: Sequence[str]) -> tuple[str, ...]:
    """The files that a command names, and what tells that one was replaced: `gcc`, and both of `ccache gcc`."""
    found: list[str] = []
    for path in filter(None, map(shutil.which, argv)):
        with suppress(OSError):
            stat = os.stat(path)
            found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return tuple(found)


def _compiling_environment() -> tuple[str, ...]:
    return tuple(f"{name}={os.environ[name]}" for name in COMPILING_VARIABLES if name in os.environ)


@cache
def _identify(argv: tuple[str, ...], origin: str, executables: tuple[str, ...]) -> Compiler:
    try:
        done = subprocess.run([*argv, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"cannot run the C compiler {shlex.join(argv)}: {error}", where=origin) from error
    if done.returncode != 0 or not done.stdout.strip():
        what = f"failed: {_first_lines(done.stderr)}" if done.returncode != 0 else "printed nothing"
        raise ToolchainError(f"{shlex.join(argv)} --version {what}", where=origin, hint=WHERE_TO_GET_ONE)
    version = done.stdout.splitlines()[0].strip()
    if "ziglang" in argv or Path(argv[0]).name == "zig":
        name = "zig"
    else:
        name = "clang" if "clang" in version.lower() else "gcc"
    return Compiler(argv, name, version)


def target_flags(target: Target, compiler: Compiler) -> tuple[str, ...]:
    """The arguments that make a compiler generate code for a target."""
    flags = _zig_flags(target.flags) if compiler.name == "zig" else target.flags
    return (*flags, f"-DTERCET_VECTOR_BYTES={target.vector_bytes}")


def with_gcc_flags(
    flags: Mapping[str, Sequence[str]], gcc_flags: Mapping[str, Sequence[str]], compiler: Compiler
) -> dict[str, Sequence[str]]:
    """The flags of single files with those that only gcc understands, where it is the compiler."""
    more = gcc_flags if compiler.name == "gcc" else {}
    return {file: (*flags.get(file, ()), *more.get(file, ())) for file in {**flags, **more}}


def baseline_flags(target: Target, compiler: Compiler) -> tuple[str, ...]:
    """The arguments for code that every CPU of the target's machine runs."""
    flags = BASELINES[target.machine]
    return _zig_flags(flags) if compiler.name == "zig" else flags


def threading_flags(name: str) -> tuple[str, ...]:
    """The arguments for one of THREADING. Raises InputError for other names."""
    if name not in THREADING:
        raise InputError(f"unknown kind of threads '{name}'", hint=f"one of: {', '.join(THREADING)}")
    return THREADING[name]


def _zig_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """Zig wants the CPU and its features in one -mcpu, in names of its own, and defaults to the build machine."""
    cpu, features, others = "baseline", "", []
    for flag in flags:
        if flag.startswith("-march="):
            cpu, _, extensions = flag[7:].replace("-", "_").partition("+")
            if version := re.fullmatch(r"armv8(?:\.(\d))?_a", cpu):
                cpu = "generic" + (f"+v8_{version[1]}a" if version[1] else "")
            features += f"+{extensions}" if extensions else ""
        elif flag.startswith("-mavx"):
            features += f"+{flag[2:]}"
        else:
            others.append(flag)
    return (f"-mcpu={cpu}{features}", *others)


def write_sources(sources: Mapping[str, str | bytes], folder: Path) -> None:
    """Writes named files into a folder, or folders in it. Raises ToolchainError for a name that would leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in sources.items():
        if "\\" in name or any(not part or part.startswith((".", "-")) for part in name.split("/")):
            raise ToolchainError(f"not a plain file name: {name!r}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def compile_shared(
    sources: Mapping[str, str | bytes],
    folder: Path,
    flags: Sequence[str] = (),
    jobs: int | None = None,
    *,
    compiler: Compiler | None = None,
    layers: Mapping[str, str] | None = None,
    soname: str = "",
    unit_flags: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Writes `sources` (path -> content) to `folder`, compiles every .c and .S of them and links one library.

    flags: added to COMMON_FLAGS, see `target_flags`. jobs: compilers at a time, default one per core. layers: file name
    -> source layers, for errors. soname: what programs that are linked to the library record, and the file's name.
    unit_flags: what single files get after `flags`.
    Returns the library's path in `folder`; its bytes do not depend on folder or run.
    Raises ToolchainError with the compiler's first lines.
    """
    compiler = compiler or find_compiler()
    write_sources(sources, folder)
    units = sorted(name for name in sources if name.endswith((".c", ".S")))
    identity = [compiler.version, *_executables(compiler.argv), *_compiling_environment()]
    keys: dict[str, bytes] = {}
    compiling = [flag for flag in flags if not flag.startswith("-Wl,")]
    common = [*compiler.argv, *COMMON_FLAGS, *compiling]
    running = _Running()

    def compile_one(unit: str) -> None:
        extra = ["-Wno-unused-command-line-argument"] if unit.endswith(".S") and compiler.name != "gcc" else []
        command = [*common, *extra, *(unit_flags or {}).get(unit, ()), "-c", unit, "-o", f"{unit}.o"]
        if key := object_key([*identity, *command], unit, sources):
            keys[unit] = key
            if known := OBJECTS.get(key):
                (folder / f"{unit}.o").write_bytes(known)
                return
        command.append(f"-ffile-prefix-map={folder.resolve()}=.")
        _call(running, command, folder, where=(layers or {}).get(unit, unit))

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            # the longest ones first: one begun last would leave the other cores idle
            futures = [pool.submit(compile_one, unit) for unit in sorted(units, key=lambda unit: -len(sources[unit]))]
            for future in counted("compiling C: file", futures):
                # in steps: a signal that comes while the main thread is going to sleep does not wake it
                while not future.done():
                    wait([future], timeout=0.2)
                future.result()
        except BaseException:  # Ctrl-C too: nothing is left running, and no thread begins another compiler
            running.stop()
            raise
    objects = [f"{unit}.o" for unit in units]
    for name in objects:
        _check_written(folder / name, compiler)
    library = soname or "model.so"
    linking = [*LINK_FLAGS, *([f"-Wl,-soname,{soname}"] if soname else []), *flags]
    _call(running, [*compiler.argv, *linking, "-o", library, *objects, "-lm"], folder, where="linking")
    _check_written(folder / library, compiler)
    for unit, key in keys.items():  # only now: a compiler may write junk and succeed, which the linker then refuses
        OBJECTS.put(key, (folder / f"{unit}.o").read_bytes())
    for name in objects:
        (folder / name).unlink()
    return folder / library


def _check_written(path: Path, compiler: Compiler) -> None:
    """Wrappers around compilers have been seen to succeed without having called one."""
    if not path.is_file() or not path.stat().st_size:
        raise ToolchainError(
            f"the C compiler succeeded but did not write {path.name}",
            where=shlex.join(compiler.argv),
            hint="TERCET_CC names another one",
        )


class _Running:
    """The compilers that run now. Each has a process group of its own, so that all it has started ends with it."""

    def __init__(self) -> None:
        self._lock, self._processes, self._stopped = Lock(), set[subprocess.Popen[str]](), False

    def call(self, argv: Sequence[str], folder: Path) -> tuple[int, str]:
        """Exit code and messages of a compiler. Raises OSError, TimeoutExpired."""
        # the C locale and a fixed clock keep messages readable and objects the same; temporary files go where all go
        environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0", "TMPDIR": str(folder.resolve())}
        with self._lock:
            if self._stopped:
                raise OSError("interrupted")
            process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, errors="replace", process_group=0,
            )  # fmt: skip
            self._processes.add(process)
        try:
            _, messages = process.communicate(timeout=TIMEOUT_SECONDS)
            return process.returncode, messages
        except BaseException:
            _end(process)
            raise
        finally:
            with self._lock:
                self._processes.discard(process)

    def stop(self) -> None:
        """Ends the compilers that run, and lets no other begin."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _call(running: _Running, argv: Sequence[str], folder: Path, *, where: str) -> None:
    try:
        code, messages = running.call(argv, folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"the C compiler did not finish: {error}", where=where) from error
    if code != 0:
        # without the folder: it is often a temporary one, which is gone when the hint is read
        command = shlex.join(word for word in argv if not word.startswith("-ffile-prefix-map="))
        raise ToolchainError(
            f"the C compiler failed: {_first_lines(messages)}",
            where=where,
            hint=f"TERCET_CC names another compiler; the command was {command}",
        )


def _first_lines(text: str, count: int = 8) -> str:
    """The first lines that name an error, and what follows them."""
    lines = text.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if "error" in line.lower()), 0)
    return "\n".join(lines[start : start + count]) or "no message"
