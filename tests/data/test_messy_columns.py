"""Columns that are nearly something: what is told of them, what is refused, and what a frame itself declares."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isthmus.data import Column, ColumnsPreprocessor, Schema, from_any, read, to_table
from isthmus.errors import ConfigError, DataError


def columns_of(frame) -> dict[str, Column]:
    return {column.name: column for column in Schema.infer(from_any(frame)).types}


def test_a_word_for_nothing_does_not_make_numbers_text():
    texts = ["unknown"] * 60 + [str(i / 7) for i in range(40)]
    with pytest.raises(
        DataError, match=r"'a' mixes types: numbers in 40 rows, but in 60 rows none, such as 'unknown' in row 0.*--drop a.*text"
    ):
        columns_of(pd.DataFrame({"a": texts}))
    dates = ["later"] * 60 + [f"2024-01-{day:02d}" for day in range(1, 31)]
    with pytest.raises(DataError, match=r"'a' mixes types: dates in 30 rows, but in 60 rows none, such as 'later'"):
        columns_of(pd.DataFrame({"a": dates}))


def test_a_few_numbers_among_categories_are_told():
    found = columns_of(pd.DataFrame({"a": ["red", "blue", "7"] * 10, "b": ["red", "blue", "2024-01-01"] * 10}))
    assert (found["a"].kind, found["b"].kind) == ("category", "category")
    assert found["a"].note.endswith("numbers in 33.3 % of rows")
    assert found["b"].note.endswith("dates in 33.3 % of rows")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([f"${i}" for i in range(30)], True),
        ([f"{i},{i:03d}.50 €" for i in range(30)], True),
        ([f"- {i} %" for i in range(30)], True),
        ([f"A{i}" for i in range(30)], False),
        ([f"{i}-{i}" for i in range(30)], False),
        (["(0, 1]", "(1, 2]"] * 15, False),
    ],
)
def test_numbers_with_signs_are_told(texts, told):
    assert ("look like numbers with signs" in columns_of(pd.DataFrame({"a": texts, "b": ["x", "y"] * 15}))["a"].note) == told


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_declared_categories_are_no_numbers(make):
    codes = ["1", "2", "3", "2"] * 10
    names = [str(i) for i in range(40)]
    if make is pd.DataFrame:
        frame = pd.DataFrame({"grade": pd.Categorical(codes), "whole": pd.Categorical([4, 5] * 20), "name": pd.Categorical(names)})
    else:
        frame = pl.DataFrame(
            {"grade": codes, "whole": ["4", "5"] * 20, "name": names}, schema=dict.fromkeys(("grade", "whole", "name"), pl.Categorical)
        )
    found = columns_of(frame)
    assert (found["grade"].kind, found["grade"].categories) == ("category", ("2", "1", "3"))
    assert found["whole"].categories == ("4", "5")
    assert found["name"].kind != "category"
    assert columns_of(pd.DataFrame({"grade": codes, "b": ["x", "y"] * 20}))["grade"].kind == "number"


def test_a_declared_category_with_one_value_is_constant():
    found = columns_of(pd.DataFrame({"one": pd.Categorical(["1"] * 10), "b": ["x", "y"] * 5}))
    assert found["one"].kind == "constant"


def test_spans_and_times_of_day_are_seconds_from_memory_and_file(tmp_path):
    spans, times = [0.5, 90.0, 86400.0], [datetime.time(0, 0, 1), datetime.time(12, 30), datetime.time(23, 59, 59, 500_000)]
    frame = pd.DataFrame({"span": pd.to_timedelta([*spans, None], unit="s"), "time": [*times, None]})
    frame.to_parquet(tmp_path / "t.parquet")
    expected = np.array([[0.5, 1.0], [90.0, 45000.0], [86400.0, 86399.5], [np.nan, np.nan]])
    for source in (from_any(frame), from_any(pl.from_pandas(frame)), read(tmp_path / "t.parquet")):
        assert source.types == ("number", "number")
        np.testing.assert_allclose(source.array, expected)
    alone = from_any(pd.DataFrame({"time": times, "x": [1.0, 2.0, 3.0]}))
    np.testing.assert_allclose(alone.array[:, 0], expected[:3, 1])


def test_what_is_no_column_is_called_so():
    with pytest.raises(DataError, match=r"neither numbers nor text, dates, true or false: column 'a' holds '\[1, 2\]'.*--drop a"):
        from_any(pd.DataFrame({"a": [[1, 2]] * 3, "b": ["x"] * 3}))


def test_nothing_left_says_what_helps():
    with pytest.raises(DataError, match=r"Give columns with values that differ$"):
        columns_of(pd.DataFrame({"a": ["x"] * 30}))
    with pytest.raises(DataError, match=r"'a' is identifier.*--kind a=category"):
        columns_of(pd.DataFrame({"a": [f"x{i}" for i in range(30)]}))


def test_days_and_months_nobody_told_apart_are_refused_later():
    schema = Schema.infer(from_any(pd.DataFrame({"d": ["2024-01-31", "2024-02-05"]})))
    with pytest.raises(
        DataError, match=r"'d' \(date\) holds no date that can be read: '03/04/2024' in row 1 \(counted from 0\)\. Write all dates"
    ):
        schema.align(from_any(pd.DataFrame({"d": ["2024-01-31", "03/04/2024"]})))
    told = Schema.infer(from_any(pd.DataFrame({"d": ["31/01/2024", "05/02/2024"]})))
    later = from_any(pd.DataFrame({"d": ["03/04/2024", "2024-04-03"]}))
    assert to_table(told.align(later), told)["d"].astype(str).tolist() == ["2024-04-03", "2024-04-03"]


def test_numbers_come_back_with_as_many_decimals_as_they_had(tmp_path):
    rng = np.random.default_rng(0)
    prices, weights = np.exp(rng.normal(3, 2, 300)).round(2), rng.normal(70, 9, 300).round(1)
    frame = pd.DataFrame({"price": prices, "weight": weights, "free": rng.normal(size=300), "few": [1.25, 2.5, *[None] * 298]})
    frame["huge"] = rng.normal(size=300).round(1)
    frame.loc[0, "huge"] = 1e300
    schema = Schema.infer(from_any(frame))
    assert [column.decimals for column in schema.types] == [2, 1, None, None, 1]
    schema.to_toml(tmp_path / "s.toml")
    assert Schema.from_toml(tmp_path / "s.toml") == schema
    coder = ColumnsPreprocessor.fit(schema.align(from_any(frame)), schema)
    noisy = coder.transform(schema.align(from_any(frame))) + np.float32(0.01)
    rebuilt = coder.inverse_transform(noisy)
    assert np.array_equal(rebuilt[:, 0].round(2), rebuilt[:, 0])
    assert np.array_equal(rebuilt[:, 1].round(1), rebuilt[:, 1])
    assert not np.array_equal(rebuilt[:, 2].round(4), rebuilt[:, 2])
    assert rebuilt[0, 4] > 1e299
    np.testing.assert_allclose(rebuilt[:, 1], weights, atol=0.2)


def test_decimals_are_checked():
    with pytest.raises(ConfigError, match="column 'a': decimals must be from 1 to 6, not 9"):
        Column("a", "number", decimals=9)
    given = Schema.of([Column("a", "number", decimals=3)])
    assert Schema.infer(from_any(pd.DataFrame({"a": [0.5, 1.25, 3.0]})), given=given).types[0].decimals == 3
