"""The estimators on frames with categories, dates and gaps."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus.errors import DataError

N = 160


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    town = pd.Series(rng.choice(["Ulm", "Bonn"], N))
    found = pd.DataFrame(
        {
            "age": pd.Series(np.where(town == "Ulm", 30.0, 60.0) + rng.normal(size=N)).where(rng.random(N) < 0.9),
            "town": town.where(rng.random(N) < 0.9, None),
            "member": town == "Ulm",
            "calls": rng.poisson(3, N),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
        }
    )
    return found.set_index(pd.Index([f"r{i}" for i in range(N)]))


def quick(cls=isthmus.Autoencoder, **parameters):
    return cls(**{"steps": 60, "random_state": 0, **parameters})


CLASSES = [
    isthmus.LinearAutoencoder,
    isthmus.Autoencoder,
    isthmus.SparseAutoencoder,
    isthmus.DenoisingAutoencoder,
    isthmus.VariationalAutoencoder,
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_estimator_takes_mixed_frames(cls, frame):
    model = quick(cls).fit(frame)
    codes = model.transform(frame)
    assert codes.shape == (N, model.latent_)
    assert np.isfinite(codes).all()
    scores = model.score_samples(frame)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(model.score_samples(frame), scores)
    rebuilt = model.reconstruct(frame)
    assert rebuilt.index.tolist() == frame.index.tolist()
    assert rebuilt.columns.tolist() == frame.columns.tolist()
    assert set(rebuilt["town"]) <= {"Ulm", "Bonn"}
    assert (rebuilt["member"].dtype, rebuilt["calls"].dtype, rebuilt["joined"].dtype.kind) == (bool, np.int64, "M")


def test_what_is_missing_is_guessed_from_the_rest(frame):
    model = quick(isthmus.DenoisingAutoencoder, steps=600).fit(frame)
    rebuilt = model.reconstruct(frame.assign(town=None))
    assert ((rebuilt["town"] == "Ulm") == frame["member"]).mean() > 0.9


def test_the_kind_of_frame_comes_back(frame):
    model = quick(isthmus.VariationalAutoencoder)
    for given, kind in ((pl.from_pandas(frame), pl.DataFrame), (pa.Table.from_pandas(frame, preserve_index=False), pa.Table)):
        fitted = clone(model).fit(given)
        assert isinstance(fitted.reconstruct(given), kind)
        assert isinstance(fitted.sample(3, random_state=0), kind)
        assert isinstance(fitted.inverse_transform(fitted.transform(given)), kind)
    rows = frame.to_dict("records")
    fitted = clone(model).fit(rows)
    assert set(fitted.reconstruct(rows)[0]) == set(frame.columns)
    np.testing.assert_allclose(fitted.score_samples(rows), clone(model).fit(frame).score_samples(frame), rtol=1e-5)


def test_gaps_in_arrays():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(100, 1)) + 0.1 * rng.normal(size=(100, 4))
    array[rng.random(array.shape) < 0.1] = np.nan
    model = quick(latent=2, steps=500).fit(array)
    rebuilt = model.reconstruct(array)
    assert (rebuilt.shape, rebuilt.dtype) == (array.shape, np.float64)
    assert np.isfinite(rebuilt).all()
    there = ~np.isnan(array)
    assert np.square(rebuilt - array)[there].mean() < 0.3 * array[there].var()
    assert make_pipeline(StandardScaler(), quick(latent=2)).fit_transform(array).shape == (100, 2)


def test_gaps_come_only_to_models_that_know_some():
    whole = np.random.default_rng(0).normal(size=(50, 3))
    model = quick().fit(whole)
    gaps = whole.copy()
    gaps[3, 1] = np.nan
    with pytest.raises(DataError, match=r"NaN.*column 1 has 1 missing.*row 3"):
        model.transform(gaps)
    with pytest.raises(ValueError, match="infinity"):
        quick().fit(np.where(np.isnan(gaps), np.inf, gaps))


def test_kinds(frame):
    model = quick(kinds={"calls": "category", "joined": "identifier"}).fit(frame)
    assert model.artifact_.schema.columns == ("age", "town", "member", "calls")
    assert model.n_features_in_ == 5
    assert set(model.reconstruct(frame)["calls"]) <= set(frame["calls"])
    with pytest.raises(ValueError, match="there is no column 'call'"):
        quick(kinds={"call": "number"}).fit(frame)


def test_columns_in_another_order_or_missing(frame):
    model = quick().fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(frame[[*reversed(frame.columns)]])
    with pytest.raises(ValueError, match="town"):
        model.transform(frame.drop(columns="town"))


def test_saved_pickled_and_cloned(frame, tmp_path):
    model = quick(isthmus.VariationalAutoencoder).fit(frame)
    scores = model.score_samples(frame)
    model.save(tmp_path / "m")
    again = isthmus.VariationalAutoencoder.load(tmp_path / "m")
    np.testing.assert_array_equal(again.score_samples(frame), scores)
    assert again.feature_names_in_.tolist() == frame.columns.tolist()
    assert again.sample(2, random_state=0).shape == (2, 5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).score_samples(frame), scores)
    refitted = clone(again).fit(frame)
    assert refitted.artifact_.schema == model.artifact_.schema


def test_partial_fit(frame):
    model = quick()
    for _ in range(3):
        model.partial_fit(frame)
    assert np.isfinite(model.score_samples(frame)).all()


def test_interpolate(frame):
    model = quick(isthmus.VariationalAutoencoder).fit(frame)
    assert model.interpolate(frame[:2], frame[2:4], steps=3).shape == (6, 5)


def test_a_category_never_seen_is_strange(frame):
    model = quick(steps=300).fit(frame)
    known = frame[frame["town"].notna()]
    assert (model.score_samples(known.assign(town="Atlantis")) < model.score_samples(known)).mean() > 0.95
