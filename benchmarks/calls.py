"""What a call from Python costs above the C function: `model.run(inputs)` and a bound call, alternating with C.

    python benchmarks/calls.py [--rounds 31] [MODEL.onnx ...]

Without models: one Relu of 16 floats, so that nearly all of a call is overhead, and examples/digits. The C function is
called in a loop written in C, on a model of its own, one thread. All candidates take turns; CPU time is measured. The
table gives the median over the rounds of the difference to C in the same round, and its quartiles.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tercet
from tercet.backends.c.toolchain import compile_shared
from tercet.runtime.artifact.manifest import PortInfo
from tercet.runtime.check.timing import Spread, in_turn, pinned
from tercet.runtime.load.loader import LoadedModel

LOOP = """\
#include <stdint.h>
typedef int (*run)(void *model, int64_t batch, const void *const *inputs, void *const *outputs);
__attribute__((visibility("default"))) int calls(run f, void *model, const void *const *in, void *const *out, int n) {
    int status = 0;
    for (int i = 0; i < n; i++) {
        status |= f(model, 1, in, out);
    }
    return status;
}
"""
CALLS = 500
"""Of every candidate in a round."""


class CFunction:
    """PREFIX_run of a model in C, CALLS times a call."""

    def __init__(self, folder: Path, prefix: str, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        self._loop = ctypes.CDLL(str(compile_shared({"loop.c": LOOP}, folder / "loop"))).calls
        (library,) = (folder / "artifact" / "lib").glob("lib*.so")
        dll = ctypes.CDLL(str(library))
        self._model = ctypes.c_void_p()
        assert dll[f"{prefix}_create"](ctypes.byref(self._model), 1) == 0
        self._arrays = inputs, outputs
        self._in, self._out = (
            (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays)) for arrays in self._arrays
        )
        self._run = ctypes.cast(dll[f"{prefix}_run"], ctypes.c_void_p)

    def __call__(self) -> None:
        assert self._loop(self._run, self._model, self._in, self._out, CALLS) == 0


def relu() -> Any:
    """An ONNX model of one Relu of 16 floats."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "relu")], "relu", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def arrays_of(ports: tuple[PortInfo, ...]) -> list[np.ndarray]:
    return [np.zeros(port.shape, port.stored) for port in ports]


def candidates(model: LoadedModel) -> dict[str, Callable[[], Any]]:
    """The ways to call a model from Python."""
    feeds = {port.name: np.zeros(port.shape, port.dtype) for port in model.inputs}
    return {"run": lambda: model.run(feeds), "bind": model.bind(arrays_of(model.inputs), arrays_of(model.outputs))}


def rounds_of(blocks: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Microseconds a call in every round, for blocks of CALLS calls. The order turns around from round to round."""
    times: list[list[float]] = [[] for _ in blocks]
    for r in range(rounds):
        for i in in_turn(len(blocks), r):
            begin = time.thread_time()
            blocks[i]()
            times[i].append(1e6 * (time.thread_time() - begin) / CALLS)
    return times


def repeated(call: Callable[[], Any]) -> Callable[[], None]:
    def block() -> None:
        for _ in range(CALLS):
            call()

    return block


def measure(source: Any, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = tercet.compile(source, folder / "artifact", as_directory=True)
        with tercet.load(made.path) as model:
            c = CFunction(folder, model.manifest.prefix, arrays_of(model.inputs), arrays_of(model.outputs))
            python = candidates(model)
            base, *others = rounds_of([c, *map(repeated, python.values())], rounds)
            print(f"{made.name:24} C {Spread.of(base).median:8.2f} us")
            for label, times in zip(python, others, strict=True):
                above = Spread.of([t - b for t, b in zip(times, base, strict=True)])
                print(f"{'':24} {label} {above.median:+8.2f} us ({above.lower:.2f} .. {above.upper:.2f}) above C")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx")
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    digits = Path(__file__).parents[1] / "examples" / "digits" / "digits_ternary.onnx"
    with pinned(1):
        for source in options.models or [relu(), digits]:
            measure(source, options.rounds)


if __name__ == "__main__":
    main()
