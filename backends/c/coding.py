"""Entropy coding of digits: a static order-0 range coder of the ANS family, several interleaved states.

Source: J. Duda, "Asymmetric numeral systems" (2013); interleaving after F. Giesen, "Interleaved entropy coders" (2014).
The decoder is runtime/c/tercet_weights.c. A coded stream is, little-endian and without gaps: one byte log2(lanes); one
bit for each digit value, set where it occurs; a uint16 frequency for each that does, together 4096; the uint32 state of
every lane; uint16 words in the order in which the decoder takes them. Digit i belongs to lane i % lanes.
"""

from __future__ import annotations

import numpy as np

PRECISION = 12  # bits of a probability
LOWEST, WORD = 1 << 16, 16  # a state is at least LOWEST and moves to the stream by words of 16 bits
MOST_LANES = 256
ROWS = 256  # of a digit for each lane, encoded together
DIGITS_PER_LANE = 8192  # more lanes encode faster in numpy, and cost 2 bytes each
FEW_LANES = 16  # numpy takes as long for a row of fewer digits as for these, and Python less


def frequencies(counts: np.ndarray) -> np.ndarray:
    """int64, together 2**PRECISION: close to the given counts' shares, and positive exactly where a count is."""
    total = max(int(counts.sum()), 1)
    found = np.where(counts > 0, np.maximum(counts * 2**PRECISION // total, 1), 0)
    while (excess := int(found.sum()) - 2**PRECISION) > 0:
        found[found.argmax()] -= min(excess, int(found.max()) // 2)
    found[counts.argmax()] -= excess
    return found


def coded_bytes(counts: np.ndarray) -> float:
    """About how long the coded stream of digits with these counts is."""
    if (total := int(counts.sum())) == 0:
        return float("inf")
    share = frequencies(counts)[counts > 0] / 2**PRECISION
    bits = float((counts[counts > 0] * -np.log2(share)).sum())
    return bits / 8 + 1 + -(-counts.size // 8) + 2 * share.size + 2 * lanes_for(total)


def lanes_for(count: int) -> int:
    return min(1 << max(count // DIGITS_PER_LANE, 1).bit_length() - 1, MOST_LANES)


def encode(digits: np.ndarray, radix: int) -> bytes:
    """The coded stream of digits below radix (uint8, at least one; radix at most 256)."""
    counts = np.bincount(digits, minlength=radix)
    frequency = frequencies(counts)
    start = np.cumsum(frequency) - frequency
    limit = frequency << (32 - PRECISION)  # above this a state would leave 32 bits
    lanes = lanes_for(digits.size)
    states, words = np.full(lanes, LOWEST, np.int64), list[np.ndarray]()
    for begin in range((digits.size - 1) // (lanes * ROWS) * lanes * ROWS, -1, -lanes * ROWS):
        block = digits[begin : begin + lanes * ROWS]
        whole = block.size // lanes * lanes
        for part in (block[whole:], block[:whole]):  # the last row may be a short one
            if part.size:
                rows = part.reshape(-1, min(lanes, part.size))
                push = _push_rows if lanes > FEW_LANES else _push_lanes
                words.append(push(states[: rows.shape[1]], frequency[rows], limit[rows], start[rows]))
    present = frequency > 0
    return b"".join(
        [
            bytes([lanes.bit_length() - 1]),
            np.packbits(present, bitorder="little").tobytes(),
            frequency[present].astype("<u2").tobytes(),
            states.astype("<u4").tobytes(),
            *(word.tobytes() for word in reversed(words)),
        ]
    )


def _push_rows(states: np.ndarray, share: np.ndarray, limit: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Takes rows of digits into the states of their lanes, the last row first. Returns the words that leave the states,
    in the order in which the decoder takes them."""
    low, full = np.empty(share.shape, "<u2"), np.empty(share.shape, np.bool_)
    rest, quotient = 2**PRECISION - share, np.empty_like(states)
    for i in range(len(share) - 1, -1, -1):
        np.greater_equal(states, limit[i], out=full[i])
        low[i] = states  # its low 16 bits
        np.right_shift(states, WORD, out=states, where=full[i])
        np.floor_divide(states, share[i], out=quotient)
        quotient *= rest[i]  # state / share * 2**PRECISION + state % share is state + quotient * rest
        states += quotient
        states += start[i]
    return low[full]


def _push_lanes(states: np.ndarray, share: np.ndarray, limit: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The same as `_push_rows`, lane by lane."""
    low, full = np.zeros(share.shape, "<u2"), np.zeros(share.shape, np.bool_)
    for lane, state in enumerate(states.tolist()):
        columns = (array[::-1, lane].tolist() for array in (share, limit, start))
        for i, (frequency, bound, first) in enumerate(zip(*columns, strict=True), 1):
            if state >= bound:
                low[-i, lane], full[-i, lane] = state & 0xFFFF, True
                state >>= WORD
            state += state // frequency * (2**PRECISION - frequency) + first
        states[lane] = state
    return low[full]
