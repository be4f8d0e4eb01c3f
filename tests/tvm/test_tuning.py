"""Tuning a float layer on two machines behind a tracker, both here: it is faster for it, and nothing measured is lost
where a run is killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

from onnx import helper, numpy_helper, save

import tercet
from tercet.backends.tvm.records import RECORDS, WORKLOADS, Records
from tercet.ir.errors import InputError, ToolchainError
from tercet.runtime.check.timing import interleave

KEY, CANDIDATES, PATIENCE = "board", 20, 300


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution of floats."""
    weights = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32)
    x, y = (helper.make_tensor_value_info(name, 1, [1, 8, 10, 10]) for name in "xy")
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    graph = helper.make_graph([node], "layer", [x], [y], [numpy_helper.from_array(weights, "w")])
    path = tmp_path_factory.mktemp("layer") / "layer.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


Program = subprocess.Popen[bytes]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a program of Python's, which ends with the test; what it prints goes to `N.txt`."""
    running: list[Program] = []

    def started(*words: str, **environment: str) -> Program:
        with open(tmp_path / f"{len(running)}.txt", "wb") as log:
            running.append(
                subprocess.Popen(
                    [sys.executable, *words], stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                    env={**os.environ, **environment},
                )
            )  # fmt: skip
        return running[-1]

    yield started
    for process in running:
        kill(process)


def kill(process: Program) -> None:
    """With all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_on_two_machines_and_after_a_kill(
    layer: Path, start: Callable[..., Program], tmp_path: Path
) -> None:
    port = free_port()
    tracker = ("--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1))
    start("-m", "tvm.exec.rpc_tracker", *tracker)
    until(lambda: answers(port))
    server = ("-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--tracker", f"127.0.0.1:{port}", "--key", KEY)
    servers = [start(*server) for _ in range(2)]
    from tercet.backends.tvm.tracker import Tracker

    machines = Tracker(KEY, "127.0.0.1", port)
    until(lambda: counted(machines) == len(servers))
    with pytest.raises(ToolchainError, match="has no machine with the key 'other'"):
        Tracker("other", "127.0.0.1", port).servers()

    tuned = tmp_path / "tuned.tercet"
    command = ("-m", "tercet", "compile", str(layer), "-o", str(tuned), "--backend", "tvm", "--engine", "relax",
               "--tune", "--tune-candidates", str(CANDIDATES), "--tracker", f"{KEY}@127.0.0.1:{port}")  # fmt: skip
    run = start(*command, TERCET_CACHE=str(tmp_path))
    until(lambda: any(lines(found) for found in tmp_path.glob(f"tvm/*-{KEY}/{RECORDS}")) or run.poll() is not None)
    kill(run)
    (records,) = tmp_path.glob(f"tvm/*-{KEY}/{RECORDS}")
    before = lines(records)
    assert 0 < before < CANDIDATES and not tuned.exists()
    with open(records, "a") as file:
        file.write('[0, [[["GetSBlock')  # as where the kill came while a line was written

    run = start(*command, TERCET_CACHE=str(tmp_path))
    kill(servers[0])  # the other one does its work, and what it measured at most is lost
    run.wait(PATIENCE)
    output = (tmp_path / "4.txt").read_text()
    assert run.returncode == 0, output
    measured = re.search(r"conv2d +(\d+) +(\d+) +[\d.e+]+\n", output)
    assert measured is not None, output
    assert int(measured[2]) == before and CANDIDATES - 1 <= int(measured[1]) + before <= CANDIDATES
    assert lines(records) == int(measured[1]) + before

    plain = tmp_path / "plain.tercet"
    tercet.compile(layer, plain, backend="tvm", engines=["relax"])
    x = np.random.default_rng(0).standard_normal((1, 8, 10, 10)).astype(np.float32)
    with tercet.load(plain) as one, tercet.load(tuned) as other:
        np.testing.assert_allclose(other.run(x)["y"], one.run(x)["y"], rtol=1e-5, atol=1e-5)
        slow, fast = (min(times) for times in interleave([lambda: one.run(x), lambda: other.run(x)], 20))
        assert fast < slow
    stages = tercet.inspect(tuned).passes
    assert [stage.partition("-")[2] for stage in stages[-3:]] == ["tvm-relax", "tvm-fused", "tvm-tuned"]


def counted(tracker: object) -> int:
    try:
        return tracker.servers()  # type: ignore[attr-defined]
    except ToolchainError:
        return 0


def test_a_torn_line_is_dropped_and_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / WORKLOADS).write_text('["abc", "de')
    with Records(tmp_path) as records:
        assert len(records) == 0 and not (tmp_path / WORKLOADS).read_text()
        with pytest.raises(InputError, match="another run is tuning with these records"):
            Records(tmp_path)
    (tmp_path / WORKLOADS).write_text("nonsense\n")
    with pytest.raises(InputError, match="tuning records cannot be read") as caught:
        Records(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_tracker_that_does_not_answer(layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"no tracker answers at 127\.0\.0\.1:1"):
        tercet.compile(layer, tmp_path / "x.tercet", backend="tvm", tune=8, engines=["relax"], tracker="a@127.0.0.1:1")
    assert not (tmp_path / "x.tercet").exists()
