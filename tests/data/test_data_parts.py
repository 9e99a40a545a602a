"""Tables that are written in blocks and parts: whole or not there, refused where foreign, gone on with where cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from isthmus.data.append import Head, append
from isthmus.data.parts import Parts, part_size
from isthmus.errors import ConfigError, DataError
from isthmus.files import hold

VALUES = np.arange(14, dtype=np.float32).reshape(7, 2) / 3
NAMES = [f"row {i}" for i in range(7)]
MADE_OF = {"output": "codes", "model": "m", "data": "d"}
posix = pytest.mark.skipif(os.name != "posix", reason="needs advisory locks and POSIX limits")


@pytest.fixture
def parts(tmp_path) -> Parts:
    return Parts(tmp_path / "codes", Head(("z0", "z1"), 7, "name"), MADE_OF, size=3)


def fill(parts: Parts, numbers=None) -> None:
    with parts.held() as missing:
        for number in missing if numbers is None else numbers:
            rows = parts.rows(number)
            with parts.part(number) as table:
                for i in rows:
                    table.add(VALUES[i : i + 1], NAMES[i : i + 1])


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".npy"])
def test_blocks_make_the_same_table_as_one_call(tmp_path, ending) -> None:
    from isthmus.data import write

    head = Head(("a", "b"), 7, "id")
    with append(tmp_path / f"blocks{ending}", head) as table:
        for i in (0, 2, 3):
            table.add(VALUES[i : {0: 2, 2: 3, 3: 7}[i]], NAMES[i : {0: 2, 2: 3, 3: 7}[i]])
    write(tmp_path / f"whole{ending}", VALUES, columns=["a", "b"], ids=NAMES)
    if ending == ".parquet":
        assert parquet.read_table(tmp_path / "blocks.parquet").equals(parquet.read_table(tmp_path / "whole.parquet"))
    else:
        assert (tmp_path / f"blocks{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()


def test_an_array_keeps_its_axes_and_kind(tmp_path) -> None:
    pictures = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)
    with append(tmp_path / "p.npy", Head(tuple("abcdefghijkl"), 2)) as table:
        table.add(pictures[:1])
        table.add(pictures[1:])
    assert np.array_equal(np.load(tmp_path / "p.npy"), pictures)


def test_names_that_are_numbers_stay_numbers(tmp_path) -> None:
    with append(tmp_path / "t.parquet", Head(("a",), 2, "key")) as table:
        table.add(np.zeros((2, 1)), np.array([7, 1 << 40]))
    assert parquet.read_table(tmp_path / "t.parquet").column("key").to_pylist() == [7, 1 << 40]


def test_a_wrong_number_of_rows_or_columns_leaves_nothing(tmp_path) -> None:
    with pytest.raises(DataError, match=r"was to have 3 rows, but 2 came"), append(tmp_path / "t.npy", Head(("a",), 3)) as table:
        table.add(np.zeros((2, 1)))
    with pytest.raises(ConfigError, match="1 names for 2 columns"), append(tmp_path / "t.csv", Head(("a",), 3)) as table:
        table.add(np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"cannot write t.npz block by block"), append(tmp_path / "t.npz", Head(("a",), 3)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_parts_are_a_folder_that_every_reader_reads(parts) -> None:
    import pandas as pd
    import polars as pl

    fill(parts)
    assert sorted(item.name for item in parts.folder.iterdir()) == [f"part-0000{i}.parquet" for i in range(3)]
    for frame in (pd.read_parquet(parts.folder), pl.read_parquet(parts.folder).to_pandas(), parquet.read_table(parts.folder).to_pandas()):
        assert list(frame["name"]) == NAMES
        assert np.array_equal(frame[["z0", "z1"]].to_numpy(), VALUES)
    values = [block for number in range(3) for block, _ in parts.read(number)]
    assert np.array_equal(np.concatenate(values), VALUES)


def test_only_missing_parts_are_written_again(parts) -> None:
    assert parts.check() == [0, 1, 2]
    fill(parts, [1])
    before = parts.path(1).stat()
    assert parts.check() == [0, 2]
    fill(parts)
    assert parts.path(1).stat().st_mtime_ns == before.st_mtime_ns
    assert parts.check() == []


@pytest.mark.parametrize(
    ("head", "made_of", "size", "told"),
    [
        (
            Head(("z0", "z1"), 7, "name"),
            {**MADE_OF, "model": "another"},
            3,
            r"part-00001.parquet is no part of this output \(other model\)",
        ),
        (Head(("z0", "z1"), 7, "name"), {**MADE_OF, "data": "others", "model": "n"}, 3, r"\(other data, model\)"),
        (Head(("z0", "z1"), 7, "name"), {**MADE_OF, "output": "scores"}, 3, r"\(other output\)"),
        (Head(("z0", "z1"), 8, "name"), MADE_OF, 3, r"\(other number of rows\)"),
        (Head(("z0", "z1"), 7), MADE_OF, 3, r"\(other columns\)"),
        (Head(("z0", "z1"), 7, "name"), MADE_OF, 2, r"\(other part size\)"),
    ],
)
def test_parts_of_something_else_are_refused(parts, head, made_of, size, told) -> None:
    fill(parts, [1])
    before = parts.path(1).read_bytes()
    with pytest.raises(DataError, match=told), Parts(parts.folder, head, made_of, size).held():
        pass
    assert parts.path(1).read_bytes() == before


def test_what_is_not_ours_is_left_alone(parts) -> None:
    parts.folder.mkdir()
    (parts.folder / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"holds what is no part of this output \(thesis.txt\)"), parts.held():
        pass
    (parts.folder / "thesis.txt").rename(parts.path(0))
    with pytest.raises(DataError, match="its footer does not say that it is one"), parts.held():
        pass
    assert parts.path(0).read_text() == "years of work"
    parquet.write_table(pa.table({"a": [1]}), parts.path(0))
    with pytest.raises(DataError, match="its footer does not say that it is one"), parts.held():
        pass
    parts.path(0).unlink()
    parts.folder.rmdir()
    parts.folder.write_text("a file")
    with pytest.raises(DataError, match="it is a file"), parts.held():
        pass


def test_a_part_cut_short_on_the_disk_is_told(parts) -> None:
    fill(parts)
    parts.path(2).write_bytes(parts.path(2).read_bytes()[:-30])
    with pytest.raises(DataError, match=r"part-00002.parquet is no part of this output .* remove this one"), parts.held():
        pass


@posix
def test_two_writers_do_not_meet(parts) -> None:
    parts.folder.mkdir()
    handle = hold(parts.folder)
    assert handle is not None
    with pytest.raises(DataError, match="another process is writing to"), parts.held():
        pass
    os.close(handle)
    fill(parts)
    assert parts.check() == []


def test_what_a_killed_writer_left_is_cleared_away(parts) -> None:
    parts.folder.mkdir()
    stray = parts.folder / ".part-00001.0123456789ab.tmp.parquet"
    stray.write_bytes(b"half of a part")
    assert parts.check() == [0, 1, 2]
    fill(parts)
    assert not stray.exists()


def test_an_error_in_a_part_leaves_the_finished_ones(parts) -> None:
    fill(parts, [0])
    with pytest.raises(DataError, match="was to have 3 rows"), parts.held(), parts.part(1) as table:
        table.add(VALUES[:1], NAMES[:1])
    assert parts.check() == [1, 2]
    assert [item.name for item in parts.folder.iterdir()] == ["part-00000.parquet"]


FULL = """
import resource, signal, sys
import numpy as np
from isthmus.data.append import Head, append
from isthmus.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with append(sys.argv[1], Head(("a",), 10**6)) as table:
        for _ in range(10):
            table.add(np.random.default_rng(0).random((10**5, 1)))
except DataError as error:
    sys.stdout.write(str(error))
"""


@posix
@pytest.mark.parametrize("ending", [".csv", ".npy", ".parquet"])
def test_a_file_that_finds_no_room_is_said_and_leaves_nothing(tmp_path, ending) -> None:
    code = FULL.replace("sys.argv[1]", f"__import__('pathlib').Path({str(tmp_path / 'out')!r} + {ending!r})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "cannot write" in done.stdout, done.stderr
    assert "disk has room" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_finished_parts(tmp_path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        rows = 30_000
        values = np.random.default_rng(0).random((rows, 4), dtype=np.float32)
        parts = Parts(folder / "codes", Head(tuple("abcd"), 4 * rows), MADE_OF, size=rows)

        def fill_all() -> None:
            with parts.held() as missing:
                for number in missing:
                    with parts.part(number) as table:
                        table.add(values)

        with pytest.raises(DataError, match="No space left on device"):
            fill_all()
        assert parts.check() == [1, 2, 3]
        assert [item.name for item in parts.folder.iterdir()] == ["part-00000.parquet"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_parts_are_whole_blocks_of_a_sensible_size() -> None:
    assert part_size(48, 65536) == 15 * 65536
    assert part_size(1, 65536) == 15 * 65536
    assert part_size(10**6, 16) == 64
    assert part_size(10**9, 1) == 1


def test_examples_run() -> None:
    import doctest
    from importlib import import_module

    for name in ("append", "parts"):
        result = doctest.testmod(import_module(f"isthmus.data.{name}"))
        assert (result.attempted > 0, result.failed) == (True, 0)


def test_the_folder_of_a_part_is_made(tmp_path) -> None:
    parts = Parts(Path(tmp_path / "deep" / "er"), Head(("z0", "z1"), 7, "name"), MADE_OF, size=3)
    fill(parts)
    assert parts.check() == []
