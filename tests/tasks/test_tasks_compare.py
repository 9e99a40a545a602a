"""Models side by side on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.compare import compare, paired
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit


@pytest.fixture(scope="module")
def source(cancer: np.ndarray) -> Source:
    return Source("table", cancer[:150, :8], tuple("abcdefgh"), name="cancer")


def model(source: Source, **settings: Any) -> Artifact:
    return fit(source, Config(**{"family": "variational", "steps": 60, "latent": 2, "device": "cpu", "seed": 0, **settings}))


@pytest.fixture(scope="module")
def small(source: Source) -> Artifact:
    return model(source)


def test_a_paired_difference_is_students() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=40)
    ours = theirs + rng.normal(0.2, 0.5, size=40)
    found = paired("b", "a", "error", ours, theirs, lower_is_better=True)
    test = stats.ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.better == ((ours - theirs) < 0).mean()
    other = paired("a", "b", "error", theirs, ours, lower_is_better=True)
    assert (other.mean, other.low) == pytest.approx((-found.mean, -found.high))


def test_the_interval_holds_what_it_says() -> None:
    rng = np.random.default_rng(1)
    draws = [paired("b", "a", "x", rng.normal(0.3, 1, 30), np.zeros(30), True) for _ in range(2000)]
    assert np.mean([each.low <= 0.3 <= each.high for each in draws]) == pytest.approx(0.95, abs=0.02)


def test_ties_count_half() -> None:
    assert paired("b", "a", "x", np.array([1.0, 2.0]), np.array([1.0, 2.0]), True).better == 0.5


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2"):
        paired("b", "a", "x", np.ones(1), np.ones(1), True)


def test_a_model_is_no_better_than_itself(small: Artifact, source: Source) -> None:
    found = compare({"one": small, "two": small}, {"one": source, "two": source})
    assert [each.measure for each in found.differences] == ["error of a row", "log likelihood of a row (nats)"]
    assert all(each.mean == each.spread == 0 and each.better == 0.5 for each in found.differences)
    assert found.data["measured on"] == "the 15 rows that every fit held out"


def test_a_wider_code_is_found_better(small: Artifact, source: Source) -> None:
    wide = fit(source, Config(family="linear", latent=6, seed=0))
    found = compare({"narrow": small, "wide": wide}, {"narrow": source, "wide": source})
    error = found.differences[0]
    assert error.verdict == "wide is better"
    metrics = {each.family: each.metrics["reconstruction error"] for each in found.models}
    assert metrics["wide"] - metrics["narrow"] == pytest.approx(error.mean)
    assert [each.measure for each in found.differences] == ["error of a row"]
    assert "Log likelihoods of wide and narrow" in found.notes[0]
    assert set(found.baselines) == {"PCA, 2 wide", "PCA, 6 wide"}
    assert found.baselines["PCA, 6 wide"]["reconstruction error"] == pytest.approx(metrics["wide"], rel=0.15), "in one measure"


def test_scalings_may_differ_but_not_for_nats(small: Artifact, source: Source) -> None:
    other = model(source, scaling="robust")
    found = compare({"a": small, "b": other}, {"a": source, "b": source})
    assert len(found.differences) == 1
    assert len(found.notes) == 1


def test_new_data_are_all_measured(small: Artifact, cancer: np.ndarray) -> None:
    fresh = Source("table", cancer[200:260, :8], tuple("abcdefgh"), name="fresh")
    found = compare({"a": small, "b": small}, {"a": fresh, "b": fresh})
    assert found.data["measured on"] == "60 rows"
    assert found.baselines == {}


def test_rows_that_one_was_fitted_on_are_told(small: Artifact, source: Source) -> None:
    whole = model(source, held_out=0.0)
    found = compare({"a": small, "b": whole}, {"a": source, "b": source})
    assert found.data["measured on"] == "15 rows, which b was fitted on"


def test_fits_that_held_out_other_rows(small: Artifact, source: Source) -> None:
    other = model(source, seed=3, held_out=0.02)
    with pytest.raises(DataError, match="same seed"):
        compare({"a": small, "b": other}, {"a": source, "b": source})


def test_models_of_other_columns_are_refused(small: Artifact, cancer: np.ndarray, source: Source) -> None:
    narrow = Source("table", cancer[:150, :4], tuple("abcd"), name="cancer")
    with pytest.raises(DataError, match="do not see the same columns"):
        compare({"a": small, "b": model(narrow)}, {"a": source, "b": narrow})
    with pytest.raises(ConfigError, match="at least two"):
        compare({"a": small}, {"a": source})
