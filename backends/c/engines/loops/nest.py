"""Nests of plain loops over a box: elementwise chains and operations that move elements.

Every access is affine in the axes, so neighbouring axes that all accesses walk alike become one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

from .....ir.types import element_of
from ...text import value_c
from .plan import Stage
from .scope import Access, Index, Scope, sum_c

ENOUGH_TO_SHARE = 16
"""Outer loops are joined for sharing among threads until there are so many iterations."""
GRAIN = 64
"""Elements that one part computes at least, where a nest is a single loop."""


@dataclass(frozen=True)
class Piece:
    """A box of the stage's shape and how the root's element in it is made.

    starts, sizes: the box. reads: accesses of the root, in coordinates of the whole shape. bind: writes statements and
    returns the C expression of the root's element; None for a stage without root.
    """

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    reads: tuple[Access, ...] = ()
    bind: Callable[[Scope, Index], str] | None = None


@dataclass(frozen=True)
class Group:
    """Neighbouring axes as one loop; `axis` is the last of them, whose strides are the loop's."""

    size: int
    axis: int


def joined_axes(sizes: Sequence[int], accesses: Sequence[Access]) -> list[Group]:
    """The fewest loops over a box; axes of size 1 need none."""
    groups: list[Group] = []
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        if groups and all(a.strides[groups[-1].axis] == a.strides[axis] * size for a in accesses):
            groups[-1] = Group(groups[-1].size * size, axis)
        else:
            groups.append(Group(size, axis))
    return groups or [Group(1, len(sizes) - 1)]


def emit_pieces(scope: Scope, stage: Stage, pieces: Sequence[Piece]) -> None:
    """Nests for disjoint boxes that make up the stage's shape."""
    for piece in pieces:
        if 0 not in piece.sizes:
            _emit_piece(scope, stage, piece)


def _emit_piece(scope: Scope, stage: Stage, piece: Piece) -> None:
    groups = joined_axes(piece.sizes, [*scope.accesses(stage), *piece.reads])
    names = [f"i{g}" for g in range(len(groups))]

    def index(access: Access) -> str:
        start = sum(at * stride for at, stride in zip(piece.starts, access.strides, strict=True))
        terms = [(n, access.strides[g.axis]) for n, g in zip(names, groups, strict=True) if g.size > 1]
        return sum_c(terms, access.offset + start)

    shared = 1
    while shared < len(groups) - 1 and prod(g.size for g in groups[:shared]) < ENOUGH_TO_SHARE:
        shared += 1
    with ExitStack() as loops:
        outer = [g.size for g in groups[:shared]]
        variable = names[0] if shared == 1 else "item"
        single = len(groups) == 1
        loops.enter_context(scope.shared_loop(variable, prod(outer), GRAIN if single else 1, inner=single))
        if shared > 1:
            scope.split("item", outer, names[:shared])
        for name, group in zip(names[shared:], groups[shared:], strict=True):
            loops.enter_context(scope.loop(name, group.size, inner=group is groups[-1]))
        bound = {}
        if piece.bind is not None:
            value = stage.root.results[0] if stage.root else stage.copied
            assert value is not None
            text, name = piece.bind(scope, index), scope.name(stage.root.name[3:] if stage.root else "copy")
            scope.out.add(f"const {value_c(element_of(value))} {name} = {text};")
            bound = {value: name}
        scope.element(stage, index, bound)
