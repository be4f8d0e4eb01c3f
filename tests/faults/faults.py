"""Small models that once failed, each with inputs and the right outputs: `data/NAME.onnx`, `data/NAME.npz`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

import tercet

DATA = Path(__file__).parent / "data"
RTOL = 1e-5
TARGETS = ("native", "generic")


def expected(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and right outputs by name."""
    with np.load(DATA / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    pick = {side: {k[len(side) :]: v for k, v in arrays.items() if k.startswith(side)} for side in ("in:", "out:")}
    return pick["in:"], pick["out:"]


def check_compiled(
    model: onnx.ModelProto | Path, inputs: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], folder: Path
) -> None:
    """The compiled model gives the right outputs: on native and generic, on one and two threads, twice in a row."""
    for target in TARGETS:
        made = tercet.compile(model, folder / f"{target}.tercet", target=target)
        for threads in (1, 2):
            with tercet.load(made.path, threads=threads) as loaded:
                for _ in range(2):
                    compare(loaded.run(dict(inputs)), right)


def compare(have: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    """Integers are equal, floats within 1e-5 of the tensor's largest: sums that cancel have no digits of their own."""
    assert set(have) == set(right)
    for name, want in right.items():
        assert have[name].dtype == want.dtype and have[name].shape == want.shape, name
        if want.dtype.kind == "f":
            largest = float(np.abs(want[np.isfinite(want)]).max(initial=0))
            np.testing.assert_allclose(have[name], want, rtol=RTOL, atol=RTOL * largest, err_msg=name)
        else:
            np.testing.assert_array_equal(have[name], want, err_msg=name)
