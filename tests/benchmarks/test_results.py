"""What the benchmarks make of their measurements: turns, ratios, geometric means, bars, reports."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import run
from hypothesis import given
from hypothesis import strategies as st
from suite.bars import BARS, Bar, Verdict, geometric_mean, judge
from suite.clock import MOST, Clock, interleave
from suite.layers import KINDS, LAYERS
from suite.measure import NETWORK, OURS, Measured, kinds_of
from suite.networks import NETWORKS
from suite.ours import relative_error
from suite.report import read_json, text, write_json
from suite.worker import PEERS

POSITIVE = st.floats(0.01, 100)
ABOUT = {"tercet": "1", "target": "t", "cpu": "c", "threads": 1, "rounds": 2}


@given(st.lists(POSITIVE, min_size=1, max_size=8), POSITIVE)
def test_geometric_mean(values: list[float], factor: float) -> None:
    mean = geometric_mean(values)
    assert min(values) * 0.999 <= mean <= max(values) * 1.001
    assert math.isclose(geometric_mean([v * factor for v in values]), mean * factor)
    assert math.isclose(geometric_mean([1 / v for v in values]), 1 / mean)


def test_turns_alternate_and_calls_fill_a_block() -> None:
    asked: list[tuple[str, int]] = []

    def clock(name: str, seconds: float) -> Clock:
        def measure(calls: int) -> float:
            asked.append((name, calls))
            return seconds

        return measure

    seconds = interleave({"slow": clock("slow", 1.0), "quick": clock("quick", 1e-6)}, 3)
    assert seconds == {"slow": [1.0] * 3, "quick": [1e-6] * 3}
    measured = [name for name, calls in asked[4:] if calls > 1]
    assert measured == ["slow", "quick", "quick", "slow", "slow", "quick"]
    assert {calls for name, calls in asked[4:] if name == "quick"} == {1, MOST}


def test_a_ratio_is_taken_round_by_round_to_the_fastest() -> None:
    m = Measured("s", 1, {"us": [1.0, 2.0, 4.0], "slow": [9.0, 9.0, 9.0], "fast": [2.0, 4.0, 8.0]})
    spread = m.ratio("us", ["slow", "fast", "absent"])
    assert spread is not None and (spread.minimum, spread.median, spread.maximum) == (2, 2, 2)
    assert m.ratio("absent", ["fast"]) is None and m.ratio("us", ["absent"]) is None


def test_bars_name_what_is_measured() -> None:
    ours = {OURS + name for name in (*KINDS, *NETWORKS)}
    for bar in BARS:
        assert set(bar.subjects) <= {*LAYERS, NETWORK}, bar.name
        assert {bar.ours} <= ours and set(bar.theirs) <= {*PEERS, *ours}, bar.name
        assert bar.each or bar.mean, bar.name
        for subject in set(bar.subjects) - {NETWORK}:
            assert bar.ours.removeprefix(OURS) in kinds_of(LAYERS[subject], list(KINDS)), bar.name


@pytest.mark.parametrize(
    ("ratios", "met"),
    [
        ((2.0, 2.1), True),
        ((1.8, 1.9), False),  # the mean is too low
        ((1.6, 9.0), False),  # one is too low
        ((1.6, None), False),
        ((9.0, None), None),
    ],
)
def test_a_bar_is_met_missed_or_open(ratios: tuple[float | None, ...], met: bool | None) -> None:
    assert Verdict(Bar("b", ("x", "y"), "us", ("them",), 1.7, 2.0), 1, ratios).met is met


def test_the_report_survives_its_file_and_says_what_is_missed(tmp_path: Path) -> None:
    layers = [
        Measured(bar_subject, 1, {"tercet ternary/ternary": [1.0, 1.0], "onednn int8": [3.0, 1.5 + i]})
        for i, bar_subject in enumerate(BARS[0].subjects)
    ]
    layers[0].remarks["openvino int8"] = "not installed"
    write_json(tmp_path / "a.json", layers[:3], ABOUT)
    write_json(tmp_path / "b.json", layers[2:], ABOUT)
    read, about = read_json([tmp_path / "a.json", tmp_path / "b.json"])
    assert read == layers and about == ABOUT
    assert [v.met for v in judge(read)] == [True]
    page = text(read, about)
    assert "openvino int8 left out: not installed" in page and "| met |" in page
    layers[0].seconds["onednn int8"] = [1.5, 1.5]
    assert "| MISSED |" in text(layers, ABOUT)


def test_relative_error() -> None:
    x = np.array([3.0, 4.0])
    assert relative_error(x, x) == 0 and relative_error(x * 1.1, x) == pytest.approx(0.1)
    assert relative_error(x, x * 0) == relative_error(x[:1], x) == relative_error(x * np.nan, x) == float("inf")


def test_patterns_choose_names() -> None:
    assert run.chosen("3x3 *", LAYERS, "layers") == [name for name in LAYERS if name.startswith("3x3 ")]
    assert run.chosen("ternary;ternary, float*", NETWORKS, "networks") == ["ternary", "ternary, float shortcut"]
    assert run.chosen("", PEERS, "peers") == []
    with pytest.raises(SystemExit, match="nothing is called 'x'"):
        run.chosen("x", PEERS, "peers")
