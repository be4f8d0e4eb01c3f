"""Sliding windows."""

from __future__ import annotations

from collections.abc import Sequence


def with_overhang(
    size: Sequence[int], spans: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> tuple[int, ...]:
    """Pads (begins, then ends) at whose end a last, partial window fits too, if it starts inside the input or its begin
    pad. spans: of the windows, with their dilations."""
    rank = len(size)
    ends = list(pads[rank:])
    for i, (n, s, k) in enumerate(zip(size, strides, spans, strict=True)):
        count = -(-(n + pads[i] + ends[i] - k) // s) + 1
        if (count - 1) * s >= n + pads[i]:
            count -= 1
        ends[i] = max((count - 1) * s + k - n - pads[i], 0)
    return (*pads[:rank], *ends)
