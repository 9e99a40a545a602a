"""AnomalyDetector as scikit-learn's users use it, on real data."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import isthmus
from isthmus import AnomalyDetector
from isthmus.data import Schema, from_any
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.baselines import auroc


@pytest.fixture(scope="module")
def cancer() -> tuple[pd.DataFrame, np.ndarray]:
    """Benign rows are healthy."""
    data = load_breast_cancer(as_frame=True)
    return data.data, (data.target == 0).to_numpy()


@pytest.fixture(scope="module")
def healthy(cancer) -> pd.DataFrame:
    rows, strange = cancer
    return rows[~strange].iloc[::2]


@pytest.fixture(scope="module")
def model(healthy) -> AnomalyDetector:
    return AnomalyDetector().fit(healthy)


@pytest.fixture(scope="module")
def new(cancer) -> tuple[pd.DataFrame, np.ndarray]:
    rows, strange = cancer
    both = pd.concat([rows[~strange].iloc[1::2], rows[strange]])
    return both, np.repeat([False, True], [(~strange).sum() // 2, strange.sum()])


@estimator_checks.parametrize_with_checks([AnomalyDetector(), AnomalyDetector(polluted=True)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


# --- the interface ------------------------------------------------------------------------------------------------------


def test_scores_decisions_and_predictions_belong_together(model, new):
    rows, _ = new
    scores = model.score_samples(rows)
    np.testing.assert_allclose(model.decision_function(rows), scores - model.offset_)
    predicted = model.predict(rows)
    assert set(predicted.tolist()) <= {-1, 1}
    np.testing.assert_array_equal(predicted == -1, scores < model.offset_)


def test_tumours_are_stranger_than_benign_rows(model, new):
    rows, strange = new
    scores = model.score_samples(rows)
    assert scores[~strange].mean() > scores[strange].mean()
    assert (model.predict(rows)[strange] == -1).mean() > 0.6
    assert (model.predict(rows)[~strange] == -1).mean() < 0.12


def test_alpha_and_fdr_decide_by_p_values(model, new):
    rows, _ = new
    p = model.p_values(rows)
    np.testing.assert_array_equal(model.predict(rows, alpha=0.1) == -1, p <= 0.1)
    batch = model.predict(rows, fdr=0.1) == -1
    assert batch.any()
    assert p[batch].max() < p[~batch].min()
    with pytest.raises(ConfigError, match="not both"):
        model.predict(rows, alpha=0.1, fdr=0.1)
    for wrong in (0.0, 1.0, -1, "x"):
        with pytest.raises(ConfigError, match="alpha"):
            model.predict(rows, alpha=wrong)


def test_p_values_fall_as_scores_fall(model, new):
    rows, _ = new
    scores, p = model.score_samples(rows), model.p_values(rows)
    assert np.corrcoef(np.argsort(np.argsort(scores)), np.argsort(np.argsort(p)))[0, 1] > 0.95
    assert p.min() >= model.detector_.calibration.smallest


def test_scores_are_deterministic(healthy, model, new):
    rows, _ = new
    np.testing.assert_array_equal(model.score_samples(rows), model.score_samples(rows))
    np.testing.assert_array_equal(AnomalyDetector().fit(healthy).score_samples(rows), model.score_samples(rows))
    assert not np.array_equal(AnomalyDetector(random_state=1).fit(healthy).score_samples(rows), model.score_samples(rows))


def test_a_share_of_anomalies_is_predicted_among_the_rows_fitted_on(cancer):
    rows, strange = cancer
    mixture = pd.concat([rows[~strange].iloc[:180], rows[strange].iloc[:20]])
    model = AnomalyDetector(contamination=0.1).fit(mixture)
    predicted = model.predict(mixture)
    assert (predicted == -1).sum() == 20
    scores = -model.score_samples(mixture)
    assert auroc(scores[:180], scores[180:]) > 0.85
    np.testing.assert_array_equal(predicted, AnomalyDetector(contamination=0.1).fit_predict(mixture))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"contamination": 0.0}, "contamination must lie"),
        ({"contamination": 0.6}, "below 0.5"),
        ({"contamination": "some"}, "'auto' or a share"),
        ({"alpha": 2}, "alpha must lie"),
        ({"most": 1}, "most must be"),
    ],
)
def test_wrong_parameters_are_refused_by_name(healthy, parameters, message):
    with pytest.raises(ConfigError, match=message):
        AnomalyDetector(**parameters).fit(healthy)


def test_every_parameter_is_documented():
    for name in inspect.signature(AnomalyDetector).parameters:
        assert f"\n    {name} : " in AnomalyDetector.__doc__


def test_it_is_there_without_being_imported_first():
    assert "AnomalyDetector" in dir(isthmus)


# --- scikit-learn's tools -----------------------------------------------------------------------------------------------


def test_clone_and_pickle(model, new):
    rows, _ = new
    with pytest.raises(NotFittedError):
        clone(model).predict(rows)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.p_values(rows), model.p_values(rows))


def test_in_a_pipeline_and_a_search(healthy, new):
    rows, strange = new
    pipeline = make_pipeline(StandardScaler(), AnomalyDetector()).fit(healthy)
    assert (pipeline.predict(rows)[strange] == -1).mean() > 0.6

    def found(estimator, X, y=None) -> float:
        return float(estimator.score_samples(X).mean())

    search = GridSearchCV(AnomalyDetector(), {"polluted": [False, True]}, scoring=found, cv=2).fit(healthy.iloc[:80])
    assert search.best_params_["polluted"] in (False, True)


# --- frames -------------------------------------------------------------------------------------------------------------


def mixed(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    wine = load_wine(as_frame=True).data.iloc[:59].sample(rows, replace=True, random_state=seed).reset_index(drop=True)
    wine = wine[["alcohol", "hue", "proline"]] * rng.normal(1, 0.01, (rows, 3))
    wine["colour"] = pd.Categorical(rng.choice(["red", "white"], rows, p=[0.8, 0.2]))
    wine["organic"] = rng.random(rows) < 0.5
    wine.loc[::7, "hue"] = np.nan
    return wine


@pytest.mark.parametrize("polars", [False, True])
def test_frames_with_categories_and_gaps(polars):
    healthy, rows = mixed(150, 0), mixed(30, 1)
    rows["colour"] = rows["colour"].astype(str)
    rows.loc[3, "colour"] = "blue"
    if polars:
        healthy, rows = (pl.from_pandas(frame) for frame in (healthy, rows))
    model = AnomalyDetector().fit(healthy)
    assert model.n_features_in_ == 5
    assert list(model.feature_names_in_) == list(rows.columns)
    p = model.p_values(rows)
    assert p[3] < 0.1
    cause = model.explain(rows)[3].causes[0]
    assert (cause.column, cause.observed) == ("colour", "blue")


def test_a_schema_is_heeded():
    healthy = mixed(100, 0)
    schema = Schema.infer(from_any(healthy), {"proline": "identifier"})
    assert "proline" not in AnomalyDetector(schema=schema).fit(healthy).detector_.columns


def test_columns_that_are_missing_or_turned_are_refused(model, healthy):
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(healthy[healthy.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(healthy.iloc[:, 1:])


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_too_few_rows(rows, healthy):
    with pytest.raises(DataError, match="at least 5 healthy rows"):
        AnomalyDetector().fit(healthy.iloc[:rows])


def test_few_rows_warn_of_nothing_but_keep_to_what_is_stranger_than_all(healthy):
    model = AnomalyDetector(alpha=0.01).fit(healthy.iloc[:30])
    assert np.isfinite(model.offset_)
    assert model.predict(healthy.iloc[:1] * 5)[0] == -1
    assert model.predict(healthy.iloc[:1] * 5, alpha=0.01)[0] == 1, "30 rows are too few for p-values of 0.01"


# --- saving -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"contamination": 0.1}, {"polluted": True, "alpha": 0.2}])
def test_saved_and_loaded(parameters, healthy, new, tmp_path):
    rows, _ = new
    model = AnomalyDetector(**parameters).fit(healthy)
    again = AnomalyDetector.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.decision_function(rows), model.decision_function(rows))
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert again.get_params()["contamination"] == model.contamination
    assert again.alpha == model.alpha
    assert list(again.feature_names_in_) == list(model.feature_names_in_)
    assert clone(again).fit(healthy).offset_ == model.offset_


def test_loaded_from_what_has_no_names(healthy, tmp_path):
    model = AnomalyDetector().fit(healthy.to_numpy())
    again = AnomalyDetector.load(model.save(tmp_path / "model"))
    assert not hasattr(again, "feature_names_in_")
    np.testing.assert_array_equal(again.predict(healthy.to_numpy()), model.predict(healthy.to_numpy()))


def test_an_unfitted_one_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        AnomalyDetector().save(tmp_path / "model")
    with pytest.raises(ArtifactError):
        AnomalyDetector.load(tmp_path / "model")
