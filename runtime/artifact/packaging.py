"""Text files that let C projects use an artifact: CMake and pkg-config packages, and how to build `src/` again.

All are relocatable: paths follow from the place of the file itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...ir.errors import InputError
from .manifest import LIBRARY, prefix_of
from .public_header import comment_text, glue, public_header, tools_header

if TYPE_CHECKING:
    from ...ir.program import Port

C_FOLDER = Path(__file__).parents[1] / "c"

CMAKE_CONFIG = """\
# find_package({p}) with this artifact's folder in CMAKE_PREFIX_PATH (or {p}_DIR set to this folder) gives {p}::{p}.
if(NOT TARGET {p}::{p})
  get_filename_component({p}_ROOT "${{CMAKE_CURRENT_LIST_DIR}}/.." ABSOLUTE)
  add_library({p}::{p} SHARED IMPORTED)
  set_target_properties({p}::{p} PROPERTIES
    IMPORTED_LOCATION "${{{p}_ROOT}}/{library}"
    INTERFACE_INCLUDE_DIRECTORIES "${{{p}_ROOT}}/include")
endif()
"""

# The library has no soname, so a program that is linked to this path records it and needs no rpath; two models, both
# called model.so, stay apart in one program.
PKG_CONFIG = """\
prefix=${{pcfiledir}}/..

Name: {p}
Description: {title}, a model compiled by tercet
Version: {version}
Cflags: -I${{prefix}}/include
Libs: ${{prefix}}/{library}
"""

CMAKE_LISTS = """\
# Builds model.so from these sources: cmake -B build && cmake --build build
cmake_minimum_required(VERSION 3.13)
project({p} C ASM)
find_package(Threads REQUIRED)

add_library({p} SHARED
  {units})
set_target_properties({p} PROPERTIES PREFIX "" OUTPUT_NAME model SUFFIX .so NO_SONAME TRUE)
target_include_directories({p} PRIVATE "${{CMAKE_CURRENT_SOURCE_DIR}}" "${{CMAKE_CURRENT_SOURCE_DIR}}/../include")
target_compile_options({p} PRIVATE
  {flags})
target_link_libraries({p} PRIVATE {libraries})
"""


def runtime_sources() -> dict[str, str]:
    """The C files of the runtime that every model is compiled with: file name -> text."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(C_FOLDER.glob("*.[ch]"))}


def interface_sources(name: str, inputs: Sequence[Port], outputs: Sequence[Port], *, batched: bool) -> dict[str, str]:
    """Everything a model's C needs beside the code generator's files: runtime, headers and glue. Name -> text."""
    p = prefix_of(name)
    return {
        **runtime_sources(),
        f"{p}.h": public_header(name, inputs, outputs, batched=batched),
        f"{p}_tools.h": tools_header(name),
        f"{p}_interface.c": glue(name),
    }


def merge_sources(*groups: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """All groups' files together. Raises InputError where two would have the same name."""
    merged: dict[str, str | bytes] = {}
    for group in groups:
        if clash := sorted(set(merged) & set(group)):
            raise InputError(f"two C files are called '{clash[0]}'", hint="give the model another name")
        merged.update(group)
    return merged


def cmake_config(name: str) -> str:
    """`cmake/PREFIXConfig.cmake`: an imported target PREFIX::PREFIX."""
    return CMAKE_CONFIG.format(p=prefix_of(name), library=LIBRARY)


def pkg_config(name: str, version: str) -> str:
    """`pkgconfig/PREFIX.pc`. version: of tercet."""
    return PKG_CONFIG.format(p=prefix_of(name), title=comment_text(name), version=version, library=LIBRARY)


def cmake_lists(name: str, sources: Sequence[str], flags: Sequence[str]) -> str:
    """`src/CMakeLists.txt`. sources: the file names in src/. flags: what the C compiler was given."""
    units = sorted(s for s in sources if s.endswith((".c", ".S")))
    linking = [flag for flag in flags if flag == "-fopenmp" or flag.startswith("-Wl,")]
    quoted = [f'"{flag}"' for flag in flags if not flag.startswith("-Wl,")]
    # .incbin looks for weights.bin where the assembler is told to
    quoted += ['"-Wa,-I,${CMAKE_CURRENT_SOURCE_DIR}"'] if any(u.endswith(".S") for u in units) else []
    return CMAKE_LISTS.format(
        p=prefix_of(name), units="\n  ".join(units), flags="\n  ".join(quoted),
        libraries=" ".join(["Threads::Threads", "m", *linking]),
    )  # fmt: skip


def artifact_contents(
    name: str,
    version: str,
    sources: Mapping[str, str | bytes],
    library: bytes,
    flags: Sequence[str],
) -> dict[str, bytes]:
    """The files of an artifact that follow from a compiled model's sources: lib/, include/, src/, cmake/, pkgconfig/.

    sources: all files that were compiled in one folder, `interface_sources` among them. The public header goes to
    include/ and not to src/. The caller adds ir/ and layers.json.
    """
    p = prefix_of(name)
    packaged: dict[str, str | bytes] = {
        LIBRARY: library,
        f"cmake/{p}Config.cmake": cmake_config(name),
        f"pkgconfig/{p}.pc": pkg_config(name, version),
        "src/CMakeLists.txt": cmake_lists(name, list(sources), flags),
    }
    for file, content in sources.items():
        packaged[f"include/{file}" if file == f"{p}.h" else f"src/{file}"] = content
    return {key: value.encode("utf-8") if isinstance(value, str) else value for key, value in packaged.items()}
