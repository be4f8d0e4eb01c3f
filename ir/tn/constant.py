"""Constants: a named tensor of the program's weight store."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import SymbolRefAttr
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def, result_def

from ..literals import ValuesAttr
from ..operation import TensorOperation
from ..types import Tensor, tensor_of


@irdl_op_definition
class ConstantOp(TensorOperation):
    """`%w = tn.constant {value = @conv1.weight} : () -> tensor<..>`: the values live in the weight store.

    values: only in text, see `literals.py`.
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
