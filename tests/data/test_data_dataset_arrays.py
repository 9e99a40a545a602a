"""Arrays and pictures in files, read piece by piece."""

import numpy as np
import pytest
from PIL import Image

from isthmus.data import dataset_arrays, dataset_pictures, open_dataset, read
from isthmus.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(dataset_arrays, "_PIECE", 500)
    monkeypatch.setattr(dataset_arrays, "_RUN", 16)


def all_rows(dataset, **options):
    return np.concatenate([block.array for block in dataset.blocks(**options)])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ">f4", "u1", "?", "i8"])
@pytest.mark.parametrize("shape", [(203, 5), (101, 4, 6), (50, 4, 6, 3), (50, 3, 6, 4), (60, 7, 5, 3)])
def test_every_array_is_what_reading_it_gives(tmp_path, rng, order, dtype, shape):
    array = np.asarray(rng.integers(0, 100, shape).astype(dtype), order=order)
    np.save(tmp_path / "x.npy", array)
    dataset, source = open_dataset(tmp_path / "x.npy"), read(tmp_path / "x.npy")
    assert (dataset.kind, dataset.shape, dataset.notes) == (source.kind, source.array.shape[1:], source.notes)
    assert dataset.dtype == np.dtype(dtype if dtype != "f2" else "f4").newbyteorder("=")
    assert len(dataset) == shape[0]
    assert len(dataset.pieces) > 1
    np.testing.assert_array_equal(all_rows(dataset, rows=17), source.array)
    np.testing.assert_array_equal(np.concatenate(list(dataset.scan())), source.array)
    positions = np.sort(rng.choice(shape[0], 20, replace=False))
    np.testing.assert_array_equal(dataset.take(positions).array, source.array[positions])
    for piece in (0, len(dataset.pieces) - 1):
        first = int(dataset.pieces[:piece].sum())
        for start in (0, int(dataset.pieces[piece]) - 1):
            found = np.concatenate(list(dataset.open(piece, start, 3)))
            np.testing.assert_array_equal(found, source.array[first + start : first + dataset.pieces[piece]])


def test_columns_of_an_array_by_position(tmp_path, rng):
    array = rng.standard_normal((100, 6))
    np.save(tmp_path / "x.npy", array)
    for options, columns in (({"columns": [4, 1]}, [4, 1]), ({"drop": 0}, [1, 2, 3, 4, 5])):
        dataset, source = open_dataset(tmp_path / "x.npy", **options), read(tmp_path / "x.npy", **options)
        assert (dataset.columns, dataset.notes) == (source.columns, source.notes)
        np.testing.assert_array_equal(all_rows(dataset), array[:, columns])
    named = open_dataset(tmp_path / "x.npy", columns=list("abcdef"))
    assert named.columns == tuple("abcdef")
    assert named.head(1).columns == tuple("abcdef")


def test_rows_of_pictures(tmp_path, rng):
    array = rng.integers(0, 255, (100, 12), dtype=np.uint8)
    np.save(tmp_path / "x.npy", array)
    dataset = open_dataset(tmp_path / "x.npy", shape="3x4")
    assert (dataset.kind, dataset.shape) == ("pictures", (3, 4, 1))
    np.testing.assert_array_equal(all_rows(dataset), array.reshape(-1, 3, 4, 1))
    with pytest.raises(ConfigError, match="size="):
        open_dataset(tmp_path / "x.npy", shape="3x4", size=5)


def test_opening_an_array_reads_none_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_arrays, "_PIECE", 1 << 18)
    # A file with a hole: 40 GB that nobody could read in the time.
    path = tmp_path / "huge.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (200_000_000, 50))
    array[-1] = 7
    del array
    dataset = open_dataset(path)
    assert len(dataset) == 200_000_000
    assert dataset.take(np.array([199_999_998, 199_999_999])).array[:, 0].tolist() == [0, 7]
    assert len(dataset.fingerprint()) == 16


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), "Expected 2D array, got 1D array"),
        (np.zeros((0, 3)), "no rows"),
        (np.zeros((3, 0)), "nothing in the rows"),
        (np.array([["a"]]), "text where numbers belong"),
        (np.zeros((2, 2), complex), "Complex data not supported"),
        (np.zeros((2,) * 5), "neither a table"),
        (np.float64(3), "scalar"),
    ],
)
def test_arrays_that_are_no_rows_are_refused_at_once(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "x.npy")


def test_gaps_and_broken_files(tmp_path):
    path = tmp_path / "x.npy"
    array = np.ones((300, 5))
    array[250, 3] = np.nan
    np.save(path, array)
    dataset = open_dataset(path)
    assert len(dataset.take(np.arange(240)).array) == 240
    with pytest.raises(DataError, match=r"x\.npy, rows from \d+ on, contains NaN.*column 3 has 1 missing"):
        all_rows(dataset)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"x\.npy has changed since the data were opened"):
        all_rows(dataset)
    with pytest.raises(DataError, match=r"x\.npy cannot be read as a NumPy file"):
        open_dataset(path)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot open .*x\.npy"):
        all_rows(dataset)
    np.save(path, array)
    with pytest.raises(ConfigError, match=r"ids: x\.npy has no column 'name'"):
        open_dataset(path, ids="name")


def test_other_values_are_other_data(tmp_path, rng):
    array = rng.standard_normal((3000, 5))
    np.save(tmp_path / "x.npy", array)
    known = open_dataset(tmp_path / "x.npy").fingerprint()
    assert open_dataset(tmp_path / "x.npy", drop=0).fingerprint() != known
    np.save(tmp_path / "x.npy", array + 1)
    assert open_dataset(tmp_path / "x.npy").fingerprint() != known


@pytest.fixture
def folder(tmp_path, paint):
    for i in range(40):
        paint(f"{'ab'[i % 2]}/{i:03}.png", 8 + i % 3, 6)
    return tmp_path / "pictures"


def test_a_folder_of_pictures_is_what_reading_it_gives(folder, rng):
    dataset, source = open_dataset(folder), read(folder)
    assert (dataset.kind, dataset.shape, dataset.dtype) == ("pictures", source.array.shape[1:], np.uint8)
    assert dataset.notes == source.notes
    blocks = list(dataset.blocks(7))
    np.testing.assert_array_equal(np.concatenate([block.array for block in blocks]), source.array)
    assert sum((block.ids for block in blocks), ()) == source.ids
    np.testing.assert_array_equal(np.concatenate(list(dataset.scan())), source.array)
    positions = np.sort(rng.choice(40, 9, replace=False))
    assert dataset.take(positions).ids == tuple(source.ids[i] for i in positions)
    np.testing.assert_array_equal(dataset.take(positions).array, source.array[positions])
    np.testing.assert_array_equal(np.concatenate(list(dataset.open(1, 2, 3))), source.array[18:32])


@pytest.mark.parametrize("options", [{"size": 5}, {"colour": "grey"}, {"size": (4, 7), "colour": "rgb"}])
def test_size_and_colour(folder, options):
    dataset, source = open_dataset(folder, **options), read(folder, **options)
    assert dataset.shape == source.array.shape[1:]
    assert dataset.notes == source.notes
    np.testing.assert_array_equal(all_rows(dataset), source.array)


def test_grey_files_have_one_channel_also_if_saved_as_colour(tmp_path, paint, rng):
    paint("a.png", mode="L")
    assert open_dataset(tmp_path / "pictures").shape == (8, 6, 1)
    grey = np.repeat(rng.integers(0, 255, (8, 6, 1), dtype=np.uint8), 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "pictures" / "a.png")
    dataset = open_dataset(tmp_path / "pictures")
    assert dataset.shape == (8, 6, 1)
    assert any("though saved as colour; one channel is kept" in note for note in dataset.notes)


def test_large_pictures_lie_alone_in_a_piece(tmp_path, paint, monkeypatch):
    for i in range(5):
        paint(f"{i}.png", 64, 64)
    monkeypatch.setattr(dataset_pictures, "_PIECE", 2 * 64 * 64 * 3 * 4)
    assert open_dataset(tmp_path / "pictures").pieces.tolist() == [2, 2, 1]


def test_broken_pictures(folder):
    (folder / "a" / "zz.png").write_bytes((folder / "a" / "000.png").read_bytes()[:150])
    (folder / "b" / "no.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b/no\.png.*no picture that can be recognised.*on_error='skip'"):
        open_dataset(folder)
    (folder / "b" / "no.png").unlink()
    # Its head is whole, so it is found when it is decoded.
    with pytest.raises(DataError, match=r"pictures: 1 picture\(s\) cannot be read: 'a/zz\.png'"):
        all_rows(open_dataset(folder))
    dataset, source = open_dataset(folder, on_error="skip"), read(folder, on_error="skip")
    assert len(dataset) == len(source) == 40
    assert dataset.notes == source.notes
    np.testing.assert_array_equal(all_rows(dataset), source.array)
    (folder / "b" / "001.png").unlink()
    with pytest.raises(DataError, match=r"'b/001\.png'.*No such file"):
        all_rows(dataset)
    for path in [*folder.glob("?/*.png")]:
        path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError, match="No readable picture is left"):
        open_dataset(folder, on_error="skip")


def test_pictures_are_recognised_by_names_and_bytes(folder):
    known = open_dataset(folder).fingerprint()
    assert open_dataset(folder).fingerprint() == known
    assert open_dataset(folder, colour="grey").fingerprint() != known
    (folder / "a" / "000.png").rename(folder / "a" / "999.png")
    assert open_dataset(folder).fingerprint() != known
