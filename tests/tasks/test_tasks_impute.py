"""Gaps are filled: better than by means, in the columns' own units and types, the same each time, in any number of rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.data import Schema, Source, from_any, open_dataset, to_table
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import impute as imputing
from isthmus.tasks.completed import Tally, completed, raw_table, write
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.impute import as_columns, impute, settings

pd = pytest.importorskip("pandas")
SHARE = 0.2


def frame() -> Any:
    """scikit-learn's wine with its class as text, and a date, a count, a flag, a heavy-tailed column and an identifier."""
    from sklearn.datasets import load_wine

    wine = load_wine(as_frame=True)
    random = np.random.default_rng(0)
    found = wine.data.iloc[:, :7].copy()
    found.columns = [name.split("/")[0] for name in found.columns]
    found["cultivar"] = np.array(["Barolo", "Grignolino", "Barbera"])[wine.target]
    found["bottled"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(wine.data.proline.round(), unit="D")
    found["medals"] = random.poisson(np.exp(wine.data.flavanoids - 1))
    found["dark"] = wine.data.color_intensity > 5
    found["price"] = np.exp(2 * wine.data.alcohol - 20 + random.standard_t(2, len(found)))
    found["id"] = np.arange(len(found))
    return found


@pytest.fixture(scope="module")
def whole() -> Any:
    return frame()


@pytest.fixture(scope="module")
def gaps(whole: Any) -> np.ndarray:
    gone = np.random.default_rng(1).random(whole.shape) < SHARE
    gone[:, -1] = False
    return gone


@pytest.fixture(scope="module")
def holed(whole: Any, gaps: np.ndarray) -> Any:
    return whole.mask(gaps)


@pytest.fixture(scope="module")
def artifact(holed: Any) -> Artifact:
    return imputing.fit(from_any(holed))


def test_filled_values_are_better_than_means_and_modes(artifact: Artifact, whole: Any, holed: Any, gaps: np.ndarray) -> None:
    source = from_any(holed)
    table = completed(source, artifact.schema, impute(artifact, source))
    errors = []
    for j, name in enumerate(whole.columns[:7]):
        truth, filled = whole[name].to_numpy(), np.asarray(table[name], dtype=float)
        known = holed[name].mean()
        errors.append(np.sqrt(np.mean((filled - truth)[gaps[:, j]] ** 2)) / np.sqrt(np.mean((known - truth)[gaps[:, j]] ** 2)))
    assert np.mean(errors) < 0.85
    right = np.mean((np.array(table["cultivar"]) == whole["cultivar"].to_numpy())[gaps[:, 7]])
    assert right > 0.85
    dates = np.asarray(table["bottled"], dtype="datetime64[s]").astype(float) - whole["bottled"].to_numpy().astype("datetime64[s]").astype(
        float
    )
    assert np.sqrt(np.mean(dates[gaps[:, 8]] ** 2)) < 0.85 * whole["bottled"].to_numpy().astype("datetime64[s]").astype(float).std()


def test_what_was_observed_is_unchanged_and_types_stay(artifact: Artifact, holed: Any, gaps: np.ndarray) -> None:
    source = from_any(holed)
    table = completed(source, artifact.schema, impute(artifact, source))
    assert list(table) == list(holed.columns)
    raw = raw_table(source, artifact.schema)
    for j, name in enumerate(holed.columns):
        for new, old, gap in zip(list(table[name]), list(raw[name]), gaps[:, j]):
            if gap:
                assert new is not None
                assert new == new
            else:
                assert new == old
    assert set(table["cultivar"]) == {"Barolo", "Grignolino", "Barbera"}
    assert {type(bool(value)) for value in table["dark"]} == {bool}
    assert all(value == int(value) and value >= 0 for value in table["medals"])
    assert np.asarray(table["bottled"]).dtype.kind == "M"
    assert min(table["price"]) > 0


def test_spread_tells_how_sure(artifact: Artifact, holed: Any, gaps: np.ndarray) -> None:
    found = impute(artifact, from_any(holed))
    np.testing.assert_array_equal(np.isnan(found.spread), ~found.gaps)
    np.testing.assert_array_equal(found.gaps, gaps[:, :-1])
    kinds = [column.kind for column in artifact.schema.used]
    for j, kind in enumerate(kinds):
        spread = found.spread[found.gaps[:, j], j]
        assert (spread > 0).all()
        if kind in ("category", "boolean"):
            assert (spread <= 1).all()
            assert (spread > 1 / 3 - 1e-6).all()
    # A fifth of the column's own deviation at least, and no more than all of it.
    for j in range(7):
        ratio = found.spread[found.gaps[:, j], j].mean() / holed.iloc[:, j].std()
        assert 0.1 < ratio < 1.3


def test_sure_categories_are_more_often_right(artifact: Artifact, whole: Any, holed: Any, gaps: np.ndarray) -> None:
    source = from_any(holed)
    found = impute(artifact, source)
    named = np.array(to_table(found.values, artifact.schema)["cultivar"])
    right, sure = (named == whole["cultivar"].to_numpy())[gaps[:, 7]], found.spread[gaps[:, 7], 7]
    assert right[sure >= np.median(sure)].mean() >= right[sure < np.median(sure)].mean()
    assert abs(right.mean() - sure.mean()) < 0.2


def test_draws_scatter_around_the_likeliest_values(artifact: Artifact, holed: Any, gaps: np.ndarray) -> None:
    source = from_any(holed)
    found = impute(artifact, source, draws=40, seed=3)
    assert found.draws.shape == (40, *found.values.shape)
    np.testing.assert_array_equal(found.draws, impute(artifact, source, draws=40, seed=3).draws)
    assert not np.array_equal(found.draws, impute(artifact, source, draws=40, seed=4).draws)
    np.testing.assert_array_equal(found.values, impute(artifact, source).values)
    for draw in found.draws[:3]:
        np.testing.assert_array_equal(draw[~found.gaps], found.values[~found.gaps])
    for j in range(7):
        drawn = found.draws[:, found.gaps[:, j], j]
        away = (drawn.mean(0) - found.values[found.gaps[:, j], j]) / found.spread[found.gaps[:, j], j]
        assert np.abs(away).mean() < 0.6
        assert 0.5 < (drawn.std(0) / found.spread[found.gaps[:, j], j]).mean() < 1.5
        assert drawn.min() >= holed.iloc[:, j].min()
        assert drawn.max() <= holed.iloc[:, j].max()
    assert not np.isnan(found.draws).any()


def test_draws_of_gaps_in_a_row_go_together() -> None:
    """Two columns that are one another's opposite stay so where both are missing: drawn alone they would not."""
    random = np.random.default_rng(0)
    first = random.normal(size=3000)
    rows = np.stack([first, -first + 0.05 * random.normal(size=3000), random.normal(size=3000)], 1)
    rows[random.random(rows.shape) < 0.15] = np.nan
    fitted = imputing.fit(Source("columns", rows, ("a", "b", "c"), types=("number",) * 3))
    empty = np.full((500, 3), np.nan)
    empty[:, 2] = 0.0
    drawn = impute(fitted, Source("columns", empty, ("a", "b", "c"), types=("number",) * 3), draws=1).draws[0]
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] < -0.5
    assert drawn[:, 0].std() > 0.5


def test_rows_without_gaps_come_back_as_they_are(artifact: Artifact, whole: Any) -> None:
    source = from_any(whole)
    found = impute(artifact, source, draws=2)
    assert not found.gaps.any()
    np.testing.assert_array_equal(found.values, artifact.schema.align(source))
    np.testing.assert_array_equal(found.draws[1], found.values)


def test_rows_do_not_hang_on_their_neighbours(artifact: Artifact, holed: Any) -> None:
    everything = impute(artifact, from_any(holed)).values
    for rows in (slice(0, 1), slice(50, 90)):
        alone = impute(artifact, from_any(holed.iloc[rows])).values
        np.testing.assert_allclose(alone, everything[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.4])
def test_blocks_of_rows_are_filled_as_all_at_once(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(1300, 3)) + random.normal(size=(1300, 1))
    rows[random.random(rows.shape) < share] = np.nan
    source = Source("columns", rows, ("a", "b", "c"), types=("number",) * 3)
    fitted = imputing.fit(source, Config(steps=20))
    at_once = impute(fitted, source)
    monkeypatch.setattr(imputing, "CHUNK", 10_000)
    monkeypatch.setattr(imputing, "BLOCK", 1000)
    in_blocks = impute(fitted, source)
    np.testing.assert_allclose(in_blocks.values, at_once.values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(in_blocks.spread, at_once.spread, rtol=1e-4)
    np.testing.assert_array_equal(at_once.values[~at_once.gaps], rows[~at_once.gaps])
    np.testing.assert_array_equal(np.isnan(source.array), at_once.gaps, err_msg="the rows given are not touched")


def as_given(table: Any, kinds: dict[str, Any] | None = None) -> dict[str, Any]:
    source = from_any(table)
    fitted = imputing.fit(source, Config(steps=10), schema=Schema.infer(source, kinds=kinds))
    return completed(source, fitted.schema, impute(fitted, source))


def test_what_was_read_as_text_stays_text_of_the_same_form() -> None:
    random = np.random.default_rng(0)
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, 60), unit="D"))
    table = pd.DataFrame(
        {
            "length": [f"{value:.2f}" for value in random.normal(size=60)],
            "count": [f"{value}" for value in random.poisson(3, 60)],
            "day": days.dt.strftime("%d/%m/%Y"),
            "open": random.choice(["Yes", "No"], 60),
        }
    )
    gone = random.random(table.shape) < 0.2
    found = as_given(table.mask(gone), {"open": "boolean"})
    for j, name in enumerate(table):
        assert all(isinstance(value, str) for value in found[name])
        assert [value for value, gap in zip(found[name], gone[:, j]) if not gap] == table[name][~gone[:, j]].tolist()
    assert all(float(value) == float(value) for value in found["length"])
    assert all(str(int(value)) == value for value in found["count"])
    assert pd.to_datetime(pd.Series(found["day"]), format="%d/%m/%Y").dt.year.eq(2024).all()
    assert set(found["open"]) == {"Yes", "No"}


def test_what_was_read_as_numbers_stays_numbers() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "day": 20240100.0 + random.integers(1, 29, 60),
            "flag": random.integers(0, 2, 60).astype(float),
            "grade": random.choice([1.0, 2.5, 4.0], 60),
            "size": random.normal(size=60),
        }
    )
    gone = random.random(table.shape) < 0.2
    found = as_given(table.mask(gone), {"day": "date", "flag": "boolean", "grade": "category"})
    for j, name in enumerate(table):
        assert np.array_equal(np.asarray(found[name], dtype=float)[~gone[:, j]], table[name].to_numpy()[~gone[:, j]])
    assert set(np.asarray(found["day"], dtype=float) // 100) == {202401.0}
    assert set(np.asarray(found["flag"], dtype=float)) == {0.0, 1.0}
    assert set(np.asarray(found["grade"], dtype=float)) == {1.0, 2.5, 4.0}


def test_observed_fractions_are_not_rounded_where_the_model_knows_whole_numbers_only() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"years": random.integers(20, 70, 80).astype(float), "size": random.normal(size=80)})
    table.loc[::5, "years"] = None
    fitted = imputing.fit(from_any(table), Config(steps=10))
    assert fitted.schema.used[0].whole
    table.loc[1, "years"] = 33.5
    for rows in (table, table.dropna()):
        source = from_any(rows)
        found = completed(source, fitted.schema, impute(fitted, source))["years"]
        assert float(found[1 if len(rows) == 80 else 0]) == 33.5


def test_constants_are_filled_from_the_model() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"size": random.normal(size=40), "two": 2, "land": "DE", "on": True, "day": pd.Timestamp("2024-05-01")})
    gaps = table.astype(object).mask(random.random(table.shape) < 0.3)
    gaps["size"] = table["size"]
    source = from_any(gaps)
    fitted = imputing.fit(source, Config(steps=5))
    empty = from_any(gaps.assign(two=np.nan).iloc[:4])
    assert list(completed(empty, fitted.schema, impute(fitted, empty))["two"]) == [2] * 4
    found = completed(source, fitted.schema, impute(fitted, source))
    assert set(found["two"]) == {2}
    assert set(found["land"]) == {"DE"}
    assert set(map(bool, found["on"])) == {True}
    assert {np.datetime64(value, "D") for value in found["day"]} == {np.datetime64("2024-05-01")}


def test_a_row_of_gaps_and_unseen_categories(artifact: Artifact, holed: Any) -> None:
    strange = holed.iloc[:3].copy()
    strange.iloc[0, :-1] = None
    strange.loc[strange.index[1], "cultivar"] = "Dolcetto"
    strange.loc[strange.index[1], "alcohol"] = None
    source = from_any(strange)
    table = completed(source, artifact.schema, impute(artifact, source))
    assert table["cultivar"][1] == "Dolcetto"
    assert all(table[name][0] is not None and table[name][0] == table[name][0] for name in table)


@pytest.mark.parametrize("family", ["variational", "undercomplete", "sparse"])
def test_other_families_fill_by_asking_again(family: str, whole: Any, holed: Any, gaps: np.ndarray) -> None:
    fitted = imputing.fit(from_any(holed), Config(family=family, steps=400))
    found = impute(fitted, from_any(holed), draws=2)
    assert not np.isnan(found.values).any()
    flavanoids = whole["flavanoids"].to_numpy()
    filled, mean = found.values[gaps[:, 6], 6], holed["flavanoids"].mean()
    assert np.mean((filled - flavanoids[gaps[:, 6]]) ** 2) < np.mean((mean - flavanoids[gaps[:, 6]]) ** 2)


def test_settings_by_rows() -> None:
    assert settings(100).held_out == 0.0
    assert [settings(rows).steps for rows in (2, 500, 800, 4999)] == [1000, 1000, 1600, 2500]
    assert settings(10_000).given() == {"family": "denoising"}
    assert settings(100, Config(steps=7, batch=3)).given() == {"family": "denoising", "steps": 7, "batch": 3, "held_out": 0.0}
    assert settings(100, Config(family="variational")).given() == {"family": "variational"}


def test_rare_categories_are_filled_by_one_with_a_name() -> None:
    random = np.random.default_rng(0)
    names = np.array([f"town {k}" for k in range(150)])[np.minimum(random.geometric(0.03, 3000), 150) - 1]
    table = pd.DataFrame({"town": names, "size": random.normal(size=3000)})
    table.loc[random.random(3000) < 0.2, "town"] = None
    source = from_any(table)
    fitted = imputing.fit(source, Config(steps=100))
    found = impute(fitted, source, draws=1)
    for values in (completed(source, fitted.schema, found)["town"], completed(source, fitted.schema, found, 0)["town"]):
        assert set(values) <= set(names)


def test_models_of_other_data_are_refused(digits: np.ndarray) -> None:
    table = Source("table", np.random.default_rng(0).normal(size=(50, 3)))
    plain = fit(table, Config(steps=5))
    with pytest.raises(ConfigError, match="fitted on table without gaps, so it cannot fill any"):
        impute(plain, table)
    with pytest.raises(ConfigError, match="holds pictures: gaps are filled in tables only"):
        as_columns(Source("pictures", digits))


def test_wrong_requests_are_refused(artifact: Artifact, holed: Any, tmp_path: Path) -> None:
    source = from_any(holed)
    with pytest.raises(ConfigError, match="draws must be at least 0"):
        impute(artifact, source, draws=-1)
    with pytest.raises(ConfigError, match="filled columns are written to"):
        write(artifact, source, tmp_path / "filled.npy")
    with pytest.raises(ConfigError, match="a column called 'draw'"):
        write(artifact, from_any(holed.assign(draw=1)), tmp_path / "filled.csv", draws=2)
    with pytest.raises(DataError, match="alcohol"):
        impute(artifact, from_any(holed.drop(columns="alcohol")))


def test_a_file_is_written_whole_or_not_at_all(artifact: Artifact, holed: Any, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt(done)

    with pytest.raises(KeyboardInterrupt):
        write(artifact, from_any(holed), tmp_path / "filled.csv", watch=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_files(artifact: Artifact, holed: Any, gaps: np.ndarray, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"filled.{ending}"
    tally = write(artifact, from_any(holed), path)
    assert isinstance(tally, Tally)
    assert tally.rows == len(holed)
    counted = {name: count for name, count, _ in tally.told(artifact.schema)}
    assert counted == {name: int(count) for name, count in zip(holed.columns, gaps.sum(0)) if count}
    again = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, sep="\t" if ending == "tsv" else ",")
    assert list(again.columns) == list(holed.columns)
    assert not again.isna().any().any()
    assert again["id"].tolist() == list(range(len(holed)))


def test_draws_in_a_file_stand_below_each_other(artifact: Artifact, holed: Any, tmp_path: Path) -> None:
    path = tmp_path / "drawn.csv"
    write(artifact, from_any(holed), path, draws=3, seed=5)
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["draw"] for line in lines[:7]] == ["1", "2", "3", "1", "2", "3", "1"]
    assert [line["id"] for line in lines[:7]] == ["0", "0", "0", "1", "1", "1", "2"]
    found = impute(artifact, from_any(holed), draws=3, seed=5)
    drawn = np.array([float(line["alcohol"]) for line in lines]).reshape(-1, 3).T
    np.testing.assert_allclose(drawn, found.draws[:, :, 0])


def test_parquet_folders_are_streamed(holed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.tasks import completed as module

    folder = tmp_path / "parts"
    folder.mkdir()
    for k in range(3):
        holed.iloc[60 * k : 60 * k + 60].to_parquet(folder / f"{k}.parquet")
    data = open_dataset(folder)
    fitted = imputing.fit(data, Config(steps=60))
    monkeypatch.setattr(module, "ROWS", 50)
    tally = write(fitted, data, tmp_path / "filled.parquet")
    assert tally.rows == len(holed)
    streamed = pd.read_parquet(tmp_path / "filled.parquet")
    assert not streamed.isna().any().any()
    at_once = completed(from_any(holed), fitted.schema, impute(fitted, from_any(holed)))
    np.testing.assert_allclose(streamed["alcohol"], np.asarray(at_once["alcohol"], dtype=float), rtol=1e-4)
    assert streamed["cultivar"].tolist() == list(at_once["cultivar"])


def test_columns_left_out_keep_their_gaps_and_are_counted(artifact: Artifact, holed: Any, tmp_path: Path) -> None:
    lost = holed.copy()
    lost["id"] = lost["id"].astype(float)
    lost.loc[lost.index[:4], "id"] = None
    tally = write(artifact, from_any(lost), tmp_path / "filled.csv")
    assert tally.left == {"id": 4}
    assert pd.read_csv(tmp_path / "filled.csv")["id"].isna().sum() == 4
