"""Every hostile file is refused with its own message; nothing crashes, is written, executed or read outside."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from onnx import ModelProto

from tercet.frontend.onnx import import_model
from tercet.ir.errors import InputError, ModelError, TercetError, UnsupportedError

from . import hostile_nodes  # noqa: F401  (adds to HOSTILE)
from .helpers import floats, interpreted, model, node
from .hostile import HOSTILE, SECRET

OPENED: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if OPENED is not None and event in ("open", "os.listdir", "subprocess.Popen", "os.system", "pickle.find_class"):
        OPENED.append(f"{event} {arguments[0]}")


sys.addaudithook(_audit)


def refusal(name: str, folder: Path) -> TercetError:
    """Imports a hostile model from a folder of its own and gives the error."""
    global OPENED
    (folder / SECRET).write_bytes(b"\0" * 24)
    (inside := folder / "models").mkdir()
    source = HOSTILE[name].build(inside)
    if isinstance(source, bytes):
        (path := inside / "model.onnx").write_bytes(source)
        source = path
    before = sorted(os.walk(folder))
    OPENED = []
    try:
        with pytest.raises(TercetError) as caught:
            import_model(source)
    finally:
        opened, OPENED = OPENED, None
    assert sorted(os.walk(folder)) == before
    allowed = {f"open {p}" for p in (source, inside / "weights.bin") if not isinstance(p, ModelProto)}
    ours = [entry for entry in opened if not re.search(r"\.pyc?$|site-packages|__pycache__|open \d+$", entry)]
    assert set(ours) <= allowed | {f"open {inside / 'pipe'}", f"open {inside / 'sub'}", f"open {inside / 'absent.bin'}"}
    return caught.value


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_with_its_own_message(name: str, tmp_path: Path) -> None:
    start = time.monotonic()
    error = refusal(name, tmp_path)
    assert isinstance(error, ModelError | UnsupportedError | InputError)
    assert HOSTILE[name].message in str(error)
    assert error.what
    assert time.monotonic() - start < 20


def test_there_are_many_and_their_messages_differ(tmp_path: Path) -> None:
    assert len(HOSTILE) >= 40
    texts: dict[str, str] = {}
    for i, name in enumerate(HOSTILE):
        (folder := tmp_path / str(i)).mkdir()
        texts[name] = str(refusal(name, folder)).replace(str(folder), "")
    # Not a protobuf is not a protobuf: what the parser says of noise, a pickle or half a file is its own matter.
    broken = {name for name, text in texts.items() if "not an ONNX model" in text}
    distinct = {text for name, text in texts.items() if name not in broken}
    assert len(distinct) == len(texts) - len(broken)


def test_damaged_bytes_are_refused_or_imported() -> None:
    """Random damage to a real network never ends in anything but a program or one of our errors."""
    rng = random.Random(0)
    constants = {"w": floats(4, 2, 3, 3), "v": floats(24, 3), "s": floats(1), "t": floats(4, 2)}
    shape = {"shape": np.array([0, -1]), "scale": np.array(0.5, np.float32), "zero": np.array(3, np.int8)}
    nodes = [
        node("Conv", "x w", "a", kernel_shape=[3, 3], pads=[1, 0, 1, 0], strides=[2, 1]),
        node("MultiThreshold", "a t", "b", domain="finn", out_bias=-1.0, out_scale=2.0),
        node("MaxPool", "b", "c", kernel_shape=[2, 2], ceil_mode=1),
        node("Reshape", "c shape", "d"),
        node("QuantizeLinear", "d scale zero", "e"),
        node("DequantizeLinear", "e scale zero", "f"),
        node("Gemm", "f v", alpha=0.5),
    ]
    source = model(nodes, {"x": floats(1, 2, 7, 5)}, {**constants, **shape})
    import_model(source)
    whole = source.SerializeToString()
    outcomes = {"imported": 0, "refused": 0}
    for _ in range(800):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            proto = ModelProto.FromString(bytes(damaged))
        except DecodeError:
            continue
        try:
            import_model(proto)
            outcomes["imported"] += 1
        except TercetError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_a_long_chain_is_no_problem() -> None:
    nodes = [node("Relu", f"v{i}", f"v{i + 1}") for i in range(5000)]
    feeds = {"v0": floats(2)}
    program = import_model(model(nodes, feeds, outputs={"v5000": feeds["v0"].dtype}))
    assert len(list(program.ops)) == 5000


def test_names_are_only_names() -> None:
    """A name with path characters or format codes is carried, never used as a path."""
    feeds = {"../../x%s{0}": floats(2)}
    nodes = [node("Relu", ["../../x%s{0}"], ["../y"]), node("Relu", ["../y"], ["y"], name="/etc/passwd")]
    assert list(interpreted(model(nodes, feeds), feeds)) == ["y"]
