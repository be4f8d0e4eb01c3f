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
from tercet.backends.tvm.records import RECORDS
from tercet.ir.errors import ToolchainError
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all", "word"),
    [(signal.SIGINT, True, "interrupted"), (signal.SIGTERM, False, "terminated"), (signal.SIGHUP, True, "terminated")],
)
def test_a_signal_ends_it_and_keeps_the_records(
    number: signal.Signals, to_all: bool, word: str, layer: Path, tmp_path: Path
) -> None:
    """Ctrl-C comes to all processes of a terminal. It comes when some candidates are measured, the others earlier."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tercet", "compile", "-q", str(layer), "-o", str(tmp_path / "x.tercet"), "--backend",
         "tvm", "--engine", "relax", "--tune", "--tune-candidates", "200"],
        env={**os.environ, "TERCET_CACHE": str(tmp_path), "TMPDIR": str(temporary)}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL), start_new_session=True,
    )  # fmt: skip
    if number == signal.SIGINT:
        until(lambda: any(lines(found) for found in tmp_path.glob(f"tvm/*/{RECORDS}")))
    else:
        until(lambda: any(b"tvm.exec.popen_worker" in words for words in started_by(process.pid).values()))
    children = started_by(process.pid)
    before = sum(lines(found) for found in tmp_path.glob(f"tvm/*/{RECORDS}"))
    (os.killpg if to_all else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, f"tercet: {word}\n")
    assert children and not (set(children) & set(running()))
    assert not list(temporary.iterdir()) and not (tmp_path / "x.tercet").exists()
    assert sum(lines(found) for found in tmp_path.glob(f"tvm/*/{RECORDS}")) >= before


def running() -> dict[int, tuple[int, bytes]]:
    """Of the processes that run, their parents' numbers and their words."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(folder.name)] = int(parent), (folder / "cmdline").read_bytes()
    return found


def started_by(process: int) -> dict[int, bytes]:
    """The words of the processes that it has started, and those that these have."""
    everything = running()
    found, new = dict[int, bytes](), {process}
    while new:
        new = {number for number, (parent, _) in everything.items() if parent in new}
        found |= {number: everything[number][1] for number in new}
    return found


def test_a_function_without_choices_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (helper.make_tensor_value_info(name, 1, [4, 6]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "sizes", [x], [y])
    path = tmp_path / "sizes.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    text = [tercet.compile(path, tmp_path / "x.tercet", backend="tvm", tune=64).tuned for _ in range(2)]
    assert [re.findall(r"Abs +(\d+) +(\d+) ", one) for one in text] == [[("1", "0")], [("0", "1")]]
    (records,) = tmp_path.glob(f"tvm/*/{RECORDS}")
    records.write_text("")  # what is known to be all is measured again where it was lost
    text = tercet.compile(path, tmp_path / "x.tercet", backend="tvm", tune=64).tuned
    assert re.findall(r"Abs +(\d+) +(\d+) ", text) == [("1", "0")]
