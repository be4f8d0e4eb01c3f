"""Functions for which a library has no cell, made of those it has.

One input: the cheapest composition of cells, all of them searched. Two inputs: the cheapest w(cell(u(a), v(b))) with
functions u, v and w of one input, or the maximum over the digits i of a of min(literal_i(a), f_i(b)), with f_i the row
of the table where a is i and literal_i the highest digit there and the lowest elsewhere (Srinivasu and Sridharan,
2017); likewise with a and b the other way round. More inputs: the maximum of rows again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from ...ir.errors import InputError
from .cell import Cell, Library
from .functions import Function, negation, unary_functions
from .netlist import Builder, Nets


@dataclass(frozen=True)
class Argument:
    place: int


@dataclass(frozen=True)
class Digit:
    value: int


@dataclass(frozen=True)
class Call:
    """One output of a cell."""

    cell: Cell
    output: int
    arguments: tuple[Expression, ...]

    def __hash__(self) -> int:
        return hash((self.cell.name, self.output, self.arguments))


Expression: TypeAlias = "Argument | Digit | Call"


def calls_of(expression: Expression) -> Iterator[Call]:
    """The calls in an expression, each once for every time that it is written."""
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from calls_of(argument)
        yield expression


def transistors(expression: Expression) -> int:
    """Of an expression's gates; equal parts are one."""
    gates = {(call.cell.name, call.arguments): call.cell for call in calls_of(expression)}
    return sum(cell.all_transistors for cell in gates.values())


def build(builder: Builder, expression: Expression, *inputs: Nets) -> Nets:
    """The gates of an expression. Equal parts become one gate."""
    made: dict[tuple[str, tuple[Expression, ...]], tuple[Nets, ...]] = {}

    def nets(part: Expression) -> Nets:
        if isinstance(part, Argument):
            return inputs[part.place]
        if isinstance(part, Digit):
            return builder.constant(part.value)
        key = (part.cell.name, part.arguments)
        if key not in made:
            made[key] = builder.gate(part.cell, *(nets(argument) for argument in part.arguments))
        return made[key][part.output]

    found = nets(expression)
    return np.broadcast_to(found, np.broadcast_shapes(found.shape, *(net.shape for net in inputs)))


class NoCellsError(InputError):
    """The cells of a library cannot make a function."""

    def __init__(self, library: str, function: Function) -> None:
        super().__init__(
            f"the cells of {library} cannot make {function}, a function of {function.inputs} inputs",
            hint="add its cell; STI, NTI, PTI, TNAND and TNOR, or INV and NAND2, make all others",
        )


class Synthesis:
    """Expressions for the functions of one library's digits."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.digits = library.digits
        self._unary = self._search_unary()
        self._pairs = self._search_pairs()
        self._known: dict[Function, Expression] = {}

    def __call__(self, function: Function) -> Expression:
        """The cheapest expression that is found. Raises NoCellsError where the cells cannot make the function."""
        if function not in self._known:
            self._known[function] = self._expression(function)
        return self._known[function]

    @property
    def known(self) -> Collection[Function]:
        """The functions that were asked for."""
        return self._known.keys()

    def _expression(self, function: Function) -> Expression:
        if function.inputs == 1:
            if function not in self._unary:
                raise NoCellsError(self.library.name, function)
            return self._unary[function]
        found = [self._cell(function)] if self.library.find(function) else []
        if function.inputs == 2:
            found += [self._pairs[function]] if function in self._pairs else []
        found += [made for axis in range(function.inputs) if (made := self._rows(function, axis)) is not None]
        if not found:
            raise NoCellsError(self.library.name, function)
        return min(found, key=transistors)

    def _cell(self, function: Function) -> Expression:
        cell = self.library.find(function)
        assert cell is not None
        return Call(cell, 0, tuple(Argument(i) for i in range(function.inputs)))

    # -- one input ------------------------------------------------------------------------------------------------

    def _search_unary(self) -> Mapping[Function, Expression]:
        """Shortest paths: functions made of those found so far, until none becomes cheaper."""
        known: dict[Function, Expression] = {
            Function(self.digits, 1, (value,) * self.digits.radix): Digit(value) for value in self.digits.values
        }
        known[Function(self.digits, 1, tuple(self.digits.values))] = Argument(0)
        changed = True
        while changed:
            changed = False
            for cell, output, function in self._outputs(1, 2):
                for parts in _tuples(list(known.items()), cell.inputs):
                    made = Function.tabulate(
                        self.digits, 1, lambda x, f=function, p=parts: f(*(g(x) for g, _ in p))
                    )  # fmt: skip
                    call = Call(cell, output, tuple(part for _, part in parts))
                    if made not in known or transistors(call) < transistors(known[made]):
                        known[made], changed = call, True
        return known

    def _outputs(self, *inputs: int) -> Iterator[tuple[Cell, int, Function]]:
        for cell in self.library.cells.values():
            if cell.inputs in inputs:
                yield from ((cell, i, function) for i, function in enumerate(cell.functions))

    # -- two inputs -----------------------------------------------------------------------------------------------

    def _search_pairs(self) -> Mapping[Function, Expression]:
        """The cheapest w(cell(u(a), v(b))) of every function that has one."""
        low, radix = self.digits.low, self.digits.radix
        unary = [f for f in unary_functions(self.digits) if f in self._unary]
        tables = np.array([f.table for f in unary]) - low
        costs = np.array([transistors(self._unary[f]) for f in unary])
        weights = radix ** np.arange(radix * radix)[::-1]
        best: dict[int, tuple[int, tuple[int, ...]]] = {}
        cells = list(self._outputs(2))
        for i, (cell, _, function) in enumerate(cells):
            table = np.reshape(function.table, (radix, radix)) - low
            inner = table[tables[:, None, :, None], tables[None, :, None, :]].reshape(len(unary), len(unary), -1)
            cost = costs[:, None] + costs + cell.all_transistors
            for w in range(len(unary)):
                codes, total = (tables[w][inner] @ weights).ravel(), (cost + costs[w]).ravel()
                order = np.lexsort((total, codes))
                first = order[np.unique(codes[order], return_index=True)[1]]
                for at in first.tolist():
                    code, price = int(codes[at]), int(total[at])
                    if code not in best or price < best[code][0]:
                        best[code] = price, (i, w, *divmod(at, len(unary)))
        found = {}
        for code, (_, (i, w, u, v)) in best.items():
            table = tuple(code // int(weight) % radix + low for weight in weights)
            cell, output, _ = cells[i]
            inner = (self._unary[unary[u]], _moved(self._unary[unary[v]], lambda _: 1))
            found[Function(self.digits, 2, table)] = _substituted(self._unary[unary[w]], Call(cell, output, inner))
        return found

    # -- rows of a table ------------------------------------------------------------------------------------------

    def _rows(self, function: Function, axis: int) -> Expression | None:
        """The maximum over the digits of one input of min(literal, row); rows that are equal, and those of one digit
        alone, are taken together. None where a part cannot be made."""
        low, high, radix = self.digits.low, self.digits.values[-1], self.digits.radix
        table = np.moveaxis(np.reshape(function.table, (radix,) * function.inputs), axis, 0).reshape(radix, -1)
        others = [place for place in range(function.inputs) if place != axis]
        rows = dict[tuple[int, ...], list[int]]()
        alone = [low] * radix
        for place, row in enumerate(table.tolist()):
            if len(set(row)) == 1:
                alone[place] = row[0]
            else:
                rows.setdefault(tuple(row), []).append(place)
        try:
            terms = [self._of(Function(self.digits, 1, tuple(alone)), [axis])] if set(alone) != {low} else []
            for row, places in rows.items():
                literal = Function(self.digits, 1, tuple(high if i in places else low for i in range(radix)))
                inner = self._of(Function(self.digits, function.inputs - 1, row), others)
                everywhere = len(places) == radix
                terms.append(inner if everywhere else self._joined(min, self._of(literal, [axis]), inner))
            result: Expression = terms[0] if terms else Digit(low)
            for term in terms[1:]:
                result = self._joined(max, result, term)
        except NoCellsError:
            return None
        return result

    def _of(self, function: Function, places: Sequence[int]) -> Expression:
        return _moved(self(function), lambda place: places[place])

    def _joined(self, choose: Callable[[int, int], int], a: Expression, b: Expression) -> Expression:
        """The smaller or larger of two. Raises NoCellsError without a cell for it or for its negation."""
        function = Function.tabulate(self.digits, 2, choose)
        if (cell := self.library.find(function)) is not None:
            return Call(cell, 0, (a, b))
        inverse = negation(self.digits)
        negated = self.library.find(Function.tabulate(self.digits, 2, lambda x, y: inverse(choose(x, y))))
        if negated is None or inverse not in self._unary:
            raise NoCellsError(self.library.name, function)
        return _substituted(self._unary[inverse], Call(negated, 0, (a, b)))


Known: TypeAlias = "tuple[Function, Expression]"


def _tuples(items: Sequence[Known], count: int) -> Iterator[tuple[Known, ...]]:
    if count == 1:
        yield from ((item,) for item in items)
    else:
        yield from ((a, b) for a in items for b in items)


def _moved(expression: Expression, place: Callable[[int], int]) -> Expression:
    """The same expression of other arguments."""
    if isinstance(expression, Argument):
        return Argument(place(expression.place))
    if isinstance(expression, Digit):
        return expression
    return Call(expression.cell, expression.output, tuple(_moved(part, place) for part in expression.arguments))


def _substituted(expression: Expression, argument: Expression) -> Expression:
    """An expression of one input, of another expression."""
    if isinstance(expression, Argument):
        return argument
    if isinstance(expression, Digit):
        return expression
    parts = tuple(_substituted(part, argument) for part in expression.arguments)
    return Call(expression.cell, expression.output, parts)


@lru_cache
def synthesis_of(library: Library) -> Synthesis:
    return Synthesis(library)


def gates(builder: Builder, function: Function, *inputs: Nets) -> Nets:
    """A function of wires, from a cell of its own or from several; of constant wires what is left of it. Raises
    NoCellsError where no cells make it."""
    constants = builder.library.digits.radix  # wires below are the digits
    if all(net.min(initial=constants) >= constants for net in inputs):
        return build(builder, synthesis_of(builder.library)(function), *inputs)
    pins = np.stack(np.broadcast_arrays(*inputs)).reshape(len(inputs), -1)
    patterns, which = np.unique(np.where(pins < constants, pins, -1), axis=1, return_inverse=True)
    found = np.empty(pins.shape[1], np.int32)
    for i, pattern in enumerate(patterns.T.tolist()):
        at = which.ravel() == i
        values = [None if wire < 0 else wire + function.digits.low for wire in pattern]
        rest = [pin[at] for pin, value in zip(pins, values, strict=True) if value is None]
        if rest:
            found[at] = build(builder, synthesis_of(builder.library)(function.of_rest(values)), *rest)
        else:
            found[at] = builder.constant(function(*(value for value in values if value is not None)))
    return found.reshape(np.broadcast_shapes(*(net.shape for net in inputs)))
