"""The imputer as scikit-learn's users take it: pipelines, frames, indicators, empty columns, seeds, bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus import IsthmusImputer
from isthmus.data import Schema, from_any
from isthmus.errors import ConfigError, DataError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
STEPS = 40


def table(rows: int = 80) -> np.ndarray:
    random = np.random.default_rng(0)
    first = random.normal(size=rows)
    return np.stack([first, 2 * first + 0.1 * random.normal(size=rows), random.normal(size=rows)], 1)


def holed(rows: int = 80, share: float = 0.2) -> np.ndarray:
    found = table(rows)
    return np.where(np.random.default_rng(1).random(found.shape) < share, np.nan, found)


def imputer(**options: object) -> IsthmusImputer:
    return IsthmusImputer(**{"steps": STEPS, **options})


def frame(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(2)
    gone = random.random((rows, 8)) < 0.2
    found = pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "town": pd.Series(random.choice(["Ulm", "Bonn", "Köln"], rows), dtype=object),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 90, rows), unit="D"),
            "paid": pd.array(random.random(rows) < 0.5, dtype="boolean"),
            "visits": pd.array(random.poisson(3, rows), dtype="Int64"),
            "grade": pd.Categorical(random.choice(["low", "high"], rows)),
            "always": 5.0,
            "score": random.integers(0, 40, rows).astype(np.float32) / 4,
        }
    )
    return found.mask(gone).astype(found.dtypes.to_dict())


def test_it_is_exported() -> None:
    assert isthmus.IsthmusImputer is IsthmusImputer
    assert "IsthmusImputer" in isthmus.estimators.__all__


def test_before_a_classifier_it_beats_means() -> None:
    rows, labels = load_wine(return_X_y=True)
    rows = np.where(np.random.default_rng(0).random(rows.shape) < 0.4, np.nan, rows)

    def right(filler: object) -> float:
        return cross_val_score(make_pipeline(filler, StandardScaler(), LogisticRegression(max_iter=500)), rows, labels, cv=3).mean()

    assert right(imputer(steps=200)) > right(SimpleImputer()) + 0.01


def test_every_kind_comes_back_in_its_type() -> None:
    given = frame()
    filled = imputer().fit_transform(given)
    assert filled.dtypes.to_dict() == given.dtypes.to_dict()
    assert not filled.isna().any().any()
    for name in given:
        there = given[name].notna()
        assert filled.loc[there, name].tolist() == given.loc[there, name].tolist(), name
    assert set(filled["town"]) == {"Ulm", "Bonn", "Köln"}
    assert (filled["always"] == 5.0).all()


def test_polars_gives_polars_and_arrays_arrays() -> None:
    given = pl.DataFrame({"a": [1.5, None, 2.5, 3.5] * 10, "k": ["x", "y", None, "x"] * 10, "i": [1, 2, 3, None] * 10})
    filled = imputer().fit_transform(given)
    assert filled.schema == given.schema
    assert sum(filled.null_count().row(0)) == 0
    single = imputer().fit_transform(holed().astype(np.float32))
    assert isinstance(single, np.ndarray)
    assert single.dtype == np.float32
    objects = np.array([["a", 1.5], [None, 2.5], ["b", None], ["a", 3.0]] * 10, dtype=object)
    named = imputer().fit_transform(objects)
    assert named.dtype == object
    assert set(named[:, 0]) == {"a", "b"}
    assert all(isinstance(value, float) for value in named[:, 1])


def test_columns_called_by_numbers_keep_their_names() -> None:
    filled = imputer().fit_transform(pd.DataFrame(holed(), columns=[7, 8, 9]))
    assert list(filled.columns) == [7, 8, 9]
    assert not filled.isna().any().any()


def test_what_was_observed_is_identical() -> None:
    rows = holed()
    filled = imputer().fit_transform(rows)
    there = ~np.isnan(rows)
    np.testing.assert_array_equal(filled[there], rows[there])
    np.testing.assert_array_equal(imputer().fit_transform(table()), table())


def test_seeds() -> None:
    rows = holed()
    first, again, other = (imputer(random_state=seed).fit_transform(rows) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    by_generator = imputer(random_state=np.random.RandomState(0)).fit_transform(rows)
    np.testing.assert_array_equal(by_generator, imputer(random_state=np.random.RandomState(0)).fit_transform(rows))


def test_draws_and_spread() -> None:
    rows = holed()
    made = imputer(draws=3).fit(rows)
    drawn, spread = made.draw(rows), made.spread(rows)
    assert len(drawn) == 3
    assert len(made.draw(rows, 2)) == 2
    gaps = np.isnan(rows)
    np.testing.assert_array_equal(np.isnan(spread), ~gaps)
    assert (np.std(drawn, axis=0)[gaps] > 0).all()
    assert all((draw == rows)[~gaps].all() for draw in drawn)
    with pytest.raises(ConfigError, match="draws must be at least 1, not 0"):
        made.draw(rows, 0)


def test_indicators_say_where_gaps_were() -> None:
    rows = np.column_stack([holed(), np.arange(80) % 7])
    made = imputer(add_indicator=True).fit(rows)
    filled = made.transform(rows)
    assert made.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3", *(f"missingindicator_x{j}" for j in range(3))]
    np.testing.assert_array_equal(filled[:, 4:], np.isnan(rows[:, :3]))
    given = frame()
    found = imputer(add_indicator=True).fit_transform(given)
    assert found["missingindicator_town"].tolist() == given["town"].isna().tolist()
    assert list(found) == imputer(add_indicator=True).fit(given).get_feature_names_out().tolist()


def test_empty_columns_are_left_out_or_kept() -> None:
    rows = holed()
    rows[:, 1] = np.nan
    made = imputer().fit(rows)
    assert made.transform(rows).shape == (80, 2)
    assert made.get_feature_names_out().tolist() == ["x0", "x2"]
    assert made.transform(table()).shape == (80, 2)
    kept = imputer(keep_empty_features=True).fit(rows)
    assert kept.get_feature_names_out().tolist() == ["x0", "x1", "x2"]
    assert (kept.transform(rows)[:, 1] == 0).all()
    np.testing.assert_array_equal(kept.transform(table())[:, 1], table()[:, 1])
    nothing = pl.DataFrame({"a": [1.0, None, 2.0] * 5, "nothing": [None] * 15})
    assert imputer().fit_transform(nothing).columns == ["a"]
    assert imputer(keep_empty_features=True).fit_transform(nothing).columns == ["a", "nothing"]


@pytest.mark.parametrize("marker", [-999, -999.0, "?"])
def test_other_marks_of_a_gap(marker: float | str) -> None:
    rows = holed()
    given = pd.DataFrame(rows, columns=list("abc"))
    marked = given.astype(object).where(given.notna(), marker) if marker == "?" else given.fillna(marker)
    filled = imputer(missing_values=marker).fit_transform(marked)
    np.testing.assert_array_equal(filled.to_numpy(dtype=float), imputer().fit_transform(rows))
    towns = pd.DataFrame({"town": ["Ulm", "?", "Bonn", "Ulm"] * 10, "size": np.arange(40) % 3 + 0.5})
    assert set(imputer(missing_values="?").fit_transform(towns)["town"]) == {"Ulm", "Bonn"}


def test_scikit_learn_output_and_copies() -> None:
    rows = holed()
    made = imputer().set_output(transform="pandas").fit(rows)
    assert list(made.transform(rows).columns) == ["x0", "x1", "x2"]
    plain = imputer().fit(rows)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(plain)).transform(rows), plain.transform(rows))
    assert clone(imputer(missing_values=-1, add_indicator=True)).get_params()["missing_values"] == -1


def test_identifiers_with_gaps_are_told() -> None:
    given = pd.DataFrame(holed(), columns=list("abc")).assign(id=np.arange(80.0))
    given.loc[3, "id"] = np.nan
    made = imputer().fit(given)
    with pytest.warns(UserWarning, match="gaps of 'id' are not filled"):
        filled = made.transform(given)
    assert filled["id"].isna().sum() == 1
    numbers = Schema.infer(from_any(given), kinds={"id": "number"})
    assert not imputer(schema=numbers).fit_transform(given).isna().any().any()


def test_small_and_odd_tables() -> None:
    assert imputer().fit_transform([[1.0, np.nan], [2.0, 3.0]]).tolist() == [[1.0, 3.0], [2.0, 3.0]]
    one = imputer().fit_transform(holed()[:, :1])
    assert not np.isnan(one).any()
    rows = holed()
    rows[5] = np.nan
    assert not np.isnan(imputer().fit_transform(rows)).any()
    assert not np.isnan(imputer().fit(holed()).transform(np.full((2, 3), np.nan))).any()


def test_categories_never_seen_stay() -> None:
    given = frame()
    made = imputer().fit(given)
    strange = given.head(4).copy()
    strange["town"] = ["Wien", "Ulm", None, "Graz"]
    strange["size"] = np.nan
    filled = made.transform(strange)
    assert filled["town"].tolist()[:2] == ["Wien", "Ulm"]
    assert filled["town"][2] in {"Ulm", "Bonn", "Köln"}
    assert filled["size"].between(given["size"].min(), given["size"].max()).all()


WRONG = [
    (np.full((9, 2), np.nan), DataError, "no column is left to model"),
    (np.array([[1.0, np.nan]]), DataError, "Give at least 2 rows"),
    (np.zeros((0, 3)), DataError, "no rows"),
    (np.ones(7), DataError, "Expected 2D array, got 1D array"),
    (np.array([[1.0, np.inf], [np.nan, 2.0], [3.0, 4.0]]), DataError, "X contains infinity: column 1 has 1 infinite, the first in row 0"),
    (np.zeros((5, 8, 8, 1)), ConfigError, "holds pictures: gaps are filled in tables only"),
]


@pytest.mark.parametrize(("rows", "error", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_cannot_be_fitted_is_named(rows: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        imputer().fit(rows)


def test_other_columns_than_at_fitting_are_named() -> None:
    given = frame()
    made = imputer().fit(given)
    with pytest.raises(ValueError, match=r"now missing:\n- town"):
        made.transform(given.drop(columns="town"))
    with pytest.raises(ValueError, match="same order"):
        made.transform(given[given.columns[::-1]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- more"):
        made.transform(given.assign(more=1))
    with pytest.raises(DataError, match=r"'size'.*'big'"):
        made.transform(given.assign(size="big"))
    with pytest.raises(ConfigError, match="steps must be a whole number of at least 1"):
        imputer(steps=0).fit(given)
