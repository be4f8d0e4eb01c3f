"""Which node tests of the ONNX package apply to tercet, and how one is run."""

from __future__ import annotations

import re
import unittest
from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
from onnx.backend.test import BackendTest
from onnx.backend.test.loader import load_model_tests

from tercet.frontend.onnx.registry import TABLE

from .backend import Interpreted
from .exclusions import EXCLUSIONS

OPERATORS = frozenset(name for domain, name in TABLE if not domain)
"""A node test applies when all its nodes are of these operators: those that tercet imports."""


@cache
def applicable() -> tuple[str, ...]:
    """The names of the node tests that apply, sorted."""
    names = []
    for case in load_model_tests(kind="node"):
        model = case.model or onnx.load(Path(str(case.model_dir)) / "model.onnx")
        if all(node.op_type in OPERATORS and node.domain in ("", "ai.onnx") for node in model.graph.node):
            names.append(case.name)
    return tuple(sorted(names))


def exclusion(name: str) -> str | None:
    """Why a test is not run, or None."""
    return next((reason for pattern, reason in EXCLUSIONS.items() if re.fullmatch(f"test_{pattern}", name)), None)


@cache
def _suite(backend: type[Interpreted]) -> type[unittest.TestCase]:
    return BackendTest(backend, __name__).test_cases["OnnxBackendNodeModelTest"]


def run_node_test(backend: type[Interpreted], name: str) -> None:
    """Runs one node test with all its data sets. Raises AssertionError where an output is not as expected."""
    function: Callable[[unittest.TestCase], None] = getattr(_suite(backend), f"{name}_cpu")
    function(unittest.TestCase())
