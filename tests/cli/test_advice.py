"""What compile says beside errors: hints for a better artifact, and what tuning changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tercet.driver.advice import advice
from tercet.driver.options import CompileOptions
from tercet.passes.lossy.options import LossyOptions
from tercet.runtime.artifact.layers import Candidate, Layer
from tercet.runtime.report.tuning_text import tuning_text

TABLE = Candidate("table", {"group": 3}, 200.0, 0.0, "")
LOOPS = Candidate("loops", {}, 9000.0, 0.0, "")
REFUSED = Candidate("linear", {}, 0.0, 0.0, "expected a matrix product")
CONV = Layer(
    "k01_conv", "table", {"group": 3}, ("Conv:conv",), ("tn.conv",), (), (), (), 16, 16, 81, 81, 0, 0, True, 200.0, 0.0,
    (TABLE, LOOPS, REFUSED),
)  # fmt: skip
POOL = replace(CONV, symbol="k02_pool", engine="loops", schedule={}, weight_count=0, candidates=(LOOPS,))


def test_layers_that_no_chosen_engine_takes_are_named() -> None:
    options = CompileOptions(target="generic", engines=("bit_sliced",))
    slow = [replace(CONV, symbol=f"k{i:02}_conv", engine="loops") for i in range(7)]
    assert advice(CompileOptions(target="generic"), [CONV, POOL]) == []
    assert advice(replace(options, engines=("table",)), [CONV, POOL]) == []
    assert advice(replace(options, engines=("table", "loops")), [*slow, POOL]) == []
    (one,) = advice(options, [slow[0], POOL])
    assert one.startswith("the chosen engines refuse k00_conv, so loops computes them") and "--why" in one
    (many,) = advice(options, slow)
    assert "k04_conv and 2 more, so loops" in many


@pytest.mark.parametrize(
    ("weights", "activations", "said"),
    [("ternary", "keep", True), ("ternary", "int4", False), ("ttq", "keep", False), ("keep", "keep", False)],
)
def test_float_activations_of_ternary_weights_are_said(weights: str, activations: str, said: bool) -> None:
    lossy = LossyOptions(weights, activations=activations)
    found = advice(CompileOptions(target="generic", lossy=lossy), [CONV])
    assert [hint.startswith("activations stay float") for hint in found] == [True] * said


def test_what_tuning_changed() -> None:
    lists = Candidate("bit_sliced", {"pitch": 1}, 250.0, 150.0, "")
    same = replace(CONV, measured=190.0, candidates=(replace(TABLE, measured=190.0), lists))
    other = replace(same, symbol="k03_conv", engine="bit_sliced", schedule={"pitch": 1}, measured=150.0)
    assert tuning_text([CONV, same]) == "tuning: 0 of 1 steps are not as predicted\n"
    head, _, _, row = tuning_text([same, other, POOL]).splitlines()
    assert head == "tuning: 1 of 2 steps are not as predicted"
    assert row.split() == ["k03_conv", "bit_sliced", "pitch", "1", "150", "table", "group", "3", "190"]
