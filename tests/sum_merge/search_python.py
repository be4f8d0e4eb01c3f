"""core.c and moves.h in Python, number for number: what runs without a C compiler (about 50 times slower)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

ROWS, COLUMNS = 0, 1
MASK = (1 << 64) - 1
Line = list[int]


class PythonSearch:
    """The state of one search; the comments are in moves.h and core.c."""

    def __init__(self, weights: npt.NDArray[np.int8], seed: int) -> None:
        """weights: ternary int8 [rows, columns]."""
        self.outside = weights.shape
        self.line: tuple[list[Line], list[Line]] = ([], [])
        self.bound: tuple[list[int], list[int]] = ([], [])
        self.key: tuple[list[int], list[int]] = ([], [])
        for side, matrix in enumerate((weights, weights.T)):
            for row in matrix:
                there = np.flatnonzero(row)
                self._new_line(side, (2 * there + (row[there] < 0)).tolist())
        self.nodes, self.cost = 0, sum(max(len(line) - 1, 0) for line in self.line[ROWS])
        self.unused: list[int] = []
        self.taken: list[int] = []
        self.dropped: list[int] = []
        self.bucket: list[list[int]] = [[] for _ in range(16 * (max(weights.shape) + 1))]
        self.top = 0
        self.lift, self.row_weight = 0, 16
        self.random = (seed * 2 + 88172645463325252) & MASK
        self.trying = False
        self.journal: dict[tuple[int, int], Line] = {}

    def _new_line(self, side: int, entries: Line) -> None:
        self.line[side].append(entries)
        self.bound[side].append(0)
        self.key[side].append(0)

    def _draw(self, below: int) -> int:
        x = self.random
        x ^= (x << 13) & MASK
        x ^= x >> 7
        x ^= (x << 17) & MASK
        self.random = x
        return (x >> 32) % below

    # -- trials

    def _save(self, s: int, line: int) -> None:
        if self.trying and (s, line) not in self.journal:
            self.journal[s, line] = list(self.line[s][line])

    def _undo_trial(self, cost: int) -> None:
        for (s, line), entries in self.journal.items():
            self.line[s][line] = entries
            self.bound[s][line] = 0
        while self.taken:
            self.unused.append(self.taken.pop())
        self.cost = cost

    # -- nodes and entries

    def _new_node(self) -> int:
        if self.trying and self.unused:
            node = self.unused.pop()
        else:
            node = self.nodes
            self.nodes += 1
        if self.trying:
            self.taken.append(node)
        for s in (ROWS, COLUMNS):
            if self.outside[s] + node == len(self.line[s]):
                self._new_line(s, [])
            self._save(s, self.outside[s] + node)
        return node

    def _drop_node(self, node: int) -> None:
        (self.dropped if self.trying else self.unused).append(node)

    # -- the queue

    def _score(self, s: int, common: int, a: int, b: int) -> int:
        dim = self.outside[not s]
        x = 64 * common * dim - self.lift * a * b
        if x <= 0:
            return 0
        return min(x * (self.row_weight if s == ROWS else 16) // (64 * dim), len(self.bucket) - 1)

    def _wait_in(self, s: int, line: int, bound: int, key: int) -> None:
        self.bound[s][line] = bound
        if bound < 2:
            return
        self.key[s][line] = key
        self.bucket[key].append(2 * line + s)
        self.top = max(self.top, key)

    def _enqueue(self, s: int, line: int, bound: int) -> None:
        self._wait_in(s, line, bound, self._score(s, bound, len(self.line[s][line]), bound))

    def _shared(self, s: int, a: int) -> Iterator[tuple[int, int]]:
        """(partner * 2 + sign, common entries), in the order of core.c."""
        other, shared = self.line[1 - s], {}
        for e in self.line[s][a]:
            sign = e & 1
            for m in other[e >> 1]:
                shared[m ^ sign] = shared.get(m ^ sign, 0) + 1
        shared.pop(2 * a, None)
        shared.pop(2 * a + 1, None)
        return iter(shared.items())

    def _find_partner(self, s: int, a: int) -> tuple[int, int, int]:
        """(partner * 2 + sign, common entries, score)"""
        best, length, lines = (-1, 0, -1), len(self.line[s][a]), self.line[s]
        for k, common in self._shared(s, a):
            if common >= 2 and (score := self._score(s, common, length, len(lines[k >> 1]))) > best[2]:
                best = (k, common, score)
        return best

    # -- moves

    def _dissolve(self, s: int, node: int) -> None:
        x, y = self.line[s], self.line[1 - s]
        mine, theirs = self.outside[s] + node, self.outside[1 - s] + node
        self._save(s, mine)
        self._save(1 - s, theirs)
        u, sign = x[mine][0] >> 1, x[mine][0] & 1
        self._save(1 - s, u)
        _erase(y[u], mine)
        rest = y[theirs]
        for e in rest:
            self._save(s, e >> 1)
            y[u].append(e ^ sign)
            _redirect(x[e >> 1], theirs, u, sign)
        self._enqueue(1 - s, u, len(y[u]))
        for e in rest:
            self._enqueue(s, e >> 1, min(self.bound[s][e >> 1] + 1, len(x[e >> 1])))
        x[mine], y[theirs] = [], []
        self._drop_node(node)
        if u >= self.outside[1 - s] and len(y[u]) == 1:
            self._dissolve(1 - s, u - self.outside[1 - s])

    def _merge(self, s: int, a: int, b: int, sign: int) -> int:
        node = self._new_node()
        mine, theirs = self.outside[s] + node, self.outside[1 - s] + node
        x, y = self.line[s], self.line[1 - s]
        self._save(s, a)
        self._save(s, b)
        both = set(x[a]) & {e ^ sign for e in x[b]}
        common = [e for e in x[a] if e in both]
        x[a] = [e for e in x[a] if e not in both]
        x[b] = [e for e in x[b] if e ^ sign not in both]
        x[mine] = common
        self.cost -= len(common) - 1
        for e in common:
            self._save(1 - s, e >> 1)
            _redirect(y[e >> 1], a, mine, 0)
            _erase(y[e >> 1], b)
        x[a].append(2 * theirs)
        x[b].append(2 * theirs + sign)
        y[theirs] = [2 * a, 2 * b + sign]
        self._enqueue(s, mine, len(common))
        for line in (a, b):
            self._enqueue(s, line, min(self.bound[s][line], len(x[line])))
        for line in (a, b):
            if line >= self.outside[s] and len(x[line]) == 1:
                self._dissolve(s, line - self.outside[s])
        return mine

    def _expand(self, node: int) -> None:
        row, column = self.outside[ROWS] + node, self.outside[COLUMNS] + node
        rows, columns = self.line
        of, by = rows[row], columns[column]
        self._save(ROWS, row)
        self._save(COLUMNS, column)
        self.cost += (len(of) - 1) * (len(by) - 1)
        for s, ends, others, here in ((ROWS, by, of, column), (COLUMNS, of, by, row)):
            for e in ends:
                self._save(s, e >> 1)
                line = self.line[s][e >> 1]
                _erase(line, here)
                line.extend(m ^ (e & 1) for m in others)
        for s, ends in ((ROWS, by), (COLUMNS, of)):
            for e in ends:
                self._enqueue(s, e >> 1, len(self.line[s][e >> 1]))
        rows[row], columns[column] = [], []
        self._drop_node(node)

    # -- the steps

    def fold(self, size: int) -> None:
        rows = self.outside[ROWS]
        groups = -(-rows // size)
        for g in range(groups):
            self._fold_range(rows * g // groups, rows * (g + 1) // groups)

    def _fold_range(self, low: int, high: int) -> list[int]:
        if high - low == 1:
            return [low]
        middle, rows, out = (low + high + 1) // 2, self.line[ROWS], []
        first, second = self._fold_range(low, middle), self._fold_range(middle, high)
        for a in first:
            for b in second:
                for sign in (0, 1):
                    if len(set(rows[a]) & {e ^ sign for e in rows[b]}) > 1:
                        out.append(self._merge(ROWS, a, b, sign))
        return out + [line for line in (*first, *second) if rows[line]]

    def _merge_all(self) -> None:
        while self.top >= 0:
            waiting = self.bucket[self.top]
            if not waiting:
                self.top -= 1
                continue
            i = self._draw(len(waiting))
            s, line = waiting[i] & 1, waiting[i] >> 1
            waiting[i] = waiting[-1]
            waiting.pop()
            if self.bound[s][line] < 2 or self.key[s][line] != self.top:
                continue
            partner, common, score = self._find_partner(s, line)
            if common < 2:
                self.bound[s][line] = 0
            elif score < self.top:
                self._wait_in(s, line, common, score)
            else:
                self.bound[s][line] = common
                self._merge(s, line, partner >> 1, partner & 1)
        self.top = 0

    def merge(self, lift: int, row_weight: int) -> int:
        self.lift, self.row_weight = lift, row_weight
        for s in (ROWS, COLUMNS):
            for line, entries in enumerate(self.line[s]):
                self._enqueue(s, line, len(entries))
        self._merge_all()
        return self.cost

    def _choose(self, chosen: list[int], node: int) -> None:
        if node >= 0 and self.line[ROWS][self.outside[ROWS] + node] and node not in chosen:
            chosen.append(node)

    def _choose_nodes(self, most: int) -> list[int]:
        chosen: list[int] = []
        if not self.nodes:
            return chosen
        rows, columns = self.line
        first = self._draw(self.nodes)
        for i in range(self.nodes):
            self._choose(chosen, (first + i) % self.nodes)
            if chosen:
                break
        want = 1 + self._draw(1 + self._draw(most))
        for _ in range(4 * want):
            if not chosen or len(chosen) >= want:
                break
            node = chosen[self._draw(len(chosen))]
            of, by = rows[self.outside[ROWS] + node], columns[self.outside[COLUMNS] + node]
            way = self._draw(4)
            if way < 2:
                self._choose(chosen, (of[self._draw(len(of))] >> 1) - self.outside[COLUMNS])
                continue
            user = by[self._draw(len(by))] >> 1
            if way == 2:
                self._choose(chosen, user - self.outside[ROWS])
                continue
            beside = rows[user]
            self._choose(chosen, (beside[self._draw(len(beside))] >> 1) - self.outside[COLUMNS])
        return chosen

    def improve(self, lift: int, row_weight: int, most: int, trials: int, seconds: float) -> int:
        self.lift, self.row_weight, self.trying = lift, row_weight, True
        end = time.thread_time() + seconds
        for done in range(trials):
            if seconds >= 0 and done % 16 == 0 and time.thread_time() >= end:
                return done
            cost = self.cost
            self.journal, self.taken, self.dropped = {}, [], []
            if not (chosen := self._choose_nodes(most)):
                return done
            for node in chosen:
                self._expand(node)
            self._merge_all()
            if self.cost <= cost:
                self.unused.extend(self.dropped)
            else:
                self._undo_trial(cost)
        return trials

    def read(self, side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(start, entry) of the lines of a side."""
        start = np.cumsum([0, *map(len, self.line[side])], dtype=np.int64)
        return start, np.array([e for line in self.line[side] for e in line], dtype=np.int32)


def _find(line: Line, other: int) -> int:
    return next(i for i, e in enumerate(line) if e >> 1 == other)


def _erase(line: Line, other: int) -> None:
    line[_find(line, other)] = line[-1]
    line.pop()


def _redirect(line: Line, old: int, new: int, sign: int) -> None:
    i = _find(line, old)
    line[i] = 2 * new + ((line[i] & 1) ^ sign)
