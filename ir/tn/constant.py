"""Constants."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import SymbolRefAttr
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def, result_def

from ..literals import ValuesAttr
from ..operation import TensorOperation
from ..types import Tensor, tensor_of


@irdl_op_definition
class ConstantOp(TensorOperation):
    """An array of the program's weight store.

    value: its name in the store, `@conv1.weight`.
    values: the elements; only in text, and only for small arrays, so that it can be read and run without the store.
    """

    name = "tn.constant"
    value = prop_def(SymbolRefAttr)
    values = opt_prop_def(ValuesAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        return [tensor_of(result) for result in self.results]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ""  # there are none


OPS = [ConstantOp]
