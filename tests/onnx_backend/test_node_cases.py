"""The node tests of the ONNX package, through the importer and the interpreter, and through compiled code."""

from __future__ import annotations

import re

import pytest

from .backend import Compiled, Interpreted
from .cases import applicable, exclusion, run_node_test
from .exclusions import EXCLUSIONS

TARGET = 850
SAMPLE = (
    "test_add_bcast",
    "test_averagepool_2d_pads_count_include_pad",
    "test_basic_conv_with_padding",
    "test_convinteger_with_padding",
    "test_gemm_all_attributes",
    "test_matmulinteger",
    "test_maxpool_2d_uint8",
    "test_qlinearconv",
    "test_resize_upsample_scales_nearest",
    "test_softmax_axis_1",
)
"""Compiling takes seconds: all run at night, and these always."""


def parameters() -> list:
    skips = {name: exclusion(name) for name in applicable()}
    return [
        pytest.param(name, marks=[pytest.mark.skip(reason=reason)] if reason else []) for name, reason in skips.items()
    ]


@pytest.mark.parametrize("name", parameters())
def test_interpreter(name: str) -> None:
    run_node_test(Interpreted, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", parameters())
def test_compiled(name: str) -> None:
    run_node_test(Compiled, name)


@pytest.mark.parametrize("name", SAMPLE)
def test_compiled_sample(name: str) -> None:
    run_node_test(Compiled, name)


def test_enough_node_tests_are_run() -> None:
    assert sum(exclusion(name) is None for name in applicable()) >= TARGET


@pytest.mark.parametrize("pattern", EXCLUSIONS)
def test_every_exclusion_excludes_something(pattern: str) -> None:
    assert any(re.fullmatch(f"test_{pattern}", name) for name in applicable())
