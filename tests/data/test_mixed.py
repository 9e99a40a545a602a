"""Mixed columns as a network sees them, and back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from isthmus.data import Column, ColumnsPreprocessor, Schema, from_any, like, read, restore_preprocessor, to_table, write
from isthmus.errors import ConfigError, DataError


def fitted(matrix, *columns, scale="auto", rows=None):
    schema = Schema.of(columns)
    matrix = np.asarray(matrix, dtype=np.float64).reshape(len(matrix), -1)
    return ColumnsPreprocessor.fit(matrix if rows is None else matrix[rows], schema, scale)


def category(*names):
    return Column("c", "category", names, "text")


def test_numbers(rng):
    values = rng.normal(5, 3, 200)
    coder = fitted(values, Column("x", "number"))
    rows = coder.transform(values[:, None])
    np.testing.assert_allclose(rows[:, 0], (values - values.mean()) / values.std(), rtol=1e-5, atol=1e-6)
    assert rows[:, 1].tolist() == [1] * 200
    np.testing.assert_allclose(coder.inverse_transform(rows)[:, 0], values, rtol=1e-5, atol=1e-5)


def test_robust_numbers(rng):
    values = rng.normal(size=501)
    values[0] = 1e5
    rows = fitted(values, Column("x", "number"), scale="robust").transform(values[:, None])[:, 0]
    low, middle, high = np.quantile(rows, (0.25, 0.5, 0.75))
    assert abs(middle) < 1e-6
    assert high - low == pytest.approx(1, abs=1e-5)


def test_only_training_rows_count():
    values = np.array([[0.0, 0.0], [2.0, 0.0], [1000.0, 1.0]])
    coder = fitted(values, Column("x", "number"), category("a", "b"), rows=slice(0, 2))
    rows = coder.transform(values)
    assert rows[:, 0].tolist() == [-1, 1, 999]
    # The category of the last row was not there in training: it is the one never seen.
    assert rows[:, 1:3].tolist() == [[0, 1], [0, 1], [1, 0]]


def test_heavy_tails_become_normal(rng):
    values = np.exp(2 * rng.normal(size=3000))
    coder = fitted(values, Column("x", "heavy"))
    rows = coder.transform(values[:, None])[:, 0]
    assert abs(rows.mean()) < 0.01
    assert rows.std() == pytest.approx(1, abs=0.02)
    order = np.argsort(values)
    assert np.all(np.diff(rows[order]) >= 0)
    np.testing.assert_allclose(coder.inverse_transform(coder.transform(values[:, None]))[:, 0], values, rtol=2e-3)


def test_heavy_tails_go_on_beyond_the_data(rng):
    values = rng.standard_cauchy(500)
    coder = fitted(values, Column("x", "heavy"))
    far = np.array([[values.max() * 2], [values.max() * 3], [values.min() * 2]])
    rows = coder.transform(far)
    top, bottom = coder.transform(np.array([[values.max()], [values.min()]]))[:, 0]
    assert rows[1, 0] > rows[0, 0] > top
    assert rows[2, 0] < bottom
    np.testing.assert_allclose(coder.inverse_transform(rows), far, rtol=1e-3)


def test_counts():
    values = np.array([0.0, 1, 1, 2, 3, 5, 40])
    coder = fitted(values, Column("n", "count"))
    part = coder.fields()[0].parts[0]
    rows = coder.transform(values[:, None])
    np.testing.assert_allclose(np.expm1(rows[:, 0] * part.divisor + part.offset), values, rtol=1e-5, atol=1e-5)
    assert coder.inverse_transform(rows)[:, 0].tolist() == values.tolist()
    assert coder.inverse_transform(np.array([[-50.0, 1.0]])).tolist() == [[0.0]]
    below = coder.transform(np.array([[-3.0]]))[0, 0]
    assert below < rows[0, 0]


def test_categories():
    matrix = np.array([[0.0], [1.0], [1.0], [np.nan], [2.0]])
    coder = fitted(matrix, category("a", "b", "c"))
    rows = coder.transform(matrix)
    assert rows.tolist() == [[0, 0, 1, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]
    np.testing.assert_array_equal(coder.inverse_transform(rows), matrix)
    assert coder.transform(np.array([[-1.0]])).tolist() == [[1, 0, 0, 0, 1]]
    assert coder.inverse_transform(np.array([[0.1, 0.2, 0.3, 0.4, 1.0]])).tolist() == [[2]]


def test_rare_categories_share_a_slot():
    names = [f"k{i}" for i in range(10_000)]
    codes = np.concatenate([np.repeat(np.arange(100.0), 5), np.arange(100.0, 10_000.0)])[:, None]
    coder = fitted(codes, category(*names))
    assert coder.fields()[0].parts[0].width == 102
    rows = coder.transform(codes)
    assert rows[:500, 101].sum() == 0
    assert rows[500:, 101].sum() == 9900
    assert any("all but the 100 most frequent share one slot" in note for note in coder.notes)
    back = coder.inverse_transform(rows)
    assert back[:500].tolist() == codes[:500].tolist()
    assert to_table(back[-1:], coder.schema)["c"] == ["(other)"]
    np.testing.assert_array_equal(coder.transform(back), rows)


def test_booleans_and_gaps():
    matrix = np.array([[0.0], [1.0], [np.nan], [1.0]])
    coder = fitted(matrix, Column("b", "boolean", type="boolean"))
    rows = coder.transform(matrix)
    assert rows.tolist() == [[0, 1], [1, 1], [0, 0], [1, 1]]
    np.testing.assert_array_equal(coder.inverse_transform(rows), matrix)


def test_dates():
    hours = pd.date_range("2023-01-01", periods=24 * 400, freq="h")
    seconds = hours.to_numpy().astype("datetime64[s]").astype(np.int64).astype(float)
    coder = fitted(seconds, Column("t", "date", type="date"))
    assert [part.name for part in coder.fields()[0].parts] == ["t", "t: hour of day", "t: weekday", "t: day of year"]
    rows = coder.transform(seconds[:, None])
    angles = np.arctan2(rows[:, 2:7:2], rows[:, 1:7:2]) % (2 * np.pi)
    np.testing.assert_allclose(angles[:, 0] / (2 * np.pi) * 24 % 24, hours.hour, atol=1e-4)
    np.testing.assert_allclose(np.round(angles[:, 1] / (2 * np.pi) * 7) % 7, hours.day_of_week)
    np.testing.assert_allclose(angles[:, 2] / (2 * np.pi) * 365.25, hours.day_of_year - 1, atol=0.01)
    np.testing.assert_allclose(coder.inverse_transform(rows)[:, 0], seconds, atol=60)


def test_parts_of_dates_that_do_not_vary_are_left_out():
    days = np.arange(5) * 86400.0 + 1.7e9 // 86400 * 86400
    coder = fitted(days, Column("t", "date", type="date", whole=True))
    assert [part.name for part in coder.fields()[0].parts] == ["t"]
    assert coder.inverse_transform(coder.transform(days[:, None]))[:, 0].tolist() == days.tolist()


@pytest.mark.parametrize("kind", ["number", "heavy", "count", "date"])
def test_columns_without_spread_in_the_training_rows(kind):
    for values in ([[3.0], [3.0], [np.nan]], [[np.nan], [np.nan]]):
        coder = fitted(values, Column("x", kind, type="date" if kind == "date" else "number"))
        assert coder.notes
        rows = coder.transform(np.array([[3.0], [4.0], [np.nan]]))
        assert np.isfinite(rows).all()
        assert rows[0, 0] != rows[1, 0]


@pytest.mark.parametrize("low", [-1.7e308, 1e300])
@pytest.mark.parametrize("kind", ["number", "heavy"])
def test_giant_numbers(rng, low, kind):
    values = rng.uniform(low / 2, 1.7e308 / 2, 300) * 2
    coder = fitted(values, Column("x", kind))
    rows = coder.transform(values[:, None])
    assert np.isfinite(rows).all()
    assert 0.2 < rows[:, 0].std() < 3
    np.testing.assert_allclose(coder.inverse_transform(rows)[:, 0], values, rtol=1e-2, atol=1e304)


def test_a_number_far_from_all_seen_stays_finite():
    coder = fitted([[0.0], [1.0], [2.0]], Column("x", "number"))
    rows = coder.transform(np.array([[1e300], [-1e300], [1e5]]))
    assert rows[:, 0].tolist()[:2] == [1e6, -1e6]
    assert 1e5 < rows[2, 0] < 1e6


def test_blocks_give_what_the_whole_gives(rng):
    matrix = np.stack([rng.normal(size=3000), np.exp(rng.normal(size=3000)), rng.integers(0, 4, 3000), rng.poisson(3, 3000)], axis=1)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    schema = Schema.of([Column("a", "number"), Column("h", "heavy"), category("p", "q", "r", "s"), Column("n", "count")])
    whole = ColumnsPreprocessor.fit(matrix, schema)
    blocks = ColumnsPreprocessor.fit_blocks((matrix[i : i + 170] for i in range(0, 3000, 170)), schema)
    np.testing.assert_allclose(whole.transform(matrix), blocks.transform(matrix), rtol=1e-5, atol=1e-5)


def test_state_round_trip(rng):
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=50),
            "h": rng.standard_cauchy(50),
            "t": rng.choice(["x", "y"], 50),
            "n": rng.poisson(2, 50),
            "b": rng.random(50) < 0.5,
            "d": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 999, 50), unit="D"),
        }
    )
    source = from_any(frame)
    schema = Schema.infer(source)
    coder = ColumnsPreprocessor.fit(schema.align(source), schema)
    entry, arrays = coder.state()
    again = restore_preprocessor(json.loads(json.dumps(entry, allow_nan=False)), arrays)
    rows = coder.transform(schema.align(source))
    np.testing.assert_array_equal(again.transform(schema.align(source)), rows)
    np.testing.assert_array_equal(again.inverse_transform(rows), coder.inverse_transform(rows))
    assert again.fields() == coder.fields()


def broken(change):
    """A state with one thing wrong."""
    coder = fitted(
        np.array([[0.0, 0.0, 1.0], [5.0, 1.0, 9.0], [7.0, 1.0, 4.0]]), Column("h", "heavy"), category("a", "b"), Column("n", "number")
    )
    entry, arrays = coder.state()
    change(entry, arrays)
    return entry, arrays


@pytest.mark.parametrize(
    "change",
    [
        lambda entry, arrays: entry.pop("scale"),
        lambda entry, arrays: entry.update(scale="unit"),
        lambda entry, arrays: entry.update(coders=[]),
        lambda entry, arrays: entry.update(coders=[1, 2, 3]),
        lambda entry, arrays: entry["coders"][0].update(kind="pickle"),
        lambda entry, arrays: entry["coders"][0].update(kind=["quantiles"]),
        lambda entry, arrays: entry["coders"][2].update(divisor=0.0),
        lambda entry, arrays: entry["coders"][2].update(offset="0"),
        lambda entry, arrays: entry["coders"][2].update(more=1),
        lambda entry, arrays: entry["coders"][1].update(width=1),
        lambda entry, arrays: entry["coders"][1].update(width=99),
        lambda entry, arrays: entry.update(notes="none"),
        lambda entry, arrays: arrays.pop("0.knots"),
        lambda entry, arrays: arrays.update({"0.knots": arrays["0.knots"][::-1]}),
        lambda entry, arrays: arrays.update({"0.slopes": np.zeros(2)}),
        lambda entry, arrays: arrays.update({"1.slots": np.array([1, 7])}),
        lambda entry, arrays: arrays.update({"1.slots": np.array([1.0, 2.0])}),
        lambda entry, arrays: arrays.update({"9.slots": np.array([1])}),
        lambda entry, arrays: arrays.update(limits=np.zeros((2, 1))),
        lambda entry, arrays: arrays.pop("limits"),
    ],
)
def test_broken_states_are_refused(change):
    with pytest.raises(ConfigError, match=r"preprocessor"):
        restore_preprocessor(*broken(change))


def test_wrong_shapes_and_scales():
    coder = fitted([[1.0], [2.0]], Column("x", "number"))
    with pytest.raises(DataError, match="do not fit the rows fitted on"):
        coder.transform(np.zeros((2, 3)))
    with pytest.raises(DataError, match="rows of 5 values"):
        coder.inverse_transform(np.zeros((2, 5)))
    with pytest.raises(ConfigError, match="scaling must be one of standard, robust"):
        fitted([[1.0], [2.0]], Column("x", "number"), scale="unit")
    with pytest.raises(DataError, match="at least 2 rows"):
        fitted([[1.0]], Column("x", "number"))


def test_within_the_range_of_the_training_rows():
    coder = fitted([[1.0, 0.0], [2.0, 1.0], [9.0, 0.0]], Column("x", "number"), category("a", "b"))
    assert coder.within(np.array([[-5.0, 1.0], [50.0, -1.0], [3.0, 0.0]])).tolist() == [[1, 1], [9, -1], [3, 0]]


TABLE = {
    "n": np.array([1, 2, 3]),
    "x": np.array([0.5, np.nan, 2.5]),
    "t": ["Ulm", None, 'Bad "Ems", Lahn'],
    "b": [True, None, False],
    "d": np.array(["2024-01-31", "NaT", "2024-02-05"], "datetime64[D]"),
    "s": np.array(["2024-01-31T10:30:00", "NaT", "2024-02-05T00:00:01"], "datetime64[us]"),
}


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("ids", [None, ["a", "b", "c"]])
def test_tables_are_written_and_read_again(tmp_path, ending, ids):
    path = write(tmp_path / f"t.{ending}", TABLE, ids=ids)
    source = read(path)
    assert source.columns == (("id",) if ids else ()) + tuple(TABLE)
    assert source.types == (("text",) if ids else ()) + ("number", "number", "text", "boolean", "date", "date")
    schema = Schema.infer(source, {"n": "number", "x": "number", "t": "category", "b": "boolean"})
    table = to_table(schema.align(source), schema)
    for name in TABLE:
        assert str(list(table[name])) == str(list(TABLE[name])) or name == "x"
    np.testing.assert_array_equal(table["x"], TABLE["x"])


def test_parquet_types_of_tables(tmp_path):
    schema = parquet.read_schema(write(tmp_path / "t.parquet", TABLE))
    assert [str(kind) for kind in schema.types] == ["int64", "double", "string", "bool", "date32[day]", "timestamp[us]"]


def test_mixed_tables_are_no_arrays(tmp_path):
    for name in ("a.npy", "a.npz", "a.png", "folder"):
        with pytest.raises(DataError, match=r"mixed columns are written to .csv, .tsv, .parquet only"):
            write(tmp_path / name, TABLE)
    with pytest.raises(ConfigError, match="2 names for 3 rows"):
        write(tmp_path / "a.csv", TABLE, ids=["a", "b"])
    assert list(tmp_path.iterdir()) == []


def test_frames_come_back_as_they_were_given():
    frame = pd.DataFrame({"q": [0, 0, 0]}, index=["r", "s", "t"])
    found = like(frame, TABLE)
    assert found.index.tolist() == ["r", "s", "t"]
    assert found["d"].dtype.kind == "M"
    assert found["t"].isna().tolist() == [False, True, False]
    polars = like(pl.DataFrame({"q": [0]}), TABLE)
    assert polars.schema["d"] == pl.Date
    assert polars["b"].to_list() == [True, None, False]
    assert like(pa.table({"q": [0]}), TABLE).num_rows == 3
    assert like([{"q": 0}], TABLE)[1] == {"n": 2, "x": None, "t": None, "b": None, "d": None, "s": None}
    assert like(None, TABLE)[0, :3].tolist() == [1, 0.5, "Ulm"]
    assert like(np.eye(2), {"a": np.array([1.5]), "b": [None]}).dtype == np.float64


def test_blocks_of_a_parquet_file_keep_the_type_of_the_first(tmp_path):
    from isthmus.data.append import Head, append

    with append(tmp_path / "t.parquet", Head(("a", "b"), rows=4)) as table:
        table.add({"a": [1, None], "b": ["1", "(other)"]})
        table.add({"a": ["2", "(unseen)"], "b": [3, None]})
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert found["a"].isna().tolist() == [False, True, True, True]
    assert found["b"].tolist()[:3] == ["1", "(other)", "3"]
