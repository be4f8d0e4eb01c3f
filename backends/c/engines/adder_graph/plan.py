"""What the adder-graph engine knows of a kernel before it writes code: the graph, its lanes, its order, its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .....ir.errors import IRError
from .....ir.sum_graph import SumGraph, filter_matrix
from ...convolutions.problem import Problem, read_problem
from ...engine import Kernel, Schedule
from ...refusal import Refused
from ...target import Target
from .order import Traffic, components, evaluation_order, traffic
from .statements import Statements, statements_of

NAME = "adder_graph"
CODE_SHARE_OF_L2 = 0.95
"""Code beyond this is fetched from further away for every vector of pixels: the slower kernel, measured."""
INPUT_SHARE_OF_L1 = 0.9
"""Inputs of one vector of pixels beyond this are no longer there when the next component asks for them."""
CODE_CACHE = 32 * 1024
"""Bytes of code that the first-level cache holds."""
CACHE_LINE = 64
PART_ADDS = 800
SPARE_REGISTERS = 2  # for what is neither an input nor a sum: constants, the value under way

BYTES_INSTRUCTION = 7.6  # measured, most of them with an address of four bytes


@dataclass(frozen=True)
class Plan:
    """A problem with the graph that computes its sums; inputs of the graph are channels times taps."""

    problem: Problem
    graph: SumGraph
    target: Target

    @cached_property
    def lanes(self) -> list[int]:
        """Bytes of the narrowest lane that holds every number a value can be; one entry per value of the graph."""
        return [lane_for(int(lo), int(hi)) for lo, hi in zip(*self.ranges, strict=True)]

    @cached_property
    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest number of each value of the graph."""
        return self.graph.ranges(self.problem.lo, self.problem.hi)

    @cached_property
    def statements(self) -> Statements:
        return statements_of(self.graph, self.lanes)

    @cached_property
    def order(self) -> list[list[int]]:
        """The nodes of every component of the graph, in the order in which they are computed."""
        return [evaluation_order(self.statements, nodes) for nodes in components(self.statements)]

    @cached_property
    def traffic(self) -> Traffic:
        return traffic(self.statements, [node for nodes in self.order for node in nodes], self.registers)

    @property
    def registers(self) -> int:
        """Registers for inputs and sums."""
        return self.target.registers - SPARE_REGISTERS

    @cached_property
    def parts(self) -> list[list[int]]:
        """The order in pieces of whole components, each one function: small ones keep spilled sums close together."""
        found: list[list[int]] = [[]]
        adds = 0
        for nodes in self.order:
            more = sum(len(self.statements[node]) - 1 for node in nodes)
            if found[-1] and adds + more > PART_ADDS:
                found.append([])
                adds = 0
            found[-1] += nodes
            adds += more
        return found

    @cached_property
    def vector_adds(self) -> int:
        """Vector additions for one vector of pixels of one byte."""
        return sum(self.lanes[self.graph.inputs :])

    @cached_property
    def widened(self) -> int:
        """Values that are also needed with wider lanes."""
        wider = set()
        for node, (a, b) in enumerate(zip(self.graph.left, self.graph.right, strict=True), self.graph.inputs):
            wider |= {(int(v), self.lanes[node]) for v in (a, b) if self.lanes[v] < self.lanes[node]}
        return sum(lane for _, lane in wider)

    @cached_property
    def result_vectors(self) -> int:
        """Vectors of sums that become the outputs' results, for one vector of pixels of one byte."""
        return sum(self.lanes[value] if value >= 0 else 1 for value in self.graph.outputs)

    @cached_property
    def input_runs(self) -> int:
        """Rows of the kernel in one channel, each a run of memory, that the components read, counted for each."""
        inputs, width = self.graph.inputs, self.problem.weights.shape[3]
        runs = 0
        for nodes in self.order:
            terms = (term for node in nodes for term in self.statements[node])
            runs += len({value // width for value, _ in terms if value < inputs})
        return runs

    @property
    def input_bytes(self) -> float:
        """Bytes of the cache lines that hold the inputs of one vector of pixels."""
        height, width = self.problem.weights.shape[2:]
        down, right = self.problem.dilations
        run = self.target.vector_bytes + (width - 1) * right
        span = run + (height - 1) * down * self.problem.pitch()
        lines = min(height * (1 + (run - 1) / CACHE_LINE), 1 + (span - 1) / CACHE_LINE)
        return self.problem.channels * lines * CACHE_LINE

    @cached_property
    def code_bytes(self) -> int:
        """Estimated bytes of machine code for one vector of pixels."""
        steps = self.problem.levels.thresholds.shape[1] if self.problem.levels else 1
        finish = self.problem.outputs * (3 + 2 * steps)
        loads = sum(terms[0].value < self.graph.inputs for terms in self.statements.values())  # others are in additions
        return round(BYTES_INSTRUCTION * (self.vector_adds + 2 * self.widened + loads + self.traffic.stores + finish))

    def schedule(self) -> Schedule:
        """Figures for the reader; there is nothing to choose. adds, depth: of the graph of sums. alive: the most sums
        that are alive at a time. code_bytes: estimated, of machine code."""
        return {
            "adds": self.graph.adds,
            "depth": self.graph.depth,
            "alive": self.traffic.alive,
            "code_bytes": self.code_bytes,
        }

    def cost(self, costs: Mapping[str, float]) -> float:
        """Costs for one vector of pixels: `add`, `load`, `store` of a value of one byte, `widen` a value, `output` of
        a vector of sums that becomes results and `choice` of each further row of thresholds, `miss` of a row of the
        kernel in one channel where inputs do not stay in L1, `fetch` of each byte of code that does not stay there. For
        every pixel: `value` of a sum that is stored as it is, `finish` of an epilogue."""
        problem, moved, lanes = self.problem, self.traffic, self.target.vector_bytes
        mean_lane = self.vector_adds / max(self.graph.adds, 1)
        moves = moved.loads * costs["load"] + moved.stores * costs["store"]
        sums = mean_lane * moves + self.vector_adds * costs["add"]
        each = costs["finish"] if problem.finish else costs["value"]
        values = lanes * each if problem.levels is None and problem.bytes_out > 1 else 0
        choices = problem.levels.choices - 1 if problem.levels else 0
        outputs = self.result_vectors * costs["output"] + problem.outputs * (values + choices * costs["choice"])
        missed = self.input_runs if self.input_bytes > INPUT_SHARE_OF_L1 * self.target.l1 else 0
        fetched = max(0, self.code_bytes - CODE_CACHE) * costs["fetch"]
        tile = fetched + sums + self.widened * costs["widen"] + missed * costs["miss"] + outputs
        return -(-problem.lanes(problem.pitch()) // lanes) * tile

    def scratch(self, pitch: int) -> int:
        """Bytes that sums_conv of adder_graph.h divides, for rows of so many pixels."""
        lanes = self.target.vector_bytes
        copies = lanes * self.problem.outputs if self.problem.levels and self.problem.levels.choices > 1 else 0
        return self.problem.bytes_out * (lanes * self.problem.outputs + lanes + pitch + lanes) + copies


def lane_for(lo: int, hi: int) -> int:
    """Bytes of the narrowest signed lane for numbers from lo to hi."""
    return next(size for size in (1, 2, 4) if lo >= -(1 << (8 * size - 1)) and hi < 1 << (8 * size - 1))


def read_plan(kernel: Kernel, target: Target) -> Plan:
    """The plan of a kernel that begins with a convolution that has a graph. Raises Refused with the reason for any
    other, and IRError for a graph that does not compute the weights."""
    problem = read_problem(kernel)
    graph = kernel.graph(problem.root)
    if graph is None:
        raise Refused("expected a convolution that sum-merge has factored: a small one with weights of {-1, 0, 1}")
    if not np.array_equal(graph.to_matrix(), filter_matrix(problem.weights, problem.group)):
        raise IRError("the sum graph of a convolution does not compute its weights", where=kernel.symbol)
    return Plan(problem, graph, target)
