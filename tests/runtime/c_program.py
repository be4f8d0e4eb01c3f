"""Builds a C program from nothing but an artifact's header and library, and runs it. For any compiled model:

    program = build_with_cmake(artifact_folder, work_folder)       # or build_with_pkg_config
    outputs = run_program(program, manifest, inputs, threads=2)    # name -> array, as LoadedModel.run gives them

`missing_tool` of handmade.py says why a test must be skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tercet.backends.c.emit_targets import include_flags
from tercet.backends.c.target import find_targets
from tercet.backends.c.toolchain import COMMON_FLAGS, Compiler, baseline_flags, target_flags, write_sources
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.manifest import Manifest
from tercet.runtime.artifact.packaging import target_units, units_in

PROGRAM = """\
/* usage: program THREADS BATCH FOLDER: reads FOLDER/in0, in1, ... and writes FOLDER/out0, out1, ..
 * Prints the target. */
#include "@p@.h"

#include <stdio.h>
#include <stdlib.h>

/* `bytes` bytes of a file, or memory for them when there is nothing to read. */
static void *buffer(const char *folder, const char *kind, int index, int64_t bytes, const char *mode) {
    char path[4096];
    void *data = malloc(bytes > 0 ? (size_t)bytes : 1);
    snprintf(path, sizeof(path), "%s/%s%d", folder, kind, index);
    if (mode) {
        FILE *file = fopen(path, mode);
        if (!file || fread(data, 1, (size_t)bytes, file) != (size_t)bytes) {
            fprintf(stderr, "cannot read %s\\n", path);
            exit(2);
        }
        fclose(file);
    }
    return data;
}

int main(int argc, char **argv) {
    const void *inputs[@P@_INPUTS + 1];
    void *outputs[@P@_OUTPUTS + 1];
    struct @p@_model *model;
    if (argc != 4) {
        return 2;
    }
    const int64_t batch = atoll(argv[2]);
    for (int i = 0; i < @P@_INPUTS; i++) {
        inputs[i] = buffer(argv[3], "in", i, batch * @p@_input_bytes(i), "rb");
    }
    for (int i = 0; i < @P@_OUTPUTS; i++) {
        outputs[i] = buffer(argv[3], "out", i, batch * @p@_output_bytes(i), NULL);
    }
    int status = @p@_create(&model, atoi(argv[1]));
    if (status == @P@_OK) {
        puts(@p@_target(model));
        status = @p@_run(model, batch, inputs, outputs);
    }
    if (status != @P@_OK) {
        fprintf(stderr, "%s\\n", @p@_status_text(status));
        return 1;
    }
    @p@_destroy(model);
    for (int i = 0; i < @P@_OUTPUTS; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/out%d", argv[3], i);
        FILE *file = fopen(path, "wb");
        fwrite(outputs[i], 1, (size_t)(batch * @p@_output_bytes(i)), file);
        fclose(file);
        free(outputs[i]);
    }
    for (int i = 0; i < @P@_INPUTS; i++) {
        free((void *)inputs[i]);
    }
    return 0;
}
"""

CMAKE_PROJECT = """\
cmake_minimum_required(VERSION 3.13)
project(consumer C)
find_package(@p@ REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE @p@::@library@)
set_target_properties(program PROPERTIES INSTALL_RPATH "\\$ORIGIN/../lib")
install(TARGETS program DESTINATION bin)
install(FILES $<TARGET_FILE:@p@::@library@> DESTINATION lib)
"""


def fill(template: str, prefix: str) -> str:
    return template.replace("@p@", prefix).replace("@P@", prefix.upper())


def build_with_cmake(artifact: Path, work: Path, *, library: str = "") -> Path:
    """The program, built by a CMake project that calls find_package. artifact: a folder that an artifact was written or
    installed to. work: an empty folder. library: `static` links that one."""
    prefix = prefix_in(artifact)
    (work / "program.c").write_text(fill(PROGRAM, prefix))
    (work / "CMakeLists.txt").write_text(fill(CMAKE_PROJECT, prefix).replace("@library@", library or prefix))
    _call("cmake", "-S", work, "-B", work / "build", f"-DCMAKE_PREFIX_PATH={artifact}")
    _call("cmake", "--build", work / "build")
    return work / "build" / "program"


def build_with_pkg_config(artifact: Path, work: Path, compiler: str = "cc", *, static: bool = False) -> Path:
    """The program, built by one compiler call with what pkg-config says. It looks for the library where it lies from
    its own place. artifact: a folder, as for CMake."""
    prefix = prefix_in(artifact)
    (work / "program.c").write_text(fill(PROGRAM, prefix))
    environment = {**os.environ, "PKG_CONFIG_PATH": str(artifact / "lib" / "pkgconfig")}
    ask = ["--cflags", "--libs", *(["--static"] if static else [])]
    flags = _call("pkg-config", *ask, prefix, environment=environment).split()
    flags += ["-static"] if static else [f"-Wl,-rpath,$ORIGIN/{os.path.relpath(artifact / 'lib', work)}"]
    _call(compiler, "-Wall", "-Wextra", "-Werror", work / "program.c", *flags, "-o", work / "program")
    return work / "program"


def build_with_zig(artifact: Artifact, main: str, folder: Path) -> Path:
    """A static program of an artifact's sources, for the machine it was made for, each file compiled as by the driver.
    The C library is for any CPU of the machine, too. main: the program's text, the artifact's header beside it."""
    names = [n for n in artifact.names if n.startswith(("src/", "include/")) and not n.endswith(".txt")]
    sources = {name.partition("/")[2]: artifact.read(name) for name in names}
    write_sources({**sources, "main.c": main}, folder)
    targets = find_targets(",".join(artifact.manifest.target_names))
    argv = (sys.executable, "-m", "ziglang", "cc", "-target", f"{targets[0].machine}-linux-musl")
    compiler, several = Compiler(argv, "zig", ""), len(targets) > 1
    flags = {t.name: (*target_flags(t, compiler), *(include_flags(t.name) if several else ())) for t in targets}
    special = target_units(artifact.manifest.name, sources, flags)
    common = [*argv, *COMMON_FLAGS, *baseline_flags(targets[0], compiler), "-Wno-unused-command-line-argument"]
    for unit in units_in(sources):
        subprocess.run([*common, *special.get(unit, ()), "-c", unit, "-o", f"{unit}.o"], cwd=folder, check=True)
    objects = [f"{unit}.o" for unit in units_in(sources)]
    subprocess.run([*common, "-static", "-pthread", "main.c", *objects, "-lm", "-o", "main"], cwd=folder, check=True)
    return folder / "main"


def install_program(program: Path, place: Path) -> Path:
    """What `build_with_cmake` built, installed with its library."""
    _call("cmake", "--install", program.parent, "--prefix", place)
    return place / "bin" / "program"


def prefix_in(artifact: Path) -> str:
    """The prefix of the one model whose header lies in a folder."""
    (header,) = (artifact / "include").glob("*.h")
    return header.stem


def build_library(artifact: Path, work: Path) -> Path:
    """The shared library, built again from the artifact's src/ with the command its CMakeLists.txt documents."""
    _call("cmake", "-S", artifact / "src", "-B", work)
    _call("cmake", "--build", work)
    return work / f"lib{prefix_in(artifact)}.so"


def install_library(work: Path, place: Path) -> Path:
    """Installs what `build_library` built in `work`."""
    _call("cmake", "--install", work, "--prefix", place)
    return place


def run_program(
    program: Path, manifest: Manifest, inputs: Mapping[str, np.ndarray], work: Path, *, threads: int = 1
) -> dict[str, np.ndarray]:
    """The program's outputs by name, in the source model's dtypes. work: a folder for the raw files."""
    batch = len(next(iter(inputs.values()))) if manifest.batched else 1
    for i, port in enumerate(manifest.inputs):
        (work / f"in{i}").write_bytes(np.ascontiguousarray(inputs[port.name], dtype=port.stored).tobytes())
    _call(program, str(threads), str(batch), work)
    outputs = {}
    for i, port in enumerate(manifest.outputs):
        shape = (batch, *port.shape[1:]) if manifest.batched else port.shape
        raw = np.frombuffer((work / f"out{i}").read_bytes(), port.stored)
        outputs[port.name] = raw.reshape(shape).astype(port.dtype)
    return outputs


def _call(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
