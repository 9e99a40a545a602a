"""Distances of samples to real rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from isthmus.errors import ConfigError, DataError
from isthmus.tasks import quality
from isthmus.tasks.judge import Judge


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(600, 5)) @ random.normal(size=(5, 5)) + random.normal(size=5)


def test_the_frechet_distance_is_the_formula(real) -> None:
    other = real[:400] * 1.3 + 0.5
    a, b = np.cov(real, rowvar=False), np.cov(other, rowvar=False)
    truth = np.square(real.mean(0) - other.mean(0)).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert quality.frechet(real, other) == pytest.approx(truth, rel=1e-6)
    assert quality.frechet(real, real) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_the_formula_and_unbiased(real) -> None:
    a, b = real[:3], real[3:6] + 1
    kernel = lambda x, y: (x @ y / 5 + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(x, y) for i, x in enumerate(p) for j, y in enumerate(p) if i != j]) for p in (a, b)]
    cross = np.mean([kernel(x, y) for x in a for y in b])
    assert quality.kernel_distance(a, b) == pytest.approx(sum(within) - 2 * cross, rel=1e-9)
    many = np.random.default_rng(1).normal(size=(60, 100, 2))
    assert abs(np.mean([quality.kernel_distance(x[:50], x[50:]) for x in many])) < 0.05


def test_precision_recall_density_and_coverage_are_the_formulas(real) -> None:
    a, b = real[:40], real[40:90] * 1.2
    reach = lambda x: np.sort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)[:, 3]  # noqa: E731
    apart = np.linalg.norm(a[:, None] - b, axis=2)
    found = quality.prdc(a, b, k=3)
    inside = apart < reach(a)[:, None]
    assert found["precision"] == pytest.approx(inside.any(0).mean())
    assert found["density"] == pytest.approx(inside.sum() / 3 / len(b))
    assert found["coverage"] == pytest.approx(inside.any(1).mean())
    assert found["recall"] == pytest.approx((apart < reach(b)).any(1).mean())


def test_two_modes_of_which_one_is_missing_show_in_coverage_only() -> None:
    random = np.random.default_rng(0)
    both = random.normal(size=(400, 2)) + np.repeat([[0, 0], [20, 0]], 200, axis=0)
    found = quality.prdc(both, random.normal(size=(400, 2)))
    assert found["precision"] > 0.9
    assert found["coverage"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("k", [0, 600])
def test_senseless_neighbours_are_refused(real, k) -> None:
    with pytest.raises(ConfigError, match="k must be at least 1"):
        quality.prdc(real, real, k)


def test_the_two_sample_classifier_is_at_chance_for_the_same_and_sees_a_shift(real) -> None:
    assert quality.two_sample_accuracy(real[:300], real[300:]) == pytest.approx(0.5, abs=0.1)
    assert quality.two_sample_accuracy(real[:300], real[300:] + 6 * real.std(0)) > 0.9


def test_copies_are_found(real) -> None:
    train, held, fresh = real[:200], real[200:400], real[400:]
    honest = quality.memorised(fresh, train, held)
    copied = quality.memorised(train[:100] + 1e-3, train, held)
    assert honest["nearer"] == pytest.approx(0.5, abs=0.1)
    assert honest["copies"] < 0.06
    assert copied["nearer"] > 0.97
    assert copied["copies"] > 0.97


@pytest.fixture(scope="module")
def labelled(digits) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    order = np.random.default_rng(0).permutation(len(digits))
    return digits[order], load_digits().target[order]


def test_the_judge_knows_the_classes_and_is_decided_by_the_seed(labelled) -> None:
    pictures, labels = labelled
    first, second = (Judge.train(pictures[:1000], labels[:1000], seed=1) for _ in range(2))
    assert first.accuracy > 0.8
    np.testing.assert_array_equal(first.features(pictures[:5]), second.features(pictures[:5]))
    assert first.features(pictures).var(0).mean() == pytest.approx(1, rel=0.3)


def test_noise_is_far_and_real_rows_are_at_the_floor(labelled) -> None:
    pictures, labels = labelled
    train, unseen = pictures[:900], pictures[900:1600]
    noise = np.random.default_rng(0).random((300, 8, 8, 1)).astype(np.float32)
    bad = quality.quality(noise, train, labels[:900], unseen)
    good = quality.quality(pictures[1600:], train, labels[:900], unseen)
    assert bad.figures["Frechet distance"] > 5 * bad.floor["Frechet distance"]
    assert bad.figures["two-sample accuracy"] > 0.9
    assert good.figures["Frechet distance"] < 2 * good.floor["Frechet distance"]
    assert good.figures["coverage"] > 0.9
    assert good.rows == 197
    assert "neither the model nor the judge has seen" in good.notes[1]


def test_what_cannot_be_compared_is_told(labelled) -> None:
    pictures, labels = labelled
    with pytest.raises(DataError, match="99 labels for 100 pictures"):
        Judge.train(pictures[:100], labels[:99])
    with pytest.raises(DataError, match="at least two classes"):
        Judge.train(pictures[:100], np.zeros(100))
    with pytest.raises(DataError, match="must have one shape"):
        quality.quality(pictures[:100, :4], pictures, labels, pictures)
    with pytest.raises(DataError, match="at least 50 samples"):
        quality.quality(pictures[:10], pictures, labels, pictures)
