"""Archives of torch.export.save: read from the command line and in Python, and never trusted."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tercet
from tercet.backends.reference.interpreter import run
from tercet.ir.errors import InputError, ModelError, TercetError, UnsupportedError

from .helpers import assert_close, expected, floats, interpreted, torch

nn = torch.nn
SOME = 12
"""Archives that are damaged at random."""
GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 5)
    ).eval()


def saved(folder: Path, *, dynamic: bool = True) -> Path:
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    path = folder / "model.pt2"
    torch.export.save(torch.export.export(network(), (floats(2, 3, 4, 4),), dynamic_shapes=shapes), path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def changed(path: Path, member: str, change: Callable[[Any], Any]) -> Path:
    """The archive with one JSON member changed."""
    content = members(path)
    (name,) = (n for n in content if n.endswith(member))
    value = json.loads(content[name])
    made = change(value)
    content[name] = json.dumps(value if made is None else made).encode()
    return written(path, content)


def find(value: Any, key: str) -> dict[str, Any]:
    """The first object in it that has the key."""
    waiting = [value]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict) and key in value:
            return value
        waiting += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    raise AssertionError(f"no {key}")


def test_archives_equal_torch(tmp_path: Path) -> None:
    x = floats(3, 3, 4, 4)
    program = tercet.import_model(saved(tmp_path))
    assert program.batched and program.name == "model"
    (have,) = interpreted(program, (x,)).values()
    assert_close(have, expected(network(), (x,))[0])


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tercet.cli import main

    path, made = saved(tmp_path), tmp_path / "made.tercet"
    assert main(["compile", str(path), "-o", str(made), "-q"]) == 0
    assert main(["verify", str(made), "--against", str(path), "--samples", "2"]) == 0
    assert main(["inspect", str(path), "--batch", "2"]) == 0
    assert "plan-memory" in capsys.readouterr().out
    x = floats(2, 3, 4, 4)
    (have,) = tercet.run(made, x.numpy()).values()
    assert_close(have, expected(network(), (x,))[0])


@pytest.mark.parametrize("name", ["ternary_resnet18_c100", "ternary_mnist_cnn"])
def test_shared_archives(models: Path, name: str) -> None:
    """The archive of the MNIST network holds an untrained one; the weights that the outputs are of lie beside it."""
    program = tercet.import_model(models / f"{name}.pt2")
    if name == "ternary_mnist_cnn":
        program = tercet.import_model(with_weights(models / f"{name}.pt2", models / f"{name}.zip"))
    data = np.load(models / f"{name}.io.npz")
    (port,) = program.inputs
    for x, want in zip(data["input"][:5], data["output"][:5], strict=True):
        (have,) = run(program, {port.name: x[None]}).values()
        assert_close(have[0], want, 1e-4)


@pytest.mark.slow
def test_mnist_digits_are_told_apart_as_by_torch(models: Path, tmp_path: Path) -> None:
    """All 10,000 test images: the classes, and so the accuracy, are torch's."""
    exported = with_weights(models / "ternary_mnist_cnn.pt2", models / "ternary_mnist_cnn.zip")
    data = models.parent / "data"
    pixels, labels = (
        np.frombuffer(gzip.decompress((data / f"t10k-{name}-ubyte.gz").read_bytes()), np.uint8, -1, head)
        for name, head in (("images-idx3", 16), ("labels-idx1", 8))
    )
    images = ((pixels.reshape(-1, 1, 28, 28) / 255 - 0.1307) / 0.3081).astype(np.float32)
    made = tmp_path / "model.tercet"
    tercet.compile(exported, made)
    with tercet.load(made) as model, torch.inference_mode():
        blocks = [images[i : i + 500] for i in range(0, len(images), 500)]
        own = np.concatenate([next(iter(model.run(block).values())).argmax(1) for block in blocks])
        module = exported.module()  # of one image
        torchs = np.array([module(torch.from_numpy(image[None])).argmax() for image in images])
    assert len(own) == 10_000
    np.testing.assert_array_equal(own, torchs)
    assert (own == labels).mean() == 0.9906


def with_weights(path: Path, weights: Path) -> Any:
    with zipfile.ZipFile(weights) as archive:
        state = torch.load(io.BytesIO(archive.read(archive.namelist()[0])), weights_only=True)
    exported = torch.export.load(path)
    for name, tensor in exported.state_dict.items():
        tensor.data.copy_(state[name])
    return exported


@pytest.mark.slow
def test_a_shared_archive_compiled(models: Path, tmp_path: Path) -> None:
    source, made = models / "ternary_resnet18_c100.pt2", tmp_path / "model.tercet"
    tercet.compile(source, made)
    data = np.load(models / "ternary_resnet18_c100.io.npz")
    with tercet.load(made) as model:
        outputs = np.stack([next(iter(model.run(x[None]).values()))[0] for x in data["input"]])
    assert_close(outputs, data["output"], 1e-4)


# -- hostile and broken ones ------------------------------------------------------------------------------------------


class Attack:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    "member", ["data/weights/weight_0", "data/constants/custom_obj_0", "data/sample_inputs/model.pt"]
)
def test_nothing_is_unpickled(tmp_path: Path, member: str) -> None:
    path, mark = saved(tmp_path), tmp_path / "mark"
    content = members(path)
    root = next(iter(content)).partition("/")[0]
    content[f"{root}/{member}"] = pickle.dumps(Attack(mark))
    for name, kind in ((WEIGHTS, "weights"), (WEIGHTS.replace("weights", "constants"), "constants")):
        config = json.loads(content[f"{root}/{name}"])
        if f"data/{kind}/" in member:
            entry = {"path_name": member.rpartition("/")[2], "is_param": False, "use_pickle": True, "tensor_meta": None}
            config["config"]["0.weight" if kind == "weights" else "object"] = entry
        content[f"{root}/{name}"] = json.dumps(config).encode()
    written(path, content)
    if "sample_inputs" in member:
        tercet.import_model(path)  # they are not looked at
    else:
        with pytest.raises(UnsupportedError, match=r"it is pickled\n.*reads no pickles"):
            tercet.import_model(path)
    assert not mark.exists()


def hostile(key: str, text: Any) -> Callable[[Any], Any]:
    def change(value: Any) -> None:
        find(value, key)[key] = text

    return change


RUN = "__import__('pathlib').Path('{mark}').touch()"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (hostile("expr_str", RUN), "the expression of a size is not one that torch writes"),
        (hostile("expr_str", "Integer(9)**Integer(9)"), "the expression of a size is not one that torch writes"),
        (hostile("expr_str", "Symbol(" * 90), "torch cannot rebuild its graph"),
        (hostile("name", RUN), "the name of a value is no identifier"),
        (hostile("target", "torch.os.system"), "operators that are not read from files: torch.os.system"),
        (hostile("target", "torch.ops.higher_order.cond"), "operators that are not read from files: higher_order.cond"),
        (hostile("target", "torch.ops.aten.from_file.default"), "are not read from files: aten.from_file.default"),
        (hostile("target", "torch.ops.aten.save.default"), "are not read from files: aten.save.default"),
        (hostile("target", 3), "an operator has no name"),
        (hostile("in_spec", '[1, {"type": "m.T", "context": "", "children_spec": []}]'), "are of the type m.T"),
        (hostile("in_spec", '[1, {"type": "builtins.dict", "context": "[{\\"__enum__\\": 1}]", "children_spec": []}]'),
         "is no text"),
        (hostile("range_constraints", {"x; y": {"min_val": 1, "max_val": 2}}), "the name of a size is not one"),
        (hostile("nodes", {}), "graph"),
        (hostile("graph_module", None), "its graph is broken"),
        (lambda value: [], "its graph is broken"),
        (lambda value: {}, "its graph is broken"),
    ],
)  # fmt: skip
def test_hostile_graphs(tmp_path: Path, change: Callable[[Any], Any], what: str) -> None:
    path, mark = saved(tmp_path), tmp_path / "mark"

    def with_mark(value: Any) -> Any:
        made = change(value)
        return json.loads(json.dumps(value if made is None else made).replace("{mark}", str(mark)))

    changed(path, GRAPH, with_mark)
    with pytest.raises(TercetError, match=what):
        tercet.import_model(path)
    assert not mark.exists()


def test_guards_are_not_run(tmp_path: Path) -> None:
    path, mark = saved(tmp_path), tmp_path / "mark"
    changed(path, GRAPH, lambda value: {**value, "guards_code": [RUN.format(mark=mark)]})
    tercet.import_model(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda meta: meta.update(sizes=[{"as_int": 2**40}]), "absurd shape"),
        (lambda meta: meta.update(sizes=[{"as_int": -4}]), "negative dimension"),
        (lambda meta: meta.update(strides=[{"as_int": 99}] * len(meta["strides"])), "does not fit its"),
        (lambda meta: meta.update(strides=[{"as_int": -1}] * len(meta["strides"])), "does not fit its"),
        (lambda meta: meta.update(storage_offset={"as_int": 10**6}), "does not fit its"),
        (lambda meta: meta.update(dtype=999), "its description is broken"),
        (lambda meta: meta.update(sizes=None), "its description is broken"),
        (lambda meta: meta.update(dtype=8), "does not fit its"),
    ],
)
def test_hostile_tensors(tmp_path: Path, change: Callable[[Any], Any], what: str) -> None:
    path = saved(tmp_path)
    changed(path, WEIGHTS, lambda value: change(value["config"]["0.weight"]["tensor_meta"]))
    with pytest.raises(ModelError, match=what):
        tercet.import_model(path)


@pytest.mark.parametrize("missing", ["archive_format", GRAPH, WEIGHTS, "data/weights/weight_0"])
def test_members_that_are_missing(tmp_path: Path, missing: str) -> None:
    path = saved(tmp_path)
    written(path, {name: data for name, data in members(path).items() if not name.endswith(missing)})
    with pytest.raises(ModelError, match=r"not an archive of torch.export|the archive lacks"):
        tercet.import_model(path)


def test_compressed_members(tmp_path: Path) -> None:
    path = saved(tmp_path)
    written(path, members(path), zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="is compressed, which torch never does"):
        tercet.import_model(path)


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_files_that_are_cut(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"damaged|not an archive"):
        tercet.import_model(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with pytest.raises(InputError, match="cannot read the model"):
        tercet.import_model(path)
    path.mkdir()
    with pytest.raises(InputError, match="cannot read the model"):
        tercet.import_model(path)
    path.rmdir()
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(ModelError, match=r"not an archive of torch\.export, but a pickle"):
        tercet.import_model(path)
    torch.save(network().state_dict(), path)
    with pytest.raises(ModelError, match=r"not an archive of torch\.export, but a PyTorch file"):
        tercet.import_model(path)


@pytest.mark.parametrize("member", [GRAPH, WEIGHTS])
def test_changed_bytes(tmp_path: Path, member: str) -> None:
    """An archive with a few wrong bytes is imported or refused, and nothing else happens."""
    content = members(saved(tmp_path))
    (name,) = (n for n in content if n.endswith(member))
    random = np.random.default_rng(0)
    for i in range(SOME):
        data = bytearray(content[name])
        for at in random.integers(0, len(data), 1 + i % 3):
            data[at] = random.choice(list(b'0123456789"{}[],:-_.eE\x00xs'))
        written(tmp_path / "changed.pt2", {**content, name: bytes(data)})
        with suppress(TercetError):
            tercet.import_model(tmp_path / "changed.pt2")
