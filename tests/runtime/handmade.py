"""A tiny compiled model written by hand, and the artifact around it: what the runtime's tests run.

Inputs: x float32 [1, 3, 4] and t int8 [1, 12] (values -1..1). Steps: `add` (parallel) puts x + bias into the arena;
`swap` (one part) transposes that to output `y` float32 [1, 4, 3]; `dot` (parallel) multiplies t with a ternary matrix,
stored as trits, into the arena, int16 [1, 5]; `most` (one part) gives its argmax, output `best`, int64 in the source
model and int8 as stored.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np

from tercet.backends.c.toolchain import COMMON_FLAGS, compile_shared
from tercet.ir.program import Port
from tercet.ir.types import element_of_dtype, int_type, tensor_type
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.layers import Layer, layers_to_json
from tercet.runtime.artifact.manifest import CompilerInfo, Manifest, PortInfo, TargetInfo, prefix_of, soname
from tercet.runtime.artifact.packaging import artifact_contents, interface_sources, merge_sources

RNG = np.random.default_rng(7)
BIAS = RNG.standard_normal(12).astype(np.float32)
MATRIX = RNG.integers(-1, 2, (5, 12))
CLASSES, LENGTH = MATRIX.shape

INPUTS = (
    Port("x", tensor_type((1, 3, 4), element_of_dtype(np.dtype(np.float32))), np.dtype(np.float32)),
    Port("t", tensor_type((1, 12), int_type(-1, 1)), np.dtype(np.int8)),
)
OUTPUTS = (
    Port("y", tensor_type((1, 4, 3), element_of_dtype(np.dtype(np.float32))), np.dtype(np.float32)),
    Port("best", tensor_type((1,), int_type(0, 4)), np.dtype(np.int64)),
)

KERNELS = """\
#include "tercet_kernel.h"

void add(const struct tercet_task *task) {
    const float *x = task->in[0], *bias = (const float *)task->weights;
    float *y = task->out[0];
    int64_t begin, end;
    tercet_share(task, 12, 4, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        y[i] = x[i] + bias[i];
    }
}

void swap(const struct tercet_task *task) {
    const float *x = task->in[0];
    float *y = task->out[0];
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) {
            y[j * 3 + i] = x[i * 4 + j];
        }
    }
}

void dot(const struct tercet_task *task) {
    const int8_t *t = task->in[0], *matrix = (const int8_t *)task->weights;
    int16_t *sums = task->out[0], *products = (int16_t *)task->scratch;
    int64_t begin, end;
    tercet_share(task, 5, 1, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        for (int k = 0; k < 12; k++) {
            products[k] = (int16_t)(t[k] * matrix[i * 12 + k]);
        }
        sums[i] = 0;
        for (int k = 0; k < 12; k++) {
            sums[i] = (int16_t)(sums[i] + products[k]);
        }
    }
}

void most(const struct tercet_task *task) {
    const int16_t *sums = task->in[0];
    int8_t best = 0;
    for (int8_t i = 1; i < 5; i++) {
        best = sums[i] > sums[best] ? i : best;
    }
    *(int8_t *)task->out[0] = best;
}
"""

DEFINITION = """\
#include "tercet_runtime.h"

extern const unsigned char tercet_weights[];
void add(const struct tercet_task *task);
void swap(const struct tercet_task *task);
void dot(const struct tercet_task *task);
void most(const struct tercet_task *task);

static const struct tercet_buffer x = {TERCET_INPUT, 0}, t = {TERCET_INPUT, 1}, sum = {TERCET_ARENA, 0},
                                  sums = {TERCET_ARENA, 64}, y = {TERCET_OUTPUT, 0}, best = {TERCET_OUTPUT, 1};
static const struct tercet_step steps[] = {
    {add, &x, &sum, 1, 1, 0, 1},
    {swap, &sum, &y, 1, 1, 0, 0},
    {dot, &t, &sums, 1, 1, 64, 1},
    {most, &sums, &best, 1, 1, 0, 0},
};
static const struct tercet_section sections[] = {
    {0, 48, 0, 48, 256, 1, 0, 0, 0, NULL, 0, 256, 0, NULL, 0, 0, NULL},
    {48, 12, 64, 60, 3, 1, -1, 0, 0, NULL, 0, 3, 0, NULL, 0, 0, NULL},
};
static const int64_t input_bytes[] = {48, 12}, output_bytes[] = {48, 1};

const struct tercet_definition tercet_model_definition = {
    steps, 4, sections, 2, tercet_weights, 124, 330, 24, input_bytes, output_bytes, 2, 2, 1, NULL,
    "generic",
};
"""

WEIGHTS = """\
    .section .rodata
    .globl tercet_weights
    .hidden tercet_weights
    .balign 64
tercet_weights:
    .incbin "weights.bin"
    .section .note.GNU-stack,"",%progbits
"""


def pack_digits(digits: np.ndarray, radix: int) -> bytes:
    """Digits as a model stores them: 8 bits or 5 trits a byte, lowest first."""
    per_byte = {2: 8, 3: 5}[radix]
    padded = np.concatenate([digits, np.zeros(-digits.size % per_byte, digits.dtype)]).astype(np.int64)
    return (padded.reshape(-1, per_byte) @ radix ** np.arange(per_byte)).astype(np.uint8).tobytes()


def expected(x: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """What the model computes: x float32 [N, 3, 4], t int8 [N, 12]."""
    y = (x.reshape(-1, 12) + BIAS).reshape(-1, 3, 4).transpose(0, 2, 1)
    return {"y": y, "best": (t.astype(np.int64) @ MATRIX.T).argmax(axis=1).astype(np.int64)}


def samples(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, 3, 4)).astype(np.float32)
    return {"x": x, "t": rng.integers(-1, 2, (batch, 12)).astype(np.int8)}


def sources(name: str = "tiny") -> dict[str, str | bytes]:
    """Every file that the model is compiled from."""
    blob = BIAS.tobytes() + pack_digits(MATRIX.reshape(-1) + 1, 3)
    own: dict[str, str | bytes] = {
        "kernels.c": KERNELS,
        "definition.c": DEFINITION,
        "weights.S": WEIGHTS,
        "weights.bin": blob,
    }
    return merge_sources(own, interface_sources(name, INPUTS, OUTPUTS, batched=True))


FLAGS = ("-Wextra", "-Werror", "-DTERCET_VECTOR_BYTES=16")


@cache
def library() -> bytes:
    """The compiled model `tiny`; one compilation for all tests."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return compile_shared(sources(), Path(folder), FLAGS, soname=soname("tiny")).read_bytes()


def layers() -> tuple[Layer, ...]:
    def layer(symbol: str, kind: str, offset: int, output: int, parallel: bool) -> Layer:
        return Layer(
            symbol, "hand", {"lanes": 4}, (f"Node:{symbol}",), (f"tn.{symbol}",), (kind,), (offset,), (output,),
            0, 0, 0, 0, 24, 0, parallel, 10.0, 0.0, (),
        )  # fmt: skip

    return (
        layer("add", "tensor<1x3x4xf32>", 0, -1, True),
        layer("swap", "tensor<1x4x3xf32>", -1, 0, False),
        layer("dot", "tensor<1x5x!tn.int<-300:300>>", 64, -1, True),
        layer("most", "tensor<1x!tn.int<0:4>>", -1, 1, False),
    )


def manifest(name: str = "tiny") -> Manifest:
    return Manifest(
        tool_version="0.1",
        name=name,
        prefix=prefix_of(name),
        batched=True,
        targets=(TargetInfo("generic", "any", ()),),
        compiler=CompilerInfo("gcc", "gcc 12"),
        inputs=tuple(PortInfo.of(port) for port in INPUTS),
        outputs=tuple(PortInfo.of(port) for port in OUTPUTS),
        source_sha256="0" * 64,
        options={"target": "generic", "lossy": False, "passes": ["a", "b"]},
    )


def contents() -> dict[str, bytes]:
    """The files of the artifact of `tiny`, without the manifest."""
    flags = [flag for flag in (*COMMON_FLAGS, *FLAGS)]
    files = artifact_contents("tiny", "0.1", sources(), library(), flags, {})
    return {**files, "layers.json": layers_to_json(layers()), "ir/00-import.mlir": b"// nothing\n"}


def write_artifact(path: Path, *, as_folder: bool = False) -> Path:
    Artifact.write(path, contents(), manifest(), as_folder=as_folder)
    return path


def missing_tool(*names: str) -> str:
    """Why a test cannot run for want of a program; empty when all are there."""
    missing = [name for name in names if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""
