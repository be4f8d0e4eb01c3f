"""How buffers lie in memory. runtime/c/tercet_runtime.c allocates by the same numbers."""

from __future__ import annotations

ALIGNMENT = 64
"""Bytes that a buffer's address, and the size of a plane of bits, is a multiple of."""
TAIL_BYTES = 256
"""Readable bytes after every buffer, so that a vector load may run past its end."""


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
