"""The C runtime on its own: hard runs under every checker at hand, and the expansion of weights against numpy."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.backends.c.coding import encode
from tercet.backends.c.engine import Constant
from tercet.backends.c.lists import Lists
from tercet.backends.c.storage import Stored, store
from tercet.runtime.artifact.packaging import C_FOLDER

HERE = Path(__file__).parent
WARNINGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror"]
WRAP = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=aligned_alloc"
PARSE = ["-fsyntax-only", "-Wconversion", "-Wpedantic"]
NO_FORK = ["20", "nofork"]
MANY = "-DTERCET_PROCESSORS=64"
"""As many threads as are asked for, however few processors there are."""


@cache
def compilers() -> tuple[str, ...]:
    """gcc and clang, as far as they are installed."""
    names = (("gcc",), ("clang", *(f"clang-{v}" for v in range(25, 13, -1))))
    found = [next((name for name in group if shutil.which(name)), None) for group in names]
    return tuple(name for name in found if name)


def build(folder: Path, *flags: str, compiler: str = "cc") -> Path:
    """The stress program; skips the test when the compiler lacks a sanitizer."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    sources = sorted(str(path) for path in C_FOLDER.glob("*.c"))
    command = [compiler, *WARNINGS, *flags, f"-I{C_FOLDER}", *sources, str(HERE / "stress.c"), "-pthread", WRAP]
    done = subprocess.run([*command, "-o", str(folder / "stress")], capture_output=True, text=True, check=False)
    if done.returncode and "-fsanitize" in " ".join(flags) and ("san" in done.stderr and "cannot find" in done.stderr):
        pytest.skip(f"{compiler} has no runtime for {' '.join(flags)}")
    assert done.returncode == 0, done.stderr
    return folder / "stress"


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address layout is too random for the thread sanitizer")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-3000:]


def test_no_warnings() -> None:
    """Not one, from any compiler here, with threads and without."""
    assert compilers()
    for compiler in compilers():
        for variant in ([], ["-DTERCET_NO_THREADS"], [MANY], ["-fopenmp"]):
            for source in C_FOLDER.glob("*.c"):
                command = [compiler, *WARNINGS, *PARSE, *variant, str(source)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_plain(tmp_path: Path, compiler: str) -> None:
    found = next((name for name in compilers() if name.startswith(compiler)), compiler)
    check(build(tmp_path, MANY, compiler=found), "100")


def test_no_more_threads_than_processors(tmp_path: Path) -> None:
    check(build(tmp_path), *NO_FORK)


def test_without_threads(tmp_path: Path) -> None:
    check(build(tmp_path, "-DTERCET_NO_THREADS"), *NO_FORK)


def test_openmp(tmp_path: Path) -> None:
    check(build(tmp_path, MANY, "-fopenmp"), "5")


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_sanitizers(tmp_path: Path, sanitizer: str) -> None:
    check(build(tmp_path, MANY, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"), *NO_FORK)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_valgrind(tmp_path: Path) -> None:
    leaks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    check("valgrind", "-q", *leaks, "--error-exitcode=9", build(tmp_path, MANY), "3")


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_more_threads_than_processors(tmp_path: Path) -> None:
    processor = min(os.sched_getaffinity(0))
    check("taskset", "-c", str(processor), build(tmp_path, MANY), "50")


SHARE = """
#include "tercet_kernel.h"

void share(int threads, int splits, int64_t count, int64_t grain, int64_t tile, int64_t *ranges) {
    struct tercet_task task = {.parts = threads * splits, .splits = splits};
    for (; task.part < task.parts; task.part++)
        tercet_share_tiles(&task, count, grain, tile, ranges + 2 * task.part, ranges + 2 * task.part + 1);
}
"""


@pytest.fixture(scope="module")
def sharer(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("share")
    (folder / "share.c").write_text(SHARE)
    command = ["cc", "-O1", "-shared", "-fPIC", f"-I{C_FOLDER}", str(folder / "share.c"), "-o", str(folder / "x.so")]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "x.so"))


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 5000), st.integers(1, 70), st.integers(1, 700))
@settings(deadline=None)
def test_shares(sharer: ctypes.CDLL, threads: int, splits: int, count: int, grain: int, tile: int) -> None:
    """Parts follow one another over all items; threads are cut at grains, as evenly as those allow, parts at tiles."""
    ranges = np.empty((threads, splits, 2), np.int64)
    pointer = ctypes.c_void_p(ranges.ctypes.data)
    sharer.share(threads, splits, *map(ctypes.c_int64, (count, grain, tile)), pointer)
    flat = ranges.reshape(-1, 2)
    np.testing.assert_array_equal(flat[1:, 0], flat[:-1, 1])
    assert flat[0, 0] == 0 and flat[-1, 1] == count and (flat[:, 0] <= flat[:, 1]).all()
    begins, ends = ranges[:, 0, 0], ranges[:, -1, 1]
    assert all(begin % grain == 0 or begin == count for begin in begins)
    sizes = -(-ends // grain) - -(-begins // grain)
    assert sizes.max() - sizes.min() <= 1
    for begin, end, parts in zip(begins, ends, ranges, strict=True):
        assert all(cut % tile == 0 or cut in (begin, end) for cut in parts[1:, 0])


WEIGHTS = 1 << 16

EXPAND = """
#include "tercet_runtime.h"

static void copy(const struct tercet_task *task) {
    memcpy(task->out[0], task->weights, WEIGHTS);
}

int expand(const struct tercet_section *sections, int count, const unsigned char *blob, unsigned char *out) {
    const struct tercet_buffer output = {TERCET_OUTPUT, 0};
    const struct tercet_step step = {copy, NULL, &output, 0, 1, 0, 0};
    const int64_t bytes = WEIGHTS;
    const struct tercet_definition definition = {
        .steps = &step, .step_count = 1, .sections = sections, .section_count = count, .blob = blob,
        .weight_bytes = bytes, .output_bytes = &bytes, .output_count = 1,
    };
    struct tercet_model *model;
    void *outputs[] = {out};
    int status = tercet_create(&definition, 1, &model);
    status = status ? status : tercet_run(model, 1, NULL, outputs, -1, NULL);
    tercet_destroy(model);
    return status;
}
"""


class SpanStruct(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("count", "first", "rows", "run", "repeats")]


class GapStruct(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("keep", "skip", "repeats", "items", "rounds")]


class ListsStruct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("bytes", "length", "run", "pitch", "step")),
        ("block", ctypes.c_int),
    ]


class Section(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("stored", "bytes", "expanded", "count")),
        *((name, ctypes.c_int) for name in ("radix", "group", "offset", "coded")),
        ("signs", ctypes.c_int64),
        ("spans", ctypes.POINTER(SpanStruct)),
        ("span_count", ctypes.c_int),
        ("base", ctypes.c_int),
        ("fill", ctypes.c_int),
        ("gaps", ctypes.POINTER(GapStruct)),
        ("gap_count", ctypes.c_int),
        ("split", ctypes.c_int),
        ("lists", ctypes.POINTER(ListsStruct)),
    ]


def section_of(stored: Stored, at: int, place: int) -> Section:
    """What the generated C says of a constant at byte `at` of the blob and `place` of the weights."""
    spans = (SpanStruct * len(stored.spans))(*(SpanStruct(*astuple(span)) for span in stored.spans))
    gaps = (GapStruct * len(stored.gaps))(*(GapStruct(*astuple(gap)) for gap in stored.gaps))
    lists = None if stored.lists is None else ctypes.pointer(ListsStruct(stored.list_bytes, *astuple(stored.lists)))
    return Section(
        at, len(stored.data), place, stored.count, stored.radix, stored.group, stored.offset, int(stored.coded),
        stored.signs, spans, len(stored.spans), stored.base, stored.fill, gaps, len(stored.gaps), stored.split, lists,
    )  # fmt: skip


@pytest.fixture(scope="module")
def expander(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("expand")
    (folder / "expand.c").write_text(EXPAND)
    sources = [*sorted(str(path) for path in C_FOLDER.glob("*.c")), str(folder / "expand.c")]
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", f"-I{C_FOLDER}", f"-DWEIGHTS={WEIGHTS}", *sources, "-pthread", "-o",
         str(folder / "x.so")],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(folder / "x.so"))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Padding, run by run; runs repeat, and sequences of them."""
    runs = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
    pieces = [np.tile(np.repeat([False, True], [keep, skip]), n) for keep, skip, n in draw(st.lists(runs, max_size=4))]
    return np.tile(np.concatenate([*pieces, [False]]), draw(st.integers(1, 9)))


@st.composite
def constants(draw: st.DrawFn) -> Constant:
    """Values, or digits of any skew; trits of filters with one sign each among them, in any order."""
    radix = draw(st.sampled_from([0, 2, 3]))
    count = draw(st.integers(0, 3000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if radix == 0:
        dtype, most = draw(st.sampled_from([(np.uint8, 256), (np.int8, 7), (np.int32, 2**31 - 1), (np.float32, 9)]))
        values = (rng.random(count) * most - (most // 2 if dtype == np.int8 else 0)).astype(dtype)
        return Constant(values, filters=rng.integers(-1, 3, count) if draw(st.booleans()) else None)
    skew = draw(st.sampled_from([0.0, 0.01, 0.4, 0.9, 1.0]))
    digits = np.where(rng.random(count) < skew, rng.integers(radix), rng.integers(0, radix, count)).astype(np.uint8)
    group = draw(st.integers(1, 9))
    if radix == 2 or draw(st.booleans()):
        filled = np.resize(draw(masks()), count) if draw(st.booleans()) else None
        if filled is not None:
            digits[filled] = draw(st.integers(0, radix - 1))
        return Constant(digits, radix, group, draw(st.integers(-200, 200)), filled=filled)
    filters = draw(st.sampled_from([1, 3, 8, 11]))
    run, repeats = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    block = np.tile(np.repeat(np.arange(filters), run), repeats)
    owner = np.resize(block, count) if draw(st.booleans()) else rng.integers(-1, filters, count)
    offset = draw(st.sampled_from([0, -1]))
    sign = rng.integers(1, 3, filters)
    trits = (np.where(owner < 0, 0, (digits > 0) * sign[owner]) - offset) % 3
    return Constant(trits.astype(np.uint8), 3, group, offset, owner)


def expanded(constant: Constant) -> np.ndarray:
    """What a kernel must see: each group of digits as one byte."""
    values, radix, group = constant.values, constant.radix, constant.group
    if radix == 0:
        return values.view(np.uint8)
    padded = np.concatenate([values, np.zeros(-values.size % group, np.uint8)]).reshape(-1, group).astype(np.int64)
    return ((padded * radix ** np.arange(group)).sum(axis=1) + constant.offset).astype(np.uint8)


def expand(expander: ctypes.CDLL, sections: Sequence[Section], blob: bytes) -> tuple[int, np.ndarray]:
    """The runtime's status, and the weights that it expanded."""
    out = np.full(WEIGHTS, 255, np.uint8)
    array = (Section * max(len(sections), 1))(*sections)
    return expander.expand(array, len(sections), blob, out.ctypes.data_as(ctypes.c_void_p)), out


@given(st.lists(constants(), max_size=4))
@settings(deadline=None)
def test_expansion(expander: ctypes.CDLL, items: list[Constant]) -> None:
    blob, want, sections, place = b"", np.zeros(WEIGHTS, np.uint8), [], 0
    for constant in items:
        stored, result = store(constant), expanded(constant)
        want[place : place + result.size] = result
        sections.append(section_of(stored, len(blob), place))
        blob += stored.data
        place += -(-result.size // 64) * 64
    status, out = expand(expander, sections, blob)
    assert status == 0
    np.testing.assert_array_equal(out, want)


@st.composite
def listed(draw: st.DrawFn) -> Constant:
    """Digits of filters that become lists."""
    run, runs, filters = draw(st.integers(1, 5)), draw(st.integers(1, 40)), draw(st.integers(1, 9))
    rng, radix = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(2, 3))
    digits = rng.integers(0, radix, (filters, run * runs)).astype(np.uint8)
    digits[0] = draw(st.integers(0, radix - 1))
    pitch, step, block = draw(st.integers(0, 900)), draw(st.integers(0, 99)), draw(st.sampled_from([1, 8, 16]))
    form = Lists(run * runs, run, pitch, step, block)
    return Constant(digits, radix, filters=np.broadcast_to(np.arange(filters)[:, None], digits.shape), lists=form)


@given(listed())
@settings(deadline=None)
def test_lists(expander: ctypes.CDLL, constant: Constant) -> None:
    """Digits become the lists that backends/c/lists.py says, or none where those take other than their bytes."""
    assert constant.lists is not None
    want, stored = constant.lists.expanded(constant.values).view(np.uint8), store(constant)
    assert want.size == constant.expanded_bytes == stored.list_bytes
    status, out = expand(expander, [section_of(stored, 0, 64)], stored.data)
    assert status == 0
    np.testing.assert_array_equal(out[64 : 64 + want.size], want)
    assert not out[:64].any() and not out[64 + want.size :].any()
    for size in (0, want.size - 2, want.size + 2):
        assert expand(expander, [section_of(replace(stored, list_bytes=size), 0, 64)], stored.data)[0] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"length": 0}, {"length": 5}, {"run": 0}, {"run": 3}, {"pitch": -1}, {"pitch": 2**16}, {"step": -1},
        {"step": 2**16}, {"block": 0}, {"block": 65}, {"bytes": -2}, {"bytes": WEIGHTS + 2}, {"pitch": 2**15},
    ],
)  # fmt: skip
def test_lists_that_make_no_sense(expander: ctypes.CDLL, fields: dict[str, int]) -> None:
    digits = np.array([1, 2, 0, 1, 1, 1, 0, 2], np.uint8)
    stored = store(Constant(digits, 3, lists=Lists(4, 2, 7, 1, 8)))
    assert expand(expander, [section_of(stored, 0, 0)], stored.data)[0] == 0
    section = section_of(stored, 0, 0)
    for name, value in fields.items():
        setattr(section.lists.contents, name, value)
    assert expand(expander, [section], stored.data)[0] == 1
    for name, value in {"group": 2, "offset": 1}.items():
        section = section_of(stored, 0, 0)
        setattr(section, name, value)
        assert expand(expander, [section], stored.data)[0] == 1


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(2, 256), st.integers(0, 3000))
@settings(deadline=None)
def test_damaged_codes_stay_inside(expander: ctypes.CDLL, data: list[int], radix: int, count: int) -> None:
    """Whatever bytes a coded section has, it is refused or fills its own part of the weights."""
    section = section_of(Stored(bytes(data), count, radix, 1, 0, coded=True), 0, 64)
    status, out = expand(expander, [section], bytes(data))
    assert status in (0, 1)
    if status == 0:
        assert not out[:64].any() and not out[64 + count :].any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None)
def test_a_damaged_code_is_noticed_or_decodes(expander: ctypes.CDLL, seed: int, at: int, flip: int) -> None:
    digits = (np.random.default_rng(seed).random(20_000) < 0.05).astype(np.uint8)
    data = bytearray(encode(digits, 2))
    data[at % len(data)] ^= flip
    status, _ = expand(expander, [section_of(Stored(bytes(data), digits.size, 2, 8, 0, coded=True), 0, 0)], bytes(data))
    assert status in (0, 1)
    cut = bytes(data[: at % len(data)])
    assert expand(expander, [section_of(Stored(cut, digits.size, 2, 8, 0, coded=True), 0, 0)], cut)[0] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"radix": 1},
        {"radix": 257},
        {"group": 0},
        {"count": -1},
        {"stored": -1},
        {"bytes": -1},
        {"bytes": 0},  # too few for the digits
        {"bytes": 2},  # too many
        {"expanded": -1},
        {"expanded": WEIGHTS},
        {"expanded": WEIGHTS - 96, "count": 97, "bytes": 97},
        {"count": 2**62},
        {"signs": -1},
        {"signs": 1, "base": 3, "span_count": 1},  # and no digits
        {"span_count": 1},  # not of trits
        {"base": 3, "bytes": 2, "signs": 1, "span_count": 1, "count": 9},  # more digits than the span has
        {"base": 1},
        {"base": 257},
        {"fill": -1},
        {"fill": 2},
        {"gap_count": 1},  # skips more digits than there are
        {"gap_count": 1, "count": 2**15, "radix": 2, "bytes": 1, "group": 8},  # and what is left is not stored
    ],
)
def test_sections_outside_memory(expander: ctypes.CDLL, fields: dict[str, int]) -> None:
    section = section_of(Stored(bytes(1), 1, 256, 1, 0), 0, 0)
    section.spans = (SpanStruct * 1)(SpanStruct(8, 0, 8, 1, 1))
    section.gaps = (GapStruct * 1)(GapStruct(1, 1, 1, 1, 1))
    for name, value in fields.items():
        setattr(section, name, value)
    assert expand(expander, [section], bytes(WEIGHTS))[0] == 1


@pytest.mark.parametrize(
    "gap",
    [(-1, 1, 1, 1, 1), (0, 0, 1, 1, 1), (9, 8, 1, 1, 1), (1, 1, 0, 1, 1), (2**30, 2**30, 2**30, 1, 1), (1, 1, 9, 1, 1),
     (1, 1, 1, 0, 1), (1, 1, 1, 2, 1), (1, 1, 1, 1, 0), (1, 1, 1, 1, 9), (1, 1, 2**30, 1, 2**30)],
)  # fmt: skip
def test_gaps_that_make_no_sense(expander: ctypes.CDLL, gap: tuple[int, ...]) -> None:
    section = section_of(Stored(bytes(16), 16, 256, 1, 0), 0, 0)
    assert expand(expander, [section], bytes(16))[0] == 0
    section.gaps, section.gap_count = (GapStruct * 1)(GapStruct(*gap)), 1
    assert expand(expander, [section], bytes(16))[0] == 1
