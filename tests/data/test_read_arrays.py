"""Reading NumPy's files, and the paths that lead nowhere."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.data import Preprocessor, Schema, read
from isthmus.errors import ConfigError, DataError


@pytest.fixture
def keep(tmp_path):
    def save(array, name="a.npy"):
        np.save(tmp_path / name, array, allow_pickle=True)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("shape", "kind", "read_as"),
    [
        ((5, 3), "table", (5, 3)),
        ((5, 7, 6), "pictures", (5, 7, 6, 1)),
        ((5, 7, 6, 1), "pictures", (5, 7, 6, 1)),
        ((5, 7, 6, 3), "pictures", (5, 7, 6, 3)),
        ((5, 7, 6, 4), "pictures", (5, 7, 6, 4)),
        ((5, 3, 7, 6), "pictures", (5, 7, 6, 3)),
        ((5, 1, 7, 6), "pictures", (5, 7, 6, 1)),
    ],
)
def test_axes(keep, rng, shape, kind, read_as):
    array = rng.normal(size=shape)
    source = read(keep(array))
    assert (source.kind, source.array.shape, source.columns) == (kind, read_as, ())
    np.testing.assert_array_equal(np.sort(source.array, axis=None), np.sort(array, axis=None))
    if shape[1] in (1, 3) and len(shape) == 4:
        np.testing.assert_array_equal(source.array[2, 4, 5], array[2, :, 4, 5])
        assert any("channels" in note for note in source.notes)


@pytest.mark.parametrize("shape", [(), (5,), (2, 2, 2, 2, 2)])
def test_other_axes_are_refused(keep, shape):
    with pytest.raises(DataError, match=r"Reshape|reshape|scalar"):
        read(keep(np.zeros(shape)))


def test_pictures_of_other_numbers_of_channels_are_told(keep):
    source = read(keep(np.zeros((5, 2, 7, 6))))
    assert (source.kind, source.array.shape) == ("pictures", (5, 2, 7, 6))
    assert any("6 channels" in note for note in source.notes)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 4, 4), (3, 0, 4, 1)])
def test_empty_arrays_are_refused(keep, shape):
    with pytest.raises(DataError, match="minimum of 1 is required"):
        read(keep(np.zeros(shape)))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array([["a", "b"]]), "text where numbers belong"),
        (np.array([["a", 1]], dtype=object), "Python objects"),
        (np.array([["2024-01-01"]], dtype="M8[D]"), "dates"),
        (np.array([[1 + 2j]]), "Complex data not supported"),
        (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]).reshape(-1, 1), "records"),
    ],
)
def test_what_is_no_number_is_refused(keep, array, told):
    with pytest.raises(DataError, match=told):
        read(keep(array))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64", ">f8", "<i2"])
def test_dtypes_are_kept(keep, dtype):
    assert read(keep(np.ones((3, 2), dtype))).array.dtype.name == np.dtype(dtype).name


def test_half_and_long_floats_are_converted(keep):
    assert read(keep(np.ones((3, 2), np.float16))).array.dtype == np.float32
    assert read(keep(np.ones((3, 2), np.longdouble))).array.dtype == np.float64


def test_infinite_values_are_named_and_gaps_are_none_of_them(keep):
    array = np.zeros((9, 7))
    array[3, 2] = array[8, 2] = np.nan
    array[0, 5] = -np.inf
    with pytest.raises(DataError, match=r"contains infinity: column 5 has 1 infinite, the first in row 0 .*--drop 5\)"):
        read(keep(array))
    assert read(keep(array), drop=[2, "5"]).array.shape == (9, 5)
    assert np.isnan(read(keep(array), drop=[5]).array).sum() == 2


def test_opposite_infinities_are_found(keep):
    with pytest.raises(DataError, match="infinity"):
        read(keep(np.array([[np.inf, 1.0], [-np.inf, 2.0]])))


def test_a_sum_that_overflows_is_no_gap(keep):
    array = np.full((400, 4), 3e38, np.float32)
    assert read(keep(array)).array.shape == (400, 4)


def test_gaps_in_pictures(keep):
    array = np.zeros((6, 4, 4), np.float32)
    array[4, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"NaN.*1 values, the first in picture 4"):
        read(keep(array))


def test_columns_by_position(keep, rng):
    array = rng.normal(size=(5, 4))
    path = keep(array)
    np.testing.assert_array_equal(read(path, columns=[3, 0]).array, array[:, [3, 0]])
    np.testing.assert_array_equal(read(path, drop="1").array, array[:, [0, 2, 3]])
    with pytest.raises(DataError, match="no column 9"):
        read(path, drop=[9])
    named = read(path, columns=["a", "b", "c", "d"])
    assert named.columns == ("a", "b", "c", "d")
    assert any("in order" in note for note in named.notes)
    with pytest.raises(DataError, match="4 columns without names; 2 are needed"):
        read(path, columns=["a", "b"])


def test_rows_as_pictures(keep):
    digits = load_digits()
    for shape in ("8x8x1", "8x8", (8, 8), [8, 8, 1]):
        source = read(keep(digits.data), shape=shape)
        assert source.kind == "pictures"
        np.testing.assert_array_equal(source.array[..., 0], digits.images)
    assert read(keep(digits.images), shape="8x8").array.shape == (1797, 8, 8, 1)
    with pytest.raises(DataError, match="64 values cannot be pictures of 7x9x1 = 63"):
        read(keep(digits.data), shape="7x9")
    with pytest.raises(DataError, match="8x8x1"):
        read(keep(digits.images), shape="4x16")


@pytest.mark.parametrize("bad", ["8", "axb", "0x8", (8, 8, 0), (1, 2, 3, 1), "", (8.5, "x")])
def test_bad_shapes(keep, bad):
    with pytest.raises(ConfigError, match="shape"):
        read(keep(np.zeros((3, 64))), shape=bad)


@pytest.mark.parametrize(
    "options",
    [{"size": "8"}, {"size": "4x4"}, {"colour": "grey"}, {"colour": "blue"}, {"on_error": "cry"}, {"size": -1}, {"size": (1, 2, 3)}],
)
def test_bad_options(keep, options):
    path = keep(np.zeros((3, 8, 8, 3), np.uint8))
    if options == {"size": "8"}:
        assert read(path, **options, colour="rgb").array.shape == (3, 8, 8, 3)
        return
    with pytest.raises(ConfigError, match=r"size|colour|on_error"):
        read(path, **options)


def test_key_of_an_archive(tmp_path, rng):
    path = tmp_path / "a.npz"
    one, other = rng.normal(size=(4, 2)), rng.normal(size=(3, 5))
    np.savez(path, one=one)
    assert read(path).array.shape == (4, 2)
    np.savez(path, one=one, other=other)
    with pytest.raises(DataError, match=r"--key NAME.*'one' \(4, 2\), 'other' \(3, 5\)"):
        read(path)
    np.testing.assert_array_equal(read(path, key="other").array, other)
    with pytest.raises(DataError, match=r"no array 'third'.*'one' \(4, 2\)"):
        read(path, key="third")
    for key in ("data", "x_train", "x", "X"):
        np.savez(path, y=one, **{key: other})
        source = read(path)
        np.testing.assert_array_equal(source.array, other)
        assert source.notes == [f"took the array {key!r} of 2"]


def test_archive_without_arrays(tmp_path):
    np.savez(tmp_path / "a.npz")
    with pytest.raises(DataError, match="holds no array"):
        read(tmp_path / "a.npz")


def test_archive_of_objects_is_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([{}, []], dtype=object))
    with pytest.raises(DataError, match="could run code"):
        read(tmp_path / "a.npz")


def test_broken_archives(tmp_path, save, rng):
    np.savez_compressed(tmp_path / "a.npz", X=rng.normal(size=(400, 5)))
    whole = (tmp_path / "a.npz").read_bytes()
    spoiled = bytearray(whole)
    spoiled[len(whole) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], b"", b"PK\x03\x04", bytes(spoiled), b"no archive at all"):
        with pytest.raises(DataError, match=r"cut\.npz"):
            read(save("cut.npz", content))


def test_broken_arrays(tmp_path, save, rng):
    np.save(tmp_path / "a.npy", rng.normal(size=(400, 5)))
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[: len(whole) // 2], b"", whole[:20], b"junk, no array", whole.replace(b"(400, 5)", b"(400, )x")):
        with pytest.raises(DataError, match=r"cut\.npy cannot be read"):
            read(save("cut.npy", content))


def test_a_header_that_promises_too_much(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 2)))
    liar = stream.getvalue().replace(b"(2, 2), }" + b" " * 16, b"(200000000000000, 2), }  ")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", liar)
    with pytest.raises(DataError, match=r"a\.npz"):
        read(tmp_path / "a.npz")


def test_swapped_endings(tmp_path, save):
    stream = io.BytesIO()
    np.savez(stream, X=np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"\.npz"):
        read(save("a.npy", stream.getvalue()))
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"\.npy"):
        read(save("a.npz", stream.getvalue()))


def test_paths_that_lead_nowhere(tmp_path, save):
    with pytest.raises(DataError, match=r"no file or folder .*gone.csv"):
        read(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"ending '\.xlsx', which is unknown. Known are \.csv, .*\.npz"):
        read(save("a.xlsx", "x"))
    with pytest.raises(DataError, match="has no ending"):
        read(save("data", "x"))


def test_a_memory_map_stays_on_disk(tmp_path):
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(200_000, 20))
    large[:] = np.random.default_rng(0).normal(size=20)
    large[::2] += 1
    large.flush()
    size = large.nbytes
    del large
    read(path)  # imports are no part of the measure
    tracemalloc.start()
    source = read(path)
    schema = Schema.infer(source)
    scaler = Preprocessor.fit(schema.align(source), schema)
    fitted = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    scaled = scaler.transform(source.array)
    transformed = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitted < size / 3
    assert transformed < scaled.nbytes + size / 5


def test_fashion_mnist(real_data):
    source = read(real_data / "images" / "fashion_mnist.npz")
    assert source.array.shape == (60000, 28, 28, 1)
    assert source.array.dtype == np.uint8
    scaler = Preprocessor.fit(source.array, Schema.infer(source))
    assert (scaler.scale, scaler.support) == ("unit", "unit")
    some = source.take(slice(0, 500)).array
    np.testing.assert_array_equal(scaler.inverse_transform(scaler.transform(some)), some)


@pytest.mark.parametrize(
    ("name", "scale", "support"),
    [("4_breastw", "standard", "real"), ("32_shuttle", "standard", "real"), ("8_celeba", "unit", "binary"), ("45_wine", None, None)],
)
def test_tables_of_every_kind(real_data, name, scale, support):
    source = read(real_data / "adbench" / f"{name}.npz")
    assert source.notes == ["took the array 'X' of 2"]
    scaler = Preprocessor.fit(source.array, Schema.infer(source))
    if scale:
        assert (scaler.scale, scaler.support) == (scale, support)
    some = source.take(slice(0, 2000)).array
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(some)), some, rtol=1e-5, atol=1e-5)
