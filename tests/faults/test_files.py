"""Every file of `data/` gives the right values, or is refused with the right message."""

from __future__ import annotations

from pathlib import Path

import pytest

import tercet
from tercet.backends.reference import interpreter

from .faults import DATA, check_compiled, compare, expected

REFUSED: dict[str, str] = {
    "rank_419": "has 419 axes; tensors of up to 64 axes are read",
    "zero_ascale": r"node '.+' \(QuantizeLinear\): the scale is zero",
}
"""Files that are wrong themselves, and what the message says of them."""

EXACT_AVERAGES = ("avgpool_tie_2x2", "avgpool_tie_8x8", "mean_tie")
"""Their .npz holds float32's ties; test_averages.py has the right values."""

NAMES = sorted({path.stem for path in DATA.glob("*.onnx")} - {*EXACT_AVERAGES})


@pytest.mark.parametrize("name", NAMES)
def test_file(name: str, tmp_path: Path) -> None:
    path = DATA / f"{name}.onnx"
    if name in REFUSED:
        with pytest.raises(tercet.TercetError, match=REFUSED[name]):
            tercet.compile(path, tmp_path / "model.tercet")
        return
    inputs, right = expected(name)
    compare(interpreter.run(tercet.import_model(path), inputs), right)
    check_compiled(path, inputs, right, tmp_path)
