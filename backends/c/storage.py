"""How constants lie in weights.bin: the shortest of packed digits, entropy-coded digits, and signs with a zero mask.

Padding digits are left out, see gaps.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .coding import coded_bytes, encode
from .engine import Constant
from .gaps import BYTES, Gap, find_gaps
from .lists import Lists

WORTH_CODING, WORTH_CODING_VALUES = 0.98, 0.75
"""Digits, and bytes of wider values, are coded only below this share of their size. Coded ones take longer to write and
to expand; uniform ternary weights (1.585 bits instead of 1.6) and floats do not pay that back."""

MOST_SPANS = 256
AFFORDED = 64
"""Bytes that gaps may take beyond what they save, so that small layers take no more bits a weight than large ones."""


@dataclass(frozen=True)
class Span:
    """`count` digits whose filters follow from their place: digit i belongs to filter

    first + i // (run * rows * repeats) * rows + i // run % rows.
    """

    count: int
    first: int
    rows: int
    run: int
    repeats: int


@dataclass(frozen=True)
class Stored:
    """A constant in the artifact: the fields of tercet_section in runtime/c/tercet_runtime.h, and the bytes.

    count: digits, those that are not stored among them. radix: of the stored ones. base: of groups that become bytes.
    coded: whether the digits are entropy-coded. spans: where not empty, `signs` bytes with one bit a filter come first,
    and the stored digits are 0 for a zero and 1 for the filter's other digit. gaps: digits that are `fill`. list_bytes:
    of `lists`.
    """

    data: bytes
    count: int
    radix: int
    group: int
    offset: int
    coded: bool = False
    signs: int = 0
    spans: tuple[Span, ...] = ()
    base: int = 2
    fill: int = 0
    gaps: tuple[Gap, ...] = ()
    split: int = 0
    lists: Lists | None = None
    list_bytes: int = 0


def store(constant: Constant, *, compact: bool = True) -> Stored:
    """The shortest form of a constant, or without `compact` the packed one. Both expand to the same bytes."""
    stored = _store(constant, compact)
    if constant.lists is None:
        return stored
    return replace(stored, lists=constant.lists, list_bytes=constant.expanded_bytes)


def _store(constant: Constant, compact: bool) -> Stored:
    digits, base, group, offset = _digits(constant)
    if not compact:
        return Stored(pack(digits, base), digits.size, base, group, offset, base=base, split=constant.split)
    gaps, fill, kept = _gaps(constant, digits, base)
    if constant.filters is not None and (signed := _signed(constant, kept)) is not None:
        return replace(signed, count=digits.size, fill=fill, gaps=gaps)
    stored = digits[kept]
    radix = max(int(stored.max(initial=0)) + 1, 2)
    data, coded = _shortest(stored, radix, WORTH_CODING_VALUES if constant.values.itemsize > 1 else WORTH_CODING)
    return Stored(data, digits.size, radix, group, offset, coded, base=base, fill=fill, gaps=gaps, split=constant.split)


def _gaps(constant: Constant, digits: np.ndarray, base: int) -> tuple[tuple[Gap, ...], int, np.ndarray | slice]:
    """Gaps, the digit in them, and which digits are stored. No gaps where they would take more than the digits."""
    everything: tuple[tuple[Gap, ...], int, slice] = ((), 0, slice(None))
    filled = constant.filled if constant.filters is None else constant.filters.reshape(-1) < 0
    if filled is None or not constant.radix:
        return everything
    filled = np.concatenate([filled, np.ones(digits.size - filled.size, np.bool_)])
    values = np.unique(digits[filled])
    if values.size != 1:
        return everything
    gaps, saved = find_gaps(~filled), np.count_nonzero(filled) * np.log2(base) / 8
    if gaps is None or len(gaps) * BYTES > saved + AFFORDED:
        return everything
    return tuple(gaps), int(values[0]), ~filled


def _digits(constant: Constant) -> tuple[np.ndarray, int, int, int]:
    """Digits, radix, group and offset. Bytes that take few values in a row become digits, too."""
    values = np.ascontiguousarray(constant.values).reshape(-1)
    if constant.radix:
        return values, constant.radix, constant.group, constant.offset
    if values.dtype.itemsize > 1 or values.dtype.kind not in "iu" or values.size == 0:
        return values.view(np.uint8), 256, 1, 0
    lo, hi = int(values.min()), int(values.max())
    return (values.astype(np.int16) - lo).astype(np.uint8), max(hi - lo + 1, 2), 1, lo


def _shortest(digits: np.ndarray, radix: int, worth: float = WORTH_CODING) -> tuple[bytes, bool]:
    """The digits packed or coded, and whether they are coded."""
    packed = pack(digits, radix)
    if coded_bytes(np.bincount(digits, minlength=radix)) < worth * len(packed):
        coded = encode(digits, radix)
        if len(coded) < len(packed):
            return coded, True
    return packed, False


def digits_per_byte(radix: int) -> int:
    """How many digits fit a byte: 8 bits, 5 trits, 1 byte."""
    return next(count for count in range(8, 0, -1) if radix**count <= 256)


def pack(digits: np.ndarray, radix: int) -> bytes:
    """As many digits to a byte as fit, lowest first."""
    count = digits_per_byte(radix)
    if count == 1:
        return digits.tobytes()
    padded = np.zeros(-(-digits.size // count) * count, np.uint8)
    padded[: digits.size] = digits
    packed = np.zeros(padded.size // count, np.uint8)
    for i in reversed(range(count)):
        packed = packed * np.uint8(radix) + padded[i::count]
    return packed.tobytes()


# -- signed-binary weights: every filter has zeros and either 1 or -1 --------------------------------------------------


def _signed(constant: Constant, kept: np.ndarray | slice) -> Stored | None:
    """Signs and zero mask of trits whose filters each use one digit beside zero; None where there is another filter."""
    assert constant.filters is not None
    digits, zero = constant.values.reshape(-1), -constant.offset % 3
    if constant.radix != 3 or constant.offset not in (0, -1) or digits.size == 0:
        return None
    filters, digits = _filled(constant.filters.reshape(-1), digits.size)[kept], digits[kept]
    plus, minus = digits == (zero + 1) % 3, digits == (zero + 2) % 3
    count = int(filters.max()) + 1
    has_plus, has_minus = (np.bincount(filters[used], minlength=count) > 0 for used in (plus, minus))
    if (has_plus & has_minus).any():
        return None
    signs = np.packbits(has_minus, bitorder="little").tobytes()
    if (places := spans(filters)) is None:
        return None
    mask, coded = _shortest((plus | minus).astype(np.uint8), 2)
    return Stored(
        signs + mask, digits.size, 3, constant.group, constant.offset, coded, len(signs), tuple(places), base=3
    )


def _filled(filters: np.ndarray, count: int) -> np.ndarray:
    """The filter of each of `count` digits; padding (-1, and what is missing at the end) joins the one before."""
    filters = np.concatenate([filters, np.full(count - filters.size, -1, filters.dtype)])
    known = np.maximum.accumulate(np.where(filters >= 0, np.arange(count), 0))
    return np.maximum(filters[known], 0)


def spans(filters: np.ndarray) -> list[Span] | None:
    """The filters of digits as spans; None where the order is so irregular that there would be many."""
    starts = np.flatnonzero(np.diff(filters, prepend=filters[0] - 1))
    lengths, ids = np.diff(starts, append=filters.size), filters[starts]
    found: list[Span] = []
    at = 0
    while at < len(ids):
        if len(found) == MOST_SPANS:
            return None
        rows = 1
        while at + rows < len(ids) and ids[at + rows] == ids[at] + rows and lengths[at + rows] == lengths[at]:
            rows += 1
        same = (ids[at + rows :] == ids[at:-rows]) & (lengths[at + rows :] == lengths[at:-rows])
        more = int(same.argmin()) if not same.all() else same.size
        repeats = 1 + more // rows
        run = int(lengths[at])
        _append(found, Span(run * rows * repeats, int(ids[at]), rows, run, repeats))
        at += rows * repeats
    return found


def _append(found: list[Span], span: Span) -> None:
    """Adds a span, or makes the last one longer where this one continues it with the next filters."""
    if found:
        last = found[-1]
        block = last.run * last.rows * last.repeats
        continues = (span.rows, span.run, span.repeats) == (last.rows, last.run, last.repeats)
        if continues and span.first == last.first + last.count // block * last.rows:
            found[-1] = Span(last.count + span.count, last.first, last.rows, last.run, last.repeats)
            return
    found.append(span)
