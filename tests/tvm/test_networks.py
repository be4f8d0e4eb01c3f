"""Random networks, as the C backend is tested with: the artifact computes what the interpreter does."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

from pathlib import Path

import numpy as np
from graphs.diamonds import diamond
from graphs.generate import network

import tercet
from tercet.backends.reference.interpreter import run
from tercet.ir.errors import UnsupportedError

from .helpers import compare

COUNT, PARTS = 24, 4
"""Networks in all, and tests that they are split over."""


@pytest.mark.parametrize("part", range(PARTS))
def test_as_interpreted(part: int, tmp_path: Path) -> None:
    compared = 0
    for i in range(part, COUNT, PARTS):
        net = (network if i % 3 else diamond)(7, i)
        try:
            program = tercet.import_model(net.model)
        except UnsupportedError:
            continue
        tercet.compile(net.model, tmp_path / "net.tercet", backend="tvm")
        with tercet.load(tmp_path / "net.tercet") as model:
            have = model.run(net.inputs)
        compared += 1
        samples = len(next(iter(net.inputs.values()))) if program.batched else 1
        for k in range(samples):
            one = {name: x[k : k + 1] for name, x in net.inputs.items()} if program.batched else net.inputs
            with np.errstate(all="ignore"):
                want = run(program, one)
            for name, array in want.items():
                found = have[name][k : k + 1] if program.batched else have[name]
                compare(found, array if array.dtype.kind == "f" else array.astype(np.int64), f"{net.name}: {name}")
    assert compared > COUNT / PARTS / 2
