"""Trackers: their addresses, and what is said of those that do not answer as one."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tercet
from tercet.backends.tvm import tracker as module
from tercet.backends.tvm.tracker import MAGIC, Tracker
from tercet.cli import main
from tercet.ir.errors import InputError, ToolchainError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


@pytest.mark.parametrize(
    ("text", "host"),
    [("board@10.0.0.7:9190", "10.0.0.7"), ("b.o-a+rd@[::1]:1", "::1"), ("b@[fe80::1%eth0]:9", "fe80::1%eth0")],
)
def test_addresses(text: str, host: str) -> None:
    found = Tracker.parse(text)
    assert found.host == host and str(found) == text


@pytest.mark.parametrize(
    "text",
    ["x", "a@b", "a@::1:9190", "a@[::1]", "a@[host]:9190", "a@h:0", "a@h:65536", "@h:1", "a@h:1:2", "a@h:\u0661"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match=r"tracker: expected KEY@HOST:PORT, got .*"):
        Tracker.parse(text)


def test_an_empty_one_is_none_of_those(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for backend in ("tvm", "c"):
        words = ["--backend", backend, "--tune", "--tracker", ""]
        with pytest.raises(SystemExit) as caught:
            main(["compile", str(DIGITS), "-o", str(tmp_path / "x.tercet"), *words])
        assert caught.value.code == 2 and "--tracker: expected KEY@HOST:PORT, got ''" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@contextmanager
def answering(talk: Callable[[socket.socket], None], family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """The port of a program that talks to one caller."""
    with socket.socket(family) as server:
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                talk(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def summary(caller: socket.socket) -> None:
    data = json.dumps([0, {"server_info": [{"key": f"server:{key}"} for key in ("a", "b", "a")]}]).encode()
    assert caller.recv(1 << 16) == struct.pack("<i", MAGIC)  # and no more: a real one takes it by itself
    caller.sendall(struct.pack("<i", MAGIC))
    caller.recv(1 << 16)
    caller.sendall(struct.pack("<i", len(data)) + data)


def test_machines_are_counted_behind_every_kind_of_address() -> None:
    with answering(summary) as port:
        assert Tracker("a", "127.0.0.1", port).servers() == 2
    with answering(summary) as port, pytest.raises(ToolchainError, match="has no machine with the key 'c'"):
        Tracker("c", "127.0.0.1", port).servers()
    if socket.has_ipv6:
        with answering(summary, socket.AF_INET6) as port:
            assert Tracker("b", "::1", port).servers() == 1


def silent(caller: socket.socket) -> None:
    while caller.recv(1 << 16):
        pass


def trickling(caller: socket.socket) -> None:
    try:
        caller.sendall(struct.pack("<ii", MAGIC, 1000))
        while True:
            caller.sendall(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    def talk(caller: socket.socket) -> None:
        for answer in answers:
            caller.recv(1 << 16)
            caller.sendall(answer)

    return talk


LATE = "no tracker answers at 127.0.0.1:PORT: within 0.5 seconds"
NONE = "what answers at 127.0.0.1:PORT is no tracker"


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        (silent, LATE),
        (trickling, LATE),
        (lambda caller: None, "no tracker answers at 127.0.0.1:PORT: "),
        (saying(b"HTTP/1.1 400 Bad Request"), NONE),
        (saying(struct.pack("<i", MAGIC), struct.pack("<i", 2) + b"[]"), NONE),
        (saying(struct.pack("<i", MAGIC), struct.pack("<i", -1)), NONE),
    ],
    ids=["silent", "trickling", "closing", "another", "empty", "nonsense"],
)
def test_what_is_no_tracker(
    talk: Callable[[socket.socket], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with answering(talk) as port, pytest.raises(ToolchainError) as caught:
        Tracker("a", "127.0.0.1", port).servers()
    assert message.replace("PORT", str(port)) in caught.value.what


def test_a_tracker_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"no tracker answers at 127\.0\.0\.1:1: Connection refused"):
        tercet.compile(DIGITS, tmp_path / "x.tercet", backend="tvm", tune=8, engines=["relax"], tracker="a@127.0.0.1:1")
    assert not (tmp_path / "x.tercet").exists()
