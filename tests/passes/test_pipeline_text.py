"""Pipelines as text: what is printed is read again, and what cannot be read says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import known_passes, stages
from tercet.backends.c.target import TARGETS
from tercet.ir.errors import InputError
from tercet.passes.base import Pass
from tercet.passes.fold_constants import FoldConstants
from tercet.passes.lossy.options import LossyOptions
from tercet.passes.lossy.ternarize import Ternarize
from tercet.passes.pipeline_text import parse_pipeline, pipeline_text
from tercet.passes.thresholds import Thresholds

DOCS = Path(__file__).parents[2] / "docs"
KNOWN = known_passes(TARGETS["generic"], ENGINES)


def parsed(text: str) -> list[Pass]:
    return parse_pipeline(text, KNOWN)


def test_the_whole_pipeline_reads_back_and_is_documented() -> None:
    passes = [stage.step for stage in stages(TARGETS["generic"], ENGINES)]
    text = pipeline_text(passes)
    assert parsed(text) == passes
    assert text in (DOCS / "passes.md").read_text().replace("\n    ", "")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("thresholds", [Thresholds()]),
        ("thresholds{}", [Thresholds()]),
        (" thresholds{ most-levels=7 } , fold-constants", [Thresholds(most_levels=7), FoldConstants()]),
        ("thresholds{most-choices=2,most-levels=7}", [Thresholds(7, 2)]),
        ("fold-constants{everything}", [FoldConstants(everything=True)]),
        ("fold-constants{everything=false}", [FoldConstants()]),
        ("ternarize{weights=ttq,threshold=0.25,keep=a/b,keep=layer1.*}",
         [Ternarize(LossyOptions("ttq", threshold=0.25, keep=("a/b", "layer1.*")))]),
    ],
)  # fmt: skip
def test_reads(text: str, want: list[Pass]) -> None:
    assert parsed(text) == want
    assert parsed(pipeline_text(want)) == want


@given(
    st.integers(1, 100), st.integers(1, 100), st.booleans(), st.sampled_from(["ternary", "uniform", "signed-binary"])
)
def test_values_round_trip(levels: int, choices: int, everything: bool, weights: str) -> None:
    passes = [Thresholds(levels, choices), FoldConstants(everything), Ternarize(LossyOptions(weights, ends=everything))]
    assert parsed(pipeline_text(passes)) == passes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read ''"),
        ("thresholds,", "cannot read 'thresholds,'"),
        ("thresholds thresholds", "cannot read"),
        ("thresholds{most-levels=7", "cannot read"),
        ("no-such", "there is no pass 'no-such'"),
        ("thresholds{levels=7}", "has no option 'levels'"),
        ("canonicalize{a=1}", "has no option 'a'"),
        ("thresholds{most-levels=seven}", "expected a whole number of 0 or more, got 'seven'"),
        ("thresholds{most-levels=-1}", "expected a whole number of 0 or more, got '-1'"),
        ("ternarize{weights=ttq,threshold=nan}", "option 'threshold': expected"),
        ("ternarize{weights=ttq,threshold=inf}", "option 'threshold': expected"),
        ("sum-merge{block-weights=0}", "pass 'sum-merge': expected blocks of 1 or more, got 0"),
        ("sum-merge{block-rows=0}", "pass 'sum-merge': expected blocks of 1 or more, got 0"),
        ("thresholds{most-levels}", "expected a whole number"),
        ("thresholds{most-levels=7,most-levels=8}", "is given twice"),
        ("fold-constants{everything=1}", "expected true or false"),
        ("ternarize{weights=fewer}", "there is no 'fewer'"),
        ("ternarize{assign=mine}", "expected one of rule, balanced, free"),
        ("select-engines{target=generic}", "has no option 'target'"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(text)


def test_passes_have_distinct_names_and_say_what_they_do() -> None:
    assert len(KNOWN) == len({step.name for step in KNOWN.values()})
    for step in KNOWN.values():
        assert step.__doc__ and step.requires, step
