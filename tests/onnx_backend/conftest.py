"""Counts the ONNX node tests at the end of a run."""

from __future__ import annotations

import pytest

VARIANTS = {"test_interpreter": "interpreter", "test_compiled": "compiled"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for function, variant in VARIANTS.items():
        count = {
            outcome: sum(f"::{function}[" in report.nodeid for report in terminalreporter.getreports(outcome))
            for outcome in ("passed", "failed", "skipped")
        }
        if total := sum(count.values()):
            terminalreporter.write_line(
                f"ONNX node tests, {variant}: {count['passed']} passed / {total} applicable / "
                f"{count['skipped']} excluded / {count['failed']} failed"
            )
