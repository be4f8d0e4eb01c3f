"""What the linear_f32 engine computes, and the forms in which its weights lie in the lanes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from .....ir.types import is_float
from ...dense.problem import MatMul, bias_of, read_matmul
from ...digits import SAME, Digits, find_digits
from ...engine import Constant, Kernel
from ...refusal import Refused

TABLE = 32
"""Floats of a table: two registers of 64 bytes."""
LANE_BITS = 32


@dataclass(frozen=True)
class Form:
    """name: of `enum linear_f32_form`, without its prefix. radix: kinds of weights. bits: of a field, or of the index
    of `group` weights. ops: vector operations that make a weight or an index of a packed vector; chosen: those with an
    instruction that chooses among four values."""

    name: str
    radix: int
    bits: int
    group: int
    ops: int
    chosen: int = 0

    @property
    def tables(self) -> bool:
        return self.name == "tables"

    @property
    def slots(self) -> int:
        """Indices or fields of a lane."""
        return LANE_BITS // self.bits

    @property
    def inputs(self) -> int:
        """Weights of a lane."""
        return self.slots * self.group

    @property
    def cell_bytes(self) -> int:
        """What is prepared of `group` inputs."""
        return 4 * TABLE if self.tables else 4


TABLES = {2: Form("tables", 2, 8, 5, 1), 3: Form("tables", 3, 8, 3, 1)}
"""By radix."""
SIGNS, MASKS = Form("signs", 2, 1, 1, 3), Form("masks", 2, 1, 1, 3)
TRITS = Form("trits", 3, 2, 1, 2)
EITHER, CHOICE = Form("either", 2, 1, 1, 4, 2), Form("choice", 3, 2, 1, 7, 2)
FORMS = {form.name: form for form in (SIGNS, MASKS, TRITS, EITHER, CHOICE)}


@dataclass(frozen=True)
class Problem:
    """A matrix product of floats and the weights `digits`, of shape [columns, inputs]. bias: float32, broadcasting
    against the root's result, or None."""

    matmul: MatMul
    digits: Digits
    bias: np.ndarray | None

    @property
    def fields(self) -> Form:
        """The form of the weights as fields. A value and its opposite are a bit of a float."""
        values = self.digits.values
        if len(values) == 2 and values[0] == 0:
            return MASKS
        opposite = abs(values[-1] + values[-2]) <= SAME * abs(values[-1])
        if len(values) == 2:
            return SIGNS if opposite else EITHER
        return TRITS if opposite else CHOICE

    def form(self, name: str) -> Form:
        return TABLES[self.digits.radix] if name == "tables" else FORMS[name]

    def values(self, form: Form) -> tuple[float, float]:
        """The weights of the fields that mean one value and the other, see linear_f32_weight."""
        own = self.digits.values
        return (own[1], own[2]) if form.radix == 3 else (own[0], own[1])

    def factor(self, form: Form) -> float:
        """Of the inputs, for what fields leave out: SIGNS, MASKS and TRITS are worth 2 or -2."""
        one, other = self.values(form)
        return {"signs": one / 2, "masks": other / 2, "trits": one / 2}.get(form.name, 1.0)

    def table_values(self, form: Form) -> np.ndarray:
        """float32 [group, TABLE]: the weight of each input of a table in each of its entries."""
        found = np.zeros((form.group, TABLE), np.float32)
        for entry, digits in enumerate(product(range(form.radix), repeat=form.group)):  # the first input's changes last
            found[::-1, entry] = np.array(self.digits.values, np.float32)[list(digits)]
        return found

    def packed(self, form: Form, vectors: int, lanes: int, depth: int) -> Constant:
        """The weights in reading order: block of `depth` steps, panel of `vectors` vectors of `lanes` columns, step,
        vector, lane, slot, input of a slot."""
        digits = self.digits.digits.astype(np.uint8)
        if form.radix == 3 and not form.tables:
            digits = np.array([1, 0, 2], np.uint8)[digits]
        columns, inputs = digits.shape
        panels, steps = -(-columns // (vectors * lanes)), -(-inputs // form.inputs)

        def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
            rest = (panels * vectors * lanes - columns, steps * form.inputs - inputs)
            padded = np.pad(array, [(0, r) for r in rest], constant_values=fill)
            split = padded.reshape(panels, vectors, lanes, steps, form.inputs).transpose(0, 3, 1, 2, 4)
            return np.concatenate([split[:, begin : begin + depth].reshape(-1) for begin in range(0, steps, depth)])

        filled = ordered(np.zeros(digits.shape, np.bool_), fill=True)
        order = ordered(digits, fill=0)
        if form.tables:
            return Constant(order, form.radix, form.group, filled=filled)
        base, count = 1 << form.bits, 8 // form.bits
        offset = sum(base**i for i in range(count)) if form.radix == 3 else 0  # fields 1, 2 and 3
        return Constant(order, base, count, offset, filled=filled)


def read_problem(kernel: Kernel) -> Problem:
    """Raises Refused with the reason for what is no such product."""
    matmul = read_matmul(kernel)
    if not is_float(matmul.x):
        raise Refused("integer operands")
    digits = find_digits(np.ascontiguousarray(matmul.weights.T, np.float32))
    if digits is None:
        raise Refused("expected weights of two or three values, one of them 0 or of the other sign")
    return Problem(matmul, digits, bias_of(kernel, matmul))
