"""Generated sources: layout conversions, packed weights, hostile names, what layers.json is told, refusals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from harness import NATIVE, Case, Library, kernel_program, plan_offsets, planes_type, random_array
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import DenseArrayBase, StringAttr, f32, i64

from tercet.backends.c.emit import emit_model
from tercet.backends.c.engine import Engine
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.engines.dense_int8 import ENGINE as DENSE_INT8
from tercet.backends.c.engines.loops import ENGINE
from tercet.backends.c.storage import pack as pack_digits
from tercet.backends.c.text import comment, float_c
from tercet.backends.c.toolchain import OBJECTS, compile_shared, find_compiler, target_flags
from tercet.ir.errors import IRError
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.kn.layout import MapType, PlanesLayout, buffer_bytes, pack, unpack
from tercet.ir.kn.requests import Planes
from tercet.ir.operation import from_attribute
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import ReluOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import BIPOLAR, TERNARY, Element, element_of, int_type, shape_of, storage_dtype, tensor_type

FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)

borders = st.integers(0, 3)
requests = st.builds(Planes, borders, borders, borders, borders, st.integers(1, 3), st.booleans())
chains = st.tuples(
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([TERNARY, BIPOLAR, int_type(0, 200), int_type(-5, 3000), f32]),
    requests,
    requests,
    st.integers(0, 2),
)


def convert_program(items: list[tuple[tuple[int, ...], Element, Planes, Planes, int]]) -> Program:
    """Each item goes dense -> planes -> other planes -> dense."""
    kinds = [tensor_type((1, *shape), element) for shape, element, *_ in items]
    ports = [Port(f"x{i}", kind, storage_dtype(element_of(kind))) for i, kind in enumerate(kinds)]
    program, outputs = Program.new("converts", ports), []
    for i, (kind, (_, _, first, second, slack)) in enumerate(zip(kinds, items, strict=True)):
        value = program.block.args[i]
        for step in (planes_type(kind, first, slack), planes_type(kind, second), kind):
            op = ConvertOp.create(operands=[value], result_types=[step])
            program.block.add_op(op)
            value = op.y
        outputs.append((f"y{i}", value, ports[i].dtype))
    program.finish(outputs)
    plan_offsets(program)
    return program


@given(st.lists(chains, min_size=16, max_size=16))
@FEW
def test_conversions(items: list[tuple[tuple[int, ...], Element, Planes, Planes, int]]) -> None:
    program = convert_program(items)
    library, rng = Library(program), np.random.default_rng(0)
    arrays = [random_array(rng, (1, *shape_of(v)), element_of(v)) for v in program.block.args]
    for threads in (1, 2):
        for have, want in zip(library.run(arrays, threads=threads), arrays, strict=True):
            np.testing.assert_array_equal(have, want)
    sources = iter(a[0] for a in arrays for _ in range(2))
    for op in program.ops:
        kind, offset = op.results[0].type, from_attribute(op.properties["offsets"])[0]
        if isinstance(kind, MapType):
            dtype = storage_dtype(element_of(kind.tensor))
            buffer = library.arena[offset : offset + buffer_bytes(kind)].view(dtype)
            array = next(sources)
            np.testing.assert_array_equal(unpack(buffer, kind), array)
            assert isinstance(kind.layout, PlanesLayout)
            if kind.layout.field("zero"):
                np.testing.assert_array_equal(buffer, pack(array, kind))


def test_conversion_clears_what_was_in_memory() -> None:
    """The border is zero although another value had the same memory before."""
    kind = tensor_type((1, 3, 5, 5), TERNARY)
    layout = planes_type(kind, Planes(2, 1, 1, 2, stride=2, zero=True), 1)
    program = Program.new(
        "dirty", [Port("x", kind, np.dtype(np.int8)), Port("d", tensor_type((999,), TERNARY), np.dtype(np.int8))]
    )
    dirt = ConvertOp.create(operands=[program.block.args[1]], result_types=[program.block.args[1].type])
    convert = ConvertOp.create(operands=[program.block.args[0]], result_types=[layout])
    back = ConvertOp.create(operands=[convert.y], result_types=[kind])
    for op, offset in ((dirt, 0), (convert, 0), (back, -1)):
        op.properties["offsets"] = DenseArrayBase.from_list(i64, [offset])
        program.block.add_op(op)
    program.finish([("y", back.y, np.dtype(np.int8))])
    library, x = Library(program), random_array(np.random.default_rng(0), (1, 1, 3, 5, 5), TERNARY)
    (y,) = library.run([x, np.ones((1, 999), np.int8)])
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(library.arena[: buffer_bytes(layout)].view(np.int8), pack(x[0], layout))


@given(st.integers(2, 256), st.integers(0, 50), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_digits_are_packed_lowest_first(radix: int, count: int, seed: int) -> None:
    digits = np.random.default_rng(seed).integers(0, radix, count).astype(np.uint8)
    stored, per_byte = pack_digits(digits, radix), {2: 8, 3: 5, 4: 4, 7: 2, 17: 1}.get(radix)
    per_byte = per_byte or next(n for n in range(8, 0, -1) if radix**n <= 256)
    assert len(stored) == -(-count // per_byte)
    read = [byte // radix**i % radix for byte in stored for i in range(per_byte)]
    np.testing.assert_array_equal(read[:count], digits)


def relu_program(name: str = "relu", **changes: str) -> Program:
    case = Case(name, [((2, 3), f32)])
    program = kernel_program(ENGINE, [(case.returns(case.add(ReluOp, case.inputs[0])), None)])
    kernel = next(op for op in program.ops if isinstance(op, KernelOp))
    kernel.properties.update({key: StringAttr(value) for key, value in changes.items()})
    return program


@pytest.mark.parametrize(
    "name", ['a*/ #error "x"', "*/*/", "/*", "\n#error", "??/\n#error x", "\\", 'é"; int x', "*" * 5000]
)
def test_hostile_names_stay_in_comments(name: str) -> None:
    library = Library(relu_program(name))
    x = np.array([[[-1, 2, 3], [0, -5, 1]]], np.float32)
    np.testing.assert_array_equal(library.run([x])[0], np.maximum(x, 0))


@given(st.text(alphabet="*/ \\\n?a"))
def test_comments_end_once(text: str) -> None:
    inside = comment(text)[2:-2]
    assert "*/" not in inside and "/*" not in inside and "\n" not in inside and "\\" not in inside


@given(st.floats(width=32))
def test_float_literals_are_exact(value: float) -> None:
    text = float_c(value).strip("()").removesuffix("f")
    if np.isfinite(value):
        assert np.float32(text) == np.float32(value) and ("." in text or "e" in text)
        assert np.signbit(np.float32(text)) == np.signbit(value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"symbol": "x(void){}//"}, "not a C identifier"), ({"engine": "../loops"}, "unknown engine")],
)
def test_bad_kernels_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(IRError, match=message):
        emit_model(relu_program(**changes), NATIVE)


def test_unplanned_memory_is_refused() -> None:
    program = relu_program()
    del next(iter(program.ops)).properties["offsets"]
    with pytest.raises(IRError, match="no offsets"):
        emit_model(program, NATIVE)


def test_graph_level_operations_are_refused() -> None:
    case = Case("graph", [((2,), f32)])
    with pytest.raises(IRError, match="not at kernel level"):
        emit_model(case.returns(case.add(ReluOp, case.inputs[0])).program, NATIVE)


def test_an_input_returned_directly_is_refused() -> None:
    program = Program.new("id", [Port("x", tensor_type((2,), f32), np.dtype(np.float32))])
    program.finish([("y", program.block.args[0], np.dtype(np.float32))])
    with pytest.raises(IRError, match="copies it"):
        emit_model(program, NATIVE)


def test_a_kernel_without_inputs_and_one_that_copies() -> None:
    """Results may be constants or operands themselves; every output comes straight from its kernel."""
    constant = Case("constant", [])
    constant.returns(constant.constant(np.arange(5, dtype=np.int16)))
    copy = Case("copy", [((2, 3), int_type(-9, 9))])
    copy.returns(copy.inputs[0])
    program = kernel_program(ENGINE, [(constant, None), (copy, None)])
    for op in list(program.ops):
        if isinstance(op, ConvertOp):
            op.y.replace_all_uses_with(op.x)
            op.detach()
            op.erase()
    plan_offsets(program)
    x = np.arange(6, dtype=np.int8).reshape(1, 2, 3)
    y, z = Library(program).run([x])
    np.testing.assert_array_equal(y[0], np.arange(5))
    np.testing.assert_array_equal(z, x)


def test_layers_say_what_was_generated() -> None:
    layer, convert = emit_model(relu_program("act"), NATIVE).layers
    assert layer == {
        "symbol": "k000_loops", "engine": "loops", "schedule": {}, "nodes": ["Test:act"], "ops": ["tn.relu"],
        "results": ["tensor<2x3xf32>"], "offsets": [0], "weight_bytes_stored": 0, "digit_bytes_stored": 0,
        "weight_bytes": 0, "scratch_bytes": 0, "parallel": True,
    }  # fmt: skip
    assert convert["engine"] == "convert" and convert["offsets"] == [-1]


def test_every_function_says_where_it_comes_from() -> None:
    sources = emit_model(relu_program("act"), NATIVE).sources
    for name, text in sources.items():
        for match in re.finditer(r"^void (\w+)\(.*\{$", str(text), re.MULTILINE):
            above = str(text)[: match.start()].splitlines()[-1]
            assert above.startswith("/* act (Test)"), (name, match[1], above)


@pytest.mark.parametrize("engine", [DENSE_INT8, ENGINE], ids=lambda engine: engine.name)
def test_equal_kernels_share_their_code(engine: Engine) -> None:
    """Layers of the same shape differ in weights, which come with the task: one file, under the first one's name."""
    rng, cases = np.random.default_rng(0), []
    for name, width in (("a", 40), ("b", 40), ("wide", 48), ("c", 40)):
        case = Case(name, [((2, 33), TERNARY)])
        weights = case.constant(rng.integers(-1, 2, (33, width)).astype(np.int8), TERNARY)
        cases.append(case.returns(case.add(MatMulOp, case.inputs[0], weights)))
    program = kernel_program(engine, [(case, None) for case in cases])
    a, b, wide, c = (op.symbol.data for op in program.ops if isinstance(op, KernelOp))
    sources = emit_model(program, NATIVE).sources
    shared = str(sources[f"{a}.c"])
    assert {f"{a}.c", f"{wide}.c"} <= set(sources) and not {f"{b}.c", f"{c}.c"} & set(sources)
    for name, symbol in (("b", b), ("c", c)):
        assert re.search(rf"/\* {name} \(Test\): .*\nvoid {symbol}\(.*\n    {a}\(task\);\n}}", shared)
    steps = str(sources["definition.c"]).partition("struct tercet_step steps[] = {")[2]
    assert [name for name in re.findall(r"^    \{(\w+), ", steps, re.MULTILINE) if name[0] == "k"] == [a, b, wide, c]
    arrays = [rng.integers(-1, 2, (2, 33)).astype(np.int8) for _ in cases]
    for got, case, array in zip(Library(program).run([a[None] for a in arrays]), cases, arrays, strict=True):
        np.testing.assert_array_equal(got[0], case.expected([array])[0])


SHARING = [engine for engine in ENGINES if engine.name in {"active_inputs", "bit_sliced", "popcount", "table"}]


@pytest.mark.parametrize("engine", [*SHARING, DENSE_INT8, ENGINE], ids=lambda engine: engine.name)
def test_kernels_share_their_code_however_long_their_names_are(engine: Engine) -> None:
    """The name of a function says where the lines of its parameters begin. Nothing of the weights is in the code."""
    rng, cases, names = np.random.default_rng(0), [], ["a", "b" * 9, "c" * 40]
    for name in names:
        case = Case(name, [((1, 8, 6, 6), TERNARY)])
        weights = case.constant(rng.integers(-1, 2, (8, 8, 3, 3)).astype(np.int8), TERNARY)
        geometry = {"strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "group": 1}
        cases.append(case.returns(case.add(ConvOp, case.inputs[0], weights, **geometry)))
    program = kernel_program(engine, [(case, None) for case in cases])
    for op, name in zip((op for op in program.ops if isinstance(op, KernelOp)), names, strict=True):
        op.symbol = StringAttr(name)
    sources = emit_model(program, NATIVE).sources
    assert [name for name in names if f"{name}.c" in sources] == ["a"]


def test_the_library_is_the_same_in_any_folder(tmp_path: Path) -> None:
    libraries = []
    for folder in ("a", "other/place"):
        emitted = emit_model(relu_program(), NATIVE)
        runtime = Path(__file__).parents[2] / "runtime" / "c"
        files = {p.name: p.read_bytes() for p in runtime.iterdir() if p.suffix in (".c", ".h")}
        compiler, sources = find_compiler(NATIVE), {**files, **emitted.sources}
        flags = target_flags(NATIVE, compiler)
        OBJECTS.clear()
        libraries.append(compile_shared(sources, tmp_path / folder, flags, compiler=compiler).read_bytes())
    assert libraries[0] == libraries[1]


def test_layout_positions_agree_with_planes_type() -> None:
    kind = planes_type(tensor_type((1, 2, 4, 4), TERNARY), Planes(1, 1, 1, 1, stride=2, zero=True))
    assert isinstance(kind.layout, PlanesLayout) and kind.layout.field("size") == 36
