"""What every test may ask for. Helpers of one folder are imported relatively, those of several lie in `support/`."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tercet.ir.host import cpu_features

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before anything imports onnxruntime
ROOT = Path(__file__).parents[1]

# A test whose examples are expensive (each compiles C, say) takes a share, which still grows at night:
# @settings(max_examples=settings().max_examples // 20)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=50, derandomize=True, **QUIET)
settings.register_profile("nightly", max_examples=500, **QUIET)
settings.register_profile(  # whether a test fails is all that matters: no time for the smallest example
    "unshrunk", max_examples=50, derandomize=True, phases=(Phase.explicit, Phase.generate), **QUIET
)
settings.load_profile("ci")  # or --hypothesis-profile=nightly


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files and docs/ir.md anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to become what the test finds."""
    return bool(request.config.getoption("--update-golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "models" in getattr(item, "fixturenames", ()):
            item.add_marker("models")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder with the shared models."""
    folder = Path(os.environ.get("TERCET_MODELS") or ROOT.parent / "shared" / "models")
    if not folder.is_dir():
        pytest.skip("set TERCET_MODELS to the folder with the shared models")
    return folder


@pytest.fixture(scope="session")
def requires_cpu() -> Callable[..., None]:
    """`requires_cpu("avx512f", "avx512bw")` skips the test where the machine lacks one of them."""

    def check(*features: str) -> None:
        if missing := sorted(set(features) - cpu_features()):
            pytest.skip(f"this CPU has no {', '.join(missing)}")

    return check


NODE_TEST_VARIANTS = {"test_interpreter": "interpreter", "test_compiled": "compiled"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts the ONNX node tests. Here, not in their folder: the controller of a parallel run loads only this file."""
    for function, variant in NODE_TEST_VARIANTS.items():
        count = {
            outcome: sum(f"::{function}[" in report.nodeid for report in terminalreporter.getreports(outcome))
            for outcome in ("passed", "failed", "skipped")
        }
        if total := sum(count.values()):
            terminalreporter.write_line(
                f"ONNX node tests, {variant}: {count['passed']} passed / {total} applicable / "
                f"{count['skipped']} excluded / {count['failed']} failed"
            )
