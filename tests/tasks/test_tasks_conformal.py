"""P-values and alarms: what is proven of them holds in simulation, on exact cases, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigError, DataError
from isthmus.tasks.conformal import AdaptiveLevel, Conformal, SlidingWindow, benjamini_hochberg, check_share


def counted(calibration, fold, scores):
    """The formula, row by row."""
    m = len(calibration)
    return [(1 + sum(calibration[i] >= scores[fold[i]][j] for i in range(m))) / (m + 1) for j in range(len(scores[0]))]


@given(st.data())
def test_p_values_are_the_formula(data):
    folds = data.draw(st.integers(1, 4))
    value = st.integers(0, 5).map(float)  # few values: many ties
    calibration = data.draw(st.lists(value, min_size=1, max_size=20))
    fold = data.draw(st.lists(st.integers(0, folds - 1), min_size=len(calibration), max_size=len(calibration)))
    fold[0] = folds - 1
    scores = data.draw(st.lists(st.lists(value, min_size=3, max_size=3), min_size=folds, max_size=folds))
    found = Conformal.of(calibration, fold).p_values(scores)
    np.testing.assert_allclose(found, counted(calibration, fold, scores), rtol=1e-15)


@pytest.mark.parametrize("m", [19, 99, 500])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_the_rate_holds_for_a_single_fold(m, alpha):
    rng = np.random.default_rng(m)
    rates = [np.mean(Conformal.of(rng.standard_cauchy(m)).p_values(rng.standard_cauchy(50)) <= alpha) for _ in range(2000)]
    exact = np.floor(alpha * (m + 1) + 1e-9) / (m + 1)
    error = np.std(rates) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - exact) < 4 * error


def test_p_values_of_like_rows_are_uniform():
    rng = np.random.default_rng(0)
    found = np.concatenate([Conformal.of(rng.normal(size=199)).p_values(rng.normal(size=20)) for _ in range(1000)])
    for share in (0.1, 0.25, 0.5, 0.9):
        assert abs(np.mean(found <= share) - share) < 0.012


def mean_distance(rows, centre):
    return np.linalg.norm(rows - centre, axis=1)


def test_the_rate_holds_with_folds_for_a_model_that_learns():
    """Each fold's model is the mean of the other folds' rows: calibration rows are not those it has seen."""
    rng = np.random.default_rng(1)
    rates, naive = [], []
    for _ in range(600):
        rows, new = rng.normal(size=(40, 10)), rng.normal(size=(30, 10))
        fold = np.arange(40) % 5
        centres = [rows[fold != k].mean(0) for k in range(5)]
        calibration = np.array([mean_distance(rows[i : i + 1], centres[fold[i]])[0] for i in range(40)])
        found = Conformal.of(calibration, fold).p_values([mean_distance(new, centre) for centre in centres])
        rates.append(np.mean(found <= 0.1))
        seen = mean_distance(rows, rows.mean(0))
        naive.append(np.mean(mean_distance(new, rows.mean(0)) > np.quantile(seen, 0.9)))
    error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) < 0.1 + 3 * error
    assert np.mean(rates) > 0.07
    assert np.mean(naive) > 0.1 + 5 * error, "a threshold from training residuals gives too many alarms"


def test_ties_make_alarms_rarer():
    calibration = Conformal.of(np.ones(99))
    assert calibration.p_values([1.0]).tolist() == [1.0]
    assert calibration.p_values([1.1]).tolist() == [0.01]


def test_infinite_scores_have_ranks():
    assert Conformal.of([1.0, np.inf, 2.0]).p_values([np.inf, 5.0, -np.inf]).tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.07, 0.29, 0.5, 0.99])
@pytest.mark.parametrize("m", [1, 9, 99, 100, 150])
def test_the_threshold_separates_alarms(alpha, m):
    scores = np.random.default_rng(m).normal(size=m)
    known = Conformal.of(scores)
    new = np.concatenate([scores, scores + 1e-9, scores - 1e-9, [-9.0, 9.0]])
    np.testing.assert_array_equal(known.p_values(new) <= alpha, new > known.threshold(alpha))


def test_too_few_rows_for_an_alpha_are_told():
    known = Conformal.of(np.arange(50.0))
    assert known.smallest == 1 / 51
    assert known.threshold(0.01) == np.inf
    assert "99 healthy rows" in known.doubt(0.01)
    assert not known.doubt(0.02)
    assert not Conformal.of(np.arange(99.0)).doubt(0.01)


def test_how_many_rows_of_a_batch_must_be_strange_together():
    known = Conformal.of(np.arange(99.0))
    assert not known.doubt_of_batch(0.05, 5)
    assert "at least 20 of them" in known.doubt_of_batch(0.05, 100)
    p = np.ones(100)
    p[:19] = known.smallest
    assert not benjamini_hochberg(p, 0.05).any()
    p[19] = known.smallest
    assert benjamini_hochberg(p, 0.05).sum() == 20


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, np.nan, "0.1", None, True, [0.1]])
def test_shares_outside_are_refused(value):
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        check_share("alpha", value)


def test_numpy_shares_are_taken():
    assert check_share("alpha", np.float32(0.5)) == 0.5


@pytest.mark.parametrize("scores", [[], [[1.0]], [1.0, np.nan]])
def test_useless_calibration_is_refused(scores):
    with pytest.raises(DataError):
        Conformal.of(scores)


def test_useless_scores_are_refused():
    known = Conformal.of([1.0, 2.0], [0, 1])
    with pytest.raises(DataError, match="1 scores a row for 2 folds"):
        known.p_values([1.0])
    with pytest.raises(DataError, match="not a number"):
        known.p_values([[np.nan], [1.0]])


def test_no_rows_have_no_p_values():
    assert len(Conformal.of([1.0]).p_values([])) == 0
    assert len(benjamini_hochberg([], 0.1)) == 0


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_benjamini_hochberg_is_its_definition(p, fdr):
    n = len(p)
    k = max((i for i in range(1, n + 1) if sorted(p)[i - 1] <= fdr * i / n), default=0)
    limit = sorted(p)[k - 1] if k else -1.0
    assert benjamini_hochberg(p, fdr).tolist() == [value <= limit for value in p]


def test_the_false_discovery_rate_holds():
    rng = np.random.default_rng(2)
    shares, found = [], []
    for _ in range(400):
        known = Conformal.of(rng.normal(size=1000))
        strange = np.arange(200) < 30
        p = known.p_values(rng.normal(size=200) + 4 * strange)
        alarms = benjamini_hochberg(p, 0.1)
        shares.append((alarms & ~strange).sum() / max(1, alarms.sum()))
        found.append(alarms[strange].mean())
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / np.sqrt(len(shares))
    assert np.mean(found) > 0.8


def test_the_level_keeps_the_share_of_alarms_on_a_drifting_stream():
    rng = np.random.default_rng(3)
    known, steps = Conformal.of(rng.normal(size=500)), 20_000
    p = known.p_values(rng.normal(size=steps) * np.linspace(1, 2, steps))
    follower = AdaptiveLevel(0.05, rate=0.01)
    alarms = np.concatenate([follower.alarms(part) for part in np.split(p, 40)])
    assert np.mean(p <= 0.05) > 0.1, "without it there are too many alarms"
    assert abs(alarms.mean() - 0.05) <= (0.95 + 0.01) / (0.01 * steps)
    np.testing.assert_array_equal(alarms, AdaptiveLevel(0.05, rate=0.01).alarms(p))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_the_bound_of_the_level_holds_on_any_stream(p, alpha, rate):
    found = AdaptiveLevel(alpha, rate).alarms(p)
    assert abs(found.mean() - alpha) <= (max(alpha, 1 - alpha) + rate) / (rate * len(p)) + 1e-9


def test_the_window_follows_a_stream():
    rng = np.random.default_rng(4)
    window = SlidingWindow(rng.normal(size=500))
    drifting = rng.normal(size=20_000) + np.linspace(0, 5, 20_000)
    p = window.p_values(drifting)
    assert abs(np.mean(p <= 0.05) - 0.05) < 0.015
    np.testing.assert_array_equal(window.scores, drifting[-500:])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.lists(st.integers(0, 4), max_size=12))
def test_the_window_is_its_definition(first, stream):
    seen = [float(value) for value in first]
    wanted = []
    for value in stream:
        window = seen[-len(first) :]
        wanted.append((1 + sum(known >= value for known in window)) / (len(window) + 1))
        seen.append(float(value))
    np.testing.assert_allclose(SlidingWindow([float(v) for v in first]).p_values(np.array(stream, float)), wanted)
