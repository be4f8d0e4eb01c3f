"""The new weights of one layer: from the float weights and, with calibration data, from what the layer reads."""

from __future__ import annotations

import numpy as np

from .fit import Target, errors, fit, target_of
from .methods import METHODS, Ternary, ternarize
from .options import SIGNED_BINARY, LossyOptions
from .regions import parse_regions
from .signs import choose_signs, one_sided, signs_of_least_error
from .statistics import InputProducts


def new_weights(w: np.ndarray, channels: int, options: LossyOptions, products: InputProducts | None = None) -> Ternary:
    """Codes and scales for the rows w [O, N] of a layer. channels: input channels of one output, a divisor of N.

    products: of the layer's inputs, where codes and scales shall fit its outputs.
    """
    target = None if products is None else target_of(w, products)
    if options.weights == SIGNED_BINARY:
        return _signed_binary(w, channels, options, target)
    shared = options.per == "tensor"
    start = _unshared(ternarize(_shared(w, shared), options.weights, options.threshold), w)
    # With a threshold given, the codes are the user's choice.
    if target is None or options.threshold is not None:
        return start
    return fit(start, target, scales=METHODS[options.weights].scales, shared=shared)


def _shared(w: np.ndarray, shared: bool) -> np.ndarray:
    return w.reshape(1, -1) if shared else w


def _unshared(found: Ternary, w: np.ndarray) -> Ternary:
    scales = [np.broadcast_to(s, len(w)).copy() for s in (found.positive, found.negative)]
    return Ternary(found.q.reshape(w.shape), scales[0], scales[1])


def _signed_binary(w: np.ndarray, channels: int, options: LossyOptions, target: Target | None) -> Ternary:
    index = parse_regions(options.regions).index(len(w), channels, w.shape[1] // channels)
    if target is None or options.assign == "rule":
        signs = choose_signs(w, index, options.assign)
    else:
        positive, negative = _region_errors(w, index, options, target)
        signs = signs_of_least_error(positive, negative, balanced=options.assign == "balanced")[index]
    start = _start(w, signs, options)
    return start if target is None else fit(start, target, scales=1, shared=options.per == "tensor", signs=signs)


def _start(w: np.ndarray, signs: np.ndarray, options: LossyOptions) -> Ternary:
    shared = options.per == "tensor"
    return _unshared(one_sided(_shared(w, shared), _shared(signs, shared)), w)


def _region_errors(
    w: np.ndarray, index: np.ndarray, options: LossyOptions, target: Target
) -> tuple[np.ndarray, np.ndarray]:
    """Each region's output error if it holds no negative, and if it holds no positive weights. What regions of one row
    do to each other is left out: each is fitted as if the others were exact."""
    groups, _, n = target.t.shape
    rows = w.reshape(groups, -1, n).astype(np.float64)
    found = []
    for sign in (1, -1):
        signs = np.full(w.shape, sign, np.int8)
        error = np.zeros(int(index.max()) + 1)
        # Tiles of a row are the same columns in every row.
        columns = index[0]
        for tile in np.unique(columns):
            inside = columns == tile
            h = target.h[:, inside][:, :, inside]
            part = Target(h, rows[:, :, inside] @ h)
            start = _start(w[:, inside], signs[:, inside], options)
            made = fit(start, part, scales=1, shared=options.per == "tensor", signs=signs[:, inside])
            each = errors(made.values.reshape(part.t.shape), part).reshape(-1)
            np.add.at(error, index[:, inside][:, 0], each)
        found.append(error)
    return found[0], found[1]
