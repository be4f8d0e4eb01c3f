"""A program: one xDSL module with one function, its weights, and the names and dtypes of its inputs and outputs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    Builtin,
    DictionaryAttr,
    IntegerAttr,
    LocationAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    i64,
)
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import ParseError, VerifyException

from .errors import IRError
from .kn.memory import verify_memory
from .literals import MOST_VALUES, fits_text, shown
from .locations import describe
from .names import decode_name, encode_name, ssa_hint
from .operation import symbol
from .order import verify_order
from .tn import TN
from .tn.constant import ConstantOp
from .types import (
    Element,
    SetType,
    Tensor,
    contains,
    element_of_array,
    shape_of,
    storage_dtype,
    tensor_of,
    tensor_type,
    values_of,
)
from .weights import WeightStore

TEXT_FILE, WEIGHTS_FILE = "program.mlir", "weights.npz"
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|(?P<string>")(?:[^"\\\n\v\f]|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*(?P<end>"?)')


def context() -> Context:
    """A fresh xDSL context that knows exactly the dialects of a program."""
    from .kn import KN

    ctx = Context()
    for dialect in (Builtin, Func, TN, KN):
        ctx.load_dialect(dialect)
    return ctx


@dataclass(frozen=True)
class Port:
    """An input or output of a program. dtype is the source model's; type is the tensor inside the program."""

    name: str
    type: Tensor
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.type)


class Program:
    """What passes transform and backends read.

    batched: the program describes one sample; the leading axis (size 1) of every input and output may have any size
    at run time, and each sample is computed on its own.
    """

    def __init__(self, module: ModuleOp, weights: WeightStore) -> None:
        self.module, self.weights = module, weights

    # -- building -------------------------------------------------------------------------------------------------

    @classmethod
    def new(cls, name: str, inputs: Sequence[Port], *, batched: bool = False) -> Program:
        """A program without operations; append to `block`, then call `finish`."""
        block = Block(arg_types=[port.type for port in inputs])
        for argument, port in zip(block.args, inputs, strict=True):
            argument.name_hint = ssa_hint(port.name)
        function = FuncOp("main", ([port.type for port in inputs], []), Region(block))
        function.properties["arg_attrs"] = ArrayAttr([_port_attributes(port) for port in inputs])
        module = ModuleOp(
            [function],
            {"tn.model": StringAttr(encode_name(name)), "tn.batched": IntegerAttr(int(batched), i64)},
        )
        return cls(module, WeightStore())

    def finish(self, outputs: Sequence[tuple[str, SSAValue, np.dtype]]) -> None:
        """Appends the return of the named output values and fixes the function's type."""
        values = [value for _, value, _ in outputs]
        self.block.add_op(ReturnOp(*values))
        ports = [Port(name, tensor_of(value), np.dtype(dtype)) for name, value, dtype in outputs]
        self.function.properties["res_attrs"] = ArrayAttr([_port_attributes(port) for port in ports])
        self.refresh_type()

    def constant(
        self,
        name: str,
        array: np.ndarray,
        *,
        element: Element | None = None,
        at: LocationAttr | Operation | None = None,
    ) -> ConstantOp:
        """A constant operation (not yet inserted) whose values are put in the store; element is inferred from them."""
        kind = element_of_array(array) if element is None else element
        stored = self.weights.add(encode_name(name), array)
        op = ConstantOp.make_typed([], [tensor_type(array.shape, kind)], at=at, value=symbol(stored))
        op.results[0].name_hint = ssa_hint(stored)
        return op

    def refresh_type(self) -> None:
        """Makes the function's signature that of its block arguments and returned values."""
        self.function.update_function_type()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def function(self) -> FuncOp:
        op = self.module.body.block.first_op
        if not isinstance(op, FuncOp):
            raise IRError("a program is a module with one function, 'main'")
        return op

    @property
    def block(self) -> Block:
        return self.function.body.block

    @property
    def ops(self) -> Iterator[Operation]:
        """The function's operations in order, without the return. Safe against removal while iterating."""
        return iter([op for op in self.block.ops if not isinstance(op, ReturnOp)])

    @property
    def returned(self) -> ReturnOp:
        op = self.block.last_op
        if not isinstance(op, ReturnOp):
            raise IRError("the function does not end in func.return")
        return op

    @property
    def name(self) -> str:
        value = self.module.attributes.get("tn.model")
        return decode_name(value.data) if isinstance(value, StringAttr) else "model"

    @property
    def batched(self) -> bool:
        value = self.module.attributes.get("tn.batched")
        return isinstance(value, IntegerAttr) and value.value.data == 1

    @batched.setter
    def batched(self, value: bool) -> None:
        self.module.attributes["tn.batched"] = IntegerAttr(int(value), i64)

    @property
    def inputs(self) -> list[Port]:
        return _ports(self.function.arg_attrs, [tensor_of(a) for a in self.block.args], "x")

    @property
    def outputs(self) -> list[Port]:
        return _ports(self.function.res_attrs, [tensor_of(v) for v in self.returned.operands], "y")

    def array(self, value: SSAValue) -> np.ndarray | None:
        """The stored array of a constant value, else None."""
        return self.weights[value.owner.get("value")] if isinstance(value.owner, ConstantOp) else None

    # -- changing -------------------------------------------------------------------------------------------------

    def before(self, op: Operation) -> Builder:
        """A builder that inserts in front of an operation."""
        return Builder(InsertPoint.before(op))

    def drop_unused_weights(self) -> None:
        """Forgets stored arrays that no operation names."""
        used = {name for op in self.module.walk() for name in stored_names(op)}
        for name in [n for n in self.weights if n not in used]:
            del self.weights[name]

    def clone(self) -> Program:
        return Program(self.module.clone(), self.weights.copy())

    # -- text and files -------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Checks every rule of the dialects, that values are defined before they are used, that constants fit the
        store, and the memory plan where there is one. Raises IRError naming the operation."""
        verify_order(self.module.body.block)
        for op in self.module.walk():
            try:
                op.verify(verify_nested_ops=False)
            except VerifyException as error:
                raise IRError(str(error), where=describe(op)) from error
            for name in stored_names(op):
                if name not in self.weights:
                    raise IRError(f"{op.name} names '@{name}', which is not in the weight store", where=describe(op))
            if isinstance(op, ConstantOp):
                self._verify_constant(op)
        verify_memory(self.block)

    def _verify_constant(self, op: ConstantOp) -> None:
        name, kind = op.get("value"), tensor_of(op.result)
        array = self.weights[name]
        if array.shape != shape_of(kind):
            raise IRError(
                f"constant '@{name}': field shape: expected {list(shape_of(kind))}, got {list(array.shape)}",
                where=describe(op),
            )
        have = element_of_array(array)
        if array.size and not _fits(kind.element_type, have, array):
            raise IRError(
                f"constant '@{name}': field values: expected {kind.element_type}, got {have}", where=describe(op)
            )

    def text(self) -> str:
        """The program in MLIR syntax with locations and the values of small constants; `parse` gives the same program,
        byte for byte in its text."""
        return self.text_of(self.module) + "\n"

    def text_of(self, op: Operation) -> str:
        """One operation with its location; operands defined elsewhere by their names."""
        stream = io.StringIO()
        with shown(self._values_in_text(op)):
            Printer(stream, print_debuginfo=True).print_op(op)
        return stream.getvalue()

    def _values_in_text(self, of: Operation) -> Iterator[tuple[ConstantOp, np.ndarray]]:
        """The constants in an operation whose values stand in the text."""
        for op in of.walk():
            if isinstance(op, ConstantOp) and prod(shape_of(op.result)) <= MOST_VALUES:
                array = self.weights.get(op.get("value"))
                if array is not None and fits_text(array):
                    yield op, array

    def weights_beside_text(self) -> WeightStore:
        """The arrays that the program names and its text does not hold."""
        in_text = {op for op, _ in self._values_in_text(self.module)}
        used = {name for op in self.module.walk() if op not in in_text for name in stored_names(op)}
        return WeightStore({name: self.weights[name] for name in used})

    @classmethod
    def parse(cls, text: str, weights: WeightStore, *, origin: str = "<text>") -> Program:
        """Reads a program from its text. weights: the arrays that the text does not hold; the store is not changed.
        Raises IRError for bad syntax; call `verify` for the rules."""
        _check_strings(text, origin)
        try:
            module = Parser(context(), text, origin).parse_module()
        except ParseError as error:
            raise IRError(f"cannot parse the program: {_syntax_problem(error)}", where=origin) from error
        except VerifyException as error:
            raise IRError(f"cannot parse the program: {error}", where=origin) from error
        except RecursionError as error:
            raise IRError("cannot parse the program: it is nested too deeply", where=origin) from error
        program = cls(module, weights)
        _ = program.function, program.returned
        program._take_values()
        return program

    def _take_values(self) -> None:
        """Moves the values that stood in the text to the store. Raises IRError where they do not fit."""
        written = [op for op in self.module.walk() if isinstance(op, ConstantOp) and op.values is not None]
        if written:
            self.weights = self.weights.copy()
        for op in written:
            name, attribute, kind = op.get("value"), op.values, op.result.type
            assert attribute is not None
            if not isinstance(kind, TensorType):
                raise IRError(f"constant '@{name}': expected a tensor, got {kind}", where=describe(op))
            array, shape = attribute.array, kind.get_shape()
            if array.size != prod(shape):
                raise IRError(
                    f"constant '@{name}': field values: expected {prod(shape)} elements, got {array.size}",
                    where=describe(op),
                )
            if self.weights.add(name, array.reshape(shape)) != name:
                raise IRError(f"there are two constants '@{name}' with different values", where=describe(op))
            del op.properties["values"]

    def save(self, folder: Path) -> None:
        """Writes program.mlir, and into weights.npz the arrays that are not in that text, into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TEXT_FILE).write_text(self.text(), encoding="utf-8")
        self.weights_beside_text().save(folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Program:
        """Reads what `save` wrote; weights stay on disk until used."""
        text = (folder / TEXT_FILE).read_text(encoding="utf-8")
        return cls.parse(text, WeightStore.open(folder / WEIGHTS_FILE), origin=str(folder / TEXT_FILE))


def _check_strings(text: str, origin: str) -> None:
    """Raises IRError for a string that its line does not close: xDSL's lexer would try every way to split it."""
    for found in _COMMENT_OR_STRING.finditer(text):
        if found["string"] and not found["end"]:
            line = text.count("\n", 0, found.start()) + 1
            raise IRError(f"cannot parse the program: the string in line {line} has no end", where=origin)


def _syntax_problem(error: ParseError, around: int = 80) -> str:
    """Where it is, the text around it, and what is wrong: one line may hold a whole program."""
    span, source = error.span, error.span.input
    first = max(source.get_start_of_line(span.start), span.start - around)
    text = source.content[first : min(source.get_end_of_line(span.start), span.start + around)]
    return f"{span.get_location()}\n  {text}\n  {' ' * (span.start - first)}^ {error.msg}"


def stored_names(op: Operation) -> list[str]:
    """The arrays of the weight store that an operation names."""
    return [p.string_value() for p in op.properties.values() if isinstance(p, SymbolRefAttr)]


def _fits(want: object, have: Element, array: np.ndarray) -> bool:
    if isinstance(want, SetType):
        return bool(np.isin(array, values_of(want)).all())
    return contains(want, have)  # type: ignore[arg-type]


def _port_attributes(port: Port) -> DictionaryAttr:
    return DictionaryAttr({"tn.name": StringAttr(encode_name(port.name)), "tn.dtype": StringAttr(port.dtype.name)})


def _ports(attributes: ArrayAttr[DictionaryAttr] | None, types: Sequence[Tensor], prefix: str) -> list[Port]:
    ports = []
    for i, kind in enumerate(types):
        fields = attributes.data[i].data if attributes is not None else {}
        name, dtype = fields.get("tn.name"), fields.get("tn.dtype")
        ports.append(
            Port(
                decode_name(name.data) if isinstance(name, StringAttr) else f"{prefix}{i}",
                kind,
                np.dtype(dtype.data) if isinstance(dtype, StringAttr) else storage_dtype(kind.element_type),
            )
        )
    return ports
