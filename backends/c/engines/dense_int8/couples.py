"""Couples: which steps of a convolution are added in int16 before they are widened, for the weights as they are.

A step multiplies the four inputs of a quad, uint8, by four int8 weights for each output of a panel and adds the
products two and two in the int16 halves of a lane. Two steps make a couple, which is widened once. Its sums fit int16,
whatever the inputs are, where in both halves, for each output of the panel, the positive weights of both steps add up
to no more than the capacity, and the negative ones too: sums of inputs of 0..span then lie in
-span * capacity .. span * capacity.

Weights of a trained filter are mostly small beside its largest one, so that nearly every step finds a partner. A step
that alone is beyond the capacity is split into two with the same inputs and half the weights each: halves are at most
64 in size, two of them no more than 128, the least capacity. Steps are matched greedily, those with the fewest partners
first; one that finds none is coupled with weights of 0. All of it is exact: the sum over the steps stays the same.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ...dense.plan import ConvPlan
from ...limits import INT16_MAX

LONGEST = 256
"""Steps of a block at most: enough for nearly all to find partners, few enough to try them all."""
SAMPLE = 3, 128
"""Panels and steps that tell enough of what a layer will cost."""


def capacity(span: int) -> int:
    """How much weights of one sign may add up to in an int16 sum over inputs of 0..span, span at most 255."""
    return INT16_MAX // max(span, 1)


def loads(cells: np.ndarray) -> np.ndarray:
    """Of quads [.., 4]: the sums of positive and of negative weights in each of the two halves, int16 [.., 4]."""
    halves = cells.reshape(*cells.shape[:-1], 2, 2)
    positive, negative = np.maximum(halves, 0), np.maximum(-halves, 0)
    return np.concatenate([positive.sum(-1), negative.sum(-1)], axis=-1).astype(np.int16)


def relative_steps(weights: np.ndarray, span: int, rows: int) -> float:
    """How many steps the couples of a panel of `rows` outputs take for each step of the depth, by a sample.

    weights [groups, outputs, channels, kh, kw]; inputs are 0..span.
    """
    panels, most = SAMPLE
    sample = _quads(weights[:1, :: max(1, weights.shape[1] // (panels * rows))])[0]  # [outputs, depth, 4]
    sample = sample[:, :: -(-sample.shape[1] // most)].swapaxes(0, 1)
    found = [
        2 * len(couple_steps(sample[:, i : i + rows], capacity(span))[0]) / len(sample)
        for i in range(0, max(1, sample.shape[1] - rows + 1), rows)
    ]
    return sum(found) / len(found)


def arrange(plan: ConvPlan, span: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of a plan in the order in which dense_couples.h reads them, and where each run begins.

    span: inputs are 0..span. Returns int32 cells: for each couple one that tells where its two steps find their inputs,
    then [outputs of the panel, 2] cells of quads; and int32 indices of cells by group, block and panel, with the end.
    """
    runs: list[np.ndarray] = []
    offsets, plane_cells = step_offsets(plan), prod(plan.problem.phases) * plan.plane
    for group in _quads(plan.problem.weights):
        for k in range(0, group.shape[1], plan.block_depth):
            block = group[:, k : k + plan.block_depth].swapaxes(0, 1)  # [steps, outputs, 4]
            near = offsets[k : k + plan.block_depth] - k // prod(plan.problem.kernel) * plane_cells
            for p in range(plan.panels.panels):
                panel = block[:, plan.panels.begin(p) : plan.panels.begin(p + 1)]
                numbers, weights = couple_steps(panel, capacity(span))
                cells = np.ascontiguousarray(weights.astype(np.int8)).view("<i4").reshape(len(numbers), -1)
                heads = (near[numbers[:, 0]] | near[numbers[:, 1]] << 16).astype(np.uint32).view(np.int32)
                runs.append(np.concatenate([heads[:, None], cells], axis=1).reshape(-1))
    starts = np.cumsum([0, *(run.size for run in runs)], dtype=np.int64)
    return np.concatenate(runs), starts.astype(np.int32)


def step_offsets(plan: ConvPlan) -> np.ndarray:
    """int64 [depth]: how many cells after the first plane the inputs of each step lie (dense_conv_offsets)."""
    problem, (phases_y, phases_x) = plan.problem, plan.problem.phases
    cell, y, x = np.indices((plan.cells, *problem.kernel))
    phase = y % phases_y * phases_x + x % phases_x
    rows, columns = (t * d // s for t, d, s in zip((y, x), problem.dilations, problem.strides, strict=True))
    return ((cell * phases_y * phases_x + phase) * plan.plane + rows * plan.pitch + columns).reshape(-1)


def couple_steps(steps: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps [steps, outputs, 4] as couples: the numbers of the two steps whose inputs each reads, [couples, 2], and its
    weights [couples, outputs, 2, 4]. most: the capacity."""
    numbers = np.arange(len(steps))
    beyond = (loads(steps) > most).any(axis=(1, 2))
    half = steps[beyond] // 2
    steps = np.concatenate([steps[~beyond], half, steps[beyond] - half])
    numbers = np.concatenate([numbers[~beyond], numbers[beyond], numbers[beyond]])
    partners = _match(steps, most)
    steps, numbers = np.append(steps, np.zeros_like(steps[:1]), axis=0), np.append(numbers, 0)  # for those without one
    return numbers[partners], steps[partners].swapaxes(1, 2)


def _match(steps: np.ndarray, most: int) -> np.ndarray:
    """Which steps [steps, outputs, 4] make couples within the capacity: indices [couples, 2], every step once;
    len(steps) where there is no partner."""
    load = loads(steps).reshape(len(steps), -1)
    fits = np.ones((len(steps), len(steps)), bool)
    for column in load.T:
        fits &= column[:, None] + column <= most
    np.fill_diagonal(fits, False)
    order = np.argsort(fits.sum(axis=1), kind="stable")  # the hard ones first
    fits = fits[order][:, order]
    free, couples = np.ones(len(steps), bool), []
    for i in range(len(steps)):
        if free[i]:
            free[i] = False
            candidates = fits[i] & free
            j = int(candidates.argmax())
            couples.append((order[i], order[j] if candidates[j] else len(steps)))
            free[j] &= not candidates[j]
    return np.array(couples, np.int64)


def _quads(weights: np.ndarray) -> np.ndarray:
    """Weights [groups, outputs, channels, kh, kw] as [groups, outputs, steps, 4], steps by channel cell, then tap."""
    groups, outputs, channels, *kernel = weights.shape
    cells = -(-channels // 4)
    padded = np.zeros((groups, outputs, cells * 4, *kernel), np.int16)
    padded[:, :, :channels] = weights
    return padded.reshape(groups, outputs, cells, 4, -1).swapaxes(3, 4).reshape(groups, outputs, -1, 4)
