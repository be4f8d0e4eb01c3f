"""Records of tuning that are damaged or lost: what can be used is, else the file and what to do are said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

from tercet.backends.tvm.package import te, tvm
from tercet.backends.tvm.records import EXHAUSTED, RECORDS, WORKLOADS, Records
from tercet.ir.errors import InputError


def test_a_torn_line_is_dropped_and_two_runs_are_told(tmp_path: Path) -> None:
    (tmp_path / WORKLOADS).write_text('["abc", "de')
    with Records(tmp_path) as records:
        assert len(records) == 0 and not (tmp_path / WORKLOADS).read_text()
        with pytest.raises(InputError, match="another run is tuning with these records"):
            Records(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (WORKLOADS, "nonsense\n", "line 1 is not one that TVM writes"),
        (WORKLOADS, '["1", "2"]\n{}\n', "line 2 is not one that TVM writes"),
        (WORKLOADS, "[" * 100_000 + "\n", "line 1 is not one that TVM writes"),
        (RECORDS, "[0, []]\n", "line 1 is not one that TVM writes"),  # of a function that is not there
        (RECORDS, "\xff\n", "line 1 is not one that TVM writes"),
        (EXHAUSTED, "", "Expecting value"),
        (EXHAUSTED, "{", "Expecting property name"),
        (EXHAUSTED, "7", "expected numbers by hash"),
        (EXHAUSTED, '{"a": "b"}', "expected numbers by hash"),
        (EXHAUSTED, "[1, 2]", "expected numbers by hash"),
    ],
)
def test_damage_names_its_file(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=f"tuning records cannot be read: {message}") as caught:
        Records(tmp_path)
    assert caught.value.where == str(tmp_path / file) and "anew" in caught.value.hint
    (tmp_path / file).unlink()
    Records(tmp_path).__exit__()  # it does not keep the lock


@pytest.mark.parametrize("file", [WORKLOADS, RECORDS, EXHAUSTED])
def test_a_folder_in_a_files_place(file: str, tmp_path: Path) -> None:
    (tmp_path / file).mkdir()
    with pytest.raises(InputError, match="tuning records cannot be read: Is a directory") as caught:
        Records(tmp_path)
    assert caught.value.where == str(tmp_path / file)


def test_what_tvm_alone_finds_wrong(tmp_path: Path) -> None:
    (tmp_path / WORKLOADS).write_text('["12", "kqAAAAAAAAB7fQ=="]\n')
    with pytest.raises(InputError) as caught:
        Records(tmp_path)
    assert caught.value.what == f"TVM cannot read the tuning records {WORKLOADS} and {RECORDS}"
    assert (caught.value.where, caught.value.hint) == (str(tmp_path), "move the folder away to begin anew")


def test_exhausted_is_what_all_records_are_there_of(tmp_path: Path) -> None:
    x = te.placeholder((4,), "float32", name="x")
    function = tvm.IRModule({"main": te.create_prim_func([x, te.compute((4,), lambda i: x[i] + x[i])])})
    with Records(tmp_path) as records:
        assert not records.is_exhausted(function)
        records.mark_exhausted(function)
        assert records.is_exhausted(function)
    (key,) = json.loads((tmp_path / EXHAUSTED).read_text())
    for text, exhausted in ({key: 0}, True), ({key: 3}, False), ([key], False), ({}, False):  # none is there
        (tmp_path / EXHAUSTED).write_text(json.dumps(text))
        with Records(tmp_path) as records:
            assert records.is_exhausted(function) is exhausted
