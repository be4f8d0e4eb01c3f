"""From a program of kernels to C: a file for each kernel, the packed weights, and the definition the runtime walks.

Kernels whose C differs in their names alone, as in a stack of equal layers, share a file: the code of the first, which
the others call. What they compute with differs, and comes with the task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsl.ir import Attribute, Operation, SSAValue

from ...ir.errors import IRError
from ...ir.kn.buffers import ALIGNMENT, TAIL_BYTES, round_up
from ...ir.kn.kernel import ConvertOp, KernelOp, step_symbol
from ...ir.kn.layout import buffer_bytes
from ...ir.locations import describe, source_names
from ...ir.operation import from_attribute
from ...ir.program import Program
from ...ir.progress import counted
from ...ir.tn.constant import ConstantOp
from .convert import emit_convert
from .engine import KernelCode
from .engines import ENGINES
from .gaps import Gap
from .instructions import target_header
from .lists import Lists
from .plans import Plans
from .storage import Span, store
from .target import Target
from .text import check_symbol, comment, kernel_comment, nodes_text

DEFINITION, DEFINITION_FILE = "tercet_model_definition", "definition.c"
TARGET_FILE = "tercet_target.h"
WEIGHTS_FILE, WEIGHTS_SOURCE = "weights.bin", "weights.S"

WEIGHTS_ASSEMBLY = """\
/* The packed weights of the model, as they are in weights.bin. */
    .section .rodata
    .globl tercet_weights
    .hidden tercet_weights
    .type tercet_weights, %object
    .balign 64
tercet_weights:
    .incbin "weights.bin"
    .byte 0
    .section .note.GNU-stack,"",%progbits
"""


@dataclass(frozen=True)
class Emitted:
    """The C of a program. sources: file name -> content, SYMBOL.c for each step, or for the first of those whose
    code is the same; without the runtime's files.

    layers: one entry per step, in order, for layers.json. nodes: file name -> source layers, for compiler errors.
    gcc_flags: file name -> `KernelCode.gcc_flags`, of the files that have any.
    """

    sources: dict[str, str | bytes]
    layers: list[dict[str, object]]
    nodes: dict[str, str]
    gcc_flags: dict[str, tuple[str, ...]]


@dataclass
class _Step:
    op: KernelOp | ConvertOp
    symbol: str
    engine: str
    code: KernelCode
    packed: bool = True  # whether its constants hold the weights
    weights: int = 0  # byte offset in the expanded weights
    stored: int = 0  # bytes in weights.bin, where others may share them
    digits: int = 0  # those of them that hold the weights themselves


class Blob:
    """weights.bin as it grows: each content is stored once."""

    def __init__(self) -> None:
        self._data, self._places = bytearray(), dict[bytes, int]()

    def add(self, content: bytes) -> int:
        """Where a content lies."""
        if content not in self._places:
            self._places[content] = len(self._data)
            self._data += content
        return self._places[content]

    def __bytes__(self) -> bytes:
        return bytes(self._data)


@dataclass
class _Weights:
    """The constants of a program, and how they expand."""

    compact: bool
    blob: Blob
    sections: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    lists: list[tuple[int, Lists]] = field(default_factory=list)
    size: int = 0

    def add(self, step: _Step) -> None:
        """Appends a kernel's constants and notes in the step where they are and what they take."""
        step.weights = round_up(self.size, ALIGNMENT)
        constants = step.code.constants
        largest = max((c.values.size for c in constants.items), default=0)
        digits = any(c.radix for c in constants.items)
        for constant, offset in zip(constants.items, constants.offsets, strict=True):
            stored = store(constant, compact=self.compact)
            spans = f"spans + {len(self.spans)}" if stored.spans else "NULL"
            gaps = f"gaps + {len(self.gaps)}" if stored.gaps else "NULL"
            lists = f"lists + {len(self.lists)}" if stored.lists else "NULL"
            fields = (
                self.blob.add(stored.data), len(stored.data), step.weights + offset, stored.count, stored.radix,
                stored.group, stored.offset, int(stored.coded), stored.signs, spans, len(stored.spans),
                stored.base, stored.fill, gaps, len(stored.gaps), stored.split, lists,
            )  # fmt: skip
            self.sections.append(f"{{{', '.join(map(str, fields))}}}")
            self.spans += stored.spans
            self.gaps += stored.gaps
            if stored.lists:
                self.lists.append((stored.list_bytes, stored.lists))
            step.stored += len(stored.data)
            if step.packed and (constant.radix if digits else constant.values.size == largest):
                step.digits += len(stored.data)
        self.size = step.weights + constants.size


def emit_model(
    program: Program, target: Target, plans: Plans | None = None, *, compact: bool = True, blob: Blob | None = None
) -> Emitted:
    """C for a program at kernel level whose memory is planned.

    plans: those of its kernels, as far as they are known already. compact: whether weights may be entropy-coded, which
    takes a while. blob: what other programs have stored already.
    The sources define `tercet_model_definition` (hidden) and need runtime/c beside them. Raises IRError for a program
    that is not at kernel level, has no offsets, or names an unknown engine.
    """
    sources: dict[str, str | bytes] = {TARGET_FILE: target_header(target.name, target.prelude, target.instructions)}
    layers: list[dict[str, object]] = []
    nodes: dict[str, str] = {}
    gcc_flags: dict[str, tuple[str, ...]] = {}
    plans = plans or Plans(target, ENGINES)
    weights, steps = _Weights(compact, Blob() if blob is None else blob), []
    first = dict[str, str]()  # nameless C -> the symbol that has it
    for i, op in enumerate(counted(f"writing C for {target.name}: step", list(program.ops))):
        step = _emit_step(op, i, program, plans)
        if any(step.symbol == other.symbol for other in steps):
            raise IRError(f"two kernels are named '{step.symbol}'", where=describe(op))
        weights.add(step)
        steps.append(step)
        layers.append(_layer(step))
        for header in step.code.headers:
            content = header.read_text(encoding="utf-8")
            if sources.setdefault(header.name, content) != content:
                raise IRError(f"two engines have a header {header.name} with different content")
        name = f"{step.symbol}.c"
        if name in sources or name == DEFINITION_FILE:
            raise IRError(f"two files would be named {name}", where=describe(op))
        if (symbol := first.setdefault(_nameless(step), step.symbol)) == step.symbol:
            sources[name] = _file(step)
            nodes[name] = describe(op)
            if step.code.gcc_flags:
                gcc_flags[name] = step.code.gcc_flags
        else:
            sources[f"{symbol}.c"] = f"{sources[f'{symbol}.c']}\n{_call(step, symbol)}"
    sources[DEFINITION_FILE] = _definition(program, steps, weights, target)
    sources[WEIGHTS_FILE] = bytes(weights.blob)
    sources[WEIGHTS_SOURCE] = WEIGHTS_ASSEMBLY
    return Emitted(sources, layers, nodes, gcc_flags)


def _emit_step(op: Operation, index: int, program: Program, plans: Plans) -> _Step:
    if isinstance(op, ConvertOp):
        symbol = check_symbol(step_symbol(op, index))
        return _Step(op, symbol, "convert", emit_convert(op, symbol))
    if not isinstance(op, KernelOp):
        raise IRError(f"{op.name} is not at kernel level", where=describe(op))
    engine, symbol = plans.engine(op), check_symbol(step_symbol(op, index))
    code = plans.chosen(op, program.weights).emit(plans.kernel(op, program.weights))
    return _Step(op, symbol, engine.name, code, engine.packed)


def _tensor_operations(op: KernelOp | ConvertOp) -> tuple[list[Operation], list[Attribute]]:
    """A kernel's computing operations and the types of its constants."""
    inner = op.inner if isinstance(op, KernelOp) else []
    constants = [o.results[0].type for o in inner if isinstance(o, ConstantOp)]
    return [o for o in inner if not isinstance(o, ConstantOp)], constants


def _head(step: _Step) -> list[str]:
    headers = dict.fromkeys(["tercet_kernel.h", *(header.name for header in step.code.headers)])
    return [
        *(f"#define {name} {value}" for name, value in step.code.defines.items()),
        *(f'#include "{name}"' for name in headers),
    ]


def _title(step: _Step) -> str:
    return kernel_comment(step.op, *_tensor_operations(step.op), step.engine)


def _file(step: _Step) -> str:
    """A step's C under the comment that says what it is."""
    return "\n".join([*_head(step), "", _title(step), step.code.source.rstrip(), ""])


def _nameless(step: _Step) -> str:
    """A step's C without its comment, its name, and the line ends that depend on how long the name is."""
    return "\n".join([*_head(step), re.sub(r"\n +", " ", re.sub(rf"\b{step.symbol}(?=_|\b)", "@", step.code.source))])


def _call(step: _Step, symbol: str) -> str:
    """The function of a step whose code is that of another symbol."""
    return f"{_title(step)}\nvoid {step.symbol}(const struct tercet_task *task) {{\n    {symbol}(task);\n}}\n"


def _offsets(op: KernelOp | ConvertOp) -> list[int]:
    if op.offsets is None:
        raise IRError("memory is not planned: the operation has no offsets", where=describe(op))
    return list(from_attribute(op.offsets))


def _layer(step: _Step) -> dict[str, object]:
    op = step.op
    return {
        "symbol": step.symbol,
        "engine": step.engine,
        "schedule": op.schedule_values if isinstance(op, KernelOp) else {},
        "nodes": source_names(op.location),
        "ops": [o.name for o in _tensor_operations(op)[0]] or [op.name],
        "results": [str(v.type) for v in op.results],
        "offsets": _offsets(op),
        "weight_bytes_stored": step.stored,
        "digit_bytes_stored": step.digits,
        "weight_bytes": step.code.constants.size,
        "scratch_bytes": step.code.scratch,
        "parallel": step.code.parallel,
    }


def _places(program: Program, steps: list[_Step]) -> tuple[dict[SSAValue, str], int]:
    """Where every value lives, as C initialisers, and the size of the arena."""
    places: dict[SSAValue, str] = {a: f"{{TERCET_INPUT, {i}}}" for i, a in enumerate(program.block.args)}
    returned = list(program.returned.operands)
    arena = 0
    for step in steps:
        for value, offset in zip(step.op.results, _offsets(step.op), strict=True):
            if (offset == -1) != (value in returned):
                raise IRError("offset -1 belongs to returned values and to no others", where=describe(step.op))
            if offset == -1:
                places[value] = f"{{TERCET_OUTPUT, {returned.index(value)}}}"
            else:
                places[value] = f"{{TERCET_ARENA, {offset}}}"
                arena = max(arena, offset + buffer_bytes(value.type))
    for i, value in enumerate(returned):
        if returned.index(value) != i or value in program.block.args:
            raise IRError("an output is an input or another output again; expected a kernel that copies it")
    return places, round_up(arena + TAIL_BYTES, ALIGNMENT)


def _array(kind: str, name: str, items: list[str]) -> tuple[str, str]:
    """A static array and the expression for its start; C has no empty arrays."""
    if not items:
        return "", "NULL"
    return f"static const {kind} {name}[] = {{{', '.join(items)}}};\n", name


def _definition(program: Program, steps: list[_Step], weights: _Weights, target: Target) -> str:
    places, arena = _places(program, steps)
    out = [comment(f"What the runtime needs to know of model {program.name}; target {target.name}.")]
    out += ['#include "tercet_runtime.h"', "", "#pragma GCC visibility push(hidden)"]
    out += ["extern const unsigned char tercet_weights[];"]
    out += [f"void {step.symbol}(const struct tercet_task *task);" for step in steps]
    out += [f"extern const struct tercet_definition {DEFINITION};", "#pragma GCC visibility pop", ""]

    rows: list[str] = []
    for step in steps:
        declared, names = [], []
        for side, values in (("in", step.op.operands), ("out", step.op.results)):
            text, name = _array("struct tercet_buffer", f"{step.symbol}_{side}", [places[v] for v in values])
            declared.append(text)
            names.append(name)
        out.append("".join(declared).rstrip("\n"))
        counts = f"{len(step.op.operands)}, {len(step.op.results)}"
        row = f"{{{step.symbol}, {names[0]}, {names[1]}, {counts}, {step.weights}, {int(step.code.parallel)}}}"
        rows.append(f"    {comment(nodes_text(step.op.location) or step.engine)}\n    {row},")
    out.append("")
    if rows:
        out += ["static const struct tercet_step steps[] = {", *rows, "};"]
    if weights.sections:
        if weights.spans:
            spans = [f"{{{s.count}, {s.first}, {s.rows}, {s.run}, {s.repeats}}}" for s in weights.spans]
            out.append(_array("struct tercet_span", "spans", spans)[0].rstrip("\n"))
        if weights.gaps:
            gaps = [f"{{{g.keep}, {g.skip}, {g.repeats}, {g.items}, {g.rounds}}}" for g in weights.gaps]
            out.append(_array("struct tercet_gap", "gaps", gaps)[0].rstrip("\n"))
        if weights.lists:
            lists = [f"{{{n}, {f.length}, {f.run}, {f.pitch}, {f.step}, {f.block}}}" for n, f in weights.lists]
            out.append(_array("struct tercet_lists", "lists", lists)[0].rstrip("\n"))
        out.append("/* stored, bytes, expanded, count, radix, group, offset, coded, signs, spans, span_count, "
                   "base, fill, gaps, gap_count, split, lists */")  # fmt: skip
        out += ["static const struct tercet_section sections[] = {", *(f"    {s}," for s in weights.sections), "};"]
    ports = [_array("int64_t", f"{name}_bytes", [str(buffer_bytes(v.type)) for v in values]) for name, values in
             (("input", program.block.args), ("output", program.returned.operands))]  # fmt: skip
    out.append("".join(text for text, _ in ports))
    features, names = _array("char *const", "features", [f'"{name}"' for name in target.features] + ["NULL"])
    out.append(features)
    scratch = max((round_up(step.code.scratch, ALIGNMENT) for step in steps), default=0)
    fields: Mapping[str, object] = {
        "steps": "steps" if rows else "NULL",
        "step_count": len(rows),
        "sections": "sections" if weights.sections else "NULL",
        "section_count": len(weights.sections),
        "blob": "tercet_weights",
        "weight_bytes": weights.size,
        "arena_bytes": arena,
        "scratch_bytes": scratch,
        "input_bytes": ports[0][1],
        "output_bytes": ports[1][1],
        "input_count": len(program.block.args),
        "output_count": len(program.returned.operands),
        "batched": int(program.batched),
        "features": names,
        "target": f'"{target.name}"',
    }
    out.append(f"const struct tercet_definition {DEFINITION} = {{")
    out += [f"    .{name} = {value}," for name, value in fields.items()]
    return "\n".join([*out, "};"]) + "\n"
