"""Text files that let C projects use an artifact: CMake and pkg-config packages, and how to build `src/` again.

All are relocatable: paths follow from the place of the file itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...ir.errors import InputError
from .ffi_source import ffi_source
from .manifest import prefix_of, soname, target_folder
from .public_header import DEFINITION, comment_text, glue, public_header, tools_header

if TYPE_CHECKING:
    from ...ir.program import Port

BASELINE_UNITS = ("tercet_cpu.c", "tercet_ffi.c", "tercet_handles.c", "tercet_pool.c", "tercet_runtime.c")
"""Of the runtime: compiled for any CPU of the machine, so that `create` can refuse one that cannot run the kernels."""

C_FOLDER = Path(__file__).parents[1] / "c"

CMAKE_CONFIG = """\
# find_package({p}) with this artifact's folder in CMAKE_PREFIX_PATH (or {p}_DIR set to this folder) gives {p}::{p}, and
# {p}::static where lib{p}.a was installed from src/. Paths follow from this file's place, so that all may move.
get_filename_component({p}_ROOT "${{CMAKE_CURRENT_LIST_DIR}}/../../.." ABSOLUTE)
if(NOT TARGET {p}::{p})
  add_library({p}::{p} SHARED IMPORTED)
  set_target_properties({p}::{p} PROPERTIES
    IMPORTED_LOCATION "${{{p}_ROOT}}/lib/{so}"
    IMPORTED_SONAME "{so}"
    INTERFACE_INCLUDE_DIRECTORIES "${{{p}_ROOT}}/include")
endif()
if(NOT TARGET {p}::static AND EXISTS "${{{p}_ROOT}}/lib/lib{p}.a")
  add_library({p}::static STATIC IMPORTED)
  set_target_properties({p}::static PROPERTIES
    IMPORTED_LOCATION "${{{p}_ROOT}}/lib/lib{p}.a"
    INTERFACE_INCLUDE_DIRECTORIES "${{{p}_ROOT}}/include"
    INTERFACE_LINK_LIBRARIES "{static_links}")
endif()
"""

PKG_CONFIG = """\
prefix=${{pcfiledir}}/../..
libdir=${{prefix}}/lib
includedir=${{prefix}}/include

Name: {p}
Description: {title}, a model compiled by tercet
Version: {version}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -l{p}
Libs.private: {static_links}
"""

# All symbols but the public ones become local in the static library: two models in one program have a runtime each.
CMAKE_LISTS = """\
# Builds {so} and lib{p}.a from these sources: cmake -B build && cmake --build build
# cmake --install build --prefix DIR puts them into DIR, with the header and packages for CMake and pkg-config.
cmake_minimum_required(VERSION 3.13)
project({p} C ASM)
find_package(Threads REQUIRED)

add_library({p}_objects OBJECT
  {units})
set_target_properties({p}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories({p}_objects PRIVATE
  "${{CMAKE_CURRENT_SOURCE_DIR}}" "${{CMAKE_CURRENT_SOURCE_DIR}}/../include")
target_compile_options({p}_objects PRIVATE
  {flags})
{unit_options}
add_library({p} SHARED $<TARGET_OBJECTS:{p}_objects>)
set_target_properties({p} PROPERTIES LINKER_LANGUAGE C)
target_link_libraries({p} PRIVATE {libraries})

if(NOT CMAKE_OBJCOPY)
  message(FATAL_ERROR "objcopy is needed for lib{p}.a: install binutils or set CMAKE_OBJCOPY")
endif()
set(whole "${{CMAKE_CURRENT_BINARY_DIR}}/{p}.o")
add_custom_command(OUTPUT "${{whole}}"
  COMMAND "${{CMAKE_C_COMPILER}}" -r -nostdlib -o "${{whole}}" $<TARGET_OBJECTS:{p}_objects>
  COMMAND "${{CMAKE_OBJCOPY}}" --localize-hidden "${{whole}}"
  DEPENDS $<TARGET_OBJECTS:{p}_objects> COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties("${{whole}}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
add_library({p}_static STATIC "${{whole}}")
set_target_properties({p}_static PROPERTIES OUTPUT_NAME {p} LINKER_LANGUAGE C)

set(artifact "${{CMAKE_CURRENT_SOURCE_DIR}}/..")
install(TARGETS {p} {p}_static LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
install(FILES "${{artifact}}/include/{p}.h" DESTINATION include)
install(FILES "${{artifact}}/lib/cmake/{p}/{p}Config.cmake" DESTINATION lib/cmake/{p})
install(FILES "${{artifact}}/lib/pkgconfig/{p}.pc" DESTINATION lib/pkgconfig)
"""


def runtime_sources() -> dict[str, str]:
    """The C files of the runtime that every model is compiled with: file name -> text."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(C_FOLDER.glob("*.[ch]"))}


def interface_sources(
    name: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    batched: bool,
    definitions: Sequence[str] = (DEFINITION,),
) -> dict[str, str]:
    """Everything a model's C needs beside the code generator's files: runtime, headers and glue. Name -> text.
    definitions: see `public_header.glue`."""
    p = prefix_of(name)
    return {
        **runtime_sources(),
        f"{p}.h": public_header(name, inputs, outputs, batched=batched),
        f"{p}_tools.h": tools_header(name),
        f"{p}_interface.c": glue(name, definitions),
        f"{p}_ffi.c": ffi_source(name, inputs, outputs, batched=batched, definitions=definitions),
    }


def units_in(sources: Iterable[str]) -> list[str]:
    """The files that are compiled, among the names of all, sorted."""
    return sorted(name for name in sources if name.endswith((".c", ".S")))


def target_units(name: str, sources: Iterable[str], flags: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Those of a model's files that are compiled for a target, and the flags; the others are for any CPU of the
    machine. flags: by target."""
    folders = {target_folder(target, list(flags)): special for target, special in flags.items()}
    baseline = {*BASELINE_UNITS, f"{prefix_of(name)}_interface.c", f"{prefix_of(name)}_ffi.c"}
    found = {unit: unit[: unit.rfind("/") + 1] for unit in units_in(sources) if unit not in baseline}
    return {unit: folders[folder] for unit, folder in found.items() if folder in folders}


def merge_sources(*groups: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """All groups' files together. Raises InputError where two would have the same name."""
    merged: dict[str, str | bytes] = {}
    for group in groups:
        if clash := sorted(set(merged) & set(group)):
            raise InputError(f"two C files are called '{clash[0]}'", hint="give the model another name")
        merged.update(group)
    return merged


def cmake_config(name: str, flags: Sequence[str] = ()) -> str:
    """`lib/cmake/PREFIX/PREFIXConfig.cmake`: imported targets. flags: what the C compiler was given."""
    p = prefix_of(name)
    return CMAKE_CONFIG.format(p=p, so=soname(p), static_links=";".join(_static_links(flags)))


def pkg_config(name: str, version: str, flags: Sequence[str] = ()) -> str:
    """`lib/pkgconfig/PREFIX.pc`. version: of tercet. flags: what the C compiler was given."""
    links = " ".join(_static_links(flags))
    return PKG_CONFIG.format(p=prefix_of(name), title=comment_text(name), version=version, static_links=links)


def _static_links(flags: Sequence[str]) -> list[str]:
    """What a program links beside the static library."""
    return [*(["-fopenmp"] if "-fopenmp" in flags else []), "-pthread", "-lm"]


def cmake_lists(
    name: str, sources: Sequence[str], flags: Sequence[str], unit_flags: Mapping[str, Sequence[str]]
) -> str:
    """`src/CMakeLists.txt`. sources: the file names in src/. flags: what the C compiler was given; unit_flags: what it
    was given after these, by file."""
    p = prefix_of(name)
    units, joined = units_in(sources), "\n  ".join
    grouped: dict[tuple[str, ...], list[str]] = {}
    for unit in units:
        if special := tuple(unit_flags.get(unit, ())):
            grouped.setdefault(special, []).append(unit)
    linking = [flag for flag in flags if flag == "-fopenmp" or flag.startswith("-Wl,")]
    quoted = [f'"{flag}"' for flag in flags if not flag.startswith("-Wl,")]
    # .incbin looks for weights.bin where the assembler is told to
    quoted += ['"-Wa,-I,${CMAKE_CURRENT_SOURCE_DIR}"'] if any(u.endswith(".S") for u in units) else []
    return CMAKE_LISTS.format(
        p=p, so=soname(p), units=joined(units), flags=joined(quoted),
        libraries=" ".join(["Threads::Threads", "m", *linking]),
        unit_options="".join(
            f"set_property(SOURCE\n  {joined(of)}\n  PROPERTY COMPILE_OPTIONS {' '.join(map(_cmake_flag, options))})\n"
            for options, of in grouped.items()
        ),
    )  # fmt: skip


def _cmake_flag(flag: str) -> str:
    """Folders in src/ are named from where the compiler is called."""
    return f'"-I${{CMAKE_CURRENT_SOURCE_DIR}}/{flag[2:]}"' if flag.startswith("-I") else flag


def artifact_contents(
    name: str,
    version: str,
    sources: Mapping[str, str | bytes],
    library: bytes,
    flags: Sequence[str],
    unit_flags: Mapping[str, Sequence[str]],
) -> dict[str, bytes]:
    """The files of an artifact that follow from a compiled model's sources: lib/, include/ and src/, laid out as in a
    folder that programs are installed to.

    sources: all files that were compiled in one folder, `interface_sources` among them. The public header goes to
    include/ and not to src/. flags: what the C compiler was given for all; unit_flags: what it was given after these,
    by file. The caller adds ir/ and layers.json.
    """
    p = prefix_of(name)
    packaged: dict[str, str | bytes] = {
        f"lib/{soname(p)}": library,
        f"lib/cmake/{p}/{p}Config.cmake": cmake_config(name, flags),
        f"lib/pkgconfig/{p}.pc": pkg_config(name, version, flags),
        "src/CMakeLists.txt": cmake_lists(name, list(sources), flags, unit_flags),
    }
    for file, content in sources.items():
        packaged[f"include/{file}" if file == f"{p}.h" else f"src/{file}"] = content
    return {key: value.encode("utf-8") if isinstance(value, str) else value for key, value in packaged.items()}
