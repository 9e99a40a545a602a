"""What the columns of a mixed table are taken to be, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from isthmus.data import Column, Schema, Source, from_any, read, to_table
from isthmus.data.kinds import parse_kinds
from isthmus.errors import ConfigError, DataError

N = 400


@pytest.fixture(scope="module")
def people():
    """One column of each kind."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "key": [f"person {i}" for i in range(N)],
            "row": np.arange(N),
            "customer_id": rng.permutation(10 * N)[:N],
            "height": rng.normal(175, 10, N),
            "year": rng.integers(1950, 2000, N),
            "income": np.exp(rng.normal(8, 1.5, N)),
            "visits": rng.poisson(3, N),
            "member": rng.random(N) < 0.3,
            "smoker": rng.integers(0, 2, N),
            "town": pd.Series(rng.choice(["Ulm", "Bonn", "Köln"], N, p=[0.5, 0.3, 0.2])).where(rng.random(N) < 0.9, None),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, N), unit="s"),
            "country": "DE",
            "nothing": np.nan,
        }
    )


KINDS = {
    "key": "identifier",
    "row": "identifier",
    "customer_id": "identifier",
    "height": "number",
    "year": "number",
    "income": "heavy",
    "visits": "count",
    "member": "boolean",
    "smoker": "category",
    "town": "category",
    "joined": "date",
    "seen": "date",
    "country": "constant",
    "nothing": "constant",
}


def kinds_of(schema):
    return {column.name: column.kind for column in schema.types}


def infer(**columns):
    return Schema.infer(from_any(pd.DataFrame(columns)))


def test_every_kind_is_proposed(people):
    schema = Schema.infer(from_any(people))
    assert kinds_of(schema) == KINDS
    assert schema.columns == tuple(name for name, kind in KINDS.items() if kind not in ("identifier", "constant"))
    by_name = {column.name: column for column in schema.types}
    assert by_name["town"].categories == ("Ulm", "Bonn", "Köln")
    assert by_name["smoker"].categories == ("0", "1")
    assert (by_name["joined"].whole, by_name["seen"].whole, by_name["year"].whole, by_name["height"].whole) == (True, False, True, False)


def test_files_and_blocks_tell_the_same(people, tmp_path):
    whole = Schema.infer(from_any(people))
    people.to_csv(tmp_path / "p.csv", index=False)
    people.to_parquet(tmp_path / "p.parquet")
    assert Schema.infer(read(tmp_path / "p.csv")) == Schema.infer(read(tmp_path / "p.parquet")) == whole
    source = from_any(people)
    assert Schema.infer(source.take(slice(i, i + 90)) for i in range(0, N, 90)) == whole


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 30, "category"),
        ([f"{i}" for i in range(40)] + ["x"] * 60, None),
        ([f"id{i}" for i in range(40)] + ["x"] * 30, "identifier"),
        ([f"id{i}" for i in range(40)] + ["x"] * 60, "category"),
        (["01", "02", "03"] * 20, "category"),
        (["1", "2.5", "9"] * 20, "number"),
        (["1e3", "5", "7"] * 3, "number"),
        (np.r_[np.random.default_rng(1).normal(size=99), 1e6], "heavy"),
        (np.random.default_rng(1).standard_cauchy(300), "heavy"),
        (np.random.default_rng(1).laplace(size=300), "number"),
        (np.random.default_rng(1).uniform(size=300), "number"),
        (np.random.default_rng(1).geometric(0.2, 300), "count"),
        (np.random.default_rng(1).integers(1, 6, 300), "number"),
        ([0.0, 1.0, np.nan] * 20, "category"),
        ([True, False, None] * 20, "boolean"),
    ],
)
def test_rules(values, kind):
    if kind is None:
        values, kind = [f"{i}" for i in range(10)] + [f"w{i}" for i in range(15)] * 4, "category"
    frame = {"x": values, "filler": ["p", "q"] * (len(values) // 2) + ["p"] * (len(values) % 2)}
    assert kinds_of(infer(**frame))["x"] == kind


@pytest.mark.parametrize(
    ("texts", "order", "first"),
    [
        (["31/01/2024", "05/02/2024"], "dmy", "2024-01-31"),
        (["01/31/2024", "02/05/2024"], "mdy", "2024-01-31"),
        (["2024/1/31", "2024-02-05"], "", "2024-01-31"),
        (["31.1.2024", "5.2.2024 10:30"], "", "2024-01-31"),
        (["31 Jan 2024", "February 5th, 2024"], "", "2024-01-31"),
        (["Jan 31, 2024 11:30 pm", "5-Feb-2024"], "", "2024-01-31"),
        (["2024-01-31T01:00:00+02:00", "2024-02-05T00:00:00Z"], "", "2024-01-30"),
        (["31/01/2024", "2024-02-05"], "dmy", "2024-01-31"),
    ],
)
def test_dates_as_text(texts, order, first):
    source = from_any(pd.DataFrame({"d": [*texts, None]}))
    schema = Schema.infer(source)
    assert (schema.types[0].kind, schema.types[0].format) == ("date", order)
    table = to_table(schema.align(source), schema)["d"]
    assert str(table[0])[:10] == first
    assert np.isnat(table[2])


def test_days_and_months_that_cannot_be_told_apart_are_told():
    schema = infer(d=["03/04/2024", "05/06/2024"])
    assert schema.types[0].format == "dmy"
    assert "taken as day, month, year" in schema.types[0].note


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["03/04/2024", "2024-05-06"], r"column 'd' holds dates in two formats, '03/04/2024' in row 0 and '2024-05-06' in row 1"),
        (["x", "23/04/2024", "04/23/2024"], r"dates in two formats|mixes types"),
        (["23/04/2024", "04/23/2024"], r"dates in two formats, '23/04/2024' in row 0 and '04/23/2024' in row 1.*YYYY-MM-DD.*--drop d"),
        (["2024-01-01", "2024-02-31"], r"column 'd' holds dates, but '2024-02-31' in row 1"),
        (["2024-01-01", "2024-01-02", "soon"], r"column 'd' mixes types: dates in most rows.*'soon' in row 2.*kinds=\{'d': 'category'\}"),
        (["1", "2", "3", "many"], r"column 'd' mixes types: numbers in most rows.*'many' in row 3.*--kind d=category"),
    ],
)
def test_mixed_columns_are_named(texts, told):
    source = from_any(pd.DataFrame({"d": texts}))
    with pytest.raises(DataError, match=told):
        Schema.infer(source)
    assert kinds_of(Schema.infer(source, {"d": "category"})) == {"d": "category"}


def test_a_category_of_several_lines_is_described_in_one():
    frame = pd.DataFrame({"note": ["first\nsecond", "x"] * 20, "size": np.arange(40) / 3})
    assert len(Schema.infer(from_any(frame)).describe().splitlines()) == 3


def test_kinds_that_are_given(people):
    source = from_any(people[["year", "smoker", "town", "height", "visits"]])
    given = {"year": "category", "smoker": "boolean", "height": "heavy", "visits": "number", "town": "identifier"}
    schema = Schema.infer(source, given)
    assert kinds_of(schema) == given
    year = schema.types[0]
    assert set(year.categories) == set(map(str, people["year"]))
    table = to_table(schema.align(source), schema)
    assert table["year"] == people["year"].tolist()
    assert table["smoker"].tolist() == people["smoker"].astype(bool).tolist()


def test_a_table_of_numbers_becomes_mixed_if_a_kind_is_given():
    source = from_any(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [7, 8, 7]}))
    assert Schema.infer(source).kind == "table"
    schema = Schema.infer(source, {"b": "category"})
    assert schema.kind == "columns"
    assert schema.align(source).tolist() == [[1, 0], [2, 1], [3, 0]]


def test_numbers_that_are_dates():
    source = from_any(pd.DataFrame({"day": [20240131, 20240205], "at": [1.7e9, 1.8e9], "ms": [1.7e12, 1.8e12]}))
    schema = Schema.infer(source, {"day": "date", "at": "date", "ms": "date"})
    table = to_table(schema.align(source), schema)
    assert table["day"].astype(str).tolist() == ["2024-01-31", "2024-02-05"]
    assert table["at"].tolist() == table["ms"].tolist()


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ({"town": "number"}, r"column 'town' cannot be of the kind 'number': '.*' in row 0 is no number"),
        ({"town": "date"}, r"cannot be of the kind 'date': '.*' is no date"),
        ({"height": "count"}, r"cannot be of the kind 'count': it holds more than whole numbers"),
        ({"height": "boolean"}, r"cannot be of the kind 'boolean'"),
        ({"height": "date"}, r"numbers from .* are no dates"),
        ({"height": "nunber"}, r"column 'height': the kind must be one of number, .*did you mean 'number'"),
        ({"hight": "number"}, r"there is no column 'hight' .did you mean 'height'"),
    ],
)
def test_kinds_that_do_not_fit(people, kinds, told):
    with pytest.raises((ConfigError, DataError), match=told):
        Schema.infer(from_any(people[["town", "height"]]), kinds)


def test_parse_kinds():
    assert parse_kinds(["a=b=category"]) == {"a=b": "category"}
    for bad in ("zip", "=category", "zip=zap"):
        with pytest.raises(ConfigError, match="kind"):
            parse_kinds([bad])


def test_nothing_to_model():
    with pytest.raises(DataError, match=r"no column is left to model: 'a' is constant \(no value, 100 % missing"):
        infer(a=[np.nan] * 5, b=["x"] * 5)
    with pytest.raises(DataError, match="no rows"):
        Schema.infer(iter(()))
    with pytest.raises(DataError, match=r"one row \(1 sample\)"):
        infer(a=[1.0], b=["x"])


def test_columns_in_another_order_and_more_of_them(people):
    schema = Schema.infer(from_any(people))
    shuffled = from_any(people[[*reversed(people.columns)]].assign(more=1.0))
    np.testing.assert_array_equal(schema.align(shuffled), schema.align(from_any(people)))
    assert shuffled.notes == ["ignored 1 columns that the model does not use: 'more'"]
    without = from_any(people.drop(columns=["key", "row", "country"]))
    np.testing.assert_array_equal(schema.align(without), schema.align(from_any(people)))
    with pytest.raises(DataError, match="there is no column 'town'"):
        schema.align(from_any(people.drop(columns="town")))


def test_columns_without_names():
    array = np.array([[1.0, 5.0, np.nan], [2.0, 5.0, 3.5], [3.0, 5.0, 2.5]])
    schema = Schema.infer(from_any(array))
    assert kinds_of(schema) == {"c0": "number", "c1": "constant", "c2": "number"}
    np.testing.assert_array_equal(schema.align(from_any(array)), array[:, [0, 2]])
    with pytest.raises(DataError, match="has 4 features, but the model expects 3 features"):
        schema.align(from_any(np.full((2, 4), np.nan)))


def test_categories_are_found_by_their_text(people):
    schema = Schema.infer(from_any(people[["town", "smoker", "member", "height"]]))
    later = from_any(
        pd.DataFrame({"town": ["Rom", None, "Bonn"], "smoker": [1, 7, None], "member": [0, 1, 0], "height": ["1", "2.5", None]})
    )
    np.testing.assert_array_equal(schema.align(later), [[-1, 1, 0, 1], [np.nan, -1, 1, 2.5], [1, np.nan, 0, np.nan]])
    table = to_table(schema.align(later), schema)
    assert table["town"] == ["(unseen)", None, "Bonn"]
    assert table["smoker"] == ["1", "(unseen)", None]
    assert to_table(schema.align(later.take([0, 2])), schema)["smoker"] == [1, None]


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("height", ["1", "tall"], r"column 'height' \(number\) holds text where numbers belong: 'tall' in row 1"),
        ("member", [0, 2], r"column 'member' \(boolean\) holds neither true nor false: 2 in row 1"),
        ("joined", ["2024-01-01", "soon"], r"column 'joined' \(date\) holds no date that can be read: 'soon' in row 1"),
        ("joined", [1.0, 2.0], r"column 'joined' \(date\) holds no date that can be read"),
        ("height", pd.to_datetime(["2024-01-01", "2024-01-02"]), r"column 'height' \(number\) holds a date"),
    ],
)
def test_later_columns_of_another_type_are_named(people, column, values, told):
    schema = Schema.infer(from_any(people[["height", "member", "joined"]]))
    later = people[["height", "member", "joined"]][:2].assign(**{column: values})
    with pytest.raises(DataError, match=told):
        schema.align(from_any(later))


def test_a_model_of_plain_numbers_refuses_gaps_and_text():
    schema = Schema.infer(from_any(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})))
    mixed = from_any(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": ["x", "y"]}))
    assert schema.align(mixed).tolist() == [[1, 3], [2, 4]]
    with pytest.raises(DataError, match=r"NaN.*column 'b' has 1 missing.*or fit a model on data with gaps"):
        schema.align(from_any(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, None]})))
    with pytest.raises(DataError, match="text where numbers belong: column 'b' holds 'x'"):
        schema.align(from_any(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})))


def test_coded_sources_pass_and_others_of_their_kind_are_refused(people):
    schema = Schema.infer(from_any(people))
    coded = schema.coded(from_any(people))
    assert schema.align(coded) is coded.array
    assert schema.coded(coded) is coded
    other = Schema.infer(from_any(people[["town", "year"]]))
    with pytest.raises(DataError, match="coded by another schema"):
        other.align(coded)


def test_json_round_trip(people):
    schema = Schema.infer(from_any(people))
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    "change",
    [
        {"types": []},
        {"types": None},
        {"types": [{"name": "a", "kind": "number"}]},
        {"types": [{"name": "a", "kind": "colour"}, {"name": "b", "kind": "number"}]},
        {"types": [{"name": "a", "kind": "number", "type": "sound"}, {"name": "b", "kind": "number"}]},
        {"types": [{"name": "a", "kind": "category", "categories": ["x", "x"]}, {"name": "b", "kind": "number"}]},
        {"types": [{"name": "a", "kind": "category", "categories": [1]}, {"name": "b", "kind": "number"}]},
        {"types": [{"name": "a", "kind": "number", "more": 1}, {"name": "b", "kind": "number"}]},
        {"types": ["a", "b"]},
        {"kind": "table"},
    ],
)
def test_broken_json_is_refused(change):
    entry = Schema.of([Column("a", "number"), Column("b", "count")]).to_json()
    assert Schema.from_json(entry).columns == ("a", "b")
    with pytest.raises(ConfigError):
        Schema.from_json({**entry, **change})


def test_toml_round_trip(people, tmp_path):
    schema = Schema.infer(from_any(people))
    text = schema.to_toml(tmp_path / "s.toml")
    assert (tmp_path / "s.toml").read_text(encoding="utf-8") == text
    assert Schema.from_toml(tmp_path / "s.toml") == schema
    odd = Schema.of([Column('a "b"\n', "category", ("x\\", "\t", "ü"), "text", note="line\nbreak"), Column("c", "number")])
    odd.to_toml(tmp_path / "odd.toml")
    assert Schema.from_toml(tmp_path / "odd.toml") == odd


def test_corrections_of_a_file(people, tmp_path):
    source = from_any(people[["town", "year", "height", "key"]])
    path = tmp_path / "s.toml"
    text = Schema.infer(source).to_toml()
    corrected = text.replace('name = "year"\nkind = "number"', 'name = "year"\nkind = "category"').replace(
        '["Ulm", "Bonn", "Köln"]', '["Ulm"]'
    )
    path.write_text(corrected.partition("[[columns]]  # 400 different")[0], encoding="utf-8")
    given = Schema.from_toml(path)
    assert not given.complete
    schema = Schema.infer(source, given=given)
    assert kinds_of(schema) == {"town": "category", "year": "category", "height": "number"}
    assert schema.types[0].categories == ("Ulm",)
    assert len(schema.types[1].categories) == people["year"].nunique()
    assert any("the schema does not name: 'key'" in note for note in source.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"is no schema file: it has no \[\[columns\]\].*isthmus schema DATA -o s.toml"),
        ("latent = 3\n", "is no schema file: it has the entries latent"),
        ("columns = 3\n", "is no schema file"),
        ("[[columns]\n", "is no schema file: it is not valid TOML"),
        ("[[columns]]\nname = 'a'\n", "needs at least a name and a kind"),
        ("[[columns]]\nname = 'a'\nkind = 'counts'\n", "s.toml: column 'a': the kind must be one of .*did you mean 'count'"),
        ("[[columns]]\nname = 'a'\nkind = 'number'\nwhole = 1\n", "column 'a': 'whole' must be bool, not 1"),
        ("[[columns]]\nname = 'a'\nkind = 'number'\nwidth = 1\n", "'width' is unknown; known are name, kind"),
        ("[[columns]]\nname = 'a'\nkind = 'number'\n" * 2, "the column 'a' stands there twice"),
    ],
)
def test_wrong_schema_files(save, text, told):
    with pytest.raises(ConfigError, match=told):
        Schema.from_toml(save("s.toml", text))


def test_schema_files_that_are_not_there_or_binary(save, tmp_path):
    with pytest.raises(ConfigError, match="cannot read the schema file"):
        Schema.from_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is no schema file"):
        Schema.from_toml(save("s.toml", b"\xff\xfe\x00\x80"))
    with pytest.raises(ConfigError, match="only mixed columns have kinds"):
        Schema.infer(Source("table", np.eye(3))).to_toml()


def test_describe(people):
    lines = Schema.infer(from_any(people[["town", "visits", "country"]])).describe().splitlines()
    assert lines[0].split() == ["column", "kind", "seen"]
    assert lines[1].startswith("town     category  3 categories: Ulm, Bonn, Köln, ")
    assert lines[1].endswith(" % missing")
    assert lines[3] == "country  constant  always 'DE'"
