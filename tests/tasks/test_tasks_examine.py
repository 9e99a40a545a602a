"""What reports measure."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from isthmus.data import Source
from isthmus.families import FAMILIES
from isthmus.tasks import codes, demo, examine
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit, split
from isthmus.tasks.sample import interpolate, path, sample


@pytest.fixture(scope="module")
def parts(digits) -> tuple[Source, Source]:
    rest, kept = split(400, 0.25, 0)
    source = Source("pictures", digits[:400], name="digits")
    return source.take(rest), source.take(kept)


ALONE = [name for name, family in FAMILIES.items() if not family.conditional]


@pytest.fixture(scope="module")
def fitted(parts):
    return {name: fit(parts[0], Config(family=name, latent=8, steps=None if name == "linear" else 40)) for name in ALONE}


def test_examples_run() -> None:
    for module in (examine, demo, codes):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("family", ALONE)
def test_the_evidence_of_a_family(fitted, parts, family) -> None:
    artifact = fitted[family]
    labels = np.arange(100) % 3
    evidence = examine.examine(artifact, parts[1], labels, parts[0], np.arange(300) % 3)
    rebuilt = codes.reconstruct(artifact, parts[1])
    assert evidence.metrics["reconstruction error"] == pytest.approx(np.square(rebuilt - parts[1].array).mean(), rel=1e-4)
    assert 0 <= evidence.metrics["active units"] <= 8
    assert evidence.map.shape == (100, 2)
    assert evidence.labels.tolist() == labels.tolist()
    for pictures in (evidence.thumbnails, evidence.originals, evidence.reconstructions):
        assert pictures.dtype == np.float32
        assert pictures.min() >= 0
        assert pictures.max() <= 1
    assert evidence.samples is not None
    assert (evidence.noisy is not None) == (family == "denoising")


def test_denoised_pictures_are_nearer_the_clean_ones(parts) -> None:
    artifact = fit(parts[0], Config(family="denoising", latent=32, steps=1500, patience=99))
    found = examine.examine(artifact, parts[1])
    assert np.square(found.denoised - found.clean).mean() < 0.5 * np.square(found.noisy - found.clean).mean()


def test_rows_are_picked_evenly_so_that_sorted_data_stay_represented(monkeypatch) -> None:
    monkeypatch.setattr(examine, "VOTERS", 20)
    monkeypatch.setattr(examine, "VOTED", 20)
    points = np.repeat(np.eye(4), 50, axis=0) + np.random.default_rng(0).normal(0, 0.01, (200, 4))
    labels = np.repeat(np.arange(4), 50)
    assert examine.neighbours_accuracy(points, labels, points, labels) == 1.0
    assert examine.clustering_score(points, labels) == pytest.approx(1.0)


def test_chance_scores_nothing_and_coinciding_codes_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 500)
    assert abs(examine.clustering_score(rng.normal(size=(500, 4)), labels)) < 0.05
    assert examine.clustering_score(np.zeros((50, 4)), np.arange(50) % 5) == 0.0
    for value in (0.0, 0.1):
        assert np.array_equal(examine.map_codes(np.full((50, 4), value, np.float32)), np.zeros((50, 2)))
    few = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    twice = examine.map_codes(np.concatenate([few, few]))
    assert np.array_equal(twice[:20], twice[20:])
    assert len(np.unique(twice, axis=0)) == 20


@pytest.mark.parametrize("shape", [(1, 5), (9, 5), (12, 1), (12, 2), (40, 6)])
def test_maps_have_two_finite_columns(shape) -> None:
    found = examine.map_codes(np.random.default_rng(1).normal(size=shape).astype(np.float32))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_pca_is_measured_as_the_linear_family_is(fitted, parts) -> None:
    train, held_out = (fitted["linear"].prepare(part).numpy() for part in parts)
    labels = np.arange(300) % 3, np.arange(100) % 3
    found = examine.baselines(train, held_out, 8, *labels, raw="raw pixels")
    mine = examine.examine(fitted["linear"], parts[1]).metrics["reconstruction error"]
    assert found["PCA"]["reconstruction error"] == pytest.approx(mine, rel=0.05)
    assert set(found["raw pixels"]) == {"code width", "k-NN accuracy", "clustering"}
    assert set(examine.baselines(train, held_out, 8)) == {"PCA"}
    assert examine.baselines(train, held_out, 64) == {}


def test_pictures_share_one_scale_of_brightness(digits) -> None:
    grey = Source("pictures", (digits[:60] * 4 - 2).astype(np.float32), name="real values")
    artifact = fit(grey, Config(scaling="standard", steps=5))
    one = examine.pictures(artifact, grey.array[:1])
    assert np.array_equal(one, examine.pictures(artifact, grey.array)[:1])
    assert one.min() >= 0
    assert one.max() <= 1


def test_columns_of_a_table_are_told_in_their_own_unit(cancer) -> None:
    names = tuple(f"x{i}" for i in range(30))
    source = Source("table", cancer * 1000, names)
    artifact = fit(source, Config(family="variational", steps=200))
    found = examine.examine(artifact, source)
    name, error, share = found.columns[0]
    rebuilt = codes.reconstruct(artifact, source)
    assert name == "x0"
    assert error == pytest.approx(np.sqrt(np.square(rebuilt[:, 0] - source.array[:, 0]).mean()))
    assert share == pytest.approx(1 - error**2 / source.array[:, 0].var())
    assert found.sample_rows[0] == list(names)


def test_samples_have_the_spread_of_the_data_and_means_less(cancer) -> None:
    source = Source("table", cancer)
    artifact = fit(source, Config(family="variational", steps=400, latent=6))
    drawn, means = sample(artifact, 2000), sample(artifact, 2000, mean=True)
    assert np.median(drawn.std(0) / cancer.std(0)) == pytest.approx(1, abs=0.25)
    assert (means.std(0) < drawn.std(0)).all()
    assert np.array_equal(sample(artifact, 7, seed=3), sample(artifact, 7, seed=3))


def test_paths_through_the_code(fitted, parts) -> None:
    artifact = fitted["variational"]
    found = interpolate(artifact, parts[1], [(3, 9), (9, 3)], steps=5)
    assert found.shape == (2, 5, 8, 8, 1)
    assert np.allclose(found[0], found[1, ::-1], atol=1e-6)
    assert np.allclose(found[0, [0, 4]], codes.reconstruct(artifact, parts[1])[[3, 9]], atol=1e-6)


def test_a_great_circle_keeps_the_length() -> None:
    start, end = np.asarray([3.0, 0.0, 0.0]), np.asarray([0.0, 3.0, 0.0])
    assert np.allclose(np.linalg.norm(path(start, end, 7, spherical=True), axis=1), 3)
    assert np.linalg.norm(path(start, end, 7)[3]) == pytest.approx(3 / np.sqrt(2))
    assert np.array_equal(path(start, start, 3, spherical=True), path(start, start, 3))
    assert np.array_equal(path(np.zeros(3), end, 3, spherical=True), path(np.zeros(3), end, 3))


def test_codes_and_their_spread(fitted, parts) -> None:
    mean, scale = codes.posterior(fitted["variational"], parts[1])
    assert np.array_equal(mean, codes.encode(fitted["variational"], parts[1]))
    assert (scale > 0).all()
    assert not codes.posterior(fitted["sparse"], parts[1])[1].any()
    decoded = codes.decode(fitted["undercomplete"], codes.encode(fitted["undercomplete"], parts[1]))
    assert np.array_equal(decoded, codes.reconstruct(fitted["undercomplete"], parts[1]))


def test_familiar_rows_score_higher(fitted, parts) -> None:
    noise = Source("pictures", np.random.default_rng(0).random((50, 8, 8, 1), dtype=np.float32))
    for artifact in fitted.values():
        assert codes.score(artifact, parts[1]).mean() > codes.score(artifact, noise).mean()
        assert codes.errors(artifact, parts[1]).mean() < codes.errors(artifact, noise).mean()
