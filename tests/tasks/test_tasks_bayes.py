"""Class probabilities from a model of every class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import bayes
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit


@pytest.fixture(scope="module")
def parts(digits):
    from sklearn.datasets import load_digits

    labels = load_digits().target
    some = np.flatnonzero(np.isin(labels, [0, 1, 4]))
    return Source("pictures", digits[some]), labels[some]


@pytest.fixture(scope="module")
def fitted(parts):
    source, labels = parts
    config = Config(family="variational", latent=4, steps=250, scaling="none", likelihood_scale=0.2, seed=0)
    return bayes.Bayes.fit(source.take(range(400)), labels[:400], config)


def test_digits_are_told_apart(fitted, parts) -> None:
    source, labels = parts[0].take(range(400, len(parts[1]))), parts[1][400:]
    likelihoods = fitted.log_likelihoods(source)
    found = bayes.figures(fitted, likelihoods, labels)
    assert found["accuracy"] > 0.95
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(likelihoods)).sum(1), 1)
    better = fitted.calibrate(likelihoods, labels)
    assert bayes.figures(better, likelihoods, labels)["log loss"] <= found["log loss"] + 1e-9


def test_evidence_is_the_sum_over_classes(fitted) -> None:
    likelihoods = np.log(np.array([[0.1, 0.2, 0.4]]))
    assert fitted.log_evidence(likelihoods)[0] == pytest.approx(np.log((np.exp(likelihoods) * np.exp(fitted.log_shares)).sum()))


def test_noise_gets_a_low_probability(fitted, parts) -> None:
    noise = Source("pictures", np.random.default_rng(0).random((60, 8, 8, 1)).astype(np.float32))
    known = fitted.log_evidence(fitted.log_likelihoods(parts[0].take(range(400, 500))))
    strange = fitted.log_evidence(fitted.log_likelihoods(noise))
    assert bayes.detection(-strange, -known) > 0.99


def test_importance_samples_are_above_the_bound(fitted, parts) -> None:
    some = parts[0].take(range(400, 440))
    assert fitted.log_likelihoods(some, draws=50).mean() > fitted.log_likelihoods(some).mean()


def test_calibration_error_of_a_known_case() -> None:
    sure = np.array([[1.0, 0.0]] * 10)
    assert bayes.calibration_error(sure, np.array([0] * 6 + [1] * 4)) == pytest.approx(0.4)
    half = np.array([[0.5, 0.5]] * 10)
    assert bayes.calibration_error(half, np.array([0] * 5 + [1] * 5)) == pytest.approx(0)
    with pytest.raises(ConfigError):
        bayes.calibration_error(half, np.zeros(10), bins=0)


def test_rows_that_are_too_likely_are_found_by_typicality_only() -> None:
    usual = np.random.default_rng(0).normal(-100, 3, 500)
    simple = np.full(100, -40.0)
    scores, known = bayes.strangeness(simple, usual), bayes.strangeness(usual, usual)
    assert bayes.detection(scores["likelihood"], known["likelihood"]) < 0.05
    assert bayes.detection(scores["typicality"], known["typicality"]) > 0.95
    ratio = bayes.strangeness(simple, usual, np.full(100, 10.0), np.full(500, 200.0))["likelihood ratio"]
    assert ratio.mean() > 0
    both = bayes.strangeness(np.array([-100.0, -40.0]), usual, np.array([900.0, 10.0]), np.full(500, 200.0))
    assert both["likelihood ratio"][0] < 0 < both["likelihood ratio"][1]
    assert both["typicality of the ratio"].min() > 50


def test_a_simple_picture_takes_fewer_bits() -> None:
    flat, busy = np.zeros((1, 16, 16, 1), np.uint8), np.random.default_rng(0).integers(0, 255, (1, 16, 16, 1))
    assert bayes.compressed_bits(flat)[0] < 0.2 * bayes.compressed_bits(busy)[0]


def test_wrong_labels_are_refused(parts, fitted) -> None:
    source, labels = parts
    with pytest.raises(DataError, match="3 labels for"):
        bayes.Bayes.fit(source, labels[:3])
    with pytest.raises(DataError, match="at least 20 rows each"):
        bayes.Bayes.fit(source.take(range(30)), labels[:30])
    with pytest.raises(DataError, match="the label '7' was not among those fitted on: 0, 1, 4"):
        bayes.positions(fitted.classes, np.array([0, 7]))
    with pytest.raises(ConfigError, match="no prior"):
        bayes.Bayes.fit(source, labels, Config(steps=5, latent=2))


def test_one_conditional_model_does_for_all_classes(parts, fitted) -> None:
    source, labels = parts
    config = Config(family="conditional_vae", latent=4, steps=500, scaling="none", likelihood_scale=0.2, seed=0)
    model = fit(replace(source.take(range(400)), condition=labels[:400]), config)
    one = bayes.Bayes.of_conditional(model, labels[:400])
    assert one.classes.tolist() == [0, 1, 4]
    likelihoods = one.log_likelihoods(source.take(range(400, len(labels))))
    assert bayes.figures(one, likelihoods, labels[400:])["accuracy"] > 0.85
    with pytest.raises(ConfigError, match="knows no condition"):
        bayes.Bayes.of_conditional(fitted.models[0], labels)
