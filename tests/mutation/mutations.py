"""Small faults that the suite must notice, one edit each: wrong answers, not crashes or code that does not load.

run.py puts each into a clone and runs the tests; test_mutations.py says when an edit no longer fits the code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """In `file`, `old` (found there exactly once) becomes `new`. breaks: what that does. first: the tests to run before
    all others, for time alone: what they do not catch, the whole suite is asked."""

    name: str
    file: str
    old: str
    new: str
    breaks: str
    first: tuple[str, ...]


C, PASSES, FORMS, RUNTIME = "backends/c/", "passes/", "frontend/forms/", "runtime/"
ENGINES = C + "engines/"

MUTATIONS = (
    # -- geometry
    Mutation(
        "pad-off-by-one", C + "convolutions/convolution.py",
        "kx * self.dilations[1] - self.pads[1])", "kx * self.dilations[1] - self.pads[1] + (self.pads[1] > 1))",
        "convolutions by tables read one pixel too far right where the left pad is two or more",
        ("tests/c/test_table.py::test_geometries",),
    ),
    Mutation(
        "dilation-ignored", C + "dense/dense_conv.h",
        "x * c->dilation_x / c->stride_x;", "x / c->stride_x;",
        "dense convolutions ignore the horizontal dilation",
        ("tests/c/test_dense_f32.py::test_equals_the_interpreter",),
    ),
    Mutation(
        "wrong-stride-phase", ENGINES + "planes_pool/planes_pool.h",
        "(in_row % s * s + x % s)", "(x % s * s + in_row % s)",
        "max-pooling with a stride swaps the phases of rows and columns",
        ("tests/c/test_planes_pool.py",),
    ),
    Mutation(
        "group-index", ENGINES + "loops/window.py",
        'f"({at[1]} / {per_group})"', 'f"({at[1]} % {group})"',
        "grouped convolutions of the loops engine read the inputs of another group",
        ("tests/c/test_loops.py::test_conv",),
    ),
    Mutation(
        "border-class", "ir/kn/planes.py",
        "zero = any(r.zero for r in requests)", "zero = all(r.zero for r in requests)",
        "a map that one reader pads and another does not has no zeros in its border",
        ("tests/passes/test_shared_maps.py",),
    ),
    Mutation(
        "padding-wins", ENGINES + "planes_pool/planes_pool.h",
        "smallest = (tercet_i8v){0} + (int8_t)-128", "smallest = (tercet_i8v){0}",
        "padding counts as 0 in max-pooling of int8 planes",
        ("tests/c/test_planes_pool.py",),
    ),
    Mutation(
        "padding-not-counted", ENGINES + "loops/window.py",
        "lo, hi = -counted[axis], window.size[axis] + counted[len(window.size) + axis]",
        "lo, hi = 0, window.size[axis]",
        "count_include_pad of an average pool is ignored",
        ("tests/c/test_loops.py::test_averages_divide_by_what_counts",),
    ),
    Mutation(
        "border-not-cleared", C + "planes.h",
        "memset(first + clear * p->item, 0, (size_t)((phase_size - clear) * p->item));", "(void)clear;",
        "the border below a map's last row keeps what lay there",
        ("tests/c/test_adder_graph.py::test_borders", "tests/c/test_bit_sliced.py::test_borders"),
    ),
    # -- arithmetic
    Mutation(
        "swapped-sign", ENGINES + "adder_graph/emit.py",
        "sign = -1 if self.graph.negate[k] else 1\n", "sign = 1\n",
        "outputs that are the negative of a shared sum keep its sign",
        ("tests/c/test_adder_graph.py::test_geometries",),
    ),
    Mutation(
        "shorter-accumulator", ENGINES + "table/plan.py",
        "self.problem.largest + 1 < 2 ** (8 * size - 1)", "self.problem.largest // 2 < 2 ** (8 * size - 1)",
        "sums of table convolutions have half the room that they need",
        ("tests/c/test_sum_ranges.py",),
    ),
    Mutation(
        "couples-overflow", ENGINES + "dense_int8/couples.py",
        "return INT16_MAX // max(span, 1)", "return (2 * INT16_MAX + 1) // max(span, 1)",
        "two steps are added in int16 though their sum may leave it",
        ("tests/c/test_dense_couples.py",),
    ),
    Mutation(
        "weight-sign-extension", C + "dense/dense_tile.h",
        "typedef int8_t dense_half ", "typedef uint8_t dense_half ",
        "int8 weights are widened to int16 without their sign",
        ("tests/c/test_dense_int8.py", "tests/c/test_dense_couples.py"),
    ),
    Mutation(
        "accumulator-sign-extension", ENGINES + "table/table_sums.h",
        "(tercet_u64v)((tercet_i16v)((table_u16v)x << left) >> right)",
        "(tercet_u64v)(((table_u16v)x << left) >> right)",
        "negative partial sums of table convolutions become large when they are widened",
        ("tests/c/test_table.py::test_kinds", "tests/c/test_table.py::test_all_schedules"),
    ),
    Mutation(
        "dropped-last-block", ENGINES + "bit_sliced/bit_tables.h",
        "if (whole < groups)\n", "if (whole + 1 < groups)\n",
        "a last chunk of one table is not counted",
        ("tests/c/test_bit_sliced.py::test_tables_behind_whole_chunks",),
    ),
    Mutation(
        "dropped-last-rows", RUNTIME + "c/tercet_kernel.h",
        "const int64_t grains = (count + grain - 1) / grain;", "const int64_t grains = count / grain;",
        "items after the last whole grain are nobody's",
        ("tests/runtime/test_c_runtime.py::test_plain",),
    ),
    Mutation(
        "rounding-mode", C + "tercet_element.h",
        "return rintf(x);", "return roundf(x);",
        "quantizers round ties away from zero instead of to even",
        ("tests/c/test_loops.py::test_ties_and_the_ends_of_integers",),
    ),
    Mutation(
        "saturation-bound", C + "tercet_element.h",
        "    if (x >= 0x1p63f)\n        return hi;\n", "",
        "floats beyond int64 saturate to the wrong end",
        ("tests/c/test_loops.py::test_ties_and_the_ends_of_integers",),
    ),
    Mutation(
        "threshold-compare", C + "epilogue.py",
        'f"({x} >= {per_channel(table[:, j])})"', 'f"({x} > {per_channel(table[:, j])})"',
        "a sum equal to its threshold does not reach it",
        ("tests/c/test_epilogues.py::test_sums_at_their_thresholds",),
    ),
    Mutation(
        "threshold-bits", ENGINES + "bit_sliced/bit_sliced_tile.h",
        "bits reached = ~(bits){0};\n", "bits reached = {0};\n",
        "a bit-sliced count equal to its threshold does not reach it",
        ("tests/c/test_bit_sliced.py::test_borders",),
    ),
    Mutation(
        "broadcast-row", C + "epilogue.py",
        'return f"row % {size}"', 'return f"row / {max(self.rows // size, 1)}"',
        "an epilogue's operand that repeats for each image is spread over them instead",
        ("tests/c/test_epilogues.py::test_operands_that_repeat_along_the_rows_of_a_product",),
    ),
    # -- passes
    Mutation(
        "skipped-clip", PASSES + "recover_quantizers.py",
        'if not contains(int_type(op.get("lo"), op.get("hi")), element_of(q)):', "if False:",
        "a quantizer onto a narrower range no longer clips",
        ("tests/passes/test_equal_scales.py",),
    ),
    Mutation(
        "concat-of-scales", PASSES + "recover_quantizers.py",
        "any(s.size != 1 or s.reshape(()) != pairs[0][1].reshape(()) for _, s in pairs)",
        "any(s.size != 1 for _, s in pairs)",
        "tensors of different scales are joined as if they had the first one's",
        ("tests/passes/test_equal_scales.py",),
    ),
    Mutation(
        "epsilon-ignored", PASSES + "fold_batch_norm.py",
        'np.sqrt(var + np.float32(op.get("epsilon")))', "np.sqrt(var)",
        "a folded batch norm has no epsilon",
        ("tests/passes/test_fold_batch_norm.py",),
    ),
    Mutation(
        "padded-range", PASSES + "refine_ranges.py",
        "lo, hi = min(lo, 0), max(hi, 0)", "lo, hi = lo, hi",
        "accumulator ranges leave out the zeros of padding",
        ("tests/passes/test_refine_ranges.py",),
    ),
    Mutation(
        "falling-chain", "ir/tn/quant.py",
        "        return factor_direction(constant)\n", "        return RISES\n",
        "a negative scale before a quantizer counts as a rising one",
        ("tests/passes/test_thresholds.py",),
    ),
    Mutation(
        "shortcut-level", PASSES + "shortcut_thresholds.py",
        'lowest = [low - value - threshold.get("base")', 'lowest = [low + value - threshold.get("base")',
        "a shortcut moves thresholds to the wrong side",
        ("tests/passes/test_shortcut_thresholds.py",),
    ),
    Mutation(
        "batch-reduced", "ir/tn/pool.py",
        'return "it reduces the batch axis" if 0 in self.get("axes") else ""', 'return ""',
        "a mean over the batch counts as one for each sample",
        ("tests/ir/test_batching.py",),
    ),
    Mutation(
        "arena-lifetime", "ir/kn/memory.py",
        "last = max((position[user] for user in users), default=position[op])",
        "last = min((position[user] for user in users), default=position[op])",
        "a value's memory is free after its first reader",
        ("tests/ir/test_memory.py",),
    ),
    Mutation(
        "overlapping-buffers", C + "lowering/plan_memory.py",
        "other.first <= buffer.last and buffer.first <= other.last",
        "other.first < buffer.last and buffer.first < other.last",
        "a result may lie where the operand lies that it is computed from",
        ("tests/passes/test_plan_memory.py",),
    ),
    # -- front end and runtime
    Mutation(
        "zero-point-ignored", FORMS + "quantizers.py",
        "q.array.astype(np.int64) - zero.array.astype(np.int64)", "q.array.astype(np.int64)",
        "the zero point of constant weights is not subtracted",
        ("tests/frontend/test_quantize_linear.py",),
    ),
    Mutation(
        "saturation-of-zero-point", FORMS + "quantizers.py",
        "hi=hi - first)", "hi=hi)",
        "a quantizer with a zero point saturates above its largest level",
        ("tests/frontend/test_quantize_linear.py", "tests/onnx_backend"),
    ),
    Mutation(
        "batch-of-first-samples", RUNTIME + "c/tercet_runtime.c",
        "(const unsigned char *)inputs[i] + sample * bytes, bytes", "(const unsigned char *)inputs[i], bytes",
        "every sample of a batch is computed from the first one's inputs",
        ("tests/runtime/test_c_runtime.py::test_plain",),
    ),
    Mutation(
        "missing-barrier", RUNTIME + "c/tercet_pool.c",
        "    gate_wait(&pool->end, last, pool->spin);\n", "    (void)last;\n",
        "a step begins before other threads are done with the one before",
        ("tests/runtime/test_c_runtime.py::test_plain",),
    ),
    Mutation(
        "signs-of-filters", RUNTIME + "c/tercet_weights.c",
        "run / (span->rows * span->repeats) * span->rows + run % span->rows",
        "run / (span->rows * span->repeats) * span->rows",
        "signed-binary weights get the sign of their block's first filter",
        ("tests/runtime/test_c_runtime.py::test_expansion",),
    ),
    Mutation(
        "hash-not-checked", RUNTIME + "artifact/artifact.py",
        "if digest.hexdigest() != want.sha256:", "if False:",
        "altered files of an artifact are used",
        ("tests/runtime/test_artifact.py",),
    ),
)  # fmt: skip
