"""Networks saved by torch.export, against torch.compile and onnxruntime, one sample at a time on one core.

    python benchmarks/torch_archives.py MODEL.pt2[=STATE] ... [--rounds 25] [--target T]

STATE: a state dict, alone or in a .zip, whose weights the network gets first. torch.compile is its default backend with
constants folded (freezing), which is faster than without; onnxruntime the exported float network with all its
optimisations. All take turns in one process; the ratios are medians over the rounds of a peer's time to tercet's.
torch loads the archives, which can run code that is in them: only for files that you trust.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before onnxruntime is imported

import numpy as np
import onnxruntime as ort
import torch
import torch._inductor.config

import tercet
from tercet.runtime.check.timing import Spread, cpu_name, interleave, pinned


def exported(archive: Path, state: Path | None) -> torch.export.ExportedProgram:
    program = torch.export.load(archive)
    if state is not None:
        data = state.read_bytes()
        if state.suffix == ".zip":
            with zipfile.ZipFile(state) as file:
                data = file.read(file.namelist()[0])
        weights = torch.load(io.BytesIO(data), weights_only=True)
        for name, tensor in program.state_dict.items():
            tensor.data.copy_(weights[name])
    return program


def compiled(program: torch.export.ExportedProgram, x: torch.Tensor) -> Callable[[], Any]:
    torch._inductor.config.freezing = True
    call = torch.compile(program.module())

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return call(x)

    run()
    return run


def in_onnxruntime(program: torch.export.ExportedProgram, x: np.ndarray) -> Callable[[], Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = tercet.export(program).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+", metavar="MODEL.pt2[=STATE]")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--target", default="native")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu_name()}, one core; how many times as long a peer takes: median (quartiles)")
    print("| network | torch.compile | onnxruntime fp32 |\n| --- | --- | --- |")
    for text in options.archives:
        archive, _, state = text.partition("=")
        program = exported(Path(archive), Path(state) if state else None)
        with tempfile.TemporaryDirectory() as folder, pinned(1):
            path = Path(folder) / "model.tercet"
            tercet.compile(program, path, target=options.target)
            with tercet.load(path, threads=1) as model:
                (port,) = model.inputs
                x = np.random.default_rng(0).standard_normal((1, *port.shape[1:]), np.float32)
                calls = [lambda m=model, x=x: next(iter(m.run(x).values())), in_onnxruntime(program, x)]
                calls.insert(1, compiled(program, torch.from_numpy(x)))
                first, *others = (np.asarray(call()) for call in calls)
                for other in others:
                    if np.abs(first - other).max() > 1e-4 * max(np.abs(other).max(), 1e-30):
                        raise SystemExit(f"{archive}: results differ")
                own, *peers = interleave(calls, options.rounds)
        ratios = [Spread.of_ratio(peer, own) for peer in peers]
        cells = (f"{ratio.median:.2f} ({ratio.lower:.2f} to {ratio.upper:.2f})" for ratio in ratios)
        print(f"| {Path(archive).stem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
