"""The C of an adder graph: a statement for each sum that is named, and one for each output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .....ir.kn.layout import PlanesLayout
from ...convolutions.problem import results_code
from ...engine import Constants, Kernel, KernelCode
from ...epilogue import HEADERS
from ...planes import layout_or_dense, planes_initialiser
from ...text import Lines, kernel_head
from .plan import Plan, lane_for
from .statements import Term

FORGET = 32  # additions after which inputs are loaded again: measured, 8 to 64 are alike
GCC_FLAGS = ("--param=max-combine-insns=2",)  # an addition and its load; longer chains take a fifth of gcc's time
HEADER = Path(__file__).with_name("adder_graph.h")


def emit_graph(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its input must be in planes that satisfy the problem's request."""
    symbol, layout, out = kernel.symbol, layout_or_dense(kernel.inputs[0]), Lines()
    problem, constants = plan.problem, Constants()
    results = results_code(kernel, problem, plan.target.vector_bytes, constants)
    out_layout = layout_or_dense(problem.results(kernel))
    out.add(*results.text)
    flat = out_layout.field("stride") == 1 and out_layout.field("pitch") == layout.field("pitch")
    statements = _Statements(plan, layout, "mask" if flat and not problem.finish else "NULL", out)
    out.add(f"/* {plan.graph.adds} additions, depth {plan.graph.depth}, at most {plan.traffic.alive} sums alive. */")
    for i, nodes in enumerate(plan.parts):
        with out.block(f"static SUMS_STRAIGHT void {symbol}_sums{i}(SUMS_TILE)"):
            statements.write(nodes, first=i == 0)
        out.add("")
    out.add(
        f"static const struct sums_layer {symbol}_layer = {{",
        f"    .in = {planes_initialiser(kernel.inputs[0])},",
        *results.fields,
        f"    .part_count = {len(plan.parts)},",
        f"    .parts = {{{', '.join(f'{symbol}_sums{i}' for i in range(len(plan.parts)))}}},",
        "};",
        "",
    )
    with out.block(kernel_head(symbol)):
        out.add(*results.clears, f"sums_conv(&{symbol}_layer, task, {results.finish});")
    scratch = plan.scratch(layout.field("pitch"))
    return KernelCode(out.text(), constants, (*HEADERS, HEADER), scratch, gcc_flags=GCC_FLAGS)


class _Statements:
    """Writes the body: sums in the plan's order, each output as soon as its sum is there."""

    def __init__(self, plan: Plan, layout: PlanesLayout, mask: str, out: Lines) -> None:
        self.plan, self.graph, self.mask, self.out = plan, plan.graph, mask, out
        taps, size = plan.problem.taps(layout), layout.field("size")
        self.offsets = [channel * size + tap for channel in range(plan.problem.channels) for tap in taps]
        self.ends: dict[int, list[int]] = {}  # value -> the output channels that it is
        for k, value in enumerate(plan.graph.outputs.tolist()):
            self.ends.setdefault(value, []).append(k)
        self.wide: set[tuple[int, int]] = set()  # (value, lane) of the sums that also are in wider lanes

    def write(self, nodes: list[int], *, first: bool) -> None:
        """The statements of one function. first: it also writes the results that need no addition."""
        self.wide.clear()
        if first:
            for value in [v for v in sorted(self.ends) if v < self.graph.inputs]:
                self._finish(value)
        added = 0
        for node in nodes:
            terms = self.plan.statements[node]
            if added >= FORGET:
                self.out.add("SUMS_FORGET(x);")
                added = 0
            added += len(terms) - 1
            self._sum(node, terms)
            self._finish(node)

    def _sum(self, node: int, terms: Sequence[Term]) -> None:
        lane = self.plan.lanes[node]
        text = self._value(terms[0].value, lane)
        for value, negative in terms[1:]:
            text = _added(text, self._value(value, lane), lane, negative=negative)
        self.out.add(f"const sums_{8 * lane} t{node - self.graph.inputs} = {text};")

    def _value(self, value: int, lane: int) -> str:
        """A value as an expression with lanes of so many bytes, which are no narrower than its own."""
        if value < self.graph.inputs:
            return f"{'U' if self.plan.problem.unsigned else 'X'}{8 * lane}({self.offsets[value]})"
        name, own = f"t{value - self.graph.inputs}", self.plan.lanes[value]
        if own == lane:
            return name
        if (value, lane) not in self.wide:
            self.wide.add((value, lane))
            self.out.add(f"const sums_{8 * lane} {name}_{8 * lane} = sums_{8 * own}to{8 * lane}({name});")
        return f"{name}_{8 * lane}"

    def _finish(self, value: int) -> None:
        """Stores the outputs that are a value, its negative, or (value -1) nothing."""
        item = self.plan.problem.bytes_out
        for k in self.ends.get(value, ()):
            lane = self.plan.lanes[value] if value >= 0 else 1
            if self.plan.problem.levels is None:
                lane, text = self._result(value, k)
                text = text if lane == item else f"sums_{8 * lane}to{8 * item}({text})"
            else:
                text = self._levels(value, k, lane)
            self.out.add(f"sums_store{8 * item}(to + {k} * step, {text}, {self.mask});")

    def _result(self, value: int, k: int) -> tuple[int, str]:
        """(lane, expression) of the sum with its bias, which an epilogue adds itself."""
        bias = int(self.plan.problem.stored_bias[k])
        sign = -1 if self.graph.negate[k] else 1
        if value < 0:
            lane = lane_for(bias, bias)
            return lane, f"sums_all{8 * lane}({bias})"
        ends = [sign * end for end in self._range(value)]
        lane = max(self.plan.lanes[value], lane_for(min(ends) + bias, max(ends) + bias), lane_for(bias, bias))
        text = self._value(value, lane)
        if sign < 0:
            return lane, _added(f"sums_all{8 * lane}({bias})", text, lane, negative=True)
        return lane, _added(text, f"sums_all{8 * lane}({bias})", lane) if bias else text

    def _range(self, value: int) -> tuple[int, int]:
        least, most = self.plan.ranges
        return int(least[value]), int(most[value])

    def _levels(self, value: int, k: int, lane: int) -> str:
        """Levels of the one row of thresholds, or of the row that the selector chooses."""
        levels = self.plan.problem.levels
        assert levels is not None
        rows = levels.thresholds[k].reshape(levels.choices, levels.steps).tolist()
        texts = [self._row_levels(value, k, lane, row) for row in rows]
        if len(texts) == 1:
            return texts[0]
        place = f"select + {k} * select_step"
        chosen = [f"sums_chosen({place}, {levels.first + i}, {text})" for i, text in enumerate(texts)]
        return " | ".join(chosen)

    def _row_levels(self, value: int, k: int, lane: int, thresholds: list[int]) -> str:
        """start + step * #{value > bound}: a bias, a negated value and a falling step are in start, step and bounds."""
        levels, bias = self.plan.problem.levels, int(self.plan.problem.bias[k])
        assert levels is not None
        steps, sign = levels.steps, int(levels.sign[k])
        start, step = levels.base + (levels.step * steps if sign < 0 else 0), levels.step * sign
        lo, hi = self._range(value) if value >= 0 else (0, 0)
        bounds = []
        for threshold in thresholds:
            bound = threshold - bias - 1  # sum >= T is sum > T - bias - 1
            if value >= 0 and self.graph.negate[k]:  # -value > bound is not (value > -bound - 1)
                start, bound, own = start + step, -bound - 1, -step
            else:
                own = step
            if bound < lo:
                start += own
            elif bound < hi:
                bounds.append(bound)
        step = -step if value >= 0 and self.graph.negate[k] else step
        if not bounds:
            return f"sums_all8({start})"
        info = np.iinfo(np.int8)
        # levels fit a byte, but for uint8 ones: those wrap around
        start, step = ((v - info.min) % 256 + info.min for v in (start, step))
        count, text = len(bounds), ", ".join(map(str, bounds))
        return f"sums_levels{8 * lane}({self._value(value, lane)}, {start}, {step}, {count}, (const int[]){{{text}}})"


def _added(a: str, b: str, lane: int, *, negative: bool = False) -> str:
    """a + b, or a - b. Bytes are one vector, wider lanes several."""
    if lane == 1:
        return f"{a} {'-' if negative else '+'} {b}"
    return f"sums_{'sub' if negative else 'add'}{8 * lane}({a}, {b})"
