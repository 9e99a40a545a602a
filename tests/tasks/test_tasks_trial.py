"""The trivial ways, the figures by which they are compared, and the advice that follows."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from isthmus.data import from_any
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.baselines import auroc, average_precision, difference, fit_baselines, fit_neighbours, fit_pca
from isthmus.tasks.detector import Detector
from isthmus.tasks.layout import Seen
from isthmus.tasks.trial import MADE, OURS, Result, Trial, make_strange, strange_by, try_by_hand, try_with_labels

scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=30)


@given(scores, scores)
def test_figures_are_those_of_scikit_learn(healthy, strange):
    labels = [0] * len(healthy) + [1] * len(strange)
    assert auroc(healthy, strange) == pytest.approx(roc_auc_score(labels, healthy + strange))
    assert average_precision(healthy, strange) == pytest.approx(average_precision_score(labels, healthy + strange))


def test_average_precision_needs_something_to_find():
    with pytest.raises(DataError, match="no strange row"):
        average_precision([1.0], [])


def test_the_error_of_a_difference_is_its_spread_over_draws():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(600):
        healthy, strange = rng.normal(size=(60, 2)), rng.normal([1.0, 0.7], size=(40, 2))
        healthy[:, 1], strange[:, 1] = (0.6 * part[:, 0] + 0.8 * part[:, 1] for part in (healthy, strange))
        found.append(difference((healthy[:, 0], strange[:, 0]), (healthy[:, 1], strange[:, 1])))
    gaps, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(np.std(gaps), rel=0.1)


def test_neighbours_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows, new = rng.normal(size=(100, 5)), rng.normal(size=(20, 5))
    wanted = NearestNeighbors(n_neighbors=5).fit(rows).kneighbors(new)[0].mean(1)
    np.testing.assert_allclose(fit_neighbours(rows)(new), wanted, rtol=1e-4)
    assert fit_neighbours(rows[:2])(new).shape == (20,)


def test_the_residual_is_what_the_components_leave():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 1)) @ np.ones((1, 3)) + 0.01 * rng.normal(size=(200, 3))
    score = fit_pca(rows)
    assert score(np.array([[5.0, 5.0, 5.0]]))[0] < 0.01
    assert score(np.array([[1.0, -1.0, 0.0]]))[0] == pytest.approx(2.0, rel=0.05)
    assert fit_pca(rows[:, :1])(np.array([[3.0]]))[0] > 0, "of one column the mean is all there is"
    assert np.isfinite(fit_pca(np.ones((5, 2)))(np.ones((1, 2)))).all()


def correlated(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 6.28, rows)
    return np.column_stack([np.cos(angle), np.sin(angle), angle]) + 0.02 * rng.normal(size=(rows, 3))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.fit(from_any(correlated(600, 0)), alpha=0.05)


@pytest.fixture(scope="module")
def by_hand(detector) -> Trial:
    found = try_by_hand(detector)
    assert found is not None
    return found


def test_the_test_by_hand_compares_all_on_three_kinds(by_hand):
    assert list(by_hand.results) == [OURS, "PCA residual", "k-NN distance", "isolation forest"]
    assert by_hand.made
    assert by_hand.measured_on == MADE
    for found in by_hand.results.values():
        assert set(found.kinds) == {"columns shuffled", "cells changed", "pushed outwards"}
        assert found.auroc == pytest.approx(np.mean(list(found.kinds.values())))
        assert math.isnan(found.average_precision)
        assert 0 <= found.detected <= 1
    assert by_hand.results[OURS].behind == 0
    assert by_hand.results["k-NN distance"].auroc > 0.85, "rows off the ring are far from all"


def test_the_same_fit_gives_the_same_trial(detector, by_hand):
    assert try_by_hand(detector) == by_hand or json.dumps(try_by_hand(detector).to_json()) == json.dumps(by_hand.to_json())


def test_a_trial_survives_json(by_hand):
    again = Trial.from_json(json.loads(json.dumps(by_hand.to_json())))
    assert again.advice == by_hand.advice
    assert again.to_json() == by_hand.to_json()


@pytest.mark.parametrize(
    "entry", [{}, {"results": {}}, {"results": {"isthmus": {}}, "measured_on": "", "made": True, "alpha": 0.1}, {"results": 3}]
)
def test_a_broken_trial_is_refused(entry):
    with pytest.raises(ConfigError):
        Trial.from_json(entry)


def result(auroc: float, behind: float, error: float) -> Result:
    return Result(auroc, math.nan, math.nan, behind, error, {})


@pytest.mark.parametrize(
    ("others", "recommended", "words"),
    [
        ({"a": (0.85, 0.05, 0.01), "b": (0.8, 0.1, 0.01)}, OURS, "isthmus is better here than the best of the simple ways, a"),
        ({"a": (0.89, 0.01, 0.02), "b": (0.8, 0.1, 0.01)}, "a", "a is as good here"),
        ({"a": (0.9, 0.0, 0.02), "b": (0.95, -0.05, 0.01)}, "b", "b is better here"),
    ],
)
def test_the_simpler_way_is_recommended_where_it_is_as_good(others, recommended, words):
    trial = Trial({OURS: result(0.9, 0.0, 0.0), **{name: result(*found) for name, found in others.items()}}, "", True, 0.01)
    assert trial.recommended == recommended
    assert trial.advice.startswith(words)


def test_known_labels_measure(detector):
    new = np.concatenate([correlated(200, 1), correlated(40, 2)[:, [1, 0, 2]]])
    strange = np.arange(240) >= 200
    trial = try_with_labels(detector, from_any(new), strange)
    assert not trial.made
    seen = detector.see(from_any(new))
    ours = detector.scorer.score(seen.rows, seen.present)
    assert trial.results[OURS].auroc == pytest.approx(roc_auc_score(strange, ours))
    assert trial.results[OURS].average_precision == pytest.approx(average_precision_score(strange, ours))
    score = fit_baselines(detector.training.rows, detector.facts["seed"])["k-NN distance"]
    assert trial.results["k-NN distance"].auroc == pytest.approx(roc_auc_score(strange, score(seen.rows)))
    assert "40 anomalies" in trial.measured_on


def test_labels_must_tell_something(detector):
    source = from_any(correlated(10, 1))
    for strange in (np.zeros(10, bool), np.ones(10, bool), np.ones(9, bool)):
        with pytest.raises(ConfigError, match="labels"):
            try_with_labels(detector, source, strange)


@pytest.mark.parametrize(
    ("labels", "strange"),
    [
        ([0, 1, 0, 1, 1], [0, 1, 0, 1, 1]),
        ([0.0, 1.0, 1.0], [0, 1, 1]),
        ([1, -1, 1], [0, 1, 0]),
        (["normal", "dos", "probe", "dos"], [0, 1, 1, 1]),
        (["-", "KERNEL", "-"], [0, 1, 0]),
        (["False", "True", "True"], [0, 1, 1]),
        (["x", "y", "x"], [0, 1, 0]),
    ],
)
def test_labels_are_read_as_people_write_them(labels, strange):
    found, told = strange_by(np.array(labels))
    assert found.tolist() == [bool(value) for value in strange]
    assert "count as healthy" in told


def test_strange_rows_are_made_of_healthy_ones(detector):
    healthy = detector.see(from_any(correlated(300, 3)))
    made = make_strange(detector.layout, healthy, np.random.default_rng(0))
    shuffled, changed, pushed = (made[name].rows for name in ("columns shuffled", "cells changed", "pushed outwards"))
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(healthy.rows, axis=0))
    assert (shuffled != healthy.rows).mean() > 0.9
    cells = (changed != healthy.rows).sum(1)
    assert cells.max() <= 3
    assert cells.mean() > 1
    middle = np.median(healthy.rows, axis=0)
    ratio = np.linalg.norm(pushed - middle, axis=1) / np.linalg.norm(healthy.rows - middle, axis=1)
    assert ratio.min() >= 1.49
    assert ratio.max() <= 3.01


def test_categories_stay_whole_and_gaps_stay_gaps():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"town": rng.choice(["Ulm", "Bonn", "Kiel"], 200), "age": rng.normal(size=200)})
    frame.loc[::5, "age"] = np.nan
    detector = Detector.fit(from_any(frame))
    healthy = detector.training
    for kind, seen in make_strange(detector.layout, healthy, rng).items():
        town = seen.rows[:, detector.layout.owner == detector.columns.index("town")]
        assert (town.sum(1) == 1).all(), kind
        assert seen.present is not None
        assert (seen.rows[~seen.present] == 0).all(), kind
        assert abs((~seen.present).sum() - 40) < 25


@pytest.mark.parametrize("missingness", [False, True])
def test_only_measures_are_pushed_outwards(missingness):
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9000, 300), unit="h")
    frame = pd.DataFrame({"when": when, "age": rng.normal(size=300), "town": rng.choice(["Ulm", "Bonn"], 300)})
    frame.loc[::5, "town"] = None
    layout = (detector := Detector.fit(from_any(frame), missingness=missingness)).layout
    pushed = make_strange(layout, detector.training, rng)["pushed outwards"]
    age = layout.owner == detector.columns.index("age")
    farthest = np.abs(pushed.rows).max(0)
    assert farthest[age].max() > 2 * np.abs(detector.training.rows[:, age]).max()
    assert (np.abs(pushed.rows[:, ~age]) <= np.abs(detector.training.rows[:, ~age]).max(0)).all()


def test_one_column_and_few_rows():
    detector = Detector.fit(from_any(np.arange(30.0)[:, None]))
    assert set(make_strange(detector.layout, detector.training, np.random.default_rng(0))) == {"cells changed", "pushed outwards"}
    trial = try_by_hand(detector)
    assert trial is not None
    assert math.isnan(trial.results[OURS].detected), "nine healthy rows are too few for a level of 0.01"
    assert try_by_hand(Detector.fit(from_any(np.arange(10.0)[:, None]))) is None


def test_a_loaded_detector_has_no_rows_to_try(detector, tmp_path):
    assert try_by_hand(Detector.load(detector.save(tmp_path / "model"))) is None


def test_a_loaded_detector_is_measured_by_labels(detector, tmp_path):
    loaded = Detector.load(detector.save(tmp_path / "model"))
    new = from_any(np.concatenate([correlated(100, 1), correlated(20, 2)[:, [1, 0, 2]]]))
    strange = np.arange(120) >= 100
    found, wanted = (try_with_labels(known, new, strange) for known in (loaded, detector))
    assert found.results[OURS].auroc == wanted.results[OURS].auroc
    assert found.results["k-NN distance"].auroc == pytest.approx(wanted.results["k-NN distance"].auroc, abs=0.02)


def test_seen_rows_without_gaps_have_no_mask():
    assert Seen(np.zeros((3, 2), np.float32)).take(np.array([0])).present is None
