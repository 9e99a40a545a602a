"""Writing, whole or not at all."""

import csv
import os
import resource
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from isthmus.data import read, write
from isthmus.data.sheet import as_bytes, contact_sheet
from isthmus.errors import ConfigError, DataError, MissingExtraError
from isthmus.files import atomic_path

TABLE = np.array([[1.5, -2.0, 3e-9], [4.0, 5.25, 6e9]])


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables_with_names(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", TABLE, columns=["a", 'b "quoted", long', "ü"])
    assert path == tmp_path / f"a.{ending}"
    source = read(path)
    assert source.columns == ("a", 'b "quoted", long', "ü")
    np.testing.assert_array_equal(source.array, TABLE)
    assert read(write(tmp_path / f"b.{ending}", TABLE)).columns == ("c0", "c1", "c2")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_ids_come_first(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", TABLE, ids=["row, one", "row two"])
    assert read(path).vocabularies["id"] == ("row, one", "row two")
    source = read(path, drop="id")
    assert source.columns == ("c0", "c1", "c2")
    np.testing.assert_array_equal(source.array, TABLE)


def test_text_is_short(tmp_path):
    path = write(tmp_path / "a.csv", np.array([[0.1, 2.0]], np.float32), ids=["x"])
    assert path.read_text() == "id,c0,c1\nx,0.1,2.0\n"
    assert write(path, np.array([[True, False]])).read_text() == "c0,c1\n1,0\n"
    assert write(path, np.array([3, 4])).read_text() == "c0\n3\n4\n"


NUMBERS = st.sampled_from(["float32", "float64", "int64", "uint8", "int16"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        elements={"allow_nan": False, "allow_infinity": False} if dtype[0] == "f" else None,
    )
)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy", "npz"])
@given(array=NUMBERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, ending, array):
    source = read(write(tmp_path / f"a.{ending}", array))
    np.testing.assert_array_equal(source.array.astype(array.dtype), array)
    if ending not in ("csv", "tsv"):
        assert source.array.dtype == array.dtype


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_of_pictures(tmp_path, ending, rng):
    pictures = rng.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(write(tmp_path / f"a.{ending}", pictures)).array, pictures)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_pictures_in_tables(tmp_path, ending, rng):
    pictures = rng.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{ending}", pictures)
    assert read(path).array.shape == (3, 60)
    np.testing.assert_array_equal(read(path, shape="5x4x3").array, pictures)


def test_ids_in_an_archive(tmp_path):
    path = write(tmp_path / "a.npz", TABLE, ids=["one", "two"])
    np.testing.assert_array_equal(read(path).array, TABLE)
    with np.load(path) as archive:
        assert archive["ids"].tolist() == ["one", "two"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_picture(tmp_path, rng, channels):
    pixels = rng.integers(0, 256, (9, 7, channels), dtype=np.uint8)
    for array in (pixels, pixels[None]):
        with Image.open(write(tmp_path / "a.png", array)) as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    with Image.open(write(tmp_path / "a.jpg", pixels)) as image:
        assert image.size == (7, 9)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-0.2, 0.5, 1.2], [0, 128, 255]),
        ([0.0, 8.0, 16.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        (np.array([0, 1, 1]), [0, 255, 255]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([0, 7, 255]), [0, 7, 255]),
        (np.array([0, 32768, 65535], np.uint16), [0, 128, 255]),
        ([3.0, 3.0, 3.0], [0, 0, 0]),
    ],
)
def test_values_become_pixels(array, expected):
    assert as_bytes(np.asarray(array)).tolist() == expected


def test_sheet_of_many(tmp_path, rng):
    pictures = rng.integers(0, 255, (10, 8, 6, 1), dtype=np.uint8)
    with Image.open(write(tmp_path / "a.png", pictures)) as image:
        sheet = np.asarray(image)
    across = 4
    assert sheet.shape == (3 * 9 + 1, across * 7 + 1)
    for i, picture in enumerate(pictures):
        y, x = 1 + (i // across) * 9, 1 + (i % across) * 7
        np.testing.assert_array_equal(sheet[y : y + 8, x : x + 6], picture[..., 0])
    assert (sheet[::9] == 255).all()
    assert (sheet[19:, 15:] == 255).all()


def test_sheet_of_rows_and_steps(tmp_path, rng):
    pictures = rng.random((2, 5, 8, 8, 3))
    with Image.open(write(tmp_path / "a.png", pictures)) as image:
        assert image.size == (5 * 9 + 1, 2 * 9 + 1)
        sheet = np.asarray(image)
    np.testing.assert_array_equal(sheet[10:18, 1:9], np.rint(pictures[1, 0] * 255))


def test_grey_pictures_without_channels(tmp_path, rng):
    with Image.open(write(tmp_path / "a.png", rng.random((4, 8, 8)))) as image:
        assert image.size == (19, 19)


def test_sheets_stay_within_reason():
    with pytest.raises(DataError, match="Write them to a folder"):
        contact_sheet(np.broadcast_to(np.zeros((1, 1000, 1000, 1), np.uint8), (100, 1000, 1000, 1)))


def test_folder(tmp_path, rng):
    pictures = rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    folder = write(tmp_path / "out", pictures)
    assert read(folder).ids == ("00000.png", "00001.png", "00002.png")
    np.testing.assert_array_equal(read(folder).array, pictures)
    named = write(tmp_path / "named", pictures, ids=["b.jpg", "sub/a.png", "c"])
    assert read(named).ids == ("b.png", "c.png", "sub/a.png")
    twins = write(tmp_path / "twins", pictures, ids=["a.jpg", "a.png", "b.png"])
    assert read(twins).ids == ("a.jpg.png", "a.png.png", "b.png.png")
    dotted = tmp_path / "v1.0"
    dotted.mkdir()
    assert len(read(write(dotted, pictures))) == 3


@pytest.mark.parametrize("name", ["../a.png", "/tmp/a.png", "x/../../a.png", "..\\a.png", ""])
def test_names_that_leave_the_folder(tmp_path, name):
    with pytest.raises(DataError, match="outside the folder"):
        write(tmp_path / "out", np.zeros((1, 4, 4, 1)), ids=[name])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("a.xlsx", TABLE, r"ending '\.xlsx' is unknown. Known are \.csv"),
        ("a.png", TABLE, "is no picture"),
        ("a.png", np.zeros((2, 4, 4, 2)), "is no picture"),
        ("a.png", np.zeros((0, 4, 4, 1)), "holds no picture"),
        ("folder", TABLE, "cannot write a table .*Give the file an ending"),
        ("a.csv", np.array(1.0), "a single number"),
    ],
)
def test_what_does_not_fit(tmp_path, name, array, told):
    with pytest.raises(DataError, match=told):
        write(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []


def test_wrong_numbers_of_names(tmp_path):
    with pytest.raises(ConfigError, match="columns: 2 names for 3 columns"):
        write(tmp_path / "a.csv", TABLE, columns=["a", "b"])
    with pytest.raises(ConfigError, match="ids: 1 names"):
        write(tmp_path / "a.csv", TABLE, ids=["a"])
    assert list(tmp_path.iterdir()) == []


def test_csv_needs_no_arrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with write(tmp_path / "a.csv", TABLE).open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert [[float(cell) for cell in row] for row in rows[1:]] == TABLE.tolist()
    with pytest.raises(MissingExtraError, match=r"isthmus\[table\]"):
        write(tmp_path / "a.parquet", TABLE)
    assert not (tmp_path / "a.parquet").exists()


def test_missing_folders_are_made(tmp_path):
    assert write(tmp_path / "new" / "er" / "a.csv", TABLE).exists()


def test_overwriting(tmp_path):
    path = write(tmp_path / "a.csv", TABLE)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"already there.*overwrite"):
        write(path, TABLE + 1, overwrite=False)
    assert path.read_bytes() == before
    write(path, TABLE + 1)
    np.testing.assert_array_equal(read(path).array, TABLE + 1)
    with pytest.raises(DataError, match="already there"):
        write(write(tmp_path / "out", np.zeros((1, 4, 4, 1))), np.ones((1, 4, 4, 1)), overwrite=False)


def test_places_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(DataError, match=r"cannot write .*can be written to"):
        write(blocker / "a.csv", TABLE)
    with pytest.raises(DataError, match="it is a file"):
        write(blocker, np.zeros((1, 4, 4, 1)))
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(DataError, match="a folder of that name is there"), atomic_path(tmp_path / "b.csv"):
        pass
    with pytest.raises(DataError):
        write(tmp_path / "b.csv", TABLE)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_folders(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DataError, match="can be written to"):
            write(tmp_path / "a.csv", TABLE)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "npz", "png"])
def test_a_full_disk_leaves_the_old_file(tmp_path, ending, rng):
    path = write(tmp_path / f"a.{ending}", rng.random((2, 8, 8, 1)))
    before = path.read_bytes()
    large = rng.random((40, 64, 64, 1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write .*disk has room"):
            write(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_old_file(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with atomic_path(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".txt"
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_followed(tmp_path):
    target = tmp_path / "real.csv"
    target.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    write(link, TABLE)
    assert link.is_symlink()
    np.testing.assert_array_equal(read(target).array, TABLE)


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot write"), atomic_path(tmp_path / "a.txt"):
        pass
