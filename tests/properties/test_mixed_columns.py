"""Whatever the columns of a mixed table hold, they come back from what a network sees of them."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.data import Column, ColumnsPreprocessor, Schema, restore_preprocessor
from isthmus.data.dates import as_times, parse
from isthmus.data.schema_file import as_toml, read_toml

NUMBERS = st.floats(-1e300, 1e300, allow_nan=False, allow_subnormal=False)
COUNTS = st.integers(0, 10**6).map(float)
SECONDS = st.integers(-(10**10), 10**11).map(float)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
VALUES = {"number": NUMBERS, "heavy": NUMBERS, "count": COUNTS, "boolean": st.sampled_from([0.0, 1.0]), "date": SECONDS}


def columns_of(kind, values):
    gaps = st.lists(st.one_of(values, st.just(float("nan"))), min_size=2, max_size=40)
    return gaps.map(lambda column: (kind, np.array(column)))


COLUMN = st.one_of(*(columns_of(kind, values) for kind, values in VALUES.items()), columns_of("category", st.integers(0, 5).map(float)))


def made(kind, values):
    categories = tuple("abcdef") if kind == "category" else ()
    type_ = {"boolean": "boolean", "date": "date", "category": "text"}.get(kind, "number")
    schema = Schema.of([Column("x", kind, categories, type_)])
    return ColumnsPreprocessor.fit(values[:, None], schema)


@given(COLUMN)
@settings(deadline=None)
def test_every_column_comes_back(column):
    kind, values = column
    coder = made(kind, values)
    rows = coder.transform(values[:, None])
    assert np.isfinite(rows).all()
    back = coder.inverse_transform(rows)[:, 0]
    assert np.isnan(back).tolist() == np.isnan(values).tolist()
    there = ~np.isnan(values)
    true, found = values[there], back[there]
    if kind in ("boolean", "category"):
        assert found.tolist() == true.tolist()
    elif kind == "count":
        np.testing.assert_allclose(found, true, rtol=1e-5, atol=0.5)
    elif len(true):
        # Single precision holds a value to about a ten-millionth of the spread of its column.
        spread = true.max() / 2 - true.min() / 2
        np.testing.assert_allclose(found, true, rtol=1e-6, atol=max(2e-5 * spread, 1e-6))


@given(COLUMN, st.integers(1, 7))
@settings(deadline=None)
def test_blocks_and_states_change_nothing(column, size):
    kind, values = column
    coder = made(kind, values)
    entry, arrays = coder.state()
    again = restore_preprocessor(json.loads(json.dumps(entry, allow_nan=False)), arrays)
    rows = coder.transform(values[:, None])
    np.testing.assert_array_equal(again.transform(values[:, None]), rows)
    parts = [coder.transform(values[i : i + size, None]) for i in range(0, len(values), size)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)


@given(columns_of("heavy", NUMBERS))
@example(("heavy", np.array([0.0, 0.0, 1.0, 2.2250738585072014e-308])))
@example(("heavy", np.array([0.0, 5e-324, 1e-323, 1.0])))
@settings(deadline=None)
def test_heavy_columns_keep_their_order(column):
    _, values = column
    values = np.sort(values[~np.isnan(values)])
    if len(values) > 1:
        rows = made("heavy", values).transform(values[:, None])[:, 0]
        assert np.all(np.diff(rows) >= 0)


@given(st.integers(-(10**10), 10**11))
def test_dates_are_read_as_they_are_written(seconds):
    text = str(as_times(np.array([float(seconds)]), whole=False)[0])[:19]
    assert parse(text) == seconds
    year, month, day = text[:10].split("-")
    midnight = seconds // 86400 * 86400
    assert parse(f"{day}/{month}/{year}", "dmy") == parse(f"{month}/{day}/{year}", "mdy") == parse(f"{day}.{month}.{year}") == midnight


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, unique=True, max_size=4)), min_size=1, max_size=4, unique_by=lambda entry: entry[0]))
@settings(deadline=None)
def test_schema_files_hold_any_text(tmp_path_factory, entries):
    columns = [Column(name, "category", tuple(words), "text", note=name) for name, words in entries]
    path = tmp_path_factory.mktemp("schema") / "s.toml"
    path.write_text(as_toml(columns), encoding="utf-8")
    assert read_toml(path) == columns
