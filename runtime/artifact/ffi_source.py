"""The C file by which tvm-ffi finds the functions of a model in its library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .manifest import PortInfo, prefix_of
from .public_header import DEFINITION, comment_text, listed_definitions

if TYPE_CHECKING:
    from ...ir.program import Port

SOURCE = """\
/* {title} for tvm-ffi, whose modules have the functions of a library that are called __tvm_ffi_NAME:
 *
 *     {p}_create(threads = 1) -> model
 *     {p}_run(model, {arguments})    inputs, then outputs, which are written
 *     {p}_destroy(model)
 *
 * Tensors are those of DLPack, dense and on the CPU. */
#include "tercet_ffi.h"

{definitions}

{inputs}
{outputs}
static const struct tercet_ffi_ports ports = {{inputs, outputs, {input_count}, {output_count}}};

#define ARGUMENTS void *self, const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result
#define FUNCTION(name)                                               \\
    __attribute__((visibility("default"))) int name(ARGUMENTS);      \\
    int name(ARGUMENTS)

FUNCTION(__tvm_ffi_{p}_create) {{
    (void)self;
    return tercet_ffi_create(definitions, &ports, arguments, count, result);
}}

FUNCTION(__tvm_ffi_{p}_run) {{
    (void)self;
    return tercet_ffi_run(&ports, arguments, count, result);
}}

FUNCTION(__tvm_ffi_{p}_destroy) {{
    (void)self;
    return tercet_ffi_destroy(arguments, count, result);
}}
"""

KINDS = {"i": "TERCET_FFI_SIGNED", "u": "TERCET_FFI_UNSIGNED", "f": "TERCET_FFI_FLOAT"}
"""For numpy's kinds of elements."""

MOST_NAME_BYTES = 100
"""Of a name in a message."""


def ffi_source(
    name: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    batched: bool,
    definitions: Sequence[str] = (DEFINITION,),
) -> str:
    """The text of `PREFIX_ffi.c`. definitions: see `public_header.glue`."""
    ports = [PortInfo.of(port) for port in (*inputs, *outputs)]
    return SOURCE.format(
        title=comment_text(name),
        p=prefix_of(name),
        arguments=", ".join(comment_text(port.name) for port in ports),
        definitions=listed_definitions(definitions),
        inputs=_ports("inputs", ports[: len(inputs)], batched),
        outputs=_ports("outputs", ports[len(inputs) :], batched),
        input_count=len(inputs),
        output_count=len(outputs),
    )


def _ports(side: str, ports: Sequence[PortInfo], batched: bool) -> str:
    rows = []
    for port in ports:
        stored, shape = np.dtype(port.stored), [-1, *port.shape[1:]] if batched else port.shape
        kind = "TERCET_FFI_BOOL" if port.dtype == "bool" and stored.itemsize == 1 else KINDS[stored.kind]
        sizes = f"(const int64_t[]){{{', '.join(map(str, shape))}}}" if shape else "NULL"
        rows.append(f"    {{{_literal(port.name)}, {kind}, {8 * stored.itemsize}, {len(shape)}, {sizes}}},\n")
    listed = "".join(rows) or "    {0},\n"  # C has no empty arrays
    return f"static const struct tercet_ffi_port {side}[] = {{\n{listed}}};"


def _literal(text: str) -> str:
    """A C string of a name in a message: UTF-8, without control characters, and cut between characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    data = shown.encode("utf-8", "backslashreplace")
    if len(data) > MOST_NAME_BYTES:
        data = data[: MOST_NAME_BYTES - 3].decode("utf-8", "ignore").encode() + b"..."
    plain = range(32, 127)
    return '"' + "".join(chr(b) if b in plain and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data) + '"'
