"""In which order the statements of a graph are done, so that few values are alive, and what memory they then take."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from .statements import Statements


@dataclass(frozen=True)
class Traffic:
    """Loads (of inputs and spilled values) and stores (of spilled values) that an order needs, counted in values, and
    the most values that are alive at a time."""

    loads: int
    stores: int
    alive: int


def components(statements: Statements) -> list[list[int]]:
    """The nodes in sets that share no sums, each in the statements' order."""
    root = {node: node for node in statements}

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = node = root[root[node]]
        return node

    for node, terms in statements.items():
        for value, _ in terms:
            if value in statements:
                root[find(value)] = find(node)
    found: dict[int, list[int]] = {}
    for node in statements:
        found.setdefault(find(node), []).append(node)
    return list(found.values())


def evaluation_order(statements: Statements, nodes: Sequence[int]) -> list[int]:
    """The nodes of one component, operands first.

    Greedy: of the statements that can be done, the one that ends the most lives; among equals the one whose operands
    are the youngest, so that a register still holds them. A statement that only begins a life waits until the output
    that misses the fewest statements asks for it.
    """
    state = _Order(statements, nodes)
    while len(state.order) < len(nodes):
        state.do(state.best_ready() or state.next_leaf())
    return state.order


class _Order:
    """The state of evaluation_order. Inputs are always there and never alive."""

    def __init__(self, statements: Statements, nodes: Sequence[int]) -> None:
        self.operands = {n: list({v for v, _ in statements[n] if v in statements}) for n in nodes}
        self.users: dict[int, list[int]] = {n: [] for n in nodes}
        below: dict[int, int] = {}  # the nodes that a node needs, itself among them, as a set of bits
        self.bit = {n: 1 << i for i, n in enumerate(nodes)}
        for n in nodes:
            below[n] = self.bit[n]
            for v in self.operands[n]:
                self.users[v].append(n)
                below[n] |= below[v]
        self.below = below
        self.uses_left = {n: len(u) for n, u in self.users.items()}
        self.missing = {n: len(o) for n, o in self.operands.items()}
        self.ends = [n for n in nodes if not self.users[n]]
        self.todo = sum(self.bit.values())
        self.born: dict[int, int] = {}
        self.order: list[int] = []
        self.ready = [self._rank(n) for n in nodes if not self.missing[n]]  # brought up to date when taken
        heapq.heapify(self.ready)

    def _rank(self, node: int) -> tuple[int, int, int]:
        """Lives begun less lives ended, age of the youngest operand, node."""
        ended = sum(self.uses_left[v] == 1 for v in self.operands[node])
        return bool(self.users[node]) - ended, -max((self.born[v] for v in self.operands[node]), default=-1), node

    def best_ready(self) -> int | None:
        """The best statement that begins no more lives than it ends; None where there is none."""
        while self.ready:
            entry = heapq.heappop(self.ready)
            node = entry[2]
            if node in self.born:
                continue
            now = self._rank(node)
            if now <= entry and now[0] <= 0:
                return node
            heapq.heappush(self.ready, now)
            if now <= entry:
                return None
        return None

    def next_leaf(self) -> int:
        """A node that can be computed now, on the way to the end that misses the fewest."""
        self.ends = [end for end in self.ends if end not in self.born]
        open_nodes = self.ends
        while True:
            node = min(open_nodes, key=lambda n: ((self.below[n] & self.todo).bit_count(), n))
            open_nodes = [v for v in self.operands[node] if v not in self.born]
            if not open_nodes:
                return node

    def do(self, node: int) -> None:
        self.born[node] = len(self.order)
        self.order.append(node)
        self.todo ^= self.bit[node]
        changed = []
        for value in self.operands[node]:
            self.uses_left[value] -= 1
            if self.uses_left[value] == 1:  # its last user now ends a life
                changed += self.users[value]
        for user in self.users[node]:
            self.missing[user] -= 1
            changed.append(user)
        for user in changed:
            if user not in self.born and not self.missing[user]:
                heapq.heappush(self.ready, self._rank(user))


def traffic(statements: Statements, order: Sequence[int], registers: int) -> Traffic:
    """What the order costs on a machine with so many registers that gives up the value used furthest in the future."""
    operands = [list(dict.fromkeys(value for value, _ in statements[node])) for node in order]
    uses: dict[int, list[int]] = {}
    for i in range(len(order) - 1, -1, -1):
        for value in operands[i]:
            uses.setdefault(value, []).append(i)  # the next one last
    held: dict[int, int] = {}  # value -> its next use
    stored: set[int] = set()
    loads = stores = alive = most = 0
    for node, values in zip(order, operands, strict=True):
        for value in (*values, node):
            places = uses.get(value)
            if places and value != node:
                loads += value not in held
                places.pop()
                alive -= value in statements and not places
            if not places:
                held.pop(value, None)
                continue
            if value not in held and len(held) >= registers:
                victim = max(held, key=held.__getitem__)
                if victim in statements and victim not in stored:
                    stored.add(victim)
                    stores += 1
                del held[victim]
            held[value] = places[-1]
        alive += bool(uses.get(node))
        most = max(most, alive)
    return Traffic(loads, stores, most)
