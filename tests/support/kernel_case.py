"""A `tn` graph that becomes one kernel, for whichever engine or backend is tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import SymbolRefAttr
from xdsl.ir import Block, SSAValue

from tercet.backends.reference.interpreter import run_block
from tercet.ir.kn.kernel import YieldOp
from tercet.ir.locations import node_location
from tercet.ir.operation import TensorOperation, symbol
from tercet.ir.program import Port, Program
from tercet.ir.types import Element, SetType, element_of, range_of, storage_dtype, tensor_type, values_of


class Case:
    """A `tn` graph under test, which becomes one kernel."""

    def __init__(self, name: str, inputs: Sequence[tuple[Sequence[int], Element]]) -> None:
        ports = [
            Port(f"x{i}", tensor_type(shape, element), storage_dtype(element))
            for i, (shape, element) in enumerate(inputs)
        ]
        self.name, self.location = name, node_location("Test", name)
        self.program = Program.new(name, ports)
        self.inputs: list[SSAValue] = list(self.program.block.args)
        self.feeds: list[np.ndarray] | None = None  # own inputs for every sample; random when None

    def constant(self, array: np.ndarray, element: Element | None = None, name: str = "weight") -> SSAValue:
        op = self.program.constant(name, np.asarray(array), element=element, at=self.location)
        self.program.block.add_op(op)
        return op.results[0]

    def add_all(
        self, kind: type[TensorOperation], *operands: SSAValue, types: Sequence[Any] | None = None, **attributes: Any
    ) -> list[SSAValue]:
        """Appends an operation; types: its result types when they cannot be inferred."""
        op = kind.make_typed(list(operands), types, at=self.location, **attributes)
        self.program.block.add_op(op)
        return list(op.results)

    def add(self, kind: type[TensorOperation], *operands: SSAValue, **attributes: Any) -> SSAValue:
        """Appends an operation with one result and returns it."""
        (result,) = self.add_all(kind, *operands, **attributes)
        return result

    def returns(self, *values: SSAValue) -> Case:
        self.program.finish([(f"y{i}", v, storage_dtype(element_of(v))) for i, v in enumerate(values)])
        self.program.verify()
        return self

    @property
    def outputs(self) -> list[SSAValue]:
        return list(self.program.returned.operands)

    def expected(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        wide = [a.astype(np.float32 if a.dtype.kind == "f" else np.int64) for a in arrays]
        return run_block(self.program.block, wide, self.program.weights)


def random_array(rng: np.random.Generator, shape: Sequence[int], element: Element) -> np.ndarray:
    """Values over the whole range of an element, in its storage dtype; its extremes are likely."""
    if storage_dtype(element).kind == "f":
        return (rng.standard_normal(shape) * 4).astype(np.float32)
    if isinstance(element, SetType):
        return rng.choice(values_of(element), size=shape).astype(storage_dtype(element))
    lo, hi = range_of(element)
    array = rng.integers(lo, hi, size=shape, endpoint=True)
    extreme = rng.random(shape)
    array = np.where(extreme < 0.05, lo, np.where(extreme > 0.95, hi, array))
    return array.astype(storage_dtype(element))


def body_of(case: Case, into: Program) -> tuple[Block, list[SSAValue]]:
    """The case's operations in a block of their own, constants in the weight store of `into`."""
    block = Block(arg_types=[v.type for v in case.inputs])
    values: dict[SSAValue, SSAValue] = dict(zip(case.inputs, block.args, strict=True))
    for op in case.program.ops:
        copy = op.clone(values)
        for key, name in op.properties.items():
            if isinstance(name, SymbolRefAttr):
                stored = case.program.weights[name.string_value()]
                copy.properties[key] = symbol(into.weights.add(name.string_value(), stored))
        block.add_op(copy)
        values.update(zip(op.results, copy.results, strict=True))
    results = [values[v] for v in case.outputs]
    block.add_op(YieldOp.create(operands=results))
    return block, results
