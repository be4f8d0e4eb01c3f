"""Every file of `data/` gives the right values, or is refused with the right message."""

from __future__ import annotations

from pathlib import Path

import pytest

import tercet
from tercet.backends.reference import interpreter

from .faults import DATA, check_compiled, compare, expected

REFUSED: dict[str, str] = {}
"""Files that are wrong themselves, and what the message says of them."""

EXACT_AVERAGES = ("avgpool_tie_2x2", "avgpool_tie_8x8", "mean_tie")
"""Their .npz holds float32's ties; test_averages.py has the right values."""

OPEN = {
    "b_conv_bool",
    "dia_depthwise",
    "dia_int8_bn_two",
    "dia_min_bn_q_conv",
    "dia_relu_two",
    "dynamic_quantize_matmul",
    "fam_conv_bool_q1_Max_1",
    "fam_conv_q1_mp_Sub_1",
    "ms_QGemm",
    "ms_QLinearAdd",
    "ms_QLinearAveragePool",
    "ms_QLinearConcat",
    "ms_QLinearSoftmax",
    "ms_qadd",
    "ms_qdq_uint8",
    "msqdq_uint16",
    "n_uni",
    "rank_419",
    "torch_block_short_first_script",
    "verify_ties_int4",
    "z_bias",
    "z_qlc",
    "zero_ascale",
    "zero_wscale",
}
"""Not yet right."""

NAMES = sorted({path.stem for path in DATA.glob("*.onnx")} - {*EXACT_AVERAGES})


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.xfail(strict=False)) if n in OPEN else n for n in NAMES])
def test_file(name: str, tmp_path: Path) -> None:
    path = DATA / f"{name}.onnx"
    if name in REFUSED:
        with pytest.raises(tercet.TercetError, match=REFUSED[name]):
            tercet.compile(path, tmp_path / "model.tercet")
        return
    inputs, right = expected(name)
    compare(interpreter.run(tercet.import_onnx(path), inputs), right)
    check_compiled(path, inputs, right, tmp_path)
