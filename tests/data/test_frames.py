"""Data in memory."""

import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from isthmus.data import Source, from_any
from isthmus.errors import DataError

COLUMNS = {"a": [1.5, 2.5, 3.5], "b": [1, 2, 3], "c": [True, False, True]}
VALUES = [[1.5, 1, 1], [2.5, 2, 0], [3.5, 3, 1]]
FRAMES = [pd.DataFrame, pl.DataFrame, pa.table]


@pytest.mark.parametrize("frame", FRAMES)
def test_frames(frame):
    source = from_any(frame(COLUMNS))
    assert source.kind == "table"
    assert source.columns == ("a", "b", "c")
    assert source.array.tolist() == VALUES


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_of_one_dtype_keep_it(frame):
    for dtype in ("float32", "float64", "int16", "uint8", "bool"):
        columns = {name: np.array([1, 0, 1]).astype(dtype) for name in "ab"}
        assert from_any(frame(columns)).array.dtype == dtype


@pytest.mark.parametrize("frame", FRAMES)
def test_text_in_frames(frame):
    source = from_any(frame({"a": [1.0, 2.0, 3.0], "kind": ["x", None, "y"]}))
    assert (source.kind, source.types) == ("columns", ("number", "text"))
    np.testing.assert_array_equal(source.array, [[1, 0], [2, np.nan], [3, 1]])
    assert tuple(source.vocabularies["kind"]) == ("x", "y")


@pytest.mark.parametrize("frame", FRAMES)
def test_gaps_in_frames(frame):
    source = from_any(frame({"a": [1.0, 2.0, 3.0], "b": [1, None, 3]}))
    assert (source.kind, source.types) == ("columns", ("number", "number"))
    np.testing.assert_array_equal(source.array, [[1, 1], [2, np.nan], [3, 3]])
    truth = from_any(frame({"a": [1, 2, 3], "b": [True, None, False]}))
    assert truth.types == ("number", "boolean")
    np.testing.assert_array_equal(truth.array[:, 1], [1, np.nan, 0])
    for other in ([1.0, 2.0], [1.0, None]):
        with pytest.raises(DataError, match=r"infinity.*column 'a' has 1 infinite"):
            from_any(frame({"a": [1.0, np.inf], "b": other}))


@pytest.mark.parametrize("frame", FRAMES)
def test_empty_frames(frame):
    with pytest.raises(DataError, match="minimum of 1 is required"):
        from_any(frame({"a": np.zeros(0), "b": np.zeros(0)}))
    with pytest.raises(DataError, match="minimum of 1 is required"):
        from_any(frame({}))


def test_dates_and_categories_of_pandas():
    days = from_any(pd.DataFrame({"ok": [1.0, 2.0], "day": pd.to_datetime(["1970-01-02", None])}))
    assert days.types == ("number", "date")
    np.testing.assert_array_equal(days.array[:, 1], [86400, np.nan])
    coded = from_any(pd.DataFrame({"ok": [1.0, 2.0], "kind": pd.Categorical(["u", "v"])}))
    assert tuple(coded.vocabularies["kind"]) == ("u", "v")


def test_dates_of_every_frame():
    moments = [datetime(2024, 1, 31, 12, 30), None]
    zoned = pd.to_datetime(pd.Series(["2024-01-31 13:30", None])).dt.tz_localize("Europe/Berlin")
    for column in (pd.Series(moments), zoned, pl.Series(moments), np.array(moments, dtype=object)):
        frame = pl.DataFrame({"t": column}) if isinstance(column, pl.Series) else pd.DataFrame({"t": column})
        source = from_any(frame)
        assert source.types == ("date",)
        np.testing.assert_array_equal(source.array[:, 0], [datetime(2024, 1, 31, 12, 30, tzinfo=UTC).timestamp(), np.nan])


def test_missing_values_of_pandas_own_dtypes():
    for dtype, values in (("Int64", [1, None]), ("boolean", [True, None]), ("Float32", [1.5, None])):
        source = from_any(pd.DataFrame({"a": [1.0, 2.0], "b": pd.array(values, dtype=dtype)}))
        np.testing.assert_array_equal(source.array[:, 1], [float(values[0]), np.nan])
        assert source.types[1] == ("boolean" if dtype == "boolean" else "number")
        whole = from_any(pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([1, 0], dtype=dtype)}))
        assert (whole.kind, whole.array.tolist()) == ("table", [[1, 1], [2, 0]])


def test_objects_of_several_types_are_text():
    source = from_any(pd.DataFrame({"a": np.array(["x", 2, 2.5, None, True], dtype=object)}))
    assert (source.types, tuple(source.vocabularies["a"])) == (("text",), ("x", "2", "2.5", "True"))
    with pytest.raises(DataError, match=r"column 'a' holds .*\{'k': 1\}"):
        from_any(pd.DataFrame({"a": np.array([{"k": 1}], dtype=object)}))


def test_lists_of_dictionaries():
    source = from_any([{"a": 1, "b": "x"}, {"b": "y", "c": True}])
    assert (source.columns, source.types) == (("a", "b", "c"), ("number", "text", "boolean"))
    np.testing.assert_array_equal(source.array, [[1, 0, np.nan], [np.nan, 1, 1]])
    plain = from_any([{"a": 1, "b": 2.5}, {"a": 3, "b": 4}])
    assert (plain.kind, plain.array.tolist()) == ("table", [[1, 2.5], [3, 4]])
    with pytest.raises(DataError, match="keys of the rows must be text"):
        from_any([{1: 2}])


def test_gaps_in_arrays():
    array = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    for given in (array, torch.tensor(array), array.tolist()):
        source = from_any(given)
        assert (source.kind, source.columns, source.types) == ("columns", (), ("number", "number"))
        np.testing.assert_array_equal(source.array, array)
    with pytest.raises(DataError, match="picture 0"):
        from_any(np.full((2, 3, 3), np.nan))


def test_object_columns_of_numbers():
    frame = pd.DataFrame({"a": np.array([1, 2.5], dtype=object), "b": [1, 2]})
    assert from_any(frame).array.tolist() == [[1, 1], [2.5, 2]]


def test_names_that_are_no_text():
    source = from_any(pd.DataFrame(np.eye(3)))
    assert source.columns == ()
    assert from_any(pd.DataFrame(np.eye(2), columns=["a", 1])).columns == ()


def test_twins_of_pandas():
    with pytest.raises(DataError, match=r"'a'.*Give each column its own name"):
        from_any(pd.DataFrame(np.eye(2), columns=["a", "a"]))


def test_arrays_are_not_copied(rng):
    array = rng.normal(size=(5, 3))
    assert np.shares_memory(from_any(array).array, array)
    assert np.shares_memory(from_any(array.astype(np.float32).reshape(5, 3)).array, array) is False
    tensor = torch.zeros(5, 3)
    assert np.shares_memory(from_any(tensor).array, tensor.numpy())
    frame = pd.DataFrame(array)
    assert np.shares_memory(from_any(frame).array, frame.to_numpy())


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3), (4, 3, 6, 5)])
def test_pictures(shape, rng):
    array = rng.random(shape)
    source = from_any(array)
    assert source.kind == "pictures"
    assert source.array.shape == (4, 6, 5, 3 if len(shape) == 4 else 1)
    assert from_any(torch.tensor(array)).array.shape == source.array.shape


def test_a_colour_picture_without_rows_is_told(rng):
    assert any("array[None]" in note for note in from_any(rng.random((20, 30, 3))).notes)


def test_tensors():
    weights = torch.ones(3, 2, requires_grad=True)
    assert from_any(weights * 2).array.tolist() == [[2, 2]] * 3
    assert from_any(torch.ones(3, 2, dtype=torch.bfloat16)).array.dtype == np.float32
    assert from_any(torch.ones(3, 2, dtype=torch.uint8)).array.dtype == np.uint8
    with pytest.raises(DataError, match="Sparse"):
        from_any(torch.eye(3).to_sparse())


def test_lists():
    assert from_any([[1, 2], [3, 4]]).array.tolist() == [[1, 2], [3, 4]]
    assert from_any(((1.0, 2.0),)).array.shape == (1, 2)
    with pytest.raises(DataError, match="equal length"):
        from_any([[1, 2], [3]])
    with pytest.raises(DataError, match="text where numbers belong"):
        from_any([["a", "b"]])
    np.testing.assert_array_equal(from_any([[1.0, None]]).array, [[1.0, np.nan]])


@pytest.mark.parametrize("bad", [3.0, "text", None, {"a": [1]}, object(), pl.LazyFrame({"a": [1]})])
def test_what_is_no_data(bad):
    with pytest.raises(DataError, match="X"):
        from_any(bad)


def test_one_axis_is_refused():
    for bad in ([1.0, 2.0], np.zeros(3), torch.zeros(3), pd.Series([1.0, 2.0])):
        with pytest.raises(DataError, match=r"reshape\(-1, 1\)"):
            from_any(bad)


def test_sparse_matrices_are_refused():
    for bad in (scipy.sparse.eye_array(3).tocsr(), scipy.sparse.csr_matrix(np.eye(3))):
        with pytest.raises(DataError, match="Sparse data was passed"):
            from_any(bad)


def test_objects():
    array = np.array([[1, 2.5], [3, 4]], dtype=object)
    assert from_any(array).array.tolist() == [[1, 2.5], [3, 4]]
    array[0, 0] = {"foo": "bar"}
    with pytest.raises(DataError, match=r"argument must be .* string.* number") as caught:
        from_any(array)
    assert isinstance(caught.value, TypeError)
    with pytest.raises(DataError, match="such as '7'"):
        from_any(np.array([["7", 1]], dtype=object))


def test_things_with_an_array_inside():
    class Holder:
        def __array__(self, dtype=None, copy=None):
            return np.eye(2)

    assert from_any(Holder()).array.tolist() == [[1, 0], [0, 1]]


def test_a_source_passes():
    source = Source("table", np.eye(2))
    assert from_any(source) is source


def test_the_look_at_the_values_takes_no_memory(rng):
    array = rng.normal(size=(100_000, 50)).astype(np.float32)
    tracemalloc.start()
    try:
        from_any(array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A look at each value by isfinite would make an array of as many booleans; a sum makes none.
    assert peak < array.size / 10


def test_take(rng):
    source = Source("pictures", rng.random((4, 2, 2, 1)), (), ("a", "b", "c", "d"), ["n"], "p")
    for indices in ([2, 0], np.array([2, 0])):
        part = source.take(indices)
        assert part.ids == ("c", "a")
        np.testing.assert_array_equal(part.array, source.array[[2, 0]])
    assert source.take(slice(1, 3)).ids == ("b", "c")
    assert source.take(np.array([True, False, False, True])).ids == ("a", "d")
    assert len(source.take([])) == 0
    part.notes.append("more")
    assert source.notes == ["n"]
