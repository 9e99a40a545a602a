"""Mixed tables on the command line: from the schema to reports, and every flaw in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

N = 240


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    town = pd.Series(rng.choice(["Ulm", "Bonn", "Köln"], N, p=[0.5, 0.3, 0.2]))
    age = np.where(town == "Ulm", 30.0, 60.0) + rng.integers(-5, 6, N)
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(N)],
            "age": pd.Series(age).where(rng.random(N) < 0.9),
            "town": town.where(rng.random(N) < 0.9, None),
            "member": rng.random(N) < 0.4,
            "calls": rng.poisson(3, N),
            "income": np.exp(rng.normal(7, 1.6, N)).round(2),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
            "zip": rng.integers(10, 15, N) * 1000,
        }
    )


@pytest.fixture(scope="module")
def folder(people, tmp_path_factory):
    """The table as CSV and Parquet, and in parts; a model and a variational one."""
    from isthmus.data import Schema, read
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit

    place = tmp_path_factory.mktemp("people")
    people.to_csv(place / "people.csv", index=False)
    people.to_parquet(place / "people.parquet")
    (place / "parts").mkdir()
    for i in range(3):
        people[i * 80 : i * 80 + 80].to_parquet(place / "parts" / f"{i}.parquet", row_group_size=20)
    source = read(place / "people.csv")
    schema = Schema.infer(source, {"zip": "category"})
    for family in ("undercomplete", "variational"):
        fit(source, Config(family=family, steps=60), schema=schema).save(place / family)
    return place


def test_a_schema_is_shown_written_corrected_and_used(good, folder, tmp_path):
    out = good("schema", folder / "people.csv", "-o", "s.toml", "--kind", "zip=category")
    assert "people.csv: 240 rows, 7 of 8 columns are modelled" in out
    assert "id      identifier" in out
    assert "zip     category" in out
    path = tmp_path / "s.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"member"\nkind = "boolean"', '"member"\nkind = "identifier"'), encoding="utf-8"
    )
    out = good("fit", folder / "people.csv", "--schema", "s.toml", "--kind", "calls=number", "--steps", 5, "--save-config", "c.toml")
    assert "left out as identifiers: 'id', 'member'" in out
    assert "240 rows of 6" in out
    saved = (tmp_path / "c.toml").read_text(encoding="utf-8")
    assert 'schema = "s.toml"' in saved
    again = good("fit", folder / "people.csv", "--config", "c.toml", "--out", "again")
    assert "240 rows of 6" in again
    told = good("info", "model")
    assert "columns, 6 (float64)" in told
    assert "calls   number" in told


def test_a_table_of_numbers_has_a_schema_too(good, files, tmp_path):
    assert "178 rows, 13 of 13 columns are modelled" in good("schema", files / "wine.csv", "-o", "s.toml")
    assert "178 rows of 12" in good("fit", files / "wine.csv", "--schema", "s.toml", "--kind", "alcohol=identifier", "--steps", 5)


def test_streamed_data_have_the_same_schema(good, folder, tmp_path):
    good("schema", folder / "people.parquet", "-o", "whole.toml")
    good("schema", folder / "parts", "-o", "parts.toml")
    assert (tmp_path / "whole.toml").read_text(encoding="utf-8") == (tmp_path / "parts.toml").read_text(encoding="utf-8")
    out = good("fit", folder / "parts", "--steps", 5, "--kind", "zip=category")
    assert "left out as identifier: 'id'" in out
    assert "the rows are streamed" in out


@pytest.mark.parametrize("data", ["people.csv", "people.parquet", "parts"])
def test_rows_are_rebuilt_in_their_own_units_and_categories(good, folder, people, tmp_path, data):
    good("reconstruct", folder / "undercomplete", folder / data, "--out", "r.csv", "--ids", "id")
    rebuilt = pd.read_csv(tmp_path / "r.csv", parse_dates=["joined"])
    assert rebuilt.columns.tolist() == people.columns.tolist()
    assert rebuilt["id"].tolist() == people["id"].tolist()
    assert set(rebuilt["town"]) <= {"Ulm", "Bonn", "Köln"}
    assert set(rebuilt["zip"]) <= set(people["zip"])
    assert rebuilt["member"].dtype == bool
    assert rebuilt["calls"].dtype == np.int64
    assert rebuilt["joined"].between("2015-01-01", "2027-01-01").all()
    known = people["age"].notna()
    assert np.corrcoef(rebuilt["age"][known], people["age"][known])[0, 1] > 0.3


def test_results_do_not_depend_on_the_file_or_the_order_of_columns(good, folder, people, tmp_path):
    people[[*reversed(people.columns)]].to_csv(tmp_path / "turned.csv", index=False)
    tables = []
    for data in (folder / "people.csv", folder / "parts", "turned.csv"):
        good("score", folder / "undercomplete", data, "--out", "s.csv")
        tables.append(pd.read_csv(tmp_path / "s.csv"))
    for table in tables[1:]:
        np.testing.assert_allclose(table, tables[0], rtol=1e-4, atol=1e-5)


def test_parts_of_a_folder_hold_real_types(good, folder, tmp_path):
    good("reconstruct", folder / "undercomplete", folder / "parts", "--out", "r", "--ids", "id")
    good("encode", folder / "undercomplete", folder / "parts", "--out", "z.parquet")
    rebuilt = pd.read_parquet(tmp_path / "r")
    assert len(rebuilt) == len(pd.read_parquet(tmp_path / "z.parquet")) == N
    assert rebuilt["member"].dtype == bool
    assert set(rebuilt["town"]) <= {"Ulm", "Bonn", "Köln"}


def test_samples_respect_types_and_ranges(good, folder, people, tmp_path):
    good("sample", folder / "variational", "--out", "x.csv", "-n", 200)
    drawn = pd.read_csv(tmp_path / "x.csv", parse_dates=["joined"])
    assert set(drawn["town"]) <= {"Ulm", "Bonn", "Köln"}
    for name in ("age", "income", "calls", "joined"):
        assert drawn[name].min() >= people[name].min()
        assert drawn[name].max() <= people[name].max()
    assert drawn["calls"].dtype == drawn["age"].dtype == np.int64
    good("interpolate", folder / "variational", folder / "people.csv", "--out", "i.csv", "--steps", 3, "--pair", "0,1", "--pair", "2,3")
    assert len(pd.read_csv(tmp_path / "i.csv")) == 6


def test_a_report_of_mixed_columns(good, folder, tmp_path):
    out = good("report", folder / "variational", folder / "people.csv", "--out", "r.html")
    assert "PCA" in out
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "town (share wrong)" in page
    assert "joined (days)" in page


def test_categories_never_seen_and_gaps_are_scored(good, folder, people, tmp_path):
    strange = people.assign(town="Atlantis")
    strange.loc[0, ["age", "income", "joined"]] = None
    strange.to_csv(tmp_path / "strange.csv", index=False)
    for name, data in (("a", folder / "people.csv"), ("b", "strange.csv")):
        good("score", folder / "undercomplete", data, "--out", f"{name}.csv")
    usual, odd = (pd.read_csv(tmp_path / f"{name}.csv")["score"] for name in "ab")
    assert np.isfinite(odd).all()
    seen = people["town"].notna()
    assert (odd[seen] < usual[seen]).mean() > 0.95


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kind", "zip"], "kind takes a column and its kind such as zip=category, not 'zip'"),
        (["--kind", "zip=zap"], "column 'zip': the kind must be one of number, heavy"),
        (["--kind", "zib=count"], "there is no column 'zib' (did you mean 'zip'?)"),
        (["--kind", "town=number"], "column 'town' cannot be of the kind 'number': 'Bonn' in row 0"),
        (["--schema", "none.toml"], "cannot read the schema file none.toml"),
        (["--schema", "wrong.toml"], "wrong.toml is no schema file: it is not valid TOML"),
        (["--schema", "other.toml"], "there is no column 'width'"),
        (["--scaling", "unit"], "--scaling must be one of standard, robust for a table of mixed columns, not 'unit'"),
    ],
)
def test_flaws_of_kinds_and_files(refused, folder, tmp_path, arguments, told):
    (tmp_path / "wrong.toml").write_text("kind: number", encoding="utf-8")
    (tmp_path / "other.toml").write_text("[[columns]]\nname = 'width'\nkind = 'number'\n", encoding="utf-8")
    assert told in refused("fit", folder / "people.csv", *arguments)


def test_flaws_of_the_data(refused, folder, people, tmp_path):
    def spoiled(name, frame):
        frame.to_csv(tmp_path / name, index=False)
        return name

    line = refused("fit", spoiled("mixed.csv", people.assign(age=["?", "old", *["50"] * (N - 2)])))
    assert "column 'age' mixes types: numbers in most rows, but in 1 rows none, such as 'old' in row 1" in line
    assert line.endswith("--kind age=category")
    dates = spoiled("dates.csv", people.assign(joined=["2024-01-05", "03/04/2024"] * (N // 2)))
    assert "column 'joined' holds dates in two formats" in refused("fit", dates)
    assert "no column is left to model: 'age' is constant" in refused("fit", spoiled("void.csv", people.assign(age=None)[["age"]]))
    assert "column 'income' has 1 infinite" in refused("fit", spoiled("inf.csv", people.assign(income=[np.inf] + [1.0] * (N - 1))))
    line = refused("score", folder / "undercomplete", spoiled("less.csv", people.drop(columns=["town"])))
    assert "less.csv: there is no column 'town'" in line
    line = refused("score", folder / "undercomplete", spoiled("text.csv", people.assign(age="old")))
    assert "column 'age' (number) holds text where numbers belong: 'old' in row 0" in line
    twins = people.rename(columns={"zip": "age"})
    assert "columns of the same name: 'age'" in refused("fit", spoiled("twins.csv", twins))
    (tmp_path / "cut.parquet").write_bytes((folder / "people.parquet").read_bytes()[:3000])
    assert "cut.parquet cannot be read as Parquet" in refused("fit", "cut.parquet")
    assert "an array holds numbers only" in refused("reconstruct", folder / "undercomplete", folder / "people.csv", "--out", "r.npy")
    np.save(tmp_path / "pictures.npy", np.zeros((3, 4, 4)))
    assert "holds pictures" in refused("schema", "pictures.npy")


def test_small_and_odd_tables(good, refused, tmp_path):
    def fit(text, *arguments):
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        return good("fit", "t.csv", "--steps", 5, "--overwrite", *arguments)

    assert "2 rows of 2" in fit("a,b\n1,x\n2,y\n")
    assert "30 rows of 1" in fit("a\n" + "x\ny\nNA\n" * 10)
    assert "left out as constants: 'a', 'c'" in fit("a,b,c\n" + "7,x,\n7,y,\n" * 20)
    (tmp_path / "one.csv").write_text("a,b\n1,x\n", encoding="utf-8")
    assert "one.csv: one row (1 sample)" in refused("fit", "one.csv", "--out", "one")
    many = "\n".join(f"k{i % 10_000},{i % 7}" for i in range(25_000))
    assert "'a' has 10,000 categories; all but the 100 most frequent share one slot" in fit(f"a,b\n{many}\n", "--held-out", 0)


def test_kinds_are_for_single_tables(refused, folder, files):
    assert "schema and kind are for one model" in refused("fit-many", folder / "people.csv", "--kind", "zip=category", "--steps", 5)
    assert "holds pictures: only the columns of tables have kinds" in refused("fit", files / "pictures", "--kind", "a=number")
