"""Executes artifacts of the backend `tvm`: a library for TVM's virtual machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import ArtifactError
from ...ir.host import scratch_folder
from ..artifact.artifact import Artifact
from ..artifact.schema import ALTERED
from .cpu import check_library, check_targets

if TYPE_CHECKING:
    from xdsl.ir import SSAValue

MAIN = "main"


class TvmExecutor:
    """An `Executor` of a library that TVM built. It runs on the calling thread.

    Raises ArtifactError for one that is not for this machine or damaged, and where TVM is not installed.
    """

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self._artifact, self._where = artifact, str(artifact.path)
        check_targets(artifact.manifest.targets, self._where)
        code = artifact.read(artifact.manifest.library)
        check_library(code, self._where)
        self._tvm, self._machine = machine_of(code, self._where)
        self._batched, self._main = artifact.manifest.batched, function_of(self._machine, MAIN, self._where)
        self._steps: list[_Step] | None = None
        self.target, self.threads, self.arena_bytes = artifact.manifest.target_names[0], 1, 0

    def run(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        for one in (slice(i, i + 1) for i in range(batch)) if self._batched else (...,):
            with _damage(self._where):
                results = call_with_arrays(self._tvm, self._main, [array[one] for array in inputs])
            given = [(result.shape, result.dtype) for result in results]
            if given != (want := [(output[one].shape, output.dtype) for output in outputs]):
                raise ArtifactError(f"the library gives {given}, not {want}", where=self._where, hint=ALTERED)
            for output, result in zip(outputs, results, strict=True):
                output[one] = result

    def bind(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], None]:
        return lambda: self.run(batch, inputs, outputs)

    def run_until(self, step: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self._one_by_one(inputs, step + 1)[-1]

    def results(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        return self._one_by_one(inputs)

    def profile(
        self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], repeats: int
    ) -> np.ndarray:
        """Each step alone, as a function of its own: `run` may be faster, as TVM fuses steps in the whole network."""
        seconds = np.zeros((repeats, len(self._artifact.layers_of(self.target))))
        for row in seconds:
            for i in range(batch):
                self._one_by_one([array[i : i + 1] if self._batched else array for array in inputs], seconds=row)
        return seconds

    def close(self) -> None:
        self._steps, self._main, self._machine = None, None, None

    def _one_by_one(
        self, inputs: Sequence[np.ndarray], count: int | None = None, seconds: np.ndarray | None = None
    ) -> list[list[np.ndarray]]:
        """The results of the first steps, each called by itself. seconds: each step's are added to it."""
        if self._steps is None:
            self._steps = _steps_of(self._artifact, self._machine)
        values, found = dict(enumerate(inputs)), list[list[np.ndarray]]()
        for i, step in enumerate(self._steps[:count]):
            tensors = [self._tvm.runtime.tensor(values[value]) for value in step.operands]
            with _damage(self._where):
                start = time.perf_counter()
                results = step.function(*tensors)
                if seconds is not None:
                    seconds[i] += time.perf_counter() - start
                found.append([result.numpy() for result in results])
            values.update(zip(step.results, found[-1], strict=True))
        return found


class _Step:
    """function: takes and gives values by number; the inputs are the first of them."""

    def __init__(self, function: Any, operands: Sequence[int], results: Sequence[int]) -> None:
        self.function, self.operands, self.results = function, operands, results


def _steps_of(artifact: Artifact, machine: Any) -> list[_Step]:
    from ...ir.kn.kernel import KernelOp  # imports xDSL
    from ..artifact.stored_ir import kernel_program

    program = kernel_program(artifact)
    numbers: dict[SSAValue, int] = {value: i for i, value in enumerate(program.block.args)}
    steps = list[_Step]()
    for op in program.ops:
        if isinstance(op, KernelOp):
            numbers.update((value, len(numbers)) for value in op.results)
            operands = list(dict.fromkeys(numbers[value] for value in op.operands))
            function = function_of(machine, op.symbol.data, str(artifact.path))
            steps.append(_Step(function, operands, [numbers[value] for value in op.results]))
    return steps


def call_with_arrays(tvm: Any, function: Any, arrays: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The results of a function of the virtual machine that takes tensors and gives one or a tuple of them."""
    found = function(*(tvm.runtime.tensor(np.asarray(array, order="C")) for array in arrays))
    return [result.numpy() for result in ([found] if isinstance(found, tvm.runtime.Tensor) else found)]


def machine_of(code: bytes, where: str) -> tuple[Any, Any]:
    """TVM, and its virtual machine with a library."""
    try:
        tvm, relax = import_module("tvm"), import_module("tvm.relax")
    except ImportError as error:
        raise ArtifactError(
            "made by the backend 'tvm', and TVM is not installed", where=where, hint="pip install 'tercet[tvm]'"
        ) from error
    with scratch_folder() as folder:
        path = folder / "model.so"
        path.write_bytes(code)
        try:
            return tvm, relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        except Exception as error:  # of kinds of TVM's own
            what = f"TVM cannot load the library: {_first_line(error).replace(str(path), path.name)}"
            raise ArtifactError(what, where=where, hint=ALTERED) from error


def function_of(machine: Any, name: str, where: str) -> Any:
    """A function of the virtual machine. Raises ArtifactError where there is none of that name."""
    try:
        return machine[name]
    except Exception as error:  # of kinds of TVM's own
        raise ArtifactError(f"the library has no function {name}", where=where, hint=ALTERED) from error


@contextmanager
def _damage(where: str) -> Iterator[None]:
    """Errors within the block are the library's: inputs were checked before."""
    try:
        yield
    except Exception as error:  # of kinds of TVM's own
        raise ArtifactError(f"the library fails: {_first_line(error)}", where=where, hint=ALTERED) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
